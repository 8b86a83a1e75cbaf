// SPDX-License-Identifier: MIT

package dhmodules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/debsource"
	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debhelper"
	"github.com/gokms/gokms/pkg/dkms"
)

func TestMain(m *testing.M) {
	confeval.MaybeChild()
	os.Exit(m.Run())
}

// hintOf is the cure that err brings.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func TestReadConfig(t *testing.T) {
	word1 := func(text string) word { return word{text, 1} }
	for _, tt := range []struct {
		name, text    string
		kernels, dkms []word
		err, hint     string
	}{
		{name: "one", text: "Kernels: linux-headers-amd64\n", kernels: []word{word1("linux-headers-amd64")}},
		{name: "lines and commas", text: "# x\nkernels: a, b\n c\nDKMS: d e\n",
			kernels: []word{{"a", 2}, {"b", 2}, {"c", 3}}, dkms: []word{{"d", 4}, {"e", 4}}},
		{name: "empty", text: "", err: "f: want one stanza of fields, not 0"},
		{name: "two", text: "Kernels: a\n\nKernels: b\n", err: "f: want one stanza of fields, not 2"},
		{name: "no kernels", text: "Dkms: a\n", err: "f:1: no Kernels", hint: "name header packages of Build-Depends, such as linux-headers-amd64, or patterns of kernel releases"},
		{name: "empty kernels", text: "Kernels: ,\n", err: "f:1: no Kernels", hint: "name header packages of Build-Depends, such as linux-headers-amd64, or patterns of kernel releases"},
		{name: "debug symbols", text: "Kernels: a\nDbgsym: Yes\n", kernels: []word{word1("a")}},
		{name: "no debug symbols", text: "Kernels: a\nDbgsym: no\n", kernels: []word{word1("a")}},
		{name: "neither", text: "Kernels: a\nDbgsym: 1\n", err: `f:2: Dbgsym: "1" is neither yes nor no`},
		{name: "unknown field", text: "Kernels: a\nDebug: yes\n", err: "f:2: unknown field Debug", hint: "there are the fields Kernels, Dkms and Dbgsym"},
		{name: "neither yes nor no", text: "Kernels: a\nDbgsym: maybe\n", err: `f:2: Dbgsym: "maybe" is neither yes nor no`},
		{name: "no deb822", text: "linux-headers-amd64\n", err: "f:1: "},
		{name: "twice", text: "Kernels: a\nKernels: b\n", err: "f:2: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, map[string]string{"f": tt.text})
			got, err := readConfig(dir, "f")
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.err) || !strings.HasPrefix(hintOf(err), tt.hint) {
					t.Fatalf("readConfig = %v (%s); want %s (%s)", err, hintOf(err), tt.err, tt.hint)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := tt.name == "debug symbols"; got.dbgsym != want {
				t.Errorf("dbgsym = %v; want %v", got.dbgsym, want)
			}
			if diff := cmp.Diff(tt.kernels, got.kernels, cmp.AllowUnexported(word{})); diff != "" {
				t.Errorf("kernels: %s", diff)
			}
			if diff := cmp.Diff(tt.dkms, got.dkms, cmp.AllowUnexported(word{})); diff != "" {
				t.Errorf("dkms: %s", diff)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	from := []candidate{
		{"linux-headers-amd64", true, []string{"6.1.0-56-amd64"}},
		{"linux-headers-6.1.0-9-amd64", true, []string{"6.1.0-9-amd64"}},
		{"linux-headers-rt-amd64", true, []string{"6.1.0-56-rt-amd64"}},
		{"linux-headers-cloud-amd64", false, nil},
		{"linux-headers-broken", true, nil},
	}
	const have = `["6.1.0-9-amd64" "6.1.0-56-amd64" "6.1.0-56-rt-amd64"]`
	for _, tt := range []struct{ words, want, err, hint string }{
		{words: "linux-headers-amd64", want: "6.1.0-56-amd64"},
		{words: "linux-headers-amd64 6.1.0-*-amd64", want: "6.1.0-9-amd64 6.1.0-56-amd64 6.1.0-56-rt-amd64"},
		{words: "6.1.0-?-amd64", want: "6.1.0-9-amd64"},
		{words: "6.1.0-56-amd64", want: "6.1.0-56-amd64"},
		{words: "linux-headers-6.1.0-56-amd64", want: "6.1.0-56-amd64"},
		{words: "linux-headers-*amd64", want: "6.1.0-9-amd64 6.1.0-56-amd64 6.1.0-56-rt-amd64"},
		{words: "*", want: "6.1.0-9-amd64 6.1.0-56-amd64 6.1.0-56-rt-amd64"},
		{words: "linux-headers-cloud-amd64", err: "f:7: Kernels: the build dependency linux-headers-cloud-amd64 is not installed",
			hint: "install the build dependencies: apt-get build-dep ."},
		{words: "linux-headers-broken", err: "f:7: Kernels: linux-headers-broken is installed and brings no headers"},
		{words: "linux-headers-arm64", err: "f:7: Kernels: no headers for linux-headers-arm64 in Build-Depends or Build-Depends-Arch, which bring " + have,
			hint: "add linux-headers-arm64 to Build-Depends-Arch in debian/control, and install it"},
		{words: "6.2.0-1-amd64", err: "f:7: Kernels: no headers for 6.2.0-1-amd64 in Build-Depends or Build-Depends-Arch, which bring " + have,
			hint: "add linux-headers-6.2.0-1-amd64 to Build-Depends-Arch in debian/control, and install it"},
		{words: "6.2.0-*", err: "f:7: Kernels: no headers for 6.2.0-* in Build-Depends or Build-Depends-Arch, which bring " + have,
			hint: "add header packages such as linux-headers-amd64 to Build-Depends-Arch in debian/control, and install them"},
		{words: "[", err: `f:7: Kernels: "[": syntax error in pattern`},
		{words: "amd64", err: "f:7: Kernels: no headers for amd64"},
	} {
		c := &config{file: "f"}
		for _, text := range strings.Fields(tt.words) {
			c.kernels = append(c.kernels, word{text, 7})
		}
		got, err := c.choose(from)
		if strings.Join(got, " ") != tt.want || tt.err != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.err)) || err != nil && tt.err == "" {
			t.Errorf("choose(%s) = %q, %v; want %q, %s", tt.words, got, err, tt.want, tt.err)
		}
		if tt.hint != "" && hintOf(err) != tt.hint {
			t.Errorf("choose(%s): hint %q; want %q", tt.words, hintOf(err), tt.hint)
		}
	}
}

// fakeDpkg answers for dpkg-query: Depends of the installed packages.
func fakeDpkg(installed map[string]string) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error {
		if filepath.Base(cmd.Args[0]) != "dpkg-query" {
			return cmd.Run()
		}
		depends, ok := installed[cmd.Args[len(cmd.Args)-1]]
		if !ok || cmd.Args[1] != "-W" {
			return exec.Command("false").Run()
		}
		_, err := fmt.Fprintf(cmd.Stdout, "installed\n%s", depends)
		return err
	}
}

func TestCandidates(t *testing.T) {
	root := t.TempDir()
	for _, release := range []string{"6.1.0-56-amd64", "6.8.0-60-generic", "6.8.0-61-generic"} {
		write(t, root, map[string]string{release + "/build/x": ""})
	}
	run := fakeDpkg(map[string]string{
		"linux-headers-amd64":           "linux-headers-6.1.0-56-amd64 (= 6.1.192-2)",
		"linux-headers-6.1.0-56-amd64":  "linux-headers-6.1.0-56-common (= 6.1.192-2), linux-kbuild-6.1, gcc-12",
		"linux-headers-6.1.0-56-common": "",
		// as on Ubuntu: two steps, and the part for all flavours has no suffix
		"linux-headers-virtual":          "linux-headers-generic (= 6.8.0.60.61)",
		"linux-headers-generic":          "linux-headers-6.8.0-60-generic",
		"linux-headers-6.8.0-60-generic": "linux-headers-6.8.0-60, libc6",
		"linux-headers-6.8.0-60":         "",
		"linux-headers-6.8.0-61-generic": "linux-headers-6.8.0-61 | x",
		"linux-headers-loop":             "linux-headers-pool",
		"linux-headers-pool":             "linux-headers-loop, linux-headers-6.1.0-56-amd64",
		"linux-headers-empty":            "",
	})
	for _, tt := range []struct {
		depends, arch string
		profiles      []string
		want          []candidate
	}{
		{depends: "debhelper, linux-headers-amd64", want: []candidate{{"linux-headers-amd64", true, []string{"6.1.0-56-amd64"}}}},
		{depends: "linux-headers-6.1.0-56-amd64", want: []candidate{{"linux-headers-6.1.0-56-amd64", true, []string{"6.1.0-56-amd64"}}}},
		{depends: "linux-headers-virtual (>= 6) | linux-headers-6.8.0-61-generic:any", want: []candidate{
			{"linux-headers-virtual", true, []string{"6.8.0-60-generic"}},
			{"linux-headers-6.8.0-61-generic", true, []string{"6.8.0-61-generic"}}}},
		{depends: "linux-headers-loop", want: []candidate{{"linux-headers-loop", true, []string{"6.1.0-56-amd64"}}}},
		{depends: "linux-headers-empty, linux-headers-gone", want: []candidate{{"linux-headers-empty", true, nil}, {"linux-headers-gone", false, nil}}},
		{depends: "linux-headers-amd64 [arm64]", want: nil},
		{depends: "linux-headers-amd64 [linux-any] <!x>", profiles: []string{"x"}, want: nil},
	} {
		template, err := control.ParseTemplate(strings.NewReader("Source: a\nBuild-Depends-Indep: linux-headers-generic\nBuild-Depends-Arch: "+tt.depends+"\n"), "debian/control")
		if err != nil {
			t.Fatal(err)
		}
		h := headers{ctx: t.Context(), run: run, root: root}
		got, err := h.candidates(template, "amd64", tt.profiles)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(candidate{})); diff != "" {
			t.Errorf("candidates of %q: %s", tt.depends, diff)
		}
	}
	broken := headers{ctx: t.Context(), root: root, run: func(*exec.Cmd) error { return exec.ErrNotFound }}
	if _, err := broken.releasesOf("linux-headers-amd64", nil, new([]string)); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("without dpkg-query: %v", err)
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// headerTree makes root/RELEASE/build, with "gcc" for a compiler.
func headerTree(t *testing.T, root, release, arch string) {
	t.Helper()
	write(t, filepath.Join(root, release, "build"), map[string]string{
		".config":                        "CONFIG_" + arch + "=y\nCONFIG_MODULES=y\nCONFIG_CC_VERSION_TEXT=\"gcc (made up) 12.2.0\"\n",
		"Module.symvers":                 "0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n",
		"include/config/kernel.release":  release + "\n",
		"include/generated/utsrelease.h": fmt.Sprintf("#define UTS_RELEASE %q\n", release),
	})
}

const (
	controlText = `Source: foo
Maintainer: Jane Doe <jane@example.org>
Build-Depends: debhelper-compat (= 13), linux-headers-amd64, linux-headers-rt-amd64, linux-headers-6.1.0-9-amd64

Package: foo-dkms
Architecture: all
Description: x
 The foo driver drives foo.

Package: foo-modules
Architecture: any
Description: x
`
	changelogText = `foo (1:1.2-3) unstable; urgency=medium

  * x

 -- Jane Doe <jane@example.org>  Tue, 14 Nov 2023 22:13:20 +0000
`
	confText = `PACKAGE_NAME="foo"
PACKAGE_VERSION="#MODULE_VERSION#"
DEST_MODULE_LOCATION[0]="/updates"
`
)

// planned plans the source package with these changes; "" removes a file.
func planned(t *testing.T, changed map[string]string, choice debsource.Choice) (*Batch, string, error) {
	t.Helper()
	testkit.Tools(t, "make", "xz")
	root, dir := t.TempDir(), filepath.Join(t.TempDir(), "foo-1.2")
	for _, release := range []string{"6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-56-rt-amd64"} {
		headerTree(t, root, release, "X86_64")
	}
	files := map[string]string{
		"debian/control": controlText, "debian/changelog": changelogText, "debian/copyright": "x\n",
		"debian/foo-dkms.dkms": confText, "debian/foo-modules.gokms-modules": "Kernels: *\n",
		"src/Makefile": "obj-m := foo.o\n", "src/foo.c": "",
	}
	for name, text := range changed {
		if files[name] = text; text == "" {
			delete(files, name)
		}
	}
	write(t, dir, files)
	s, err := debhelper.Init(t.Context(), debhelper.Command{Name: "dh_gokms_modules"}, debhelper.Env{Dir: dir, Environ: []string{"DEB_HOST_ARCH=amd64"}})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := debsource.Open(s, dir)
	if err != nil {
		t.Fatal(err)
	}
	tree.Eval = dkms.Eval
	run := fakeDpkg(map[string]string{
		"linux-headers-amd64": "linux-headers-6.1.0-56-amd64", "linux-headers-rt-amd64": "linux-headers-6.1.0-56-rt-amd64",
		"linux-headers-6.1.0-9-amd64": "", "linux-headers-6.1.0-56-amd64": "", "linux-headers-6.1.0-56-rt-amd64": "",
	})
	for _, p := range s.AllPackages {
		if p.Name != "foo-modules" {
			continue
		}
		b, err := Plan(context.Background(), tree, p, Options{TempDir: t.TempDir(), Run: run, ModulesRoot: root, Choice: choice})
		return b, dir, err
	}
	t.Fatal("no package foo-modules")
	return nil, "", nil
}

func TestPlan(t *testing.T) {
	b, dir, err := planned(t, nil, debsource.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	const newest = "foo-modules-6.1.0-56-amd64 (= 1:1.2-3), foo-modules-6.1.0-56-rt-amd64 (= 1:1.2-3)"
	if got := b.NewestDepends(); got != newest {
		t.Errorf("NewestDepends = %q; want %q", got, newest)
	}
	if len(b.Cells) != 3 {
		t.Fatalf("%d cells; want 3", len(b.Cells))
	}
	c := b.Cells[0]
	if c.Kernel.Release != "6.1.0-9-amd64" || c.Source.Version != "1.2" || c.Source.Shown != "src" {
		t.Errorf("first cell: %s of sources %s", c.Title(), c.Source.Shown)
	}
	if diff := cmp.Diff([]string{"foo-dkms"}, c.Package.DKMSPackages); diff != "" {
		t.Errorf("conflicts: %s", diff)
	}
	if c.Package.Description != " The foo driver drives foo." && c.Package.Description != "The foo driver drives foo." {
		t.Errorf("description %q", c.Package.Description)
	}
	stage := filepath.Join(dir, "debian/.debhelper/gokms/foo-modules/foo-1.2")
	for _, name := range []string{"foo.c", "Makefile", "dkms.conf"} {
		if _, err := os.Stat(filepath.Join(stage, name)); err != nil {
			t.Error(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{stage, b.work} {
		if _, err := os.Stat(gone); err == nil {
			t.Errorf("%s is left", gone)
		}
	}
}

func TestPlanChoices(t *testing.T) {
	seven := "7"
	for _, tt := range []struct {
		name    string
		changed map[string]string
		choice  debsource.Choice
		want    string // module/version for kernel: -dkms packages
	}{
		{"-V", map[string]string{"debian/foo-modules.gokms-modules": "Kernels: 6.1.0-9-amd64\n"}, debsource.Choice{Version: &seven},
			"foo/7 for 6.1.0-9-amd64: foo-dkms"},
		{"Dkms of a package", map[string]string{"debian/foo-modules.gokms-modules": "Kernels: 6.1.0-9-amd64\nDkms: ./debian/foo-dkms.dkms\n"}, debsource.Choice{},
			"foo/1.2 for 6.1.0-9-amd64: foo-dkms"},
		{"Dkms of none", map[string]string{
			"debian/foo-modules.gokms-modules": "Kernels: 6.1.0-9-amd64\nDkms: src/dkms.conf\n",
			"src/dkms.conf":                    "PACKAGE_NAME=bar_x\nPACKAGE_VERSION=0.1\nDEST_MODULE_LOCATION=/extra\n",
		}, debsource.Choice{}, "bar_x/0.1 for 6.1.0-9-amd64: bar-x-dkms"},
		{"excluded", map[string]string{"debian/foo-dkms.dkms": confText + "BUILD_EXCLUSIVE_KERNEL='-9-'\n"}, debsource.Choice{},
			"foo/1.2 for 6.1.0-9-amd64: foo-dkms\nfoo/1.2 for 6.1.0-56-amd64: \nfoo/1.2 for 6.1.0-56-rt-amd64: "},
		{"one after the other", map[string]string{
			"debian/foo-modules.gokms-modules": "Kernels: 6.1.0-9-amd64\n",
			"debian/foo-dkms.a.dkms":           "PACKAGE_NAME=a\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME=foo\nDEST_MODULE_NAME=a\nDEST_MODULE_LOCATION=/extra\nBUILD_DEPENDS=z\n",
			"debian/foo-dkms.z.dkms":           "PACKAGE_NAME=z\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME=foo\nDEST_MODULE_NAME=z\nDEST_MODULE_LOCATION=/extra\n",
		}, debsource.Choice{}, "foo/1.2 for 6.1.0-9-amd64: foo-dkms\nz/1 for 6.1.0-9-amd64: foo-dkms\na/1 for 6.1.0-9-amd64: foo-dkms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _, err := planned(t, tt.changed, tt.choice)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			var got []string
			for _, c := range b.Cells {
				got = append(got, c.Title()+": "+strings.Join(c.Package.DKMSPackages, " "))
			}
			if diff := cmp.Diff(strings.Split(tt.want, "\n"), got); diff != "" {
				t.Error(diff)
			}
			if tt.name == "excluded" && b.NewestDepends() != "foo-modules-6.1.0-9-amd64 (= 1:1.2-3)" {
				t.Errorf("NewestDepends = %q", b.NewestDepends())
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, tt := range []struct {
		name      string
		changed   map[string]string
		err, hint string
	}{
		{"no .dkms", map[string]string{"debian/foo-dkms.dkms": ""},
			"debian/foo-modules.gokms-modules: no debian/*.dkms says how to build modules", "add one, or name a dkms.conf of the source: Dkms: FILE"},
		{"Dkms gone", map[string]string{"debian/foo-modules.gokms-modules": "Kernels: *\nDkms: gone\n"},
			"debian/foo-modules.gokms-modules:2: Dkms: gone not found", ""},
		{"one name", map[string]string{"debian/foo-dkms.b.dkms": confText},
			"debian/foo-dkms.dkms and debian/foo-dkms.b.dkms both have the PACKAGE_NAME foo", ""},
		{"no sources", map[string]string{"src/Makefile": "", "src/foo.c": ""},
			"debian/foo-dkms.dkms: there are no sources for foo-1.2", "put them into src/, list them in debian/foo-dkms.gokms, or install them with dh_install"},
		{"BUILD_DEPENDS", map[string]string{"debian/foo-dkms.dkms": confText + "BUILD_DEPENDS=other\n"},
			"debian/foo-dkms.dkms:4: BUILD_DEPENDS names other, whose source is not in this package",
			"module packages can only be built with all that they need: put its source and .dkms here, or use gokms-mkbmdeb"},
		{"all excluded", map[string]string{"debian/foo-dkms.dkms": confText + "BUILD_EXCLUSIVE_KERNEL='^7'\n"},
			`package foo-modules: its modules exclude all the kernels: BUILD_EXCLUSIVE_KERNEL="^7" excludes 6.1.0-9-amd64`, ""},
		{"in debian/control", map[string]string{"debian/control": controlText + "\nPackage: foo-modules-6.1.0-9-amd64\nArchitecture: any\n"},
			"debian/control: package foo-modules-6.1.0-9-amd64 is what debian/foo-dkms.dkms becomes for kernel 6.1.0-9-amd64: remove its stanza", ""},
		{"for all", map[string]string{"debian/control": strings.Replace(controlText, "any", "all", 1)},
			"debian/foo-modules.gokms-modules: package foo-modules is for all architectures", ""},
		{"patch", map[string]string{"debian/foo-dkms.dkms": confText + "PATCH=gone.patch\n"},
			"debian/foo-dkms.dkms:4: PATCH", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, dir, err := planned(t, tt.changed, debsource.Choice{})
			if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
				t.Fatalf("Plan = %v, %v; want %s", b, err, tt.err)
			}
			if tt.hint != "" && hintOf(err) != tt.hint {
				t.Errorf("hint %q; want %q", hintOf(err), tt.hint)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "debian/.debhelper/gokms/*")); len(left) > 0 {
				t.Errorf("%q is left", left)
			}
		})
	}
}

func TestPlanForeignKernel(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	headerTree(t, root, "6.1.0-9-arm64", "ARM64")
	write(t, dir, map[string]string{
		"debian/control":   strings.Replace(controlText, "linux-headers-amd64", "linux-headers-6.1.0-9-arm64", 1),
		"debian/changelog": changelogText, "debian/foo-modules.gokms-modules": "Kernels: 6.1.0-9-arm64\n",
	})
	s, err := debhelper.Init(t.Context(), debhelper.Command{Name: "x"}, debhelper.Env{Dir: dir, Environ: []string{"DEB_HOST_ARCH=amd64"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = findKernels(t.Context(), &debsource.Tree{Session: s, Dir: dir}, &config{file: "f", kernels: []word{{"6.1.0-9-arm64", 1}}},
		Options{Run: fakeDpkg(map[string]string{"linux-headers-6.1.0-9-arm64": ""}), ModulesRoot: root})
	if want := "f: kernel 6.1.0-9-arm64 is for arm64, and this build is for amd64"; err == nil || err.Error() != want {
		t.Errorf("findKernels = %v; want %s", err, want)
	}
}
