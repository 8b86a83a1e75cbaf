// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

// newest returns the newest kernel with headers; the test ends if something is
// missing that building modules for it takes.
func newest(t *testing.T) string {
	t.Helper()
	testkit.Tools(t, "make", "xz", "dpkg-deb", "dpkg-query", "modinfo")
	kernels := testkit.Kernels(t)
	return kernels[len(kernels)-1]
}

// build runs the command as a process with a umask and a temporary directory
// of its own, and returns the packages it names. There are none of debug symbols.
func build(t *testing.T, umask string, args ...string) []string {
	t.Helper()
	return buildWith(t, "noautodbgsym", umask, args...)
}

// buildWith is build with these DEB_BUILD_OPTIONS.
func buildWith(t *testing.T, options, umask string, args ...string) []string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("bash", append([]string{"-c", "umask " + umask + `; exec -a ` + prog + ` /proc/$PPID/exe "$@"`, "bash"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "SOURCE_DATE_EPOCH=", "DEBEMAIL=a@example.org", "DEBFULLNAME=A", "DEB_BUILD_OPTIONS="+options)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", prog, strings.Join(args, " "), err, &stderr)
	}
	return strings.Fields(stdout.String())
}

func output(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	return string(out)
}

// arch is the architecture that the installed headers are for.
func arch(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(output(t, "dpkg", "--print-architecture"))
}

// example copies examples/i40e, without the first cut lines of its changelog.
func example(t *testing.T, cut int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "i40e")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(testkit.Root(), "examples", "i40e"))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "debian", "changelog")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	if err := os.WriteFile(file, []byte(strings.Join(lines[cut:], "")), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestExampleControl holds the example's control file against what it must be,
// for both versions of its changelog.
func TestExampleControl(t *testing.T) {
	t.Parallel()
	k := newest(t)
	linux := strings.TrimSpace(output(t, "dpkg-query", "-W", "-f", "${source:Package} (= ${source:Version})", "linux-headers-"+k))
	for _, tt := range []struct {
		version string
		cut     int // lines of the changelog
	}{{"2.4.6-1", 0}, {"2.4.6-0", 7}} {
		debs := build(t, "022", "-k", k, "-o", t.TempDir(), example(t, tt.cut))
		if len(debs) != 1 || filepath.Base(debs[0]) != "i40e-modules-"+k+"_"+tt.version+"_"+arch(t)+".deb" {
			t.Fatalf("packages: %q", debs)
		}
		want := strings.NewReplacer("ARCH", arch(t), "KVER", k, "VERSION", tt.version, "LINUX", linux).Replace(`Package: i40e-modules-KVER
Source: i40e
Version: VERSION
Architecture: ARCH
Maintainer: gokms developers <gokms@example.org>
Depends: linux-image-KVER | linux-image-KVER-unsigned
Conflicts: i40e-dkms
Replaces: i40e-dkms
Provides: i40e-modules (= VERSION)
Built-Using: LINUX
Section: kernel
Priority: optional
Homepage: https://github.com/intel/ethernet-linux-i40e
`)
		got, _, _ := strings.Cut(output(t, "dpkg-deb", "-f", debs[0]), "Description:")
		if diff := cmp.Diff(want, withoutSize(got)); diff != "" {
			t.Errorf("control of %s (-want +got):\n%s", tt.version, diff)
		}
		expectFiles(t, debs[0], "./lib/modules/"+k+"/updates/dkms/i40e.ko",
			"./usr/share/doc/i40e-modules-"+k+"/changelog.Debian.gz", "./usr/share/doc/i40e-modules-"+k+"/copyright")
	}
}

func withoutSize(control string) string {
	var kept []string
	for line := range strings.Lines(control) {
		if !strings.HasPrefix(line, "Installed-Size:") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// expectFiles compares the regular files of a package, as dpkg-deb lists them.
func expectFiles(t *testing.T, deb string, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(output(t, "dpkg-deb", "-c", deb)) {
		f := strings.Fields(line)
		if f[0][0] == '-' {
			got = append(got, f[5])
		}
		if f[1] != "root/root" {
			t.Errorf("%s: owner %s", f[5], f[1])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files of %s (-want +got):\n%s", filepath.Base(deb), diff)
	}
}

// TestSameBytes builds the example from a package tree and from a source tree,
// elsewhere, with another umask and number of jobs.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	k := newest(t)
	dir := example(t, 0)
	first := build(t, "022", "-k", k, "-o", t.TempDir(), dir)
	second := build(t, "077", "-j1", "-k", k, "-o", t.TempDir(), example(t, 0))
	if sum(t, first[0]) != sum(t, second[0]) {
		t.Errorf("two builds of the example differ: %s %s", first, second)
	}

	tree := t.TempDir()
	registered := filepath.Join(tree, "i40e-2.4.6")
	if err := os.CopyFS(registered, os.DirFS(filepath.Join(dir, "src"))); err != nil {
		t.Fatal(err)
	}
	conf, err := os.ReadFile(filepath.Join(dir, "debian", "i40e-dkms.dkms"))
	if err != nil {
		t.Fatal(err)
	}
	conf = bytes.ReplaceAll(conf, []byte("#MODULE_VERSION#"), []byte("2.4.6"))
	if err := os.WriteFile(filepath.Join(registered, "dkms.conf"), conf, 0o644); err != nil {
		t.Fatal(err)
	}
	third := build(t, "022", "-k", k, "-o", t.TempDir(), "--source-tree", tree, "i40e/2.4.6")
	if filepath.Base(third[0]) != "i40e-modules-"+k+"_2.4.6_"+arch(t)+".deb" {
		t.Errorf("package of i40e/2.4.6: %s", third[0])
	}
	module := func(deb string) string {
		dir := t.TempDir()
		output(t, "dpkg-deb", "-x", deb, dir)
		return filepath.Join(dir, "lib/modules", k, "updates/dkms/i40e.ko")
	}
	if sections := output(t, "readelf", "-SW", module(first[0])); strings.Contains(sections, ".debug_info") {
		t.Error("the module was not stripped")
	}
	if sum(t, module(first[0])) != sum(t, module(third[0])) {
		t.Error("the modules of the package tree and of the source tree differ")
	}
}

func sum(t *testing.T, file string) string {
	t.Helper()
	return strings.Fields(output(t, "sha256sum", file))[0]
}

// TestBuildDepends builds a module that uses a symbol of another one.
func TestBuildDepends(t *testing.T) {
	t.Parallel()
	k := newest(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"alpha/Kbuild":        "obj-m := gokms_alpha.o\n",
		"alpha/gokms_alpha.c": "#include <linux/module.h>\nint gokms_alpha(void);\nint gokms_alpha(void) { return 1; }\nEXPORT_SYMBOL_GPL(gokms_alpha);\nMODULE_LICENSE(\"GPL\");\n",
		"alpha/dkms.conf":     "PACKAGE_NAME=gokms_alpha\nPACKAGE_VERSION=1.0\nDEST_MODULE_LOCATION=/updates\n",
		"beta/Kbuild":         "obj-m := gokms_beta.o\n",
		"beta/gokms_beta.c":   "#include <linux/module.h>\nint gokms_alpha(void);\nstatic int __init start(void) { return gokms_alpha(); }\nmodule_init(start);\nMODULE_LICENSE(\"GPL\");\n",
		"beta/dkms.conf":      "PACKAGE_NAME=gokms_beta\nPACKAGE_VERSION=2.0\nDEST_MODULE_LOCATION=/updates\nBUILD_DEPENDS=gokms_alpha\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	debs := build(t, "022", "-q", "-k", k, "-o", filepath.Join(dir, "out"), filepath.Join(dir, "beta"), filepath.Join(dir, "alpha"))
	if len(debs) != 2 || !strings.Contains(debs[0], "gokms-alpha-modules") {
		t.Fatalf("packages: %q", debs)
	}
	want := fmt.Sprintf("linux-image-%s | linux-image-%[1]s-unsigned, gokms-alpha-modules-%[1]s (= 1.0)\n", k)
	if got := output(t, "dpkg-deb", "-f", debs[1], "Depends"); got != want {
		t.Errorf("Depends: %s; want %s", got, want)
	}
	output(t, "dpkg-deb", "-x", debs[1], dir)
	module := filepath.Join(dir, "lib/modules", k, "updates/dkms/gokms_beta.ko")
	if got := output(t, "modinfo", "-F", "depends", module); got != "gokms_alpha\n" {
		t.Errorf("modinfo: depends: %q", got)
	}
}

// TestDebugSymbols builds with and without the package of debug symbols, and a
// module that keeps them.
func TestDebugSymbols(t *testing.T) {
	t.Parallel()
	k := newest(t)
	source := func(more string) string {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"Kbuild":    "obj-m := hello.o\n",
			"hello.c":   "#include <linux/module.h>\nstatic int __init hello(void) { return 0; }\nmodule_init(hello);\nMODULE_LICENSE(\"GPL\");\n",
			"dkms.conf": "PACKAGE_NAME=hello\nPACKAGE_VERSION=1.0\nDEST_MODULE_LOCATION=/updates\n" + more,
		} {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(file, time.Time{}, time.Unix(1700000000, 0)); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	stripped, out := source(""), t.TempDir()
	debs := buildWith(t, "", "022", "-q", "-k", k, "-o", out, stripped)
	if len(debs) != 2 || filepath.Base(debs[1]) != "hello-modules-"+k+"-dbgsym_1.0_"+arch(t)+".deb" {
		t.Fatalf("packages: %q", debs)
	}
	first := sum(t, debs[0])
	dir := t.TempDir()
	output(t, "dpkg-deb", "-x", debs[0], dir)
	notes := output(t, "readelf", "-n", filepath.Join(dir, "lib/modules", k, "updates/dkms/hello.ko"))
	id := regexp.MustCompile(`Build ID: (..)([0-9a-f]+)`).FindStringSubmatch(notes)
	if id == nil {
		t.Fatalf("no build-id:\n%s", notes)
	}
	if got := output(t, "dpkg-deb", "-f", debs[1], "Build-Ids"); got != id[1]+id[2]+"\n" {
		t.Errorf("Build-Ids: %s; the module's is %s%s", got, id[1], id[2])
	}
	if list := output(t, "dpkg-deb", "-c", debs[1]); !strings.Contains(list, "./usr/lib/debug/.build-id/"+id[1]+"/"+id[2]+".debug\n") {
		t.Errorf("no file of the module's build-id %s%s:\n%s", id[1], id[2], list)
	}

	again := buildWith(t, "", "022", "-q", "--no-dbgsym", "-k", k, "-o", out, stripped)
	if len(again) != 1 || sum(t, again[0]) != first {
		t.Errorf("without debug symbols: packages %q, or another module", again)
	}
	if _, err := os.Stat(debs[1]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("debug symbols of another build stay: %v", err)
	}
	if whole := buildWith(t, "", "022", "-q", "-k", k, "-o", t.TempDir(), source("STRIP=no\n")); len(whole) != 1 {
		t.Errorf("packages of a module that is not stripped: %q", whole)
	}
}
