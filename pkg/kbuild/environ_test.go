// SPDX-License-Identifier: MIT

package kbuild

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
