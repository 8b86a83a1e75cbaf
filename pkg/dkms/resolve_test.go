// SPDX-License-Identifier: MIT

package dkms

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/textfile"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var testEnv = Env{
	KernelVersion: "6.1.0-56-amd64", Arch: "x86_64", KernelSourceDir: "/lib/modules/6.1.0-56-amd64/build",
	DKMSTree: "/var/lib/dkms", SourceTree: "/usr/src", InstallTree: "/lib/modules", OS: "debian",
}

func testConfig(option string) bool { return option == "CONFIG_NET" || option == "CONFIG_PCI" }

const head = "PACKAGE_NAME=foo\nPACKAGE_VERSION=1.0\n"
const module = head + "BUILT_MODULE_NAME=foo\nDEST_MODULE_LOCATION=/extra\n"

// resolveText evaluates and resolves a conf called f.
func resolveText(t testing.TB, text string) (*Conf, error) {
	t.Helper()
	v, err := Eval(t.Context(), Input{Files: []File{{Path: "f", Text: []byte(text)}}, Env: testEnv})
	if err != nil {
		return nil, err
	}
	return Resolve(v, testEnv, testConfig)
}

func TestResolveErrors(t *testing.T) {
	for _, tt := range []struct{ name, conf, want string }{
		{"empty", "", "f: empty: there is no directive in it"},
		{"only comments", "# x\n\n  # y\n", "f: empty: there is no directive in it"},
		{"binary", head + "MAKE=\x00x\n", "f:3: not a text file: it has a NUL byte"},
		{"syntax", head + "if true; then\n", "f:3: shell syntax: "},
		{"quote", head + "MAKE=\"x\n", "f:3: shell syntax: "},
		{"no name and no version", "DEST_MODULE_LOCATION=/extra\nBUILT_MODULE_NAME=x\n", "f: no PACKAGE_NAME\nf: no PACKAGE_VERSION"},
		{"empty version", "PACKAGE_NAME=a\nPACKAGE_VERSION=\nBUILT_MODULE_NAME=x\nDEST_MODULE_LOCATION=/extra", "f:2: no PACKAGE_VERSION"},
		{"placeholder", "PACKAGE_NAME=a\nPACKAGE_VERSION=#MODULE_VERSION#\nBUILT_MODULE_NAME=x\nDEST_MODULE_LOCATION=/extra", "f:2: PACKAGE_VERSION: #MODULE_VERSION# was not replaced"},
		{"name with slash", strings.Replace(module, "NAME=foo", "NAME=a/b", 1), `f:1: PACKAGE_NAME: "a/b" has a /`},
		{"name dots", strings.Replace(module, "NAME=foo", "NAME=..", 1), `f:1: PACKAGE_NAME: ".." is no name`},
		{"name hidden", strings.Replace(module, "NAME=foo", "NAME=.a", 1), `f:1: PACKAGE_NAME: ".a" begins with a dot`},
		{"name option", strings.Replace(module, "NAME=foo", "NAME=-a", 1), `f:1: PACKAGE_NAME: "-a" begins with -`},
		{"name space", strings.Replace(module, "NAME=foo", "NAME='a b'", 1), `f:1: PACKAGE_NAME: "a b" has white space`},
		{"name newline", strings.Replace(module, "NAME=foo", `NAME='a$(printf "x\ny")'`, 1), "f:1: PACKAGE_NAME: "},
		{"name control", strings.Replace(module, "NAME=foo", `NAME=$'a\ab'`, 1), `f:1: PACKAGE_NAME: "a\ab" has a control character`},
		{"version slash", strings.Replace(module, "=1.0", "=1/0", 1), `f:2: PACKAGE_VERSION: "1/0" has a /`},
		{"version shell", strings.Replace(module, "=1.0", `='1;\$x'`, 1), `f:2: PACKAGE_VERSION: "1;$x" has white space or a character`},
		{"built name", head + "BUILT_MODULE_NAME=a.ko\nDEST_MODULE_LOCATION=/extra\n", `f:3: BUILT_MODULE_NAME: "a.ko" ends in .ko: write the name without it`},
		{"built name o", head + "BUILT_MODULE_NAME=a.o\nDEST_MODULE_LOCATION=/extra\n", `f:3: BUILT_MODULE_NAME: "a.o" ends in .o`},
		{"built name path", head + "BUILT_MODULE_NAME=../a\nDEST_MODULE_LOCATION=/extra\n", `f:3: BUILT_MODULE_NAME: "../a" has a /`},
		{"dest name", module + "DEST_MODULE_NAME=b.ko\n", `f:5: DEST_MODULE_NAME: "b.ko" ends in .ko`},
		{"dest name path", module + "DEST_MODULE_NAME=x/b\n", `f:5: DEST_MODULE_NAME: "x/b" has a /`},
		{"built location", module + "BUILT_MODULE_LOCATION=a/../../b\n", `f:5: BUILT_MODULE_LOCATION: "a/../../b" leaves the build directory`},
		{"no dest", head + "BUILT_MODULE_NAME=a\n", "f:3: no DEST_MODULE_LOCATION for module 1 of 1 (index 0)"},
		{"dest elsewhere", head + "DEST_MODULE_LOCATION=/lib\n", `f:3: DEST_MODULE_LOCATION: "/lib" does not begin with /kernel, /updates or /extra`},
		{"dest relative", head + "DEST_MODULE_LOCATION=kernel/x\n", `f:3: DEST_MODULE_LOCATION: "kernel/x" does not begin`},
		{"dest leaves", head + "DEST_MODULE_LOCATION=/kernel/../../../etc\n", `f:3: DEST_MODULE_LOCATION: "/kernel/../../../etc" leaves the modules of the kernel`},
		{"dest leaves just", head + "DEST_MODULE_LOCATION=/updates/../..\n", `leaves the modules of the kernel`},
		{"sparse", head + "BUILT_MODULE_NAME[0]=a\nDEST_MODULE_LOCATION[0]=/extra\nBUILT_MODULE_NAME[2]=c\nDEST_MODULE_LOCATION[2]=/extra\n",
			"f:3: no BUILT_MODULE_NAME for module 2 of 3 (index 1)\nf:4: no DEST_MODULE_LOCATION for module 2 of 3 (index 1)"},
		{"two without names", head + "DEST_MODULE_LOCATION=(/extra /extra)\n", "f:3: no BUILT_MODULE_NAME for module 1 of 2 (index 0)\nf:3: no BUILT_MODULE_NAME for module 2"},
		{"huge index", head + "BUILT_MODULE_NAME[99999999]=a\n", "f:3: index 99999999 is above the limit of 10000 modules"},
		{"duplicate built", head + "BUILT_MODULE_NAME=(a a)\nDEST_MODULE_LOCATION=(/extra /extra)\nDEST_MODULE_NAME=(x y)\n", "f:3: BUILT_MODULE_NAME[1]: module a.ko is there already, as index 0"},
		{"duplicate built spelled otherwise", head + "BUILT_MODULE_NAME=(a a)\nBUILT_MODULE_LOCATION=(d ./d/)\nDEST_MODULE_LOCATION=(/extra /extra)\nDEST_MODULE_NAME=(x y)\n", "f:3: BUILT_MODULE_NAME[1]: module d/a.ko is there already"},
		{"duplicate dest", head + "BUILT_MODULE_NAME=(a b)\nDEST_MODULE_LOCATION=(/extra /kernel)\nDEST_MODULE_NAME=(x x)\n", "f:5: DEST_MODULE_NAME[1]: module x.ko is installed already, as index 0"},
		{"duplicate both", head + "BUILT_MODULE_NAME=(a a)\nDEST_MODULE_LOCATION=(/extra /extra)\n", "f:3: BUILT_MODULE_NAME[1]: module a.ko is there already, as index 0\nf: DEST_MODULE_NAME[1]: module a.ko is installed already"},
		{"patch up", module + "PATCH=../x.patch\n", `f:5: PATCH: "../x.patch" has .. in it`},
		{"patch up inside", module + "PATCH=sub/../x.patch\n", `f:5: PATCH: "sub/../x.patch" has .. in it`},
		{"patch option", module + "PATCH=-x\n", `f:5: PATCH: "-x" begins with -`},
		{"autoinstall", module + "AUTOINSTALL=maybe\n", `f:5: AUTOINSTALL is yes or no, not "maybe"`},
		{"rebuild", module + "BUILD_DEPENDS_REBUILD=1\n", `f:5: BUILD_DEPENDS_REBUILD is yes or no, not "1"`},
		{"weak", module + "NO_WEAK_MODULES=true\n", `f:5: NO_WEAK_MODULES is yes or no, not "true"`},
		{"regex", module + "BUILD_EXCLUSIVE_KERNEL='^(6'\n", `f:5: BUILD_EXCLUSIVE_KERNEL: regular expression "^(6": ( without )`},
		{"regex per module", head + "BUILT_MODULE_NAME=(a b)\nDEST_MODULE_LOCATION=(/extra /extra)\nBUILD_EXCLUSIVE_ARCH[1]='['\n", `f:5: BUILD_EXCLUSIVE_ARCH[1]: regular expression "[": [ without ]`},
		{"make match", module + "MAKE=x\nMAKE_MATCH='*'\n", `f:6: MAKE_MATCH: regular expression "*": nothing before '*' to repeat`},
		{"patch match", module + "PATCH=x\nPATCH_MATCH='a{2,1}'\n", `f:6: PATCH_MATCH: regular expression "a{2,1}": bad repeat count`},
		{"depends", module + "BUILD_DEPENDS='a ../b'\n", `f:5: BUILD_DEPENDS: "../b" has a /`},
		{"script", module + "PRE_BUILD='../evil x'\n", `f:5: PRE_BUILD: "../evil" has .. in it`},
		{"exit", "PACKAGE_NAME=x\necho why >&2\nexit 1\n", "f: exits before anything could be taken from it: it says: why"},
		{"all at once", "PACKAGE_NAME=a/b\nPACKAGE_VERSION=-1\nDEST_MODULE_LOCATION=/bogus\nAUTOINSTALL=x\nPATCH=..\n",
			"f:1: PACKAGE_NAME: \"a/b\" has a /\nf:2: PACKAGE_VERSION: \"-1\" begins with -\n"},
	} {
		_, err := resolveText(t, tt.conf)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s:\n%s\n= %v\nwant %s", tt.name, tt.conf, err, tt.want)
			continue
		}
		var e *textfile.Error
		if !errors.As(err, &e) || e.File != "f" {
			t.Errorf("%s: %v is no textfile.Error of f", tt.name, err)
		}
	}
}

func TestErrorsHaveHints(t *testing.T) {
	for _, conf := range []string{"", "PACKAGE_NAME=x\n", "PACKAGE_NAME=x\nPACKAGE_VERSION='#MODULE_VERSION#'\nDEST_MODULE_LOCATION=/extra\n"} {
		_, err := resolveText(t, conf)
		var h interface{ Hint() string }
		if !errors.As(err, &h) || h.Hint() == "" {
			t.Errorf("%q: %v has no hint", conf, err)
		}
	}
}

func TestResolve(t *testing.T) {
	base := Conf{File: "f", Name: "foo", Version: "1.0", Make: "make -C /lib/modules/6.1.0-56-amd64/build M=/var/lib/dkms/foo/1.0/build",
		Modules: []Module{{BuiltName: "foo", DestName: "foo", DestLocation: "/extra", Strip: true}}}
	two := head + "BUILT_MODULE_NAME=(a b)\nDEST_MODULE_LOCATION=(/extra /kernel/net)\n"
	min := func(v string) *Exclusion {
		return &Exclusion{"BUILD_EXCLUSIVE_KERNEL_MIN", v, "6.1.0-56-amd64"}
	}
	mods := func(f func(m []Module)) func(*Conf) {
		return func(c *Conf) {
			c.Modules = []Module{
				{BuiltName: "a", DestName: "a", DestLocation: "/extra", Strip: true},
				{Index: 1, BuiltName: "b", DestName: "b", DestLocation: "/kernel/net", Strip: true}}
			f(c.Modules)
		}
	}
	exclude := func(e *Exclusion) func(*Conf) {
		return func(c *Conf) { c.Excluded, c.Modules[0].Excluded = e, e }
	}
	for _, tt := range []struct {
		name, conf string
		want       func(*Conf)
	}{
		{"plain", module, func(*Conf) {}},
		{"default name", head + "DEST_MODULE_LOCATION=/extra\n", func(*Conf) {}},
		{"no modules", head, func(c *Conf) { c.Modules = nil }},
		{"crlf", strings.ReplaceAll(module, "\n", "\r\n"), func(*Conf) {}},
		{"real destination", head + "DEST_MODULE_LOCATION=/kernel/../updates/\n", func(c *Conf) { c.Modules[0].DestLocation = "/kernel/../updates/" }},
		{"prefix as in dkms", head + "DEST_MODULE_LOCATION=/extras\n", func(c *Conf) { c.Modules[0].DestLocation = "/extras" }},
		{"places", module + "BUILT_MODULE_LOCATION=./src//mod/\nDEST_MODULE_NAME=bar\n", func(c *Conf) {
			c.Modules[0].BuiltDir, c.Modules[0].DestName = "src/mod", "bar"
		}},
		{"place at the root", module + "BUILT_MODULE_LOCATION=/\n", func(*Conf) {}},
		{"strip", two + "STRIP=(no yes)\n", mods(func(m []Module) { m[0].Strip = false })},
		{"strip inherited", two + "STRIP=No\n", mods(func(m []Module) { m[0].Strip, m[1].Strip = false, false })},
		{"strip odd", module + "STRIP=off\n", func(*Conf) {}},
		{"make", module + "MAKE='make all'\n", func(c *Conf) { c.Make = "make all" }},
		{"make match last wins", module + "MAKE=(a b c d)\nMAKE_MATCH=([1]=^6 [2]='^6\\.1' [3]=^5)\n", func(c *Conf) { c.Make = "c" }},
		{"make match of the first", module + "MAKE=(a b)\nMAKE_MATCH=(^5 ^4)\n", func(*Conf) {}},
		{"make match none but the first", module + "MAKE=(a b)\nMAKE_MATCH=([1]=^5)\n", func(c *Conf) { c.Make = "a" }},
		{"make without match", module + "MAKE=(a b)\n", func(c *Conf) { c.Make = "a" }},
		{"make behind a gap", module + "MAKE[0]=a\nMAKE[5]=b\nMAKE_MATCH[5]=^6\n", func(c *Conf) { c.Make = "a" }},
		{"make empty", module + "MAKE=\n", func(*Conf) {}},
		{"patches", module + "PATCH=(a.patch sub/b.patch c.patch '' d.patch)\nPATCH_MATCH=([1]=^5 [2]=amd64$)\n", func(c *Conf) { c.Patches = []string{"a.patch", "c.patch", "d.patch"} }},
		{"patch behind a gap", module + "PATCH[1]=x\n", func(*Conf) {}},
		{"kernel", module + "BUILD_EXCLUSIVE_KERNEL='^6\\.1'\n", func(*Conf) {}},
		{"kernel excluded", module + "BUILD_EXCLUSIVE_KERNEL=^5\n", exclude(&Exclusion{"BUILD_EXCLUSIVE_KERNEL", "^5", "6.1.0-56-amd64"})},
		{"arch excluded", module + "BUILD_EXCLUSIVE_ARCH='aarch64|armv7l'\n", exclude(&Exclusion{"BUILD_EXCLUSIVE_ARCH", "aarch64|armv7l", "x86_64"})},
		{"min", module + "BUILD_EXCLUSIVE_KERNEL_MIN=6.1\n", func(*Conf) {}},
		{"min excluded", module + "BUILD_EXCLUSIVE_KERNEL_MIN=6.2\n", exclude(min("6.2"))},
		{"max of the same series", module + "BUILD_EXCLUSIVE_KERNEL_MAX=6.1\n", exclude(&Exclusion{"BUILD_EXCLUSIVE_KERNEL_MAX", "6.1", "6.1.0-56-amd64"})},
		{"max", module + "BUILD_EXCLUSIVE_KERNEL_MAX=6.1.999\n", func(*Conf) {}},
		{"config", module + "BUILD_EXCLUSIVE_CONFIG='CONFIG_NET !CONFIG_USB'\n", func(*Conf) {}},
		{"config missing", module + "BUILD_EXCLUSIVE_CONFIG='CONFIG_NET CONFIG_USB'\n", exclude(&Exclusion{"BUILD_EXCLUSIVE_CONFIG", "CONFIG_NET CONFIG_USB", "CONFIG_USB is not set"})},
		{"config unwanted", module + "BUILD_EXCLUSIVE_CONFIG='!CONFIG_NET'\n", exclude(&Exclusion{"BUILD_EXCLUSIVE_CONFIG", "!CONFIG_NET", "CONFIG_NET is set"})},
		{"obsolete", module + "OBSOLETE_BY=6.0\n", func(c *Conf) {
			c.ObsoleteBy = "6.0"
			exclude(&Exclusion{"OBSOLETE_BY", "6.0", "6.1.0-56-amd64"})(c)
		}},
		{"obsolete but for a max", module + "OBSOLETE_BY=6.0\nBUILD_EXCLUSIVE_KERNEL_MAX=7\n", func(c *Conf) { c.ObsoleteBy = "6.0" }},
		{"index 0 is global", two + "BUILD_EXCLUSIVE_KERNEL_MIN[0]=9\n", func(c *Conf) {
			mods(func(m []Module) { m[0].Excluded, m[1].Excluded = min("9"), min("9") })(c)
			c.Excluded = min("9")
		}},
		{"one module", two + "BUILD_EXCLUSIVE_KERNEL_MIN[1]=9\n", mods(func(m []Module) {
			m[1].Excluded = &Exclusion{"BUILD_EXCLUSIVE_KERNEL_MIN[1]", "9", "6.1.0-56-amd64"}
		})},
		{"no modules but excluded", head + "BUILD_EXCLUSIVE_KERNEL_MIN=9\n", func(c *Conf) { c.Modules, c.Excluded = nil, min("9") }},
		{"settings", module + "AUTOINSTALL=YES\nREMAKE_INITRD=yes\nCLEAN=true\nBUILD_DEPENDS[0]=a\nBUILD_DEPENDS[1]='b c'\nNO_WEAK_MODULES=No\n", func(c *Conf) {
			c.AutoInstall, c.RemakeInitrd, c.Clean, c.BuildDepends = true, true, "true", []string{"a", "b", "c"}
		}},
		{"scripts", module + "PRE_BUILD=\"./configure --x='a b' y\"\nPOST_ADD=\"run 'x y'\"\nPOST_REMOVE=\n", func(c *Conf) {
			c.Scripts = Scripts{PreBuild: []string{"./configure", "--x=a b", "y"}, PostAdd: []string{"run", "'x", "y'"}}
		}},
	} {
		got, err := resolveText(t, tt.conf)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		want := base
		want.Modules = append([]Module(nil), base.Modules...)
		tt.want(&want)
		if diff := cmp.Diff(&want, got, cmpopts.IgnoreFields(Conf{}, "Values", "Warnings")); diff != "" {
			t.Errorf("Resolve(%s) (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestResolveWarnings(t *testing.T) {
	conf, err := resolveText(t, module+`CLEAN="make clean"
MODULES_CONF=x
OBSOLETE_BY=9.1
MAKE=(a b)
PATCH[1]=x
STRIP=off
BUILD_EXCLUSIVE_ARCH[3]=x
PRE_BUILD="x && y"
POST_BUILD="a \"b c\" d"
DKMS_DIRECTIVE="a b"
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range conf.Warnings {
		got = append(got, w.Error())
	}
	want := []string{
		`f: DKMS_DIRECTIVE has no effect: its value "a b" is not a single plain word`,
		`f:13: POST_BUILD is lost: its quotes break it into a command when dkms reads it a second time`,
		`f:8: MAKE[1] is not used: it has no MAKE_MATCH`,
		`f:9: PATCH[1] is not applied: there is no PATCH`,
		`f:11: BUILD_EXCLUSIVE_ARCH[3] is not used: there is no such module`,
		`f:12: PRE_BUILD: it is split into words and not given to a shell: x && y`,
		`f:6: MODULES_CONF is deprecated and has no effect`,
		`f:5: CLEAN is deprecated and has no effect: every build starts from a fresh copy of the source`,
		`f:7: OBSOLETE_BY is deprecated: use BUILD_EXCLUSIVE_KERNEL_MAX`,
		`f:10: STRIP is neither yes nor no: "off" means yes`,
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestResolveWithoutKernel(t *testing.T) {
	env := Env{DKMSTree: "/var/lib/dkms"}
	text := module + "BUILD_EXCLUSIVE_KERNEL=^5\nBUILD_EXCLUSIVE_ARCH=arm\nBUILD_EXCLUSIVE_KERNEL_MIN=9\nOBSOLETE_BY=1\n"
	v, err := Eval(t.Context(), Input{Files: []File{{Path: "f", Text: []byte(text)}}, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := Resolve(v, env, nil)
	if err != nil || conf.Excluded != nil || conf.Modules[0].Excluded != nil {
		t.Errorf("Resolve without a kernel = %+v, %v; want nothing excluded", conf, err)
	}
}

func TestMakeCommand(t *testing.T) {
	for _, tt := range []struct {
		command string
		extra   []string
		want    string
	}{
		{"make", nil, "make KERNELRELEASE=K"},
		{"make -C x all", nil, "make KERNELRELEASE=K -C x all"},
		{"make;ls", nil, "make KERNELRELEASE=K;ls"},
		{"make&&ls", []string{"LLVM=1"}, "make KERNELRELEASE=K&&ls LLVM=1"},
		{"'make' -j1", nil, "'make' -j1"},
		{"makefile-thing x", nil, "makefile-thing x"},
		{"make-it", nil, "make-it"},
		{"KERNELDIR=x make driver", nil, "KERNELDIR=x make driver"},
		{" make", nil, " make"},
		{"./script", []string{"LLVM=-14"}, "./script LLVM=-14"},
	} {
		if got := (&Conf{Make: tt.command}).MakeCommand("K", tt.extra...); got != tt.want {
			t.Errorf("MakeCommand of %q = %q; want %q", tt.command, got, tt.want)
		}
	}
}

func TestCheckPatches(t *testing.T) {
	tree := fstest.MapFS{"patches/sub/b.patch": {}, "patches/a.patch": {}}
	for _, tt := range []struct{ patches, want string }{
		{"a.patch sub/b.patch ./sub//b.patch", ""},
		{"c.patch sub/b.patch", "f:5: PATCH: patches/c.patch is not in the source"},
		{"a.patch sub", "f:5: PATCH[1]: patches/sub is not a regular file"},
		{".", "f:5: PATCH: patches/. is not a regular file"},
		{"/a.patch", "f:5: PATCH: patches//a.patch is no path below patches/"},
		{"x y", "f:5: PATCH: patches/x is not in the source\nf:5: PATCH[1]: patches/y is not in the source"},
	} {
		conf, err := resolveText(t, module+"PATCH=("+tt.patches+")\n")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := conf.CheckPatches(tree); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("CheckPatches of %s = %q; want %q", tt.patches, got, tt.want)
		}
	}
}

func TestExclusionReads(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"BUILD_EXCLUSIVE_CONFIG='CONFIG_NO'", `BUILD_EXCLUSIVE_CONFIG="CONFIG_NO": CONFIG_NO is not set`},
		{"BUILD_EXCLUSIVE_CONFIG='!CONFIG_YES'", `BUILD_EXCLUSIVE_CONFIG="!CONFIG_YES": CONFIG_YES is set`},
		{"BUILD_EXCLUSIVE_ARCH='^arm'", `BUILD_EXCLUSIVE_ARCH="^arm" excludes ` + testEnv.Arch},
	} {
		v, err := Eval(t.Context(), Input{Files: []File{conf("f", module+tt.line+"\n")}, Env: testEnv})
		if err != nil {
			t.Fatal(err)
		}
		c, err := Resolve(v, testEnv, func(option string) bool { return option == "CONFIG_YES" })
		if err != nil || c.Excluded == nil || c.Excluded.String() != tt.want {
			t.Errorf("%s: %v, %v; want %s", tt.line, c.Excluded, err, tt.want)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"6.1", "6.1", 0}, {"6.1.0-56-amd64", "6.1", 1}, {"6.9", "6.10", -1}, {"6.12.1000", "6.12.999", -1},
		{"6.1-rc3", "6.1", 1}, {"6.1~rc", "6.1", 1}, {"5.10", "6", -1}, {"", "6", -1}, {"06.1", "6.01", 0},
	} {
		if got := compareVersions(tt.a, tt.b); got != tt.want {
			t.Errorf("compareVersions(%q, %q) = %d; want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestVersionKeyAgainstDKMS asks the dkms that is installed.
func TestVersionKeyAgainstDKMS(t *testing.T) {
	testkit.Tools(t, "dkms", "bash", "sed")
	path, err := exec.LookPath("dkms")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{
		"6.1", "6.1.0-56-amd64", "6.12.1000", "6.1-rc3", "6.1~rc", "10", "6", "a6b", "2.6.9-1cvs200409091247", "", "6.9.1foo22bar",
		"1234", "x12", "0", "007", "6..1", ".6.", "6.12.117+deb12-rt-amd64", "9z99z999z9999z",
	} {
		cmd := exec.Command("bash", "-c", `eval "$(sed -n '/^VER()/,/^}/p' "$1")"; VER "$2"`, "bash", path, v)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := versionKey(v), strings.TrimSuffix(string(out), "\n"); got != want {
			t.Errorf("versionKey(%q) = %q; dkms says %q", v, got, want)
		}
	}
}

// TestCorpusVerdicts holds Resolve to what dkms 3.0.10 made of the packages of
// Debian 12: how many modules, and which kernels are excluded.
func TestCorpusVerdicts(t *testing.T) {
	confs := corpusConfs(t)
	want := map[string]int{
		"acpi-call": 1, "adv-17v35x": 1, "apfs": 1, "bbswitch": 1, "dahdi": 32, "ddcci": 2, "digimend": 4, "dm-writeboost": 1,
		"dpdk-kmods": 1, "evdi": 1, "falcosecurity-scap": 1, "gost-crypto": 6, "iptables-netflow": 1, "jool": 3, "langford": 1,
		"lime-forensics": 1, "nat-rtsp": 2, "openafs-modules": 1, "openvpn-dco": 1, "rapiddisk": 2, "rtpengine-kernel": 1,
		"tp-smapi": 3, "v4l2loopback": 1, "vpoll": 1, "west-chamber": 3, "xtables-addons": 23, "xtrx": 1,
		"librem-ec-acpi": 1, "openrazer-driver": 4, // these two do not compile: dkms counts none
	}
	onCloud := []string{"dahdi", "ddcci", "digimend", "evdi", "librem-ec-acpi", "openrazer-driver", "v4l2loopback"}
	onRT := []string{"openafs-modules"}
	for _, tt := range []struct {
		env      Env
		excluded []string
	}{
		{corpusEnv(t, ""), nil},
		{corpusEnv(t, "6.1.0-56-cloud-amd64", cloudChanges...), onCloud},
		{corpusEnv(t, "6.1.0-56-rt-amd64", rtChanges...), onRT},
	} {
		config := readTestConfig(t, tt.env.KernelConfig)
		var excluded []string
		for pkg, path := range confs {
			pkg = strings.TrimSuffix(pkg, "-dkms")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			v, err := Eval(t.Context(), Input{Files: []File{{Path: path, Text: text}}, Env: tt.env})
			if err != nil {
				t.Fatal(err)
			}
			conf, err := Resolve(v, tt.env, config)
			if err != nil {
				t.Errorf("%s: %v", pkg, err)
				continue
			}
			if conf.Excluded != nil {
				excluded = append(excluded, pkg)
			}
			if n, ok := want[pkg]; ok && n != len(conf.Modules) {
				t.Errorf("%s: %d modules; dkms has %d", pkg, len(conf.Modules), n)
			}
		}
		if diff := cmp.Diff(tt.excluded, excluded, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%s: excluded (-dkms +got):\n%s", tt.env.KernelVersion, diff)
		}
	}
}

func readTestConfig(t *testing.T, path string) func(string) bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	on := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			on[name] = value == "y" || value == "m"
		}
	}
	return func(name string) bool { return on[name] }
}

func FuzzResolve(f *testing.F) {
	f.Add("BUILT_MODULE_NAME", 0, "a", "DEST_MODULE_LOCATION", 0, "/extra")
	f.Add("PATCH", 1, "../x", "BUILD_EXCLUSIVE_KERNEL", 2, "^(6")
	f.Fuzz(func(t *testing.T, n1 string, i1 int, v1 string, n2 string, i2 int, v2 string) {
		v := &Values{File: "f", Elements: map[string][]Element{
			"PACKAGE_NAME": {{Value: "x"}}, "PACKAGE_VERSION": {{Value: "1"}},
		}}
		v.Elements[n1] = append(v.Elements[n1], Element{Index: max(i1, 0), Value: v1})
		if n1 != n2 {
			v.Elements[n2] = append(v.Elements[n2], Element{Index: max(i2, 0), Value: v2})
		}
		conf, err := Resolve(v, testEnv, testConfig)
		if err != nil {
			return
		}
		for _, m := range conf.Modules {
			for _, s := range []string{m.BuiltName, m.BuiltDir, m.DestName} {
				if strings.HasPrefix(s, "../") || strings.ContainsAny(s, "\n\x00") {
					t.Errorf("%+v passed", m)
				}
			}
		}
		if strings.Contains(fmt.Sprint(conf.Patches), "..") && !strings.Contains(fmt.Sprint(conf.Patches), "...") {
			for _, p := range conf.Patches {
				if p == ".." || strings.HasPrefix(p, "../") {
					t.Errorf("patch %q passed", p)
				}
			}
		}
	})
}
