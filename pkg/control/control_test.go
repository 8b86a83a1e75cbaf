// SPDX-License-Identifier: MIT

package control

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gokms/gokms/pkg/textfile"
)

// parseTests is also given to Dpkg::Control::Hash, see oracle_test.go.
var parseTests = []struct {
	name, in string
	want     string // as rendered by render
	wantErr  string
	differs  string // why dpkg's answer is another one
}{
	{name: "one", in: "A: b\n", want: `a="b" `},
	{name: "nothing", in: ""},
	{name: "only blank lines and comments", in: "\n# c\n \n#\n"},
	{name: "two stanzas", in: "A: b\nC: d\n\nA: e\n", want: `a="b" c="d" / a="e" `},
	{name: "many blank lines", in: "\n\n\nA: b\n\n \n\t\n\nA: e\n\n\n", want: `a="b" / a="e" `},
	{name: "no final newline", in: "A: b\n\nC: d", want: `a="b" / c="d" `},
	{name: "white space around", in: "A \t:  \t b \t\nC:d\nE:\n", want: `a="b" c="d" e="" `},
	{name: "continuation", in: "A: b\n c\n  d \n\te\n", want: `a="b\nc\n d\ne" `},
	{name: "begins on the next line", in: "A:\n b\n", want: `a="\nb" `},
	{name: "dots", in: "A: b\n .\n ..\n . x\n", want: `a="b\n\n.\n. x" `},
	{name: "colons", in: "A: b: c:\n d: e\n", want: `a="b: c:\nd: e" `},
	{name: "continuation with colon first", in: "A: b\n : c\n", want: `a="b\n: c" `},
	{name: "white line ends a stanza", in: "A: b\n \nC: d\n", want: `a="b" / c="d" `},
	{name: "comments", in: "# c\nA: b\n#d\n e\n# f: g\n\n# h\n", want: `a="b\ne" `},
	{name: "comment is not a separator", in: "A: b\n#\nC: d\n", want: `a="b" c="d" `},
	{name: "indented hash", in: "A: b\n # c\n", want: `a="b\n# c" `},
	{name: "hash in value", in: "A: # b\n", want: `a="# b" `},
	{name: "CRLF", in: "A: b\r\n c\r\n\r\nD: e\r\n", want: `a="b\nc" / d="e" `},
	{name: "form feed and vertical tab", in: "A:\v b\f\n\vc\n", want: `a="b\nc" `},
	{name: "odd names", in: "A#: b\né: c\nX_y.z/0: d\n", want: `a#="b" é="c" x_y.z/0="d" `},
	{name: "not UTF-8", in: "A: \xe9\n", want: `a="\xe9" `},
	{name: "NUL", in: "A: b\x00c\n", want: `a="b\x00c" `},
	{name: "no break space", in: "A: b\u00a0\n\u00a0c: d\n", want: "a=\"b\\u00a0\" \u00a0c=\"d\" "},
	{name: "same name in two stanzas", in: "A: b\n\na: c\n", want: `a="b" / a="c" `},
	{name: "duplicate", in: "A: b\nC: d\nA: e\n", wantErr: "f:3: duplicate field A, first on line 1"},
	{name: "duplicate in another case", in: "A-b: c\nA-B: d\n", wantErr: "f:2: duplicate field A-B, first on line 1"},
	{name: "continuation first", in: "\n b\n", wantErr: `f:2: continuation line " b" outside of a field`},
	{name: "continuation after blank line", in: "A: b\n\n c\n", wantErr: `f:3: continuation line " c" outside of a field`},
	{name: "no name", in: ": b\n", wantErr: `f:1: line ": b" is not of the form NAME: VALUE`},
	{name: "two words", in: "A b: c\n", wantErr: `f:1: line "A b: c" is not of the form NAME: VALUE`},
	{name: "text", in: "A: b\nsome text\n", wantErr: `f:2: line "some text" is not of the form NAME: VALUE`},
	{name: "hyphen", in: "-A: b\n", wantErr: `f:1: field name "-A" begins with a hyphen`},
	{name: "signed", in: "-----BEGIN PGP SIGNED MESSAGE-----\nHash: x\n\nA: b\n", wantErr: `f:1: line "-----BEGIN PGP SIGNED MESSAGE-----" is not of the form NAME: VALUE`},
	{
		name: "one word", in: "A: b\nword\n", wantErr: `f:2: line "word" is not of the form NAME: VALUE`,
		differs: "Dpkg::Control makes it a field without a value, perl warnings included; dpkg-deb and apt refuse it",
	},
}

func TestParse(t *testing.T) {
	for _, tt := range parseTests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(tt.in), "f")
			if tt.wantErr != "" {
				if err == nil || err.Error() != tt.wantErr || got != nil {
					t.Errorf("Parse(%q) = %v, %v; want error %q", tt.in, got, err, tt.wantErr)
				}
				return
			}
			if err != nil || render(got) != tt.want {
				t.Errorf("Parse(%q) = %s, %v; want %s", tt.in, render(got), err, tt.want)
			}
		})
	}
}

func TestParseFields(t *testing.T) {
	in := "# c\n\nSource: foo\nX-Y:\n# d\n  a\n .\n\nPackage: bar\n"
	want := []Stanza{
		{Fields: []Field{{Name: "Source", Value: "foo", Line: 3}, {Name: "X-Y", Value: "\n a\n.", Line: 4}}},
		{Fields: []Field{{Name: "Package", Value: "bar", Line: 9}}},
	}
	path := filepath.Join(t.TempDir(), "control")
	if _, err := ParseFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ParseFile of nothing = %v", err)
	}
	if err := os.WriteFile(path, []byte(in), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := ParseFile(path)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("ParseFile(%q): %v (-want +got):\n%s", in, err, diff)
	}
}

func TestParseReadErrors(t *testing.T) {
	boom := errors.New("boom")
	if _, err := Parse(iotest.ErrReader(boom), "f"); !errors.Is(err, boom) {
		t.Errorf("Parse(broken) = %v", err)
	}
	if _, err := ParseOne(iotest.ErrReader(boom), "f"); !errors.Is(err, boom) {
		t.Errorf("ParseOne(broken) = %v", err)
	}
	if _, err := ParseSubstvars(iotest.ErrReader(boom), "f"); !errors.Is(err, boom) {
		t.Errorf("ParseSubstvars(broken) = %v", err)
	}
	long := "A: " + strings.Repeat("x", textfile.MaxLine) + "\n"
	if _, err := Parse(strings.NewReader(long), "f"); !errors.Is(err, textfile.ErrLineTooLong) {
		t.Errorf("Parse(long line) = %v", err)
	}
	if _, err := ParseOne(strings.NewReader(long), "f"); !errors.Is(err, textfile.ErrLineTooLong) {
		t.Errorf("ParseOne(long line) = %v", err)
	}
	if _, err := ParseOne(strings.NewReader(strings.Repeat("A: b\n", maxControl/4)), "f"); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("ParseOne(20 MB) = %v", err)
	}
}

func TestStanza(t *testing.T) {
	var s Stanza
	s.Set("Package", "foo")
	s.Set("Version", "1")
	copied := Stanza{Fields: append([]Field(nil), s.Fields...)}
	s.Set("PACKAGE", "bar")
	s.Set("Depends", "a,\n\tb\n c")
	if got := render([]Stanza{s}); got != `package="bar" version="1" depends="a,\n\tb\n c" ` {
		t.Errorf("after Set: %s", got)
	}
	if f, ok := s.Lookup("package"); !ok || f.Name != "Package" || s.Get("vErsion") != "1" {
		t.Errorf("Lookup = %v, %v; Get = %q", f, ok, s.Get("vErsion"))
	}
	if f, ok := s.Lookup("x"); ok || f != (Field{}) || s.Get("x") != "" {
		t.Errorf("Lookup of nothing = %v, %v", f, ok)
	}
	if got := s.Unfold("Depends"); got != "a, b c" {
		t.Errorf("Unfold = %q", got)
	}
	s = copied
	s.Del("PACKAGE")
	s.Del("x")
	if got := render([]Stanza{s}); got != `version="1" ` {
		t.Errorf("after Del: %s", got)
	}
	if got := render([]Stanza{copied}); got != `package="foo" version="1" ` {
		t.Errorf("Del changed another value: %s", got)
	}
}

func TestDescription(t *testing.T) {
	for _, tt := range []struct{ synopsis, extended, value string }{
		{"a b", "", "a b"},
		{"a b", "c\n\n d\ne", "a b\nc\n.\n d\ne"},
	} {
		if got := Description(tt.synopsis, tt.extended); got != tt.value {
			t.Errorf("Description(%q, %q) = %q; want %q", tt.synopsis, tt.extended, got, tt.value)
		}
		var s Stanza
		s.Set("Description", tt.value)
		if a, b := s.Synopsis(), s.ExtendedDescription(); a != tt.synopsis || b != tt.extended {
			t.Errorf("%q has parts %q, %q; want %q, %q", tt.value, a, b, tt.synopsis, tt.extended)
		}
	}
	if got := Description("a", "\n\nb  \n \n"); got != "a\nb\n." {
		t.Errorf("Description with white space = %q", got)
	}
}

func TestFormat(t *testing.T) {
	a := Stanza{Fields: []Field{{Name: "Source", Value: "foo"}, {Name: "Files", Value: "\na b\n c"}}}
	b := Stanza{Fields: []Field{{Name: "Package", Value: "bar"}, {Name: "Description", Value: Description("x", "y\n\nz")}}}
	got, err := Format(a, b)
	want := "Source: foo\nFiles:\n a b\n  c\n\nPackage: bar\nDescription: x\n y\n .\n z\n"
	if err != nil || string(got) != want {
		t.Errorf("Format = %q, %v; want %q", got, err, want)
	}
	sameAgain(t, []Stanza{a, b})
	if got, err := Format(); err != nil || len(got) != 0 {
		t.Errorf("Format() = %q, %v", got, err)
	}
}

func TestFormatRefuses(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"A", "", "field A: empty value"},
		{"A", "b\n\nPackage: c", "field A: empty line in value"},
		{"A", "b\n", "field A: empty line in value"},
		{"A", "b\n \nc", "field A: white space at the end"},
		{"A", "b ", "field A: white space at the end"},
		{"A", "b \nc", "field A: white space at the end"},
		{"A", " b", "field A: white space before value"},
		{"A", "\n", "field A: empty line in value"},
		{"A", "b\r\nc", "field A: control character"},
		{"A", "b\x00", "field A: control character"},
		{"A", "b\x1ac", "field A: control character"},
		{"", "b", `bad field name ""`},
		{"-A", "b", `bad field name "-A"`},
		{"#A", "b", `bad field name "#A"`},
		{"A B", "b", `character ' ' in field name "A B"`},
		{"A:", "b", `character ':' in field name "A:"`},
		{"A\nB", "b", `character '\n' in field name "A\nB"`},
		{"É", "b", `character 'É' in field name "É"`},
		{"Package", "b", "duplicate field Package"},
		{"PACKAGE", "b", "duplicate field PACKAGE"},
	} {
		s := Stanza{Fields: []Field{{Name: "Package", Value: "x"}, {Name: tt.name, Value: tt.value}}}
		got, err := Format(s)
		if err == nil || !strings.Contains(err.Error(), tt.want) || got != nil {
			t.Errorf("Format of %q: %q = %q, %v; want error with %q", tt.name, tt.value, got, err, tt.want)
		}
	}
	if _, err := Format(Stanza{}); err == nil {
		t.Error("Format of an empty stanza = nil error")
	}
}

// sameAgain holds the law Parse(Format(v)) == v wherever Format succeeds.
func sameAgain(t *testing.T, stanzas []Stanza) {
	t.Helper()
	text, err := Format(stanzas...)
	if err != nil {
		return
	}
	again, err := Parse(bytes.NewReader(text), "f")
	if err != nil {
		t.Fatalf("Parse(Format(%v)): %v", stanzas, err)
	}
	if diff := cmp.Diff(stanzas, again, cmpopts.IgnoreFields(Field{}, "Line"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("Parse(Format(v)) (-v +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range parseTests {
		f.Add(tt.in)
	}
	for _, tt := range binaryTests {
		f.Add(tt.text())
	}
	f.Fuzz(func(t *testing.T, in string) {
		stanzas, err := Parse(strings.NewReader(in), "f")
		if err != nil && stanzas != nil {
			t.Error("result beside an error")
		}
		sameAgain(t, stanzas)
		one, err := ParseOne(strings.NewReader(in), "f")
		if err == nil && (len(stanzas) != 1 || one.Get("Package") == "") {
			t.Errorf("ParseOne accepts %q", in)
		}
		_, _ = ParseTemplate(strings.NewReader(in), "f")
	})
}

// FuzzFormat makes fields of arbitrary text: none may forge another.
func FuzzFormat(f *testing.F) {
	f.Add("Package", "foo", "Description", "a\nb")
	f.Add("A", "b\n\nC: d", "E", "\nf")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		sameAgain(t, []Stanza{
			{Fields: []Field{{Name: name1, Value: value1}, {Name: name2, Value: value2}}},
			{Fields: []Field{{Name: name2, Value: value1}}},
		})
	})
}

func TestValidArchitecture(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"amd64": true, "all": true, "hurd-i386": true, "m68k": true, "3b2": true,
		"": false, "-": false, "-a": false, "AMD64": false, "a/../../../evil": false, "a b": false, "a\n": false, "..": false, "a_b": false, "é": false,
	} {
		if got := ValidArchitecture(name) == nil; got != want {
			t.Errorf("ValidArchitecture(%q) accepts: %v; want %v", name, got, want)
		}
	}
}

func TestValidPackageName(t *testing.T) {
	for _, tt := range nameTests {
		if got := ValidPackageName(tt.name) == nil; got != tt.ok {
			t.Errorf("ValidPackageName(%q) accepts: %v; want %v", tt.name, got, tt.ok)
		}
	}
}

// nameTests is also given to Dpkg::Package.
var nameTests = []struct {
	name string
	ok   bool
}{
	{"i40e-modules-6.1.0-56-amd64", true},
	{"libstdc++6", true},
	{"0ad", true},
	{"a", true},
	{"a.b", true},
	{"", false},
	{"+a", false},
	{"-a", false},
	{".a", false},
	{"A", false},
	{"aB", false},
	{"a_b", false},
	{"a b", false},
	{"a~", false},
	{"a/b", false},
	{"é", false},
	{"a\n", false},
	{"a\xff", false},
}

func TestTemplate(t *testing.T) {
	in := `Source: foo
Maintainer: A <a@b>
Homepage: https://x/
Build-Depends: debhelper-compat (= 13), dh-sequence-gokms,
 x [amd64],
Build-Depends-Indep: y <!nodoc>

Package: foo-dkms
Architecture: all
Description: synopsis
 more

Package: foo-utils
Architecture: linux-any
`
	got, err := ParseTemplate(strings.NewReader(in), "debian/control")
	if err != nil {
		t.Fatal(err)
	}
	if got.Source.Get("homepage") != "https://x/" || got.Source.Get("Maintainer") != "A <a@b>" || len(got.Packages) != 2 {
		t.Errorf("ParseTemplate = %+v", got)
	}
	if s, ok := got.Package("foo-dkms"); !ok || s.Synopsis() != "synopsis" || s.ExtendedDescription() != "more" {
		t.Errorf("Package(foo-dkms) = %v, %v", s, ok)
	}
	if _, ok := got.Package("foo"); ok {
		t.Error("Package(foo) is there")
	}
	all, err := got.BuildDepends()
	if want := "debhelper-compat (= 13), dh-sequence-gokms, x [amd64], y <!nodoc>"; err != nil || all.String() != want {
		t.Errorf("BuildDepends = %q, %v; want %q", all, err, want)
	}
	if diff := cmp.Diff([]string{"debhelper-compat", "dh-sequence-gokms", "x", "y"}, all.Names()); diff != "" {
		t.Errorf("Names (-want +got):\n%s", diff)
	}
	bad := strings.Replace(in, "y <!nodoc>", "y <", 1)
	if c, err := ParseTemplate(strings.NewReader(bad), "c"); err != nil {
		t.Error(err)
	} else if _, err := c.BuildDepends(); err == nil || err.Error() != `c:6: field Build-Depends-Indep: bad relation "y <"` {
		t.Errorf("BuildDepends of %q = %v", "y <", err)
	}
}

// templateTests is also given to Dpkg::Control::Info.
var templateTests = []struct{ in, wantErr string }{
	{"Source: a\n", ""},
	{"# c\n\nSource: a\n\n# c\n\nPackage: b\nArchitecture: any\n", ""},
	{"Package: b\nArchitecture: any\n", "f:1: stanza without the field Source"},
	{"Source: a\n\nArchitecture: any\n", "f:3: stanza without the field Package"},
	{"Source: a\n\nPackage: b\n", "f:3: stanza without the field Architecture"},
	{"Source: a\nSource: b\n", "f:2: duplicate field Source, first on line 1"},
}

func TestTemplateErrors(t *testing.T) {
	for _, tt := range templateTests {
		c, err := ParseTemplate(strings.NewReader(tt.in), "f")
		if got := errText(err); got != tt.wantErr || (c == nil) != (err != nil) {
			t.Errorf("ParseTemplate(%q) = %v, %q; want %q", tt.in, c, got, tt.wantErr)
		}
	}
	if _, err := ParseTemplate(strings.NewReader("# c\n"), "f"); errText(err) != "f: no stanza found" {
		t.Errorf("ParseTemplate(nothing) = %v", err)
	}
	if _, err := ParseTemplateFile(filepath.Join(t.TempDir(), "x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ParseTemplateFile(nothing) = %v", err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
