// SPDX-License-Identifier: MIT

package control

import (
	"fmt"
	"strings"
	"testing"
)

// vars is the substvars file of the tests below.
const vars = `# a comment

misc:Depends=foo (>= 1), bar
empty=
nested=<${misc:Depends}>
nested2=${nested}${nested}
opt?=x=y
spaces=  two  
loop=a${loop}
loop1=${loop2}
loop2=${loop1}
dollar=$
open=${
half=${mis
multi=a${Newline}b
_x=under
CASE=upper
case=lower
opt?=z
`

// expandTests is also given to Dpkg::Substvars.
var expandTests = []struct {
	in, want string
	warnings int
	bad      bool
}{
	{in: "nothing", want: "nothing"},
	{in: "${misc:Depends}", want: "foo (>= 1), bar"},
	{in: "a${empty}b", want: "ab"},
	{in: "${nested}", want: "<foo (>= 1), bar>"},
	{in: "${nested2}", want: "<foo (>= 1), bar><foo (>= 1), bar>"},
	{in: "${opt}", want: "z"},
	{in: "[${spaces}]", want: "[  two]"},
	{in: "${none}", want: "", warnings: 1},
	{in: "a${none}b${none}c", want: "abc", warnings: 2},
	{in: "${loop}", bad: true},
	{in: "${loop1}", bad: true},
	{in: "${dollar}{empty}x", want: "x"},
	{in: "${open}empty}x", want: "x"},
	{in: "${half}c:Depends}", want: "foo (>= 1), bar"},
	{in: "${}", want: "${}"},
	{in: "${}{empty}", want: "${}{empty}"},
	{in: "${a b} $ {} ${", want: "${a b} $ {} ${"},
	{in: "${Space}|${Tab}|${Newline}|", want: " |\t|\n|"},
	{in: "${multi}", want: "a\nb"},
	{in: "a\n${misc:Depends}\nb", want: "a\nfoo (>= 1), bar\nb"},
	{in: "${CASE}${case}${Case}", want: "upperlower", warnings: 1},
	{in: "${_x}", want: "${_x}"},
	{in: strings.Repeat("${case}", 60), want: strings.Repeat("lower", 60)},
	{in: strings.Repeat("${nested} ", 60), want: strings.Repeat("<foo (>= 1), bar> ", 60)},
}

func TestExpand(t *testing.T) {
	s, err := ParseSubstvars(strings.NewReader(vars), "f")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range expandTests {
		got, warnings, err := s.Expand(tt.in)
		if got != tt.want || len(warnings) != tt.warnings || (err != nil) != tt.bad {
			t.Errorf("Expand(%q) = %q, %v, %v; want %q, %d warnings, error %v", tt.in, got, warnings, err, tt.want, tt.warnings, tt.bad)
		}
	}
	if _, warnings, _ := s.Expand("${x:Y}"); fmt.Sprint(warnings) != "[substitution variable ${x:Y} is not defined]" {
		t.Errorf("warnings = %v", warnings)
	}
}

func TestExpandDoubling(t *testing.T) {
	var s Substvars
	for i := range 40 {
		s.Set(fmt.Sprintf("v%d", i), fmt.Sprintf("${v%d}x${v%d}", i+1, i+1))
	}
	s.Set("v40", "x")
	if _, _, err := s.Expand("${v0}"); err == nil {
		t.Error("Expand of 2^40 characters = nil error")
	}
}

// expandFieldTests is also given to Dpkg::Control.
var expandFieldTests = []struct{ name, in, want string }{
	{"Depends", "${empty}, foo", "foo"},
	{"Depends", "foo, ${empty}", "foo"},
	{"Depends", "a, ${empty}, ${empty}, b", "a, b"},
	{"depends", "${misc:Depends}, ${empty}", "foo (>= 1), bar"},
	{"Depends", "a,, b,", "a,, b,"},
	{"Depends", "a,\n${empty},\nb", "a,\nb"},
	{"Depends", "a,\n${empty}\n,b${empty}", "a,b"},
	{"Description", "${empty}, foo ${}{x}", ", foo ${x}"},
	{"Uploaders", "${empty}, foo", "foo"},
	{"X-Foo", "${empty}, foo", ", foo"},
	{"Depends", "${case}${dollar}", "lower$"},
}

func TestExpandField(t *testing.T) {
	s, err := ParseSubstvars(strings.NewReader(vars), "f")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range expandFieldTests {
		got, _, err := s.ExpandField(Field{Name: tt.name, Value: tt.in, Line: 7})
		if want := (Field{Name: tt.name, Value: tt.want, Line: 7}); err != nil || got != want {
			t.Errorf("ExpandField(%s: %q) = %+v, %v; want %q", tt.name, tt.in, got, err, tt.want)
		}
	}
	if _, _, err := s.ExpandField(Field{Name: "Depends", Value: "${loop}"}); err == nil || !strings.HasPrefix(err.Error(), "field Depends: too many") {
		t.Errorf("ExpandField of a loop: %v", err)
	}
}

// substvarsLines is also given to Dpkg::Substvars: is the line accepted?
var substvarsLines = []struct {
	line string
	ok   bool
}{
	{"a=b", true}, {"a?=b", true}, {"a=", true}, {"a==", true}, {" # c", true}, {"#", true}, {" ", true},
	{"a:B-c0=d", true}, {"_=x", true}, {"a=b\r", true}, {"0=x", true},
	{"a", false}, {"=b", false}, {"a b=c", false}, {" a=b", false}, {"a =b", false}, {":a=b", false},
	{"a??=b", false}, {"a_b=c", false}, {"é=b", false}, {"a!=b", false},
}

func TestParseSubstvars(t *testing.T) {
	for _, tt := range substvarsLines {
		s, err := ParseSubstvars(strings.NewReader("x=y\n"+tt.line+"\n"), "f")
		if (err == nil) != tt.ok || (s == nil) != (err != nil) {
			t.Errorf("ParseSubstvars(%q) = %v, %v; want ok %v", tt.line, s, err, tt.ok)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "f:2: line ") {
			t.Errorf("ParseSubstvars(%q): %v", tt.line, err)
		}
	}
}

func TestSubstvarsFormat(t *testing.T) {
	s, err := ParseSubstvars(strings.NewReader("b=2\na:X?= 1\nc=\n"), "f")
	if err != nil {
		t.Fatal(err)
	}
	s.Set("b", "3, 4")
	s.Set("a:X", "5")
	s.Set("B", "6")
	got, err := s.Format()
	if want := "B=6\na:X?=5\nb=3, 4\nc=\n"; err != nil || string(got) != want {
		t.Errorf("Format = %q, %v; want %q", got, err, want)
	}
	for _, bad := range [][2]string{{"a", "b\nc=d"}, {"a", "b "}, {"a=b", "c"}, {"", "c"}, {"a b", "c"}, {"a\n", "b"}} {
		var s Substvars
		s.Set(bad[0], bad[1])
		if got, err := s.Format(); err == nil || got != nil {
			t.Errorf("Format of %q = %q, %v; want an error", bad, got, err)
		}
	}
	var none Substvars
	if v, ok := none.Get("Tab"); v != "\t" || !ok {
		t.Errorf("Get(Tab) = %q, %v", v, ok)
	}
}

func FuzzSubstvars(f *testing.F) {
	for _, tt := range expandTests {
		f.Add(vars, tt.in)
	}
	for _, tt := range substvarsLines {
		f.Add(tt.line, "${a}")
	}
	f.Fuzz(func(t *testing.T, file, text string) {
		s, err := ParseSubstvars(strings.NewReader(file), "f")
		if err != nil || len(text) > 1000 {
			return
		}
		if got, _, err := s.Expand(text); err == nil && substvarRef.MatchString(got) {
			t.Errorf("Expand(%q) left %q", text, got)
		}
		out, err := s.Format()
		if err != nil {
			return
		}
		again, err := ParseSubstvars(strings.NewReader(string(out)), "f")
		if err != nil {
			t.Fatal(err)
		}
		if second, _ := again.Format(); string(second) != string(out) {
			t.Errorf("Format = %q, then %q", out, second)
		}
	})
}
