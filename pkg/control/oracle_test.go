// SPDX-License-Identifier: MIT

package control

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

// render shows stanzas in one line, with names in lower case and values as
// Dpkg::Control::Hash holds them: lines of dots have lost one.
func render(stanzas []Stanza) string {
	var texts []string
	for _, s := range stanzas {
		text := ""
		for _, f := range s.Fields {
			lines := strings.Split(f.Value, "\n")
			for i, line := range lines {
				if i > 0 && line != "" && strings.Trim(line, ".") == "" {
					lines[i] = line[1:]
				}
			}
			text += fmt.Sprintf("%s=%q ", asciiLower(f.Name), strings.Join(lines, "\n"))
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "/ ")
}

// perl runs a script over each input: the script finds it in $_ and leaves its
// answer there; "error" is the answer where it dies.
func perl(t *testing.T, script string, inputs []string) []string {
	t.Helper()
	testkit.Tools(t, "perl", "dpkg-parsechangelog") // the latter: libdpkg-perl
	const loop = `use Dpkg::ErrorHandling; $SIG{__WARN__} = sub {};
		{ local $/ = "\x01"; @in = <STDIN>; }
		for my $input (@in) { chop $input; $_ = $input; eval { answer(); 1 } or $_ = 'error'; print "$_\x01"; }
		sub answer { `
	cmd := exec.Command("perl", "-e", loop+script+" }")
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DPKG_COLORS=never")
	cmd.Stdin = strings.NewReader(strings.Join(inputs, "\x01") + "\x01")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("perl: %v", err)
	}
	answers := strings.Split(strings.TrimSuffix(string(out), "\x01"), "\x01")
	if len(answers) != len(inputs) {
		t.Fatalf("perl gave %d answers to %d inputs", len(answers), len(inputs))
	}
	return answers
}

func TestOracleParse(t *testing.T) {
	var inputs []string
	for _, tt := range parseTests {
		inputs = append(inputs, tt.in)
	}
	answers := perl(t, `use Dpkg::Control::Hash;
		my $text = $_; open my $fh, '<', \$text; my @out;
		while (1) {
			my $c = Dpkg::Control::Hash->new(); last unless $c->parse($fh, 'f');
			push @out, join "\x03", map { lc($_) . "\x04" . $c->{$_} } keys %$c;
		}
		$_ = join "\x02", @out;`, inputs)
	for i, tt := range parseTests {
		want := "error"
		if answers[i] != "error" {
			want = renderAnswer(answers[i])
		}
		got := tt.want
		if tt.wantErr != "" {
			got = "error"
		}
		if (got == want) != (tt.differs == "") {
			t.Errorf("%s: %q: ours %s, dpkg %s; row says: %q", tt.name, tt.in, got, want, tt.differs)
		}
	}
}

// renderAnswer makes what render makes of the fields that perl printed.
func renderAnswer(answer string) string {
	if answer == "" {
		return ""
	}
	var texts []string
	for _, stanza := range strings.Split(answer, "\x02") {
		text := ""
		for _, field := range strings.Split(stanza, "\x03") {
			name, value, _ := strings.Cut(field, "\x04")
			text += fmt.Sprintf("%s=%q ", name, value)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "/ ")
}

func TestOracleTemplate(t *testing.T) {
	var inputs []string
	for _, tt := range templateTests {
		inputs = append(inputs, tt.in)
	}
	answers := perl(t, `use Dpkg::Control::Info; open my $fh, '<', \$_;
		my $text = $_; open $fh, '<', \$text; my $i = Dpkg::Control::Info->new(filename => undef); $i->parse($fh, 'f'); $_ = 'ok';`, inputs)
	for i, tt := range templateTests {
		if (answers[i] == "ok") != (tt.wantErr == "") {
			t.Errorf("%q: dpkg %s; want error %q", tt.in, answers[i], tt.wantErr)
		}
	}
}

func TestOracleNames(t *testing.T) {
	var inputs []string
	for _, tt := range nameTests {
		inputs = append(inputs, tt.name)
	}
	answers := perl(t, `use Dpkg::Package; $_ = pkg_name_is_illegal($_) ? 'error' : 'ok';`, inputs)
	for i, tt := range nameTests {
		if (answers[i] == "ok") != tt.ok {
			t.Errorf("%q: dpkg %s; table has %v", tt.name, answers[i], tt.ok)
		}
	}
}

func TestOracleRelations(t *testing.T) {
	var inputs []string
	for _, tt := range relationTests {
		inputs = append(inputs, tt.in)
	}
	answers := perl(t, `use Dpkg::Deps; my $d = deps_parse($_, build_dep => 1); $_ = defined $d ? "$d" : 'error';`, inputs)
	for i, tt := range relationTests {
		if strings.Contains(tt.in, "$") { // dpkg expands before it parses
			continue
		}
		got := tt.want
		if tt.bad {
			got = "error"
		}
		if (got == answers[i]) != (tt.differs == "") {
			t.Errorf("%q: ours %q, dpkg %q; row says: %q", tt.in, got, answers[i], tt.differs)
		}
	}
}

func TestOracleProfiles(t *testing.T) {
	var inputs []string
	for _, tt := range profileTests {
		inputs = append(inputs, tt.formula+"\x02"+tt.active)
	}
	answers := perl(t, `use Dpkg::BuildProfiles qw(parse_build_profiles evaluate_restriction_formula);
		my ($f, $a) = split /\x02/, $_; my @f = parse_build_profiles($f);
		$_ = !length $f || evaluate_restriction_formula(\@f, [split ' ', $a // '']) ? 'yes' : 'no';`, inputs)
	for i, tt := range profileTests {
		if (answers[i] == "yes") != tt.want {
			t.Errorf("%q with %q: dpkg %s; table has %v", tt.formula, tt.active, answers[i], tt.want)
		}
	}
}

// TestOracleArch tries all architectures that dpkg knows against all patterns.
// pault.ag's table is newer than dpkg 1.21 and without some ports that nobody
// has made; of those only Linux matters here.
func TestOracleArch(t *testing.T) {
	known := perl(t, `use Dpkg::Arch qw(get_valid_arches); $_ = join ' ', get_valid_arches();`, []string{""})
	archs := append(strings.Fields(known[0]), "all", "foo", "linux-amd64")
	var inputs []string
	type pair struct{ arch, pattern string }
	var pairs []pair
	for _, arch := range archs {
		if _, ok := archTuple(arch); !ok && arch != "all" && arch != "foo" {
			if !strings.Contains(arch, "-") && arch != "arm64ilp32" {
				t.Errorf("unknown Linux architecture %s", arch)
			}
			continue
		}
		for _, pattern := range archPatterns {
			pairs = append(pairs, pair{arch, pattern})
			inputs = append(inputs, arch+"/"+pattern)
		}
	}
	answers := perl(t, `use Dpkg::Arch qw(debarch_is); my ($r, $a) = split m{/}, $_, 2; $_ = debarch_is($r, $a) ? 'yes' : 'no';`, inputs)
	for i, p := range pairs {
		if got := MatchArch(p.arch, p.pattern); got != (answers[i] == "yes") {
			t.Errorf("MatchArch(%q, %q) = %v; dpkg %s", p.arch, p.pattern, got, answers[i])
		}
	}
	if len(pairs) < 1500 {
		t.Errorf("only %d pairs", len(pairs))
	}
}

func TestOracleArchList(t *testing.T) {
	var inputs []string
	for _, tt := range archListTests {
		inputs = append(inputs, tt.arch+"/"+tt.list)
	}
	answers := perl(t, `use Dpkg::Arch qw(debarch_is_concerned); my ($a, $l) = split m{/}, $_, 2;
		$_ = debarch_is_concerned($a, split(' ', $l)) ? 'yes' : 'no';`, inputs)
	for i, tt := range archListTests {
		if (answers[i] == "yes") != tt.want {
			t.Errorf("%q in %q: dpkg %s; table has %v", tt.arch, tt.list, answers[i], tt.want)
		}
	}
}

func TestOracleDpkgArchitecture(t *testing.T) {
	testkit.Tools(t, "dpkg-architecture")
	for _, pattern := range []string{"amd64", "linux-any", "any-amd64", "any-arm", "hurd-any", "any"} {
		for _, arch := range []string{"amd64", "armhf", "hurd-i386"} {
			err := exec.Command("dpkg-architecture", "-f", "-a"+arch, "-i"+pattern).Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if got := MatchArch(arch, pattern); got != (err == nil) {
				t.Errorf("MatchArch(%q, %q) = %v; dpkg-architecture %v", arch, pattern, got, err)
			}
		}
	}
}

func TestOracleSubstvars(t *testing.T) {
	const load = `use Dpkg::Substvars; my ($file, $text, $name) = split /\x02/, $_, 3;
		my $s = Dpkg::Substvars->new(); open my $fh, '<', \$file; $s->parse($fh, 'f'); `
	var inputs, lines, fields []string
	for _, tt := range expandTests {
		inputs = append(inputs, vars+"\x02"+tt.in)
	}
	for _, tt := range substvarsLines {
		lines = append(lines, tt.line+"\n\x02")
	}
	for _, tt := range expandFieldTests {
		fields = append(fields, vars+"\x02"+tt.in+"\x02"+tt.name)
	}
	answers := perl(t, load+`my $n = 0; local $SIG{__WARN__} = sub { $n++ }; my $v = $s->substvars($text); $_ = "$n $v";`, inputs)
	for i, tt := range expandTests {
		want := fmt.Sprintf("%d %s", tt.warnings, tt.want)
		if tt.bad {
			want = "error"
		}
		if answers[i] != want {
			t.Errorf("%q: dpkg %q; table has %q", tt.in, answers[i], want)
		}
	}
	for i, answer := range perl(t, load+`$_ = 'ok';`, lines) {
		if (answer == "ok") != substvarsLines[i].ok {
			t.Errorf("line %q: dpkg %s; table has %v", substvarsLines[i].line, answer, substvarsLines[i].ok)
		}
	}
	answers = perl(t, load+`use Dpkg::Control; my $c = Dpkg::Control->new(type => CTRL_PKG_DEB); $c->{$name} = $text;
		$c->apply_substvars($s); $_ = $c->{$name};`, fields)
	for i, tt := range expandFieldTests {
		if answers[i] != tt.want {
			t.Errorf("%s: %q: dpkg %q; table has %q", tt.name, tt.in, answers[i], tt.want)
		}
	}
}

// dpkgDebBuilds reports whether dpkg-deb builds a package with that control
// file, and what it says.
func dpkgDebBuilds(t *testing.T, control string) (bool, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "DEBIAN"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "DEBIAN", "control"), []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
	// With -Znone, and the result to a folder of its own.
	out, err := exec.Command("dpkg-deb", "-Znone", "-b", dir, filepath.Join(t.TempDir(), "x.deb")).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil, string(out)
}

func TestOracleParseOne(t *testing.T) {
	testkit.Tools(t, "dpkg-deb")
	for _, tt := range binaryTests {
		ok, out := dpkgDebBuilds(t, tt.text())
		if (ok == (tt.wantErr == "")) != (tt.differs == "") {
			t.Errorf("%q: table has error %q, row says %q; dpkg-deb: %v %s", tt.text(), tt.wantErr, tt.differs, ok, out)
		}
	}
}

// TestOracleFormat holds that dpkg-deb reads what Format wrote.
func TestOracleFormat(t *testing.T) {
	testkit.Tools(t, "dpkg-deb")
	var s Stanza
	s.Set("Package", "foo-modules-6.1.0-56-amd64")
	s.Set("Source", "foo (1-2)")
	s.Set("Version", "1-2+R1")
	s.Set("Architecture", "amd64")
	s.Set("Maintainer", "É <a@b>")
	s.Set("Depends", Relations{AnyOf("a", "b"), Exactly("c", "1:2-3")}.String())
	s.Set("Description", Description("x", "y\n\n z: w\n# v\n..."))
	text, err := Format(s)
	if err != nil {
		t.Fatal(err)
	}
	if ok, out := dpkgDebBuilds(t, string(text)); !ok {
		t.Errorf("dpkg-deb refuses %q: %s", text, out)
	}
	if one, err := ParseOne(bytes.NewReader(text), "f"); err != nil || render([]Stanza{one}) != render([]Stanza{s}) {
		t.Errorf("ParseOne(Format(%v)) = %v, %v", s, one, err)
	}
}

// TestOracleCorpus reads the control file of every package, and the index that
// dpkg-scanpackages makes of them, and asks dpkg-deb for each field.
func TestOracleCorpus(t *testing.T) {
	testkit.Tools(t, "dpkg-deb", "dpkg-scanpackages", "grep-dctrl")
	debs := testkit.Corpus(t)
	byName := map[string]Stanza{}
	for _, deb := range debs {
		text := output(t, "dpkg-deb", "-f", deb)
		s, err := ParseOne(strings.NewReader(text), deb)
		if err != nil {
			t.Fatal(err)
		}
		byName[s.Get("Package")] = s
		for _, f := range s.Fields {
			want := strings.TrimSuffix(output(t, "dpkg-deb", "-f", deb, f.Name), "\n")
			if got := strings.ReplaceAll(f.Value, "\n", "\n "); got != want {
				t.Errorf("%s: %s = %q; dpkg-deb %q", deb, f.Name, got, want)
			}
			if slices.Contains(commaFields, strings.ToLower(f.Name)) {
				all, err := ParseRelations(f.Value)
				if err != nil || all.String() != unfold(f.Value) {
					t.Errorf("%s: ParseRelations(%q) = %q, %v", deb, f.Value, all, err)
				}
			}
		}
		sameAgain(t, []Stanza{s})
	}
	index := filepath.Join(t.TempDir(), "Packages")
	if err := os.WriteFile(index, []byte(output(t, "dpkg-scanpackages", "-m", filepath.Dir(debs[0]))), 0o644); err != nil {
		t.Fatal(err)
	}
	stanzas, err := ParseFile(index)
	if err != nil || len(stanzas) != len(debs) {
		t.Fatalf("ParseFile(Packages): %d stanzas, %v; want %d", len(stanzas), err, len(debs))
	}
	var depends []string
	for _, s := range stanzas {
		for _, f := range byName[s.Get("Package")].Fields {
			if diff := cmp.Diff(f.Value, s.Get(f.Name)); diff != "" {
				t.Errorf("%s: %s (-deb +index):\n%s", s.Get("Package"), f.Name, diff)
			}
		}
		depends = append(depends, s.Get("Package")+" "+s.Get("Depends"))
	}
	want := output(t, "grep-dctrl", "-n", "-sPackage,Depends", "", index)
	var got string
	for _, d := range depends {
		name, value, _ := strings.Cut(d, " ")
		got += name + "\n" + value + "\n\n"
	}
	if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
		t.Errorf("(-grep-dctrl +ours):\n%s", diff)
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return string(out)
}
