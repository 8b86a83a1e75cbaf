// SPDX-License-Identifier: MIT

package target

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
)

func TestList(t *testing.T) {
	meta := archive.Package{Name: "linux-headers-6.1.0-4-amd64", Version: "6.1.2-1", Architecture: "amd64", Depends: "gcc-12"}
	for _, tt := range []struct {
		name, words, want string
		offline           bool
		archive           error
		warning, err      string
	}{
		{name: "all", want: "6.1.0-1-amd64 installed gcc-12, 6.1.0-2-amd64 cached gcc-12, 6.1.0-4-amd64 archive gcc-12"},
		{name: "a newer version", want: "6.1.0-1-amd64 installed gcc-12, 6.1.0-2-amd64 cached gcc-12, 6.1.0-2-amd64 archive gcc-12"},
		{name: "offline", offline: true, want: "6.1.0-1-amd64 installed gcc-12, 6.1.0-2-amd64 cached gcc-12"},
		{name: "a glob", words: "apt:linux-headers-6.1.0-[123]-* apt:linux-headers-6.1.0-2-amd64",
			want: "6.1.0-1-amd64 archive gcc-12, 6.1.0-2-amd64 cached gcc-12, 6.1.0-3-amd64 archive gcc-12, 6.1.0-3-rt-amd64 archive gcc-12"},
		{name: "offline glob", words: "apt:linux-headers-*", offline: true, want: "6.1.0-2-amd64 cached gcc-12"},
		{name: "no match", words: "apt:x", err: "the archive has no package x for amd64"},
		{name: "offline, no match", words: "apt:x", offline: true, err: "apt:x: no such package is in the cache, and --offline keeps from asking the archive"},
		{name: "a release", words: "6.1", err: `"6.1": want apt:GLOB`},
		{name: "no archive is no end", archive: errors.New("no apt"), warning: "no apt", want: "6.1.0-1-amd64 installed gcc-12, 6.1.0-2-amd64 cached gcc-12"},
		{name: "but of a glob", archive: errors.New("no apt"), words: "apt:linux-headers-6*", err: "no apt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, a := newFinder(t)
			f.Offline, a.err, f.Arch = tt.offline, tt.archive, "amd64"
			if tt.archive == nil {
				a.meta = []archive.Package{meta, {Name: "linux-headers-6.1.0-2-amd64", Version: "6.1.1-1"}} // that one is cached
				if tt.name == "a newer version" {
					a.meta = []archive.Package{{Name: "linux-headers-6.1.0-2-amd64", Version: "6.1.1-2", Depends: "gcc-12"}}
				}
			}
			entries, warning, err := f.List(t.Context(), strings.Fields(tt.words))
			var got []string
			for _, e := range entries {
				got = append(got, e.Release+" "+string(e.Origin)+" "+e.Compiler)
			}
			text := func(err error) string {
				if err == nil {
					return ""
				}
				return err.Error()
			}
			if strings.Join(got, ", ") != tt.want || text(warning) != tt.warning || text(err) != tt.err {
				t.Errorf("%q, warning %v, error %v;\nwant %q, %q, %q", got, warning, err, tt.want, tt.warning, tt.err)
			}
			if len(a.fetched) > 0 {
				t.Errorf("fetched %q", a.fetched)
			}
		})
	}
}

func TestCompilerOf(t *testing.T) {
	for _, tt := range []struct{ arch, depends, command, pkg string }{
		{"amd64", "linux-headers-6.1.0-56-common (= 6.1), linux-kbuild-6.1, linux-compiler-gcc-12-x86", "gcc-12", "gcc-12"},
		{"amd64", "linux-base, linux-image-6.12 | linux-image-6.12-unsigned, gcc-12", "gcc-12", "gcc-12"},
		{"amd64", "gcc-13:native (>= 13)", "gcc-13", "gcc-13"},
		{"amd64", "clang-14, lld-14", "clang-14", "clang-14"},
		{"arm64", "linux-compiler-gcc-12-arm", "aarch64-linux-gnu-gcc-12", "gcc-12-aarch64-linux-gnu"},
		{"ppc64el", "gcc-12", "powerpc64le-linux-gnu-gcc-12", "gcc-12-powerpc64le-linux-gnu"},
		{"amd64", "gcc-base, libgcc-12-dev", "", ""},
		{"amd64", "", "", ""},
	} {
		command, pkg := compilerFor(archive.Package{Architecture: tt.arch, Depends: tt.depends}, "amd64")
		if command != tt.command || pkg != tt.pkg {
			t.Errorf("compiler of %q for %s: %s, %s; want %s, %s", tt.depends, tt.arch, command, pkg, tt.command, tt.pkg)
		}
	}
}

// deb makes a package with the given empty files and links ("PATH -> TARGET").
func deb(t *testing.T, dir, name, arch string, entries ...string) string {
	t.Helper()
	p := &debfile.Package{ModTime: time.Unix(1700000000, 0), Compression: debfile.Zstd}
	for _, f := range [][2]string{{"Package", name}, {"Version", "1.0"}, {"Architecture", arch}, {"Maintainer", "A <a@example.org>"}, {"Description", "x"}} {
		p.Control.Fields = append(p.Control.Fields, control.Field{Name: f[0], Value: f[1]})
	}
	for _, e := range entries {
		path, target, isLink := strings.Cut(e, " -> ")
		f := debfile.File{Path: path, Mode: 0o644, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }}
		if isLink {
			f = debfile.File{Path: path, Mode: fs.ModeSymlink | 0o777, Target: target}
		}
		p.Files = append(p.Files, f)
	}
	file := filepath.Join(dir, fmt.Sprintf("%s_1.0_%s.deb", name, arch))
	if err := debfile.WriteFile(file, p, nil); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestGivenDebs(t *testing.T) {
	f, a := newFinder(t)
	dir := t.TempDir()
	common := deb(t, dir, "linux-headers-common", "all", "usr/src/linux-headers-common/Makefile")
	second := deb(t, dir, "linux-headers-6.1.0-2-amd64", "amd64", "usr/src/x", "usr/lib/modules/6.1.0-2-amd64/build -> /usr/src/x")
	first := deb(t, dir, "linux-headers-6.1.0-1-amd64", "amd64", "lib/modules/6.1.0-1-amd64/build -> /usr/src/x")
	meta := deb(t, dir, "linux-headers-6.1-amd64", "amd64", "usr/share/doc/linux-headers-6.1-amd64/copyright")
	f.Headers = []string{dir}
	kernels, err := f.Find(t.Context(), nil)
	if err != nil || found(kernels) != "6.1.0-1-amd64 given, 6.1.0-2-amd64 given" {
		t.Errorf("found %q, %v", found(kernels), err)
	}
	want := fmt.Sprint([][]string{{first, meta, common}, {second, meta, common}})
	if got := fmt.Sprint(a.unpacked); got != want {
		t.Errorf("unpacked %s; want %s", got, want)
	}
	f.Headers = []string{common, meta}
	if _, err := f.Find(t.Context(), nil); err == nil || err.Error() != "--headers: none of the 2 packages holds lib/modules/*/build" {
		t.Errorf("no flavour: %v", err)
	}
	write(t, filepath.Join(dir, "bad.deb"), "no package")
	f.Headers = []string{filepath.Join(dir, "bad.deb")}
	if _, err := f.Find(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "bad.deb") {
		t.Errorf("no package: %v", err)
	}
}
