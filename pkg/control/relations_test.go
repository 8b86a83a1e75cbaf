// SPDX-License-Identifier: MIT

package control

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// relationTests is also given to Dpkg::Deps, rows with "${" apart.
var relationTests = []struct {
	in, want string
	bad      bool
	differs  string // why dpkg's answer is another one
}{
	{in: "foo", want: "foo"},
	{in: "", want: ""},
	{in: " , ,", want: ""},
	{in: "foo,", want: "foo"},
	{in: ",foo,,bar", want: "foo, bar"},
	{in: "foo|bar", want: "foo | bar"},
	{in: "foo |", want: "foo"},
	{in: "|", want: ""},
	{in: "foo(=1)", want: "foo (= 1)"},
	{in: "foo ( >= 1 )", want: "foo (>= 1)"},
	{in: "foo (> 1), bar (<1)", want: "foo (>= 1), bar (<= 1)"},
	{in: "foo (<<1)|bar(>> 2),baz", want: "foo (<< 1) | bar (>> 2), baz"},
	{in: "foo,\n\tbar (=\n 1)", want: "foo, bar (= 1)"},
	{in: "foo\n , bar", want: "foo, bar"},
	{in: "foo[amd64]", want: "foo [amd64]"},
	{in: "foo [ linux-any  !i386 ]", want: "foo [linux-any !i386]"},
	{in: "foo (>= 1) [amd64] <!nocheck>", want: "foo (>= 1) [amd64] <!nocheck>"},
	{in: "foo<!nocheck stage1> <cross>", want: "foo <!nocheck stage1> <cross>"},
	{in: "foo:any", want: "foo:any"},
	{in: "foo:native (= 1:2~3-4)", want: "foo:native (= 1:2~3-4)"},
	{in: "Foo.+-", want: "Foo.+-"},
	{in: "f", want: "f"},
	{in: "foo (= a)", want: "foo (= a)"},
	{in: "foo (= 1-)", want: "foo (= 1-)"},
	{in: "foo (=-1)", want: "foo (= -1)"},
	{in: "foo (>>>1)", want: "foo (>> >1)"},
	{in: "|foo", bad: true},
	{in: "foo||bar", bad: true},
	{in: "foo (== 1)", want: "", bad: true},
	{in: "foo (=> 1)", bad: true},
	{in: "foo (1)", bad: true},
	{in: "foo (!= 1)", bad: true},
	{in: "foo (= )", bad: true},
	{in: "foo (= 1", bad: true},
	{in: "foo (= 1 2)", bad: true},
	{in: "foo (= 1) bar", bad: true},
	{in: "foo (= 1)(= 2)", bad: true},
	{in: "foo (= 1,2)", bad: true},
	{in: "foo ()", bad: true},
	{in: "foo bar", bad: true},
	{in: "foo\n bar", bad: true},
	{in: "foo:", bad: true},
	{in: "foo :any", bad: true},
	{in: "foo:an_y", bad: true},
	{in: "foo:any:any", bad: true},
	{in: "foo_bar", bad: true},
	{in: "+foo", bad: true},
	{in: "foo~", bad: true},
	{in: "é", bad: true},
	{in: "foo [amd64", bad: true},
	{in: "foo []", bad: true},
	{in: "foo [am_d64]", bad: true},
	{in: "foo [amd64] (= 1)", bad: true},
	{in: "foo [amd64] [i386]", bad: true},
	{in: "foo <a> [amd64]", bad: true},
	{in: "foo <>", bad: true},
	{in: "foo <a", bad: true},
	{in: "foo [ ]", bad: true, differs: "an empty list lets no architecture in; nobody means that"},
	{in: "foo < >", bad: true, differs: "an empty list of profiles always holds; nobody means that"},
	{in: "foo <a <b>", bad: true, differs: "dpkg takes \"<b\" for a profile's name"},
	{in: "foo <a><b>", want: "foo <a> <b>", differs: "dpkg takes \"a><b\" for a profile's name"},
	{in: "foo (== 1", bad: true},

	{in: "${misc:Depends}", want: "${misc:Depends}"},
	{in: "${shlibs:Depends}, ${misc:Depends},foo", want: "${shlibs:Depends}, ${misc:Depends}, foo"},
	{in: "${a}${b:C} | x", want: "${a}${b:C} | x"},
	{in: "foo (= ${binary:Version})", want: "foo (= ${binary:Version})"},
	{in: "foo (>= ${x}), foo (<< ${x}.1~)", want: "foo (>= ${x}), foo (<< ${x}.1~)"},
	{in: "linux-image-${kver} [${arch}]", want: "linux-image-${kver} [${arch}]"},
	{in: "foo:${q}", want: "foo:${q}"},
	{in: "${misc:Depends", bad: true},
	{in: "$misc", bad: true},
	{in: "${a b}", bad: true},
	{in: "${}", bad: true},
}

func TestParseRelations(t *testing.T) {
	for _, tt := range relationTests {
		got, err := ParseRelations(tt.in)
		if (err != nil) != tt.bad || got.String() != tt.want {
			t.Errorf("ParseRelations(%q) = %q, %v; want %q, error %v", tt.in, got, err, tt.want, tt.bad)
		}
		if err == nil {
			printAgain(t, got)
		}
	}
}

// printAgain holds ParseRelations(r.String()) == r.
func printAgain(t *testing.T, all Relations) {
	t.Helper()
	again, err := ParseRelations(all.String())
	if diff := cmp.Diff(all, again); err != nil || diff != "" {
		t.Errorf("ParseRelations(%q): %v (-want +got):\n%s", all, err, diff)
	}
}

func TestRelationParts(t *testing.T) {
	got, err := ParseRelations("a:any (>= 1) [amd64 !i386] <x !y> <z> | b")
	want := Relations{{
		{Name: "a", Qualifier: "any", Operator: ">=", Version: "1", Archs: []string{"amd64", "!i386"}, Profiles: Profiles{{"x", "!y"}, {"z"}}},
		{Name: "b"},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestRelationConstructors(t *testing.T) {
	all := Relations{AnyOf("linux-image-K", "linux-image-K-unsigned"), Exactly("foo-modules-K", "1:2-3")}
	if got, want := all.String(), "linux-image-K | linux-image-K-unsigned, foo-modules-K (= 1:2-3)"; got != want {
		t.Errorf("String() = %q; want %q", got, want)
	}
	printAgain(t, all)
}

func TestRelationApplies(t *testing.T) {
	for _, tt := range []struct {
		relation, arch, profiles string
		want                     bool
	}{
		{"a", "amd64", "", true},
		{"a [amd64]", "amd64", "", true},
		{"a [amd64]", "i386", "", false},
		{"a [linux-any]", "armhf", "", true},
		{"a <!nocheck>", "amd64", "", true},
		{"a <!nocheck>", "amd64", "nocheck", false},
		{"a [amd64] <x> <y>", "amd64", "z y", true},
		{"a [i386] <x> <y>", "amd64", "z y", false},
	} {
		all, err := ParseRelations(tt.relation)
		if err != nil {
			t.Fatal(err)
		}
		if got := all[0][0].Applies(tt.arch, strings.Fields(tt.profiles)); got != tt.want {
			t.Errorf("%q on %s with %q applies: %v; want %v", tt.relation, tt.arch, tt.profiles, got, tt.want)
		}
	}
}

func FuzzParseRelations(f *testing.F) {
	for _, tt := range relationTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		all, err := ParseRelations(in)
		if err != nil {
			return
		}
		printAgain(t, all)
		if strings.ContainsAny(all.String(), "\n\r") {
			t.Errorf("ParseRelations(%q) prints lines", in)
		}
	})
}

// profileTests is also given to Dpkg::BuildProfiles.
var profileTests = []struct {
	formula, active string
	want            bool
}{
	{"", "", true},
	{"<a>", "", false},
	{"<a>", "a", true},
	{"<!a>", "", true},
	{"<!a>", "a", false},
	{"<a b>", "a", false},
	{"<a b>", "b a", true},
	{"<a !b>", "a", true},
	{"<a !b>", "a b", false},
	{"<a> <b>", "b", true},
	{"<a> <b>", "c", false},
	{" < a  !b >  <c>", "c b", true},
	{"<!a> <!b>", "a", true},
	{"<!a> <!b>", "a b", false},
	{"<!a !b>", "a", false},
	{"<a.b/c-d>", "a.b/c-d", true},
}

func TestProfiles(t *testing.T) {
	for _, tt := range profileTests {
		p, err := ParseProfiles(tt.formula)
		if got := p.Match(strings.Fields(tt.active)); err != nil || got != tt.want {
			t.Errorf("%q matches %q: %v, %v; want %v", tt.formula, tt.active, got, err, tt.want)
		}
		again, err := ParseProfiles(p.String())
		if diff := cmp.Diff(p, again); err != nil || diff != "" {
			t.Errorf("ParseProfiles(%q): %v (-want +got):\n%s", p, err, diff)
		}
	}
	for _, bad := range []string{"a", "<a", "a>", "<>", "< >", "<a> b", "<<a>", "<!>", "<a <b>"} {
		if p, err := ParseProfiles(bad); err == nil || p != nil {
			t.Errorf("ParseProfiles(%q) = %v, %v; want an error", bad, p, err)
		}
	}
}

// archPatterns are tried against all architectures, and by dpkg as well.
var archPatterns = []string{
	"any", "all", "amd64", "armhf", "linux-any", "any-amd64", "any-arm", "any-i386", "gnu-any-any", "gnu-linux-any",
	"any-any-any-any", "base-any-linux-any", "eabihf-any-any-any", "kfreebsd-any", "hurd-any", "kfreebsd-amd64",
	"linux-amd64", "linux-armhf", "musl-linux-any", "musl-any-any", "x32", "any-any", "foo", "any-foo", "",
	"musl-linux-amd64", "uclibc-linux-any", "gnu-linux-amd64", "-any", "any-", "linux-", "any-any-any-any-any",
}

func TestMatchArch(t *testing.T) {
	for _, tt := range []struct {
		arch, pattern string
		want          bool
	}{
		{"amd64", "amd64", true},
		{"amd64", "i386", false},
		{"amd64", "any", true},
		{"all", "any", true},
		{"all", "all", true},
		{"all", "linux-any", false},
		{"amd64", "linux-any", true},
		{"armhf", "linux-any", true},
		{"hurd-i386", "linux-any", false},
		{"kfreebsd-amd64", "any-amd64", true},
		{"armel", "any-arm", true},
		{"armhf", "arm", false},
		{"foo", "foo", true},
		{"foo", "linux-any", false},
		{"amd64", "any-foo", false},
		{"amd64", "!amd64", false},
		{"amd64", "", false},
	} {
		if got := MatchArch(tt.arch, tt.pattern); got != tt.want {
			t.Errorf("MatchArch(%q, %q) = %v; want %v", tt.arch, tt.pattern, got, tt.want)
		}
	}
}

// archListTests is also given to Dpkg::Arch.
var archListTests = []struct {
	arch, list string
	want       bool
}{
	{"amd64", "amd64 i386", true},
	{"arm64", "amd64 i386", false},
	{"amd64", "!amd64", false},
	{"i386", "!amd64", true},
	{"i386", "!amd64 !any-i386", false},
	{"amd64", "!i386 amd64", true},
	{"amd64", "!linux-any kfreebsd-any", false},
	{"amd64", "amd64 !linux-any", true},
	{"amd64", "", false},
	{"amd64", "AMD64", true},
	{"armhf", "linux-any", true},
}

func TestMatchArchList(t *testing.T) {
	for _, tt := range archListTests {
		if got := MatchArchList(tt.arch, strings.Fields(tt.list)); got != tt.want {
			t.Errorf("MatchArchList(%q, %q) = %v; want %v", tt.arch, tt.list, got, tt.want)
		}
	}
	list := []string{"AMD64"}
	if MatchArchList("i386", list); !slices.Equal(list, []string{"AMD64"}) {
		t.Errorf("MatchArchList changed its argument to %q", list)
	}
}
