// SPDX-License-Identifier: MIT

package kbuild

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/kernel"
)

func TestEnviron(t *testing.T) {
	t.Setenv("LD_PRELOAD", "libfakeroot.so") // nothing of ours reaches the build
	b := &Build{
		Layout:       Layout{DKMSTree: Same("/w/dkms"), SourceTree: Same("/w/src"), TmpDir: Same("/w/tmp"), Headers: Same("/h"), Name: "foo", Version: "1.0"},
		Tree:         &kernel.Tree{Release: "6.1.0-56-amd64", Machine: "x86_64", Compiler: kernel.Compiler{Command: "gcc-12"}},
		Jobs:         4,
		ExtraSymvers: []Symvers{{Name: "a", Version: "1"}, {Name: "b", Version: "2"}},
		Epoch:        time.Date(2024, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600)),
		Setenv:       []string{"CCACHE_DIR=/c"},
	}
	const maps = "-ffile-prefix-map=/w/src/foo-1.0/=/usr/src/foo-1.0/ -ffile-prefix-map=/w/dkms/foo/1.0/build=/var/lib/dkms/foo/1.0/build"
	want := []string{
		"PATH=/w/tmp/gokms-bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/nonexistent",
		"SHELL=/bin/sh",
		"TMPDIR=/w/tmp",
		"LC_ALL=C.UTF-8",
		"TZ=UTC",
		"module=foo",
		"module_version=1.0",
		"kernelver=6.1.0-56-amd64",
		"arch=x86_64",
		"MAKEFLAGS=-j4",
		"SOURCE_DATE_EPOCH=1706929506",
		"KBUILD_BUILD_TIMESTAMP=Sat Feb  3 03:05:06 UTC 2024",
		"KBUILD_BUILD_USER=gokms",
		"KBUILD_BUILD_HOST=gokms",
		"KBUILD_BUILD_VERSION=1",
		"CC=gcc-12",
		"KERNEL_CC=gcc-12",
		"KBUILD_EXTRA_SYMBOLS=/w/dkms/a/1/6.1.0-56-amd64/x86_64/module/Module.symvers /w/dkms/b/2/6.1.0-56-amd64/x86_64/module/Module.symvers",
		"KCFLAGS=" + maps,
		"KAFLAGS=" + maps,
		"CCACHE_DIR=/c",
	}
	if diff := cmp.Diff(want, b.environ()); diff != "" {
		t.Errorf("environ() (-want +got):\n%s", diff)
	}
}

func TestEnvironVariants(t *testing.T) {
	b := &Build{Layout: sandboxed(), Tree: &kernel.Tree{Compiler: kernel.Compiler{Command: "clang-16", Clang: true, LLVM: "-16", Linker: "ld.lld-16"}}}
	env := b.environ()
	for _, want := range []string{"CC=clang-16", "KERNEL_CC=clang-16", "LLVM=-16", "LD=ld.lld-16", "KERNEL_LD=ld.lld-16", "MAKEFLAGS=-j1", "SOURCE_DATE_EPOCH=0", "TMPDIR=/tmp"} {
		if !slices.Contains(env, want) {
			t.Errorf("environ() lacks %s", want)
		}
	}
	for _, kv := range env {
		if strings.Contains(kv, "prefix-map") || strings.HasPrefix(kv, "KBUILD_EXTRA") {
			t.Errorf("environ() at dkms's own place has %s", kv)
		}
	}
}

func TestEnvironProgramsAndLibraries(t *testing.T) {
	b := &Build{Layout: sandboxed(), Tree: &kernel.Tree{}, Programs: []string{"/run/p", "/run/q"}, Libraries: []string{"/run/l", "/run/m"}}
	env := b.environ()
	for _, want := range []string{
		"PATH=/tmp/gokms-bin:/run/p:/run/q:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH=/run/l:/run/m",
	} {
		if !slices.Contains(env, want) {
			t.Errorf("environ() lacks %s: %q", want, env)
		}
	}
}

// foreign is the tree of an arm64 kernel on amd64.
func foreign() *kernel.Tree {
	return &kernel.Tree{
		Release: fakeRelease, Machine: "aarch64", KArch: "arm64", DebArch: "arm64", GNUType: "aarch64-linux-gnu", BuildArch: "amd64", CrossPrefix: "aarch64-linux-gnu-",
		Compiler: kernel.Compiler{Command: "aarch64-linux-gnu-gcc-12"},
	}
}

func TestEnvironForeign(t *testing.T) {
	b := &Build{Layout: sandboxed(), Tree: foreign(), Jobs: 3}
	env := b.environ()
	for _, want := range []string{
		"arch=aarch64", "CC=aarch64-linux-gnu-gcc-12", "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-",
		"DEB_BUILD_ARCH=amd64", "DEB_HOST_ARCH=arm64", "DEB_HOST_GNU_TYPE=aarch64-linux-gnu",
		"MAKEFLAGS=-j3 -- ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- DEB_BUILD_ARCH=amd64 DEB_HOST_ARCH=arm64 DEB_HOST_GNU_TYPE=aarch64-linux-gnu",
	} {
		if !slices.Contains(env, want) {
			t.Errorf("environ() lacks %s: %q", want, env)
		}
	}
}

// TestForeignMake has Makefiles that set the variables themselves, at the top
// and in a make below it, and two jobs that wait for each other.
func TestForeignMake(t *testing.T) {
	testkit.Tools(t, "make", "uname")
	b := newBuild(t, "make KERNELRELEASE="+fakeRelease+"; uname -m >> foo.ko", map[string]string{
		"Makefile": `ARCH := $(shell uname -m)
CROSS_COMPILE =
all:
	echo "$(ARCH) $(CROSS_COMPILE) $$ARCH" > foo.ko
	$(MAKE) -f sub.mk
`,
		"sub.mk": `ARCH = x86
export DEB_HOST_ARCH = amd64
all: one two
	echo "$(ARCH) $(CROSS_COMPILE) $(DEB_HOST_ARCH) $$DEB_HOST_ARCH $(KERNELRELEASE)" >> foo.ko
one:
	for i in $$(seq 200); do [ -e there ] && exit; sleep 0.05; done; exit 1
two:
	touch there
`})
	b.Tree, b.Jobs = foreign(), 2
	machine, err := exec.Command("uname", "-m").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := "arm64 aarch64-linux-gnu- arm64\narm64 aarch64-linux-gnu- arm64 arm64 " + fakeRelease + "\n" + string(machine)
	if got := read(t, mustDo(t, b).Modules[0].Path); got != want {
		t.Errorf("the makes saw\n%s\nwant\n%s", got, want)
	}
}

func TestProgramsAndLibrariesAreFound(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"gokms-test-tool": "#!/bin/sh\necho \"tool $LD_LIBRARY_PATH\"\n", "uname": "#!/bin/sh\necho ours\n"})
	for _, name := range []string{"gokms-test-tool", "uname"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := newBuild(t, "gokms-test-tool > foo.ko; uname -r >> foo.ko", nil)
	b.Programs, b.Libraries = []string{dir}, []string{"/a", "/b"}
	if got, want := read(t, mustDo(t, b).Modules[0].Path), "tool /a:/b\n"+fakeRelease+"\n"; got != want {
		t.Errorf("the build saw %q; want %q", got, want)
	}
}
