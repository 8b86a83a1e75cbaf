// SPDX-License-Identifier: MIT

package debhelper

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

func TestOracleGlob(t *testing.T) {
	testkit.Tools(t, "dh_assistant", "perl")
	dir := t.TempDir()
	writeTree(t, dir, nil)
	var patterns []string
	for _, tt := range globCases {
		patterns = append(patterns, tt.pattern)
	}
	const program = `print join(' ', glob_expand(['.', 'debian/tmp'], \&glob_expand_error_handler_silently_ignore, $_)), "\n" for @ARGV`
	cmd := exec.Command("perl", append([]string{"-MDebian::Debhelper::Dh_Lib", "-e", program, "--"}, patterns...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	for i, tt := range globCases {
		if !sameGlob(lines[i], tt.want) {
			t.Errorf("debhelper finds %q for %q; table has %q", lines[i], tt.pattern, tt.want)
		}
	}
}

func TestOracleEscapeShell(t *testing.T) {
	testkit.Tools(t, "dh_assistant", "perl")
	texts := append([]string{"a\nb", "a\\b c", "(x)", "<y>", "[z]", "a^b", "q'r s"}, hostile...)
	args := append([]string{"-MDebian::Debhelper::Dh_Lib", "-e", `print escape_shell($_), "\0" for @ARGV; print escape_shell(@ARGV)`, "--"}, texts...)
	out, err := exec.Command("perl", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(out), "\x00")
	for i, text := range texts {
		if got := EscapeShell(text); got != want[i] {
			t.Errorf("EscapeShell(%q) = %s; debhelper: %s", text, got, want[i])
		}
	}
	if got := EscapeShell(texts...); got != want[len(texts)] {
		t.Errorf("EscapeShell of all = %s; debhelper: %s", got, want[len(texts)])
	}
}

// TestOracleCommand compares dh_probe with a command of debhelper's own that
// touches each package that it acts on.
func TestOracleCommand(t *testing.T) {
	testkit.Tools(t, "dh_installdocs")
	ours, _ := probes(t)
	for _, tt := range []struct {
		name, args string
		env        []string
		edit       map[string]string
	}{
		{name: "plain"},
		{name: "a", args: "-a"},
		{name: "i", args: "--indep"},
		{name: "p", args: "-pprobe-linux --package probe-any"},
		{name: "N", args: "-Nprobe-any -a"},
		{name: "P", args: "-Pdebian/tmp2 -pprobe-any"},
		{name: "no-act", args: "--no-act"},
		{name: "n v A X", args: "-nvAXREADME"},
		{name: "rest", args: "-i -- README"},
		{name: "unknown", args: "-pprobe-any --nope"},
		{name: "unknown package", args: "-pnope"},
		{name: "foreign", args: "-pprobe-foreign"},
		{name: "O", args: "-O--nope -O-i"},
		{name: "DH_OPTIONS", args: "-i", env: []string{"DH_OPTIONS=-pprobe-any --nope"}},
		{name: "DH_INTERNAL_OPTIONS", args: "-pprobe-all -pprobe-any", env: []string{"DH_INTERNAL_OPTIONS=-a\x1e-O--nope"}},
		{name: "DH_NO_ACT", env: []string{"DH_NO_ACT=1"}},
		{name: "profiles", env: []string{"DEB_BUILD_PROFILES=stage1 nodoc"}},
		{name: "arch", env: []string{"DEB_HOST_ARCH=s390x"}},
		{name: "override", args: "-a", env: []string{"DH_INTERNAL_OVERRIDE=x"}},
		{name: "compat 9", args: "-a", env: []string{"DH_COMPAT=9"}},
		{name: "compat 10", args: "--pack=probe-any", env: []string{"DH_COMPAT=10"}},
		{name: "compat 14", args: "--pack=probe-any", env: []string{"DH_COMPAT=14"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := touched(t, tt.edit, tt.env, ours, strings.Fields(tt.args))
			want := touched(t, tt.edit, tt.env, "dh_installdocs", strings.Fields(tt.args))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: -dh_installdocs +ours:\n%s", tt.args, diff)
			}
		})
	}
}

// touched runs a command and returns the directories and logs that it made
// below debian, and its exit code.
func touched(t *testing.T, edit map[string]string, env []string, program string, args []string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	writeTree(t, dir, edit)
	cmd := exec.Command(program, args...)
	// As an ordinary user dh_installdocs cannot change owners, and need not.
	cmd.Dir, cmd.Env = dir, oracleEnv(t, append([]string{"DEB_RULES_REQUIRES_ROOT=no"}, env...))
	result := map[string]string{"exit": exitOf(t, cmd.Run())}
	found, err := os.ReadDir(filepath.Join(dir, "debian"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		if strings.HasSuffix(e.Name(), ".debhelper.log") {
			text, err := os.ReadFile(filepath.Join(dir, "debian", e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			result[e.Name()] = strings.ReplaceAll(string(text), "dh_installdocs", "dh_probe")
		} else if e.IsDir() && e.Name() != ".debhelper" && e.Name() != "probe-udeb" { // no documentation there
			result[e.Name()] = "directory"
		}
	}
	return result
}

// TestOracleDh has dh run the two probes as the command of a rules file.
func TestOracleDh(t *testing.T) {
	testkit.Tools(t, "dh", "make")
	ours, theirs := probes(t)
	const rules = "#!/usr/bin/make -f\n%:\n\tdh $@ OPTIONS\n\nTARGET:\n"
	for _, tt := range []struct {
		name, compat, args, options, target, recipe string
	}{
		{name: "override", recipe: "\tdh_probe\n"},
		{name: "override at 10", compat: "10", recipe: "\tdh_probe -- --jobs=2\n"},
		{name: "override at 12", compat: "12", recipe: "\tdh_probe -V\n"},
		{name: "override at 14", compat: "14", recipe: "\tdh_probe -l\n"},
		{name: "override at 9", compat: "9", recipe: "\tdh_probe\n"},
		{name: "arch alone", args: "-a", recipe: "\tdh_probe\n"},
		{name: "indep with p outside", args: "-i", recipe: "\tdh_probe -pprobe-any\n"},
		{name: "-arch target", target: "override_dh_clean-arch", recipe: "\tdh_probe -v\n"},
		{name: "hook", target: "execute_before_dh_clean", recipe: "\tdh_probe\n"},
		{name: "dh's options", options: "--sourcedirectory=src -XCVS --runtime=none", recipe: "\tdh_probe -l\n"},
		{name: "options of dh's own", options: "-Nprobe-any --no-package=probe-all -v", recipe: "\tdh_probe\n"},
		{name: "remaining", recipe: "\tdh_probe -pprobe-any -Vone\n\tdh_probe --remaining-packages -Vtwo\n\tdh_probe --remaining-packages\n"},
		{name: "failure", recipe: "\tdh_probe --nope\n\tdh_probe\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			target, compat := tt.target, tt.compat
			if target == "" {
				target = "override_dh_clean"
			}
			if compat == "" {
				compat = "13"
			}
			edit := map[string]string{
				"debian/control": strings.Replace(tree["debian/control"], "compat (= 13)", "compat (= "+compat+")", 1),
				"debian/rules":   strings.NewReplacer("OPTIONS", tt.options, "TARGET", target).Replace(rules) + tt.recipe,
			}
			got, want := runDh(t, edit, ours, tt.args), runDh(t, edit, theirs, tt.args)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-debhelper +ours:\n%s", diff)
			}
		})
	}
}

func runDh(t *testing.T, edit map[string]string, program, args string) map[string]string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "probe-2.0")
	writeTree(t, dir, edit)
	cmd := exec.Command("dh", append([]string{"clean"}, strings.Fields(args)...)...)
	if args == "" {
		cmd = exec.Command("debian/rules", "clean")
	}
	cmd.Dir = dir
	cmd.Env = append(oracleEnv(t, nil), "PATH="+filepath.Dir(program)+":/usr/sbin:/usr/bin:/sbin:/bin")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	result := map[string]string{"exit": exitOf(t, cmd.Run())}
	// dh runs make anew: what is told begins with the first probe.
	result["stdout"] = keepLines(stdout.String(), func(line string) bool {
		return !strings.HasPrefix(line, "\t[META]") && !strings.HasPrefix(line, "\tmv ") && !strings.HasPrefix(line, "make")
	})
	if !strings.Contains(stdout.String()+stderr.String(), "dh_probe") {
		t.Errorf("dh did not run the probe: %s%s", stdout.String(), stderr.String())
	}
	readTree(t, dir, result)
	return result
}

// TestOracleMissing: what LogInstalled tells, dh_missing knows.
func TestOracleMissing(t *testing.T) {
	testkit.Tools(t, "dh_missing", "dh_assistant")
	dir := t.TempDir()
	writeTree(t, dir, nil)
	env := oracleEnv(t, []string{"DH_OPTIONS=-pprobe-all", "DH_INTERNAL_OPTIONS=-i"}) // not for dh_assistant
	s, err := Init(t.Context(), Command{Name: "dh_t"}, Env{Environ: env, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	missing := func() string {
		cmd := exec.Command("dh_missing")
		cmd.Dir, cmd.Env = dir, oracleEnv(t, nil)
		out, err := cmd.CombinedOutput()
		return exitOf(t, err) + " " + string(out)
	}
	if got := missing(); !strings.Contains(got, "usr/share/x") || !strings.Contains(got, "nothing-1") {
		t.Errorf("dh_missing before: %s", got)
	}
	if err := s.LogInstalled(find(t, s, "any"), "debian/tmp/usr", "debian/tmp/nothing-1"); err != nil {
		t.Fatal(err)
	}
	if got := missing(); got != "0 " {
		t.Errorf("dh_missing after: %s", got)
	}
}
