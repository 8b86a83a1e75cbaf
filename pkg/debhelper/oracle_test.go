// SPDX-License-Identifier: MIT

package debhelper

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

// tree is a source package of several kinds of binary packages.
var tree = map[string]string{
	"debian/control": `# a comment
Source: probe
Section: kernel
Maintainer: A B <a@b.example>
Build-Depends: debhelper-compat (= 13),
# in the middle
 something

Package: probe-all
Architecture: all
Description: one

Package: probe-any
Architecture: any
Description: two
 more
 .
 text

Package: probe-linux
Architecture: linux-any
Description: three

Package: probe-foreign
Architecture: s390x kfreebsd-any
Description: four

Package: probe-stage1
Architecture: all
Build-Profiles: <stage1> <!nodoc cross>
Description: five

Package: probe-nodoc
Architecture: any-amd64 i386
Build-Profiles: <!nodoc !stage1>
Description: six

Package: probe-udeb
Architecture: amd64
XC-Package-Type: udeb
Description: seven
# at the end
`,
	"debian/changelog":                 "probe (1:2.0-1) unstable; urgency=low\n\n  * x\n\n -- A B <a@b.example>  Mon, 01 Jan 2024 00:00:00 +0000\n",
	"debian/probe":                     "README\n# a comment\n\n  src/*.c   lib/{b,a}?  \n",
	"debian/probe-any.probe":           "src/*.c nothing-*\n",
	"debian/probe-any.probe.amd64":     "src/[!a]*.c  src/.hid* src/*den\r\n",
	"debian/probe-linux.probe":         "${DEB_HOST_ARCH} a${Space}b $x ${} ${Dollar}{Tab} usr/${env:PROBE}/*\n",
	"debian/probe-udeb.probe.linux":    "{src,lib} foo{bar} li\\b/a1 src/{a,b.c} {}\n",
	"debian/probe-nodoc.x.probe":       "src\n",
	"debian/probe-all.substvars":       "misc:Depends=zeta, probe (>= 1.0)\nmisc:Old=1\nmisc:Older=2\nmisc:Recommends?=gone, kept\n",
	"debian/probe-any.substvars":       "misc:Depends?=zeta, beta\nmisc:Recommends=gone\nxmisc:Depends=1\n",
	"debian/probe-any.prerm.debhelper": "# Automatically added by dh_other/1\nother\n# End automatically added section\n",
	"README":                           "readme\n",
	"src/a.c":                          "a\n",
	"src/B.c":                          "B\n",
	"src/b.c":                          "b\n",
	"src/.hidden":                      "\n",
	"lib/a1":                           "\n",
	"lib/b1":                           "\n",
	"foo{bar}":                         "\n",
	"debian/tmp/usr/share/x":           "\n",
	"debian/tmp/nothing-1":             "\n",
}

// protocolCases each run dh_probe on tree, ours and the one that stands on
// debhelper's library.
var protocolCases = []struct {
	name   string
	args   []string
	env    []string
	edit   map[string]string // files that differ from tree
	differ string            // why ours behaves differently, if it must
}{
	{name: "plain"},
	{name: "argument alone", args: []string{"README"}},
	{name: "plus alone is an argument", args: []string{"+v"}},
	{name: "p attached", args: []string{"-pprobe-any"}},
	{name: "p apart", args: []string{"-p", "probe-any"}},
	{name: "p equals is part of the name", args: []string{"-p=probe-any"}},
	{name: "package equals", args: []string{"--package=probe-any"}},
	{name: "package apart", args: []string{"--package", "probe-any"}},
	{name: "p long", args: []string{"--p=probe-any"}},
	{name: "p twice, order kept", args: []string{"-pprobe-linux", "-pprobe-any", "-pprobe-linux"}},
	{name: "p unknown", args: []string{"-pnope"}},
	{name: "p without value", args: []string{"-p"}},
	{name: "package empty", args: []string{"--package="}},
	{name: "p takes an option", args: []string{"-p", "-a"}},
	{name: "p foreign", args: []string{"-pprobe-foreign"}},
	{name: "p foreign and built", args: []string{"-pprobe-foreign", "-pprobe-any"}},
	{name: "p profile", args: []string{"-pprobe-stage1"}},
	{name: "a", args: []string{"-a"}},
	{name: "arch", args: []string{"--arch"}},
	{name: "i", args: []string{"-i"}},
	{name: "indep", args: []string{"--indep"}},
	{name: "i and a", args: []string{"-i", "-a"}},
	{name: "i and p", args: []string{"-i", "-pprobe-any"}},
	{name: "s at 13", args: []string{"-s"}},
	{name: "s at 11", args: []string{"-s"}, env: []string{"DH_COMPAT=11"}},
	{name: "N", args: []string{"-Nprobe-any", "--no-package=probe-all"}},
	{name: "N unknown", args: []string{"-Nnope"}},
	{name: "N and a", args: []string{"-a", "-N", "probe-any"}},
	{name: "p and N the same", args: []string{"-pprobe-any", "-Nprobe-any"}},
	{name: "P one package", args: []string{"-Pdebian/elsewhere", "-pprobe-any"}},
	{name: "tmpdir one package", args: []string{"--tmpdir=debian/elsewhere", "-pprobe-any"}},
	{name: "P several", args: []string{"-Pdebian/elsewhere"}},
	{name: "mainpackage", args: []string{"--mainpackage=probe-linux"}, edit: map[string]string{"debian/probe-linux.probe": ""}},
	{name: "v", args: []string{"-v", "-pprobe-any"}},
	{name: "verbose", args: []string{"--verbose", "-pprobe-any"}},
	{name: "verbose with value", args: []string{"--verbose=1"}},
	{name: "no-act", args: []string{"--no-act"}},
	{name: "no-act and v", args: []string{"--no-act", "-v"}},
	{name: "n", args: []string{"-n"}},
	{name: "noscripts", args: []string{"--noscripts"}},
	{name: "no-scripts", args: []string{"--no-scripts"}},
	{name: "o d A", args: []string{"-o", "-d", "-A"}},
	{name: "all onlyscripts", args: []string{"--all", "--onlyscripts", "--only-scripts"}},
	{name: "X", args: []string{"-XCVS", "-X", ".o", "--exclude=.svn"}},
	{name: "bundle", args: []string{"-vnAXCVS"}},
	{name: "bundle and p", args: []string{"-vnpprobe-any"}},
	{name: "bundle with hyphen", args: []string{"-v-package=probe-any"}},
	{name: "bundle with unknown", args: []string{"-vZn"}},
	{name: "own", args: []string{"-l", "--legacy", "--runtime=none"}},
	{name: "own apart", args: []string{"--runtime", "--legacy"}},
	{name: "optional none", args: []string{"--opt", "-v"}},
	{name: "optional equals", args: []string{"--opt=x"}},
	{name: "optional empty", args: []string{"--opt="}},
	{name: "optional apart", args: []string{"--opt", "x", "y"}},
	{name: "optional hyphen", args: []string{"--opt", "-", "y"}},
	{name: "V", args: []string{"-V"}},
	{name: "V attached", args: []string{"-V1.0"}},
	{name: "V apart", args: []string{"-V", "1.0"}},
	{name: "V and option", args: []string{"-V", "-v"}},
	{name: "V and end", args: []string{"-V", "--", "file"}},
	{name: "V equals", args: []string{"-V=1"}},
	{name: "u", args: []string{"-ua b", "-u", "c"}},
	{name: "one u", args: []string{"-ua b", "--", "c"}},
	{name: "name", args: []string{"--name=x"}},
	{name: "permuted", args: []string{"README", "-v", "lib", "-pprobe-any", "src"}},
	{name: "rest", args: []string{"one", "--", "-v", "two"}},
	{name: "rest alone", args: []string{"--", "-v", "two"}},
	{name: "unknown long", args: []string{"--nope"}},
	{name: "unknown short", args: []string{"-Z"}},
	{name: "unknown and known", args: []string{"--nope", "-pprobe-any"}},
	{name: "plus", args: []string{"-v", "+package", "probe-any"}},
	{name: "plus nothing", args: []string{"-v", "+"}},
	{name: "lone hyphen", args: []string{"-v", "-"}},
	{name: "empty argument", args: []string{"-v", ""}},
	{name: "abbreviated at 13", args: []string{"--verb"}},
	{name: "abbreviated at 12", args: []string{"--verb", "--pack", "probe-any", "--leg"}, env: []string{"DH_COMPAT=12"}},
	{name: "ambiguous at 12", args: []string{"--no"}, env: []string{"DH_COMPAT=12"}},
	{name: "two spellings are ambiguous at 12", args: []string{"--only"}, env: []string{"DH_COMPAT=12"}},
	{name: "help", args: []string{"--help"}},
	{name: "help without control", args: []string{"-vh"}, edit: map[string]string{"debian/control": ""}},
	{name: "O long", args: []string{"-O--package=probe-any"}},
	{name: "O bundle", args: []string{"-O-vn"}},
	{name: "O apart", args: []string{"-O", "--verbose"}},
	{name: "O unknown", args: []string{"-O--sourcedirectory=foo"}},
	{name: "O bundle with unknown", args: []string{"-O-vZ"}},
	{name: "O own", args: []string{"-O--runtime=none", "-O--opt"}},
	{name: "O needs value", args: []string{"-O--runtime"}},
	{name: "O unknown package", args: []string{"-O-pnope"}},
	{name: "O argument", args: []string{"-Oword"}},
	{name: "O equals", args: []string{"-O=-v"}},
	{name: "O in O", args: []string{"-O-O-v"}},
	{name: "O end", args: []string{"-O--"}},
	{name: "O abbreviated at 12", args: []string{"-O--verb"}, env: []string{"DH_COMPAT=12"}},
	{name: "remaining", args: []string{"--remaining-packages"}, edit: map[string]string{
		"debian/probe-any.debhelper.log": "dh_other\ndh_probe\n", "debian/probe-all.debhelper.log": "dh_probes\nxdh_probe\n"}},
	{name: "remaining of one", args: []string{"--remaining-packages", "-pprobe-any"}, edit: map[string]string{"debian/probe-any.debhelper.log": "dh_probe\n"}},
	{name: "remaining in DH_OPTIONS", env: []string{"DH_OPTIONS=--remaining-packages"}, edit: map[string]string{"debian/probe-any.debhelper.log": "dh_probe\n"}},

	{name: "DH_VERBOSE", env: []string{"DH_VERBOSE=0"}},
	{name: "DH_VERBOSE empty", env: []string{"DH_VERBOSE="}},
	{name: "DH_NO_ACT", env: []string{"DH_NO_ACT=1"}},
	{name: "DH_NO_ACT empty", env: []string{"DH_NO_ACT="}},
	{name: "DH_ALWAYS_EXCLUDE", args: []string{"-X.o"}, env: []string{"DH_ALWAYS_EXCLUDE=CVS:.svn"}},
	{name: "DH_OPTIONS", env: []string{"DH_OPTIONS= -pprobe-any  --runtime=none"}},
	{name: "DH_OPTIONS and argv", args: []string{"-pprobe-linux"}, env: []string{"DH_OPTIONS=-pprobe-any"}},
	{name: "DH_OPTIONS unknown", env: []string{"DH_OPTIONS=--nope -pprobe-any"}},
	{name: "DH_OPTIONS unknown package", env: []string{"DH_OPTIONS=-pnope -l"}},
	{name: "DH_OPTIONS rest", args: []string{"a", "--", "b"}, env: []string{"DH_OPTIONS=-- c d"}},
	{name: "DH_OPTIONS argument", env: []string{"DH_OPTIONS=c -v"}},
	{name: "DH_INTERNAL_OPTIONS", args: []string{"a"}, env: []string{"DH_INTERNAL_OPTIONS=-O--runtime=a b\x1e-O--nope\x1e-v"}},
	{name: "DH_INTERNAL_OPTIONS a", env: []string{"DH_INTERNAL_OPTIONS=-a"}},
	{name: "DH_INTERNAL_OPTIONS a, p outside", args: []string{"-pprobe-all"}, env: []string{"DH_INTERNAL_OPTIONS=-a"}},
	{name: "DH_INTERNAL_OPTIONS a, i", args: []string{"-i"}, env: []string{"DH_INTERNAL_OPTIONS=-a"}},
	{name: "DH_INTERNAL_OPTIONS p, p others", args: []string{"-pprobe-all", "-pprobe-any"}, env: []string{"DH_INTERNAL_OPTIONS=-pprobe-any\x1e-pprobe-linux"}},
	{name: "DH_INTERNAL_OPTIONS unknown", env: []string{"DH_INTERNAL_OPTIONS=--nope\x1e-n"}},
	{name: "DH_INTERNAL_OPTIONS rest", args: []string{"a", "--", "b"}, env: []string{"DH_INTERNAL_OPTIONS=--\x1ec"}},
	{name: "override", env: []string{"DH_INTERNAL_OVERRIDE=dh_probe"}},
	{name: "override of one", args: []string{"-pprobe-any"}, env: []string{"DH_INTERNAL_OVERRIDE=dh_probe"}, edit: map[string]string{"debian/probe-any.debhelper.log": "dh_other\n"}},
	{name: "override no-act", args: []string{"--no-act"}, env: []string{"DH_INTERNAL_OVERRIDE=dh_probe"}},
	{name: "override that fails", args: []string{"--nope"}, env: []string{"DH_INTERNAL_OVERRIDE=dh_probe"}},
	{name: "parallel", env: []string{"DEB_BUILD_OPTIONS=nocheck parallel=7 parallel=8 terse"}},
	{name: "parallel odd", env: []string{"DEB_BUILD_OPTIONS=parallel= parallel=x"}},
	{name: "root no", env: []string{"DEB_RULES_REQUIRES_ROOT=no"}},
	{name: "root keyword", env: []string{"DEB_RULES_REQUIRES_ROOT= dpkg/x  probe/thing "}},
	{name: "root other keyword", env: []string{"DEB_RULES_REQUIRES_ROOT=dpkg/x"}},
	{name: "root all", env: []string{"DEB_RULES_REQUIRES_ROOT=binary-targets"}},

	{name: "profile", env: []string{"DEB_BUILD_PROFILES=stage1"}},
	{name: "profiles", args: []string{"-i"}, env: []string{"DEB_BUILD_PROFILES=cross other"}},
	{name: "profile nodoc", args: []string{"-pprobe-nodoc"}, env: []string{"DEB_BUILD_PROFILES=nodoc"}},
	{name: "foreign host", env: []string{"DEB_HOST_ARCH=s390x"}},
	{name: "foreign kernel", args: []string{"-a"}, env: []string{"DEB_HOST_ARCH=kfreebsd-i386", "DEB_HOST_ARCH_OS=kfreebsd"}},
	{name: "armhf", args: []string{"-a"}, env: []string{"DEB_HOST_ARCH=armhf"}},
	{name: "only foreign packages, a", args: []string{"-a"}, edit: map[string]string{"debian/control": foreignOnly}},
	{name: "only foreign packages", args: []string{"-v"}, edit: map[string]string{"debian/control": foreignOnly}},
	{name: "only foreign packages, plain", edit: map[string]string{"debian/control": foreignOnly}, differ: "debhelper warns only if there were options"},
	{name: "only foreign packages inside dh", env: []string{"DH_INTERNAL_OPTIONS=-a"}, edit: map[string]string{"debian/control": foreignOnly}},
	{name: "cross compiler", args: []string{"-v"}, edit: map[string]string{"debian/control": strings.Replace(foreignOnly, "s390x\n", "s390x\nX-DH-Build-For-Type: target\n", 1)}, env: []string{"DEB_TARGET_ARCH=s390x"}},

	{name: "compat 10", env: []string{"DH_COMPAT=10"}},
	{name: "compat 12", env: []string{"DH_COMPAT=12"}},
	{name: "compat 14", env: []string{"DH_COMPAT=14"}},
	{name: "compat 9 logs", env: []string{"DH_COMPAT=9"}},
	{name: "compat 9 no-act", env: []string{"DH_COMPAT=9"}, args: []string{"--no-act"}},
	{name: "compat 99", env: []string{"DH_COMPAT=99"}},
	{name: "compat 6", env: []string{"DH_COMPAT=6"}},
	{name: "variable not set", args: []string{"-pprobe-all"}, edit: map[string]string{"debian/probe": "${env:NO_SUCH}\n"}},
	{name: "variable empty", args: []string{"-pprobe-all"}, env: []string{"NO_SUCH="}, edit: map[string]string{"debian/probe": "a${env:NO_SUCH}b\n"}},
	{name: "variable unknown", args: []string{"-pprobe-all"}, edit: map[string]string{"debian/probe": "${nope}\n"}},
	{name: "variable unknown of dpkg", args: []string{"-pprobe-all"}, edit: map[string]string{"debian/probe": "${DEB_HOST_NOPE}\n"}},
	{name: "variable unknown at 12", args: []string{"-pprobe-all"}, env: []string{"DH_COMPAT=12"}, edit: map[string]string{"debian/probe": "${nope}\n"}},
	{name: "variable of dpkg", args: []string{"-pprobe-all"}, edit: map[string]string{"debian/probe": "${DEB_BUILD_ARCH}-${DEB_TARGET_ARCH_BITS} $${Tab} ${a.b} ${\n"}},
	{name: "variable with dollar", args: []string{"-pprobe-all"}, env: []string{"V=a$b"}, edit: map[string]string{"debian/probe": "${env:V}{Tab}\n"}},
	{name: "variables, 19", args: []string{"-pprobe-all"}, edit: map[string]string{"debian/probe": strings.Repeat("${Dollar}", 19) + "\n"}},
	{name: "variables, 49", args: []string{"-pprobe-all"}, edit: map[string]string{"debian/probe": strings.Repeat("${Dollar}", 49) + "\n"}, differ: "debhelper ends at 20, its manual page says 50"},
	{name: "variables, 50", args: []string{"-pprobe-all"}, edit: map[string]string{"debian/probe": strings.Repeat("${Dollar}", 50) + "\n"}},
	{name: "variable too long", args: []string{"-pprobe-all"}, env: []string{"V=" + strings.Repeat("x", 5000)}, edit: map[string]string{"debian/probe": "${env:V}\n"}},
	{name: "executable", args: []string{"-pprobe-all"}, edit: map[string]string{"debian/probe": "#!/bin/sh\necho ' src/*.c'\necho '# x'\necho\necho \"$DH_CONFIG_ACT_ON_PACKAGES ${DEB_HOST_ARCH}\" '${Tab}'\npwd | sed 's,.*/,,'\n"}},
	{name: "executable blank line", args: []string{"-pprobe-all"}, edit: map[string]string{"debian/probe": "#!/bin/sh\necho ' '\n"}},
	{name: "executable fails", args: []string{"-pprobe-all"}, edit: map[string]string{"debian/probe": "#!/bin/sh\necho a\nexit 3\n"}},

	{name: "no control", edit: map[string]string{"debian/control": ""}},
	{name: "duplicate package", edit: map[string]string{"debian/control": tree["debian/control"] + "\nPackage: probe-any\nArchitecture: all\n"}},
	{name: "duplicate field", edit: map[string]string{"debian/control": tree["debian/control"] + "\nPackage: x-y\nPackage: z-y\nArchitecture: all\n"}},
	{name: "bad name", edit: map[string]string{"debian/control": tree["debian/control"] + "\nPackage: X_y\nArchitecture: all\n"}},
	{name: "autoscript missing", args: []string{"-pprobe-any"}, env: []string{"DH_AUTOSCRIPTDIR=/nonexistent"}},
}

const foreignOnly = "Source: probe\nBuild-Depends: debhelper-compat (= 13)\n\nPackage: probe-foreign\nArchitecture: s390x\nDescription: x\n"

func TestOracleProtocol(t *testing.T) {
	testkit.Tools(t, "dh_assistant", "dpkg-architecture", "perl")
	ours, theirs := probes(t)
	for _, tt := range protocolCases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, want := runIn(t, tt.edit, tt.env, ours, tt.args), runIn(t, tt.edit, tt.env, theirs, tt.args)
			if diff := cmp.Diff(want, got); (diff == "") == (tt.differ != "") {
				t.Errorf("%s\nwant a difference because: %q; difference (-debhelper +ours):\n%s\nstderr of debhelper:\n%sours:\n%s",
					strings.Join(tt.args, " "), tt.differ, diff, want["stderr"], got["stderr"])
			}
		})
	}
}

// probes returns the paths of our dh_probe and debhelper's.
func probes(t *testing.T) (ours, theirs string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ours = filepath.Join(t.TempDir(), "dh_probe")
	if err := os.Symlink(self, ours); err != nil {
		t.Fatal(err)
	}
	theirs, err = filepath.Abs("testdata/dh_probe")
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// writeTree writes tree, with edit in it; an empty file is none.
func writeTree(t *testing.T, dir string, edit map[string]string) {
	t.Helper()
	files := map[string]string{}
	for _, some := range []map[string]string{tree, edit} {
		for name, text := range some {
			files[name] = text
		}
	}
	for name, text := range files {
		if text == "" {
			continue
		}
		path, mode := filepath.Join(dir, name), fs.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func oracleEnv(t *testing.T, env []string) []string {
	t.Helper()
	snippets, err := filepath.Abs("testdata/autoscripts")
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DH_COLORS=never", "PROBE=share", "SOURCE_DATE_EPOCH=2000000000",
		"DEB_HOST_ARCH=amd64", "DEB_HOST_ARCH_OS=linux", "DH_AUTOSCRIPTDIR=" + snippets,
	}, env...)
}

// runIn runs a command in a fresh tree and returns what it said, how it ended,
// and what is in the tree then, as far as the two probes should agree.
func runIn(t *testing.T, edit map[string]string, env []string, program string, args []string) map[string]string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "probe-2.0")
	writeTree(t, dir, edit)
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, oracleEnv(t, env)
	result := map[string]string{}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	result["exit"] = exitOf(t, cmd.Run())
	// When all goes wrong what was said before does not matter.
	if result["exit"] == "0" {
		result["stdout"] = keepLines(stdout.String(), func(line string) bool {
			return !strings.HasPrefix(line, "\t[META]") && !strings.HasPrefix(line, "\tmv ")
		})
		readTree(t, dir, result)
	}
	result["warned"] = flags(stderr.Len() > 0)[0]
	if t.Failed() {
		t.Log(stderr.String())
	}
	return result
}

func exitOf(t *testing.T, err error) string {
	t.Helper()
	var exit *exec.ExitError
	if err == nil {
		return "0"
	}
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return exit.String()
}

func readTree(t *testing.T, dir string, into map[string]string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, text := strings.TrimPrefix(path, filepath.Dir(dir)+"/"), ""
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = keepLines(string(data), func(line string) bool { return !strings.HasPrefix(line, keyMarker) })
		}
		into[name] = info.Mode().String() + " " + text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func keepLines(text string, keep func(string) bool) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return !keep(line) }), "")
}
