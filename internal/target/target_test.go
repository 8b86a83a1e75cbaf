// SPDX-License-Identifier: MIT

package target

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/internal/record"
	"github.com/gokms/gokms/internal/sandbox"
)

// fake is an archive with a cache.
type fake struct {
	t        *testing.T
	packages []archive.Package
	meta     []archive.Package // that linux-headers-amd64 depends on
	cached   []*archive.Set
	err      error // of Find and Fetch
	fetched  []string
	unpacked [][]string
	exact    []archive.Package
	damaged  string // name of a package
}

func (f *fake) Find(_ context.Context, glob string) ([]archive.Package, error) {
	if glob == "linux-headers-amd64" {
		return f.meta, f.err
	}
	var found []archive.Package
	for _, p := range f.packages {
		if ok, _ := path.Match(glob, p.Name); ok {
			found = append(found, p)
		}
	}
	if len(found) == 0 && f.err == nil {
		e := &archive.NoMatchError{Glob: glob, Arch: "amd64"}
		for _, p := range f.packages {
			e.Near = append(e.Near, p.Name)
		}
		return nil, e
	}
	return found, f.err
}

func (f *fake) Lookup(release string) (*archive.Set, error) {
	for _, s := range f.cached {
		if s.Release == release {
			return s, nil
		}
	}
	return nil, nil
}

func (f *fake) Cached() ([]*archive.Set, error) { return f.cached, nil }

func (f *fake) Fetch(_ context.Context, p archive.Package) (*archive.Set, error) {
	f.fetched = append(f.fetched, p.Name)
	return set(f.t, strings.TrimPrefix(p.Name, headersPrefix), p.Version), f.err
}

func (f *fake) FetchExact(_ context.Context, packages []archive.Package) (*archive.Set, error) {
	f.exact = append(f.exact, packages...)
	return set(f.t, strings.TrimPrefix(packages[0].Name, headersPrefix), packages[0].Version), f.err
}

func (f *fake) Verify(_ context.Context, p archive.Package) error {
	if p.Name == f.damaged {
		return &archive.DamagedError{Cache: "/c", Dir: "/c/debs/1", Package: p.Name, Version: p.Version, Err: errors.New("x has changed")}
	}
	return nil
}

func (f *fake) Unpack(_ context.Context, debs []string) (*archive.Set, error) {
	f.unpacked = append(f.unpacked, debs)
	return set(f.t, strings.Split(filepath.Base(debs[0]), "_")[0][len(headersPrefix):], "1.0"), nil
}

// header is a header package of the archive.
func header(release string) archive.Package {
	return archive.Package{Name: headersPrefix + release, Version: "6.1.1-1", Architecture: "amd64", SHA256: release, Depends: "linux-compiler-gcc-12-x86"}
}

// tree makes a tree of headers in dir.
func tree(t *testing.T, dir, release string) string {
	t.Helper()
	for name, text := range map[string]string{
		".config":                        "CONFIG_X86_64=y\nCONFIG_MODULES=y\nCONFIG_CC_VERSION_TEXT=\"gcc-12 (Debian) 12.2.0\"\n",
		"Module.symvers":                 "0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n",
		"include/generated/utsrelease.h": fmt.Sprintf("#define UTS_RELEASE %q\n", release),
	} {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, file string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, file); err != nil {
		t.Fatal(err)
	}
}

// flavour unpacks the package of a flavour, as Debian makes it, below root.
func flavour(t *testing.T, root, release string) string {
	t.Helper()
	dir := filepath.Join(root, "usr/src", headersPrefix+release)
	tree(t, dir, release)
	write(t, filepath.Join(dir, "Makefile"), "include /usr/src/linux-headers-common/Makefile\n")
	link(t, "../../lib/linux-kbuild-6.1/scripts", filepath.Join(dir, "scripts"))
	link(t, "/usr/src/"+headersPrefix+release, filepath.Join(root, "lib/modules", release, "build"))
	link(t, "/usr/src/linux-headers-common", filepath.Join(root, "lib/modules", release, "source"))
	return root
}

func common(t *testing.T, root string) string {
	t.Helper()
	write(t, filepath.Join(root, "usr/src/linux-headers-common/Makefile"), "all:\n")
	return root
}

func kbuild(t *testing.T, root string) string {
	t.Helper()
	write(t, filepath.Join(root, "usr/lib/linux-kbuild-6.1/scripts/modpost"), "")
	link(t, "../lib/linux-kbuild-6.1", filepath.Join(root, "usr/src/linux-kbuild-6.1"))
	return root
}

// set is what the cache holds of a kernel.
func set(t *testing.T, release, version string) *archive.Set {
	t.Helper()
	dir := t.TempDir()
	return &archive.Set{Release: release, Packages: []archive.Package{
		{Name: headersPrefix + release, Version: version, Architecture: "amd64", Source: "linux", SourceVersion: version,
			SHA256: release, Root: flavour(t, filepath.Join(dir, "flavour"), release)},
		{Name: "linux-headers-common", Version: version, Architecture: "all", Root: common(t, filepath.Join(dir, "common"))},
		{Name: "linux-kbuild-6.1", Version: version, Architecture: "amd64", Root: kbuild(t, filepath.Join(dir, "kbuild"))},
	}}
}

// roots is a machine with the kernel 6.1.0-1-amd64, an archive with three
// others and one of these in the cache.
func newFinder(t *testing.T) (*Finder, *fake) {
	modules := filepath.Join(t.TempDir(), "modules")
	tree(t, filepath.Join(modules, "6.1.0-1-amd64/build"), "6.1.0-1-amd64")
	a := &fake{
		t:        t,
		packages: []archive.Package{header("6.1.0-1-amd64"), header("6.1.0-2-amd64"), header("6.1.0-3-rt-amd64"), header("6.1.0-3-amd64")},
		cached:   []*archive.Set{set(t, "6.1.0-2-amd64", "6.1.1-1")},
	}
	f := &Finder{
		ModulesRoot: modules, Archive: a, HostRoot: t.TempDir(),
		LookPath: func(string) (string, error) { return "", errors.New("not there") },
	}
	return f, a
}

// found is "RELEASE ORIGIN" of each.
func found(kernels []*Kernel) string {
	var all []string
	for _, k := range kernels {
		all = append(all, k.Release+" "+string(k.Origin))
	}
	return strings.Join(all, ", ")
}

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		name, words string
		headers     string // of a kernel that is given
		offline     bool
		arch        string
		want        string
		fetched     string
		err         string
	}{
		{name: "installed first", words: "6.1.0-1-amd64", want: "6.1.0-1-amd64 installed"},
		{name: "then the cache", words: "6.1.0-2-amd64", want: "6.1.0-2-amd64 cached"},
		{name: "then the archive", words: "6.1.0-3-amd64", want: "6.1.0-3-amd64 archive", fetched: "linux-headers-6.1.0-3-amd64"},
		{name: "given before all", words: "6.1.0-1-amd64", headers: "6.1.0-1-amd64", want: "6.1.0-1-amd64 given"},
		{name: "given, no words", headers: "6.6.6", want: "6.6.6 given"},
		{name: "given, another asked for", words: "6.1.0-1-amd64", headers: "6.6.6", want: "6.1.0-1-amd64 installed"},
		{name: "all", words: "all", want: "6.1.0-1-amd64 installed"},
		{name: "each once, in order", words: "6.1.0-2-amd64 all 6.1.0-1-amd64 6.1.0-2-amd64", want: "6.1.0-2-amd64 cached, 6.1.0-1-amd64 installed"},
		{name: "a glob takes no installed ones", words: "apt:linux-headers-6.1.0-[12]-amd64",
			want: "6.1.0-1-amd64 archive, 6.1.0-2-amd64 archive", fetched: "linux-headers-6.1.0-1-amd64 linux-headers-6.1.0-2-amd64"},
		{name: "a glob after its kernel", words: "6.1.0-1-amd64 apt:linux-headers-6.1.0-1-amd64", want: "6.1.0-1-amd64 installed", fetched: "linux-headers-6.1.0-1-amd64"},
		{name: "offline, in the cache", words: "6.1.0-2-amd64", offline: true, want: "6.1.0-2-amd64 cached"},
		{name: "offline glob", words: "apt:linux-headers-*", offline: true, want: "6.1.0-2-amd64 cached"},
		{name: "offline, not there", words: "6.1.0-3-amd64", offline: true,
			err: "no headers of kernel 6.1.0-3-amd64: ROOT/6.1.0-3-amd64 does not exist; not in the cache; --offline keeps from asking the archive"},
		{name: "offline glob, not there", words: "apt:linux-headers-6.1.0-3-*", offline: true,
			err: "apt:linux-headers-6.1.0-3-*: no such package is in the cache, and --offline keeps from asking the archive"},
		{name: "nowhere", words: "6.1.0-9-amd64",
			err: "no headers of kernel 6.1.0-9-amd64: ROOT/6.1.0-9-amd64 does not exist; not in the cache; not in the archive"},
		{name: "no match", words: "apt:linux-headers-7*", err: "the archive has no package linux-headers-7* for amd64"},
		{name: "no glob", words: "apt:", err: "apt: names no package, such as apt:linux-headers-ARCH"},
		{name: "not a release", words: "../x", err: `kernel release "../x" begins with "."`},
		{name: "two errors", words: "6.1.0-1-amd64 apt: a/b", err: "apt: names no package, such as apt:linux-headers-ARCH\nkernel release \"a/b\" contains '/'"},
		{name: "none", err: "no kernel to build for: -k KVER is missing"},
		{name: "another architecture", words: "6.1.0-1-amd64", arch: "arm64", offline: true,
			err: "no headers of kernel 6.1.0-1-amd64: the headers in ROOT/6.1.0-1-amd64/build are for amd64; not in the cache; --offline keeps from asking the archive"},
		{name: "given, another architecture", words: "all", arch: "arm64", headers: "6.6.6", err: "GIVEN: headers are for amd64, not arm64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, a := newFinder(t)
			f.Offline, f.Arch = tt.offline, tt.arch
			given := t.TempDir()
			if tt.headers != "" {
				f.Headers = []string{tree(t, given, tt.headers)}
			}
			kernels, err := f.Find(t.Context(), strings.Fields(tt.words))
			text := ""
			if err != nil {
				text = strings.NewReplacer(f.ModulesRoot, "ROOT", given, "GIVEN").Replace(err.Error())
			}
			if text != tt.err || found(kernels) != tt.want || strings.Join(a.fetched, " ") != tt.fetched {
				t.Errorf("found %q, fetched %q, error %q;\nwant %q, %q, %q", found(kernels), a.fetched, text, tt.want, tt.fetched, tt.err)
			}
		})
	}
}

// TestHints looks at the near misses.
func TestHints(t *testing.T) {
	for _, tt := range []struct {
		word    string
		offline bool
		want    string
	}{
		{"6.1.0-9-amd64", false, "install the package linux-headers-6.1.0-9-amd64, or take a kernel that there is: " +
			"installed: 6.1.0-1-amd64; cached: 6.1.0-2-amd64; in the archive: 6.1.0-3-amd64, 6.1.0-2-amd64, 6.1.0-1-amd64"},
		{"6.1.0-3", true, "install the package linux-headers-6.1.0-3, or take a kernel that there is: installed: 6.1.0-1-amd64; cached: 6.1.0-2-amd64"},
		{"apt:linux-headers-7*", false, "it has linux-headers-6.1.0-1-amd64, linux-headers-6.1.0-2-amd64, linux-headers-6.1.0-3-rt-amd64, linux-headers-6.1.0-3-amd64; " +
			"or take a kernel that there is: installed: 6.1.0-1-amd64; cached: 6.1.0-2-amd64"},
		{"apt:linux-headers-7", true, "the cache holds kernels 6.1.0-2-amd64"},
	} {
		f, _ := newFinder(t)
		f.Offline = tt.offline
		_, err := f.Find(t.Context(), []string{tt.word})
		var h interface{ Hint() string }
		if !errors.As(err, &h) {
			t.Errorf("%s: %v has no hint", tt.word, err)
		} else if got := h.Hint(); got != tt.want {
			t.Errorf("hint of %s: %s; want %s", tt.word, got, tt.want)
		}
	}
}

func TestNoArchive(t *testing.T) {
	f, _ := newFinder(t)
	f.Archive, f.NoArchive = nil, errors.New("HOME is not set")
	for _, tt := range []struct{ word, want string }{
		{"6.1.0-1-amd64", ""},
		{"6.1.0-2-amd64", "no headers of kernel 6.1.0-2-amd64: ROOT/6.1.0-2-amd64 does not exist; HOME is not set"},
		{"apt:linux-headers-*", "HOME is not set"},
	} {
		_, err := f.Find(t.Context(), []string{tt.word})
		if text := strings.ReplaceAll(fmt.Sprint(err), f.ModulesRoot, "ROOT"); (err != nil || tt.want != "") && text != tt.want {
			t.Errorf("Find(%s): %v; want %s", tt.word, text, tt.want)
		}
	}
}

func TestArchiveFails(t *testing.T) {
	f, a := newFinder(t)
	a.err = errors.New("unreachable")
	for _, word := range []string{"6.1.0-3-amd64", "apt:linux-headers-6.1.0-3-amd64"} {
		if _, err := f.Find(t.Context(), []string{word}); err == nil || err.Error() != "unreachable" {
			t.Errorf("Find(%s): %v; want unreachable", word, err)
		}
	}
}

func TestNeedsSandbox(t *testing.T) {
	f, _ := newFinder(t)
	kernels, err := f.Find(t.Context(), []string{"6.1.0-1-amd64", "6.1.0-2-amd64"})
	if err != nil {
		t.Fatal(err)
	}
	if kernels[0].NeedsSandbox() || !kernels[1].NeedsSandbox() {
		t.Errorf("needs a sandbox: installed %v, cached %v", kernels[0].NeedsSandbox(), kernels[1].NeedsSandbox())
	}
}

// places is what a sandbox is told, with names for temporary directories.
func places(k *Kernel, names ...string) []string {
	var all []string
	for _, m := range k.Mounts {
		all = append(all, m.Path+" = "+m.Host)
	}
	for _, l := range k.Links {
		all = append(all, l.Path+" -> "+l.Target)
	}
	for i := range all {
		all[i] = strings.NewReplacer(names...).Replace(all[i])
	}
	return all
}

func TestPlacesOfPackages(t *testing.T) {
	f, a := newFinder(t)
	kernels, err := f.Find(t.Context(), []string{"6.1.0-2-amd64"})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(a.cached[0].Packages[0].Root)
	want := []string{
		"/usr/src/linux-headers-6.1.0-2-amd64 = DIR/flavour/usr/src/linux-headers-6.1.0-2-amd64",
		"/usr/src/linux-headers-common = DIR/common/usr/src/linux-headers-common",
		"/usr/lib/linux-kbuild-6.1 = DIR/kbuild/usr/lib/linux-kbuild-6.1",
		"/lib/modules/6.1.0-2-amd64/build -> /usr/src/linux-headers-6.1.0-2-amd64",
		"/lib/modules/6.1.0-2-amd64/source -> /usr/src/linux-headers-common",
		"/usr/src/linux-kbuild-6.1 -> ../lib/linux-kbuild-6.1",
	}
	k := kernels[0]
	if diff := cmp.Diff(want, places(k, dir, "DIR")); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	if k.Header.Version != "6.1.1-1" || k.Header.Source != "linux" || len(k.Packages) != 3 || k.Compiler.Command != "gcc-12" {
		t.Errorf("kernel %+v", k.Header)
	}
}

// TestMissingPart takes away what headers build upon.
func TestMissingPart(t *testing.T) {
	for _, tt := range []struct {
		without    int
		host       bool // has it
		want, hint string
	}{
		{1, false, "headers of kernel 6.1.0-2-amd64: /usr/src/linux-headers-common is missing, which they build upon", "give the package linux-headers-common as well"},
		{2, false, "headers of kernel 6.1.0-2-amd64: /usr/lib/linux-kbuild-6.1/scripts is missing, which they build upon", "give the package linux-kbuild-6.1 as well"},
		{2, true, "", ""},
	} {
		f, a := newFinder(t)
		s := a.cached[0]
		s.Packages = append(s.Packages[:tt.without:tt.without], s.Packages[tt.without+1:]...)
		if tt.host {
			kbuild(t, f.HostRoot)
		}
		_, err := f.Find(t.Context(), []string{"6.1.0-2-amd64"})
		if tt.want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		var h interface{ Hint() string }
		if !errors.As(err, &h) || err.Error() != tt.want || h.Hint() != tt.hint {
			t.Errorf("without %d: %v, hint %v; want %s", tt.without, err, h, tt.want)
		}
	}
}

func TestPlacesOfInstalled(t *testing.T) {
	t.Run("a directory", func(t *testing.T) {
		f, _ := newFinder(t)
		kernels, err := f.Find(t.Context(), []string{"all"})
		if err != nil {
			t.Fatal(err)
		}
		want := "/lib/modules/6.1.0-1-amd64/build = ROOT/6.1.0-1-amd64/build"
		if got := places(kernels[0], f.ModulesRoot, "ROOT"); len(got) == 0 || got[0] != want {
			t.Errorf("places %q; want %q", got, want)
		}
	})
	t.Run("built apart from the source", func(t *testing.T) {
		f, _ := newFinder(t)
		dir := t.TempDir()
		build, src, docs := tree(t, filepath.Join(dir, "build"), "6.6.6"), filepath.Join(dir, "linux"), filepath.Join(dir, "docs")
		write(t, filepath.Join(build, "Makefile"), "# made by kbuild\ninclude "+src+"/Makefile\n")
		write(t, filepath.Join(src, "Makefile"), "all:\n")
		write(t, filepath.Join(src, "Kconfig"), "")
		write(t, filepath.Join(src, "include/linux/kernel.h"), "")
		write(t, filepath.Join(docs, "text"), "")
		link(t, docs, filepath.Join(src, "Documentation"))
		link(t, "../linux", filepath.Join(build, "source"))
		link(t, "nowhere", filepath.Join(build, "dangling"))
		link(t, build, filepath.Join(f.ModulesRoot, "6.6.6/build"))
		link(t, src, filepath.Join(f.ModulesRoot, "6.6.6/source"))
		kernels, err := f.Find(t.Context(), []string{"6.6.6"})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"DIR/build = DIR/build", "DIR/linux = DIR/linux",
			"/lib/modules/6.6.6/build -> DIR/build", "/lib/modules/6.6.6/source -> DIR/linux",
		}
		got := places(kernels[0], dir, "DIR")
		if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" {
			t.Errorf("places (-want +got):\n%s", diff)
		}
		if warnings := fmt.Sprint(kernels[0].Warnings); !strings.Contains(warnings, src+"/Documentation leads to "+docs+", which is of no kernel") {
			t.Errorf("warnings %s", warnings)
		}
		l := layout{installed: true}
		if err := l.hostDirs([]string{build}); err != nil || len(l.mounts) != 3 || l.mounts[2].Host != docs {
			t.Errorf("put there by root: %v, %v; want %s as well", l.mounts, err, docs)
		}
	})
}

func TestHolder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	for _, tt := range []struct{ target, want string }{
		{"/usr/src/linux-headers-5.15.0-91/arch", "/usr/src/linux-headers-5.15.0-91"},
		{"/usr/src/linux-headers-5.15.0-91", "/usr/src/linux-headers-5.15.0-91"},
		{dir, dir},
		{filepath.Join(dir, "file"), dir},
	} {
		if got := holder(tt.target); got != tt.want {
			t.Errorf("holder(%s) = %s; want %s", tt.target, got, tt.want)
		}
	}
}

func TestGiven(t *testing.T) {
	f, a := newFinder(t)
	dir := t.TempDir()
	root := kbuild(t, common(t, flavour(t, filepath.Join(dir, "root [1]"), "6.1.0-7-amd64"))) // no pattern
	bare := kbuild(t, common(t, filepath.Join(dir, "bare")))
	tree(t, filepath.Join(bare, "usr/src/linux-headers-6.1.0-8-amd64"), "6.1.0-8-amd64")
	write(t, filepath.Join(dir, "text"), "")
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		headers, want string
		places        []string
		err           string
	}{
		{headers: root, want: "6.1.0-7-amd64 given", places: []string{
			"/usr/src/linux-headers-6.1.0-7-amd64 = DIR/root [1]/usr/src/linux-headers-6.1.0-7-amd64",
			"/usr/src/linux-headers-common = DIR/root [1]/usr/src/linux-headers-common",
			"/usr/lib/linux-kbuild-6.1 = DIR/root [1]/usr/lib/linux-kbuild-6.1",
			"/usr/src/linux-kbuild-6.1 -> ../lib/linux-kbuild-6.1",
			"/lib/modules/6.1.0-7-amd64/build -> /usr/src/linux-headers-6.1.0-7-amd64",
			"/lib/modules/6.1.0-7-amd64/source -> /usr/src/linux-headers-common",
		}},
		{headers: bare, want: "6.1.0-8-amd64 given", places: []string{
			"/usr/src/linux-headers-6.1.0-8-amd64 = DIR/bare/usr/src/linux-headers-6.1.0-8-amd64",
			"/usr/src/linux-headers-common = DIR/bare/usr/src/linux-headers-common",
			"/usr/lib/linux-kbuild-6.1 = DIR/bare/usr/lib/linux-kbuild-6.1",
			"/usr/src/linux-kbuild-6.1 -> ../lib/linux-kbuild-6.1",
			"/lib/modules/6.1.0-8-amd64/build -> /usr/src/linux-headers-6.1.0-8-amd64",
		}},
		{headers: filepath.Join(dir, "none"), err: "--headers DIR/none: no such file or directory"},
		{headers: filepath.Join(dir, "text"), err: "--headers DIR/text: neither a directory, a .deb nor a record of a build"},
		{headers: filepath.Join(dir, "empty"), err: "--headers DIR/empty: no headers: there is no .config, lib/modules/*/build, usr/src/linux-headers-* or *.deb"},
	} {
		f.Headers = []string{tt.headers}
		kernels, err := f.Find(t.Context(), nil)
		text := ""
		if err != nil {
			text = strings.ReplaceAll(err.Error(), dir, "DIR")
		}
		if text != tt.err || found(kernels) != tt.want {
			t.Errorf("--headers %s: %q, error %q; want %q, %q", tt.headers, found(kernels), text, tt.want, tt.err)
			continue
		}
		if len(kernels) == 1 {
			if diff := cmp.Diff(tt.places, places(kernels[0], dir, "DIR")); diff != "" {
				t.Errorf("--headers %s: places (-want +got):\n%s", tt.headers, diff)
			}
		}
	}
	f.Headers = []string{root, root}
	if _, err := f.Find(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "6.1.0-7-amd64 are given twice") {
		t.Errorf("given twice: %v", err)
	}
	if len(a.unpacked) > 0 {
		t.Errorf("unpacked %q", a.unpacked)
	}
}

// TestPrograms has pahole, and a library that the host lacks, in packages.
func TestPrograms(t *testing.T) {
	f, a := newFinder(t)
	dir := t.TempDir()
	lib := func(name, soname, depends string) archive.Package {
		root := filepath.Join(dir, name)
		write(t, filepath.Join(root, "usr/lib/x86_64-linux-gnu", soname), "")
		return archive.Package{Name: name, Root: root, Depends: depends}
	}
	write(t, filepath.Join(dir, "pahole/usr/bin/pahole"), "")
	write(t, filepath.Join(f.HostRoot, "lib/x86_64-linux-gnu/libelf.so.1"), "")
	s := a.cached[0]
	s.Packages[2].Depends = "libc6 (>= 2.34), libelf1 (>= 0.144), libssl3 (>= 3.0.0), pahole"
	s.Packages = append(s.Packages,
		archive.Package{Name: "pahole", Root: filepath.Join(dir, "pahole"), Depends: "libc6, libdw1 (>= 0.157), libelf1"},
		lib("libelf1", "libelf.so.1", ""), lib("libdw1", "libdw.so.1", "libelf1, zlib1g"), lib("zlib1g", "libz.so.1", ""),
		lib("libssl3", "libssl.so.3", ""), lib("libc6", "libc.so.6", ""), lib("unrelated", "libx.so.1", ""))
	find := func() *Kernel {
		kernels, err := f.Find(t.Context(), []string{"6.1.0-2-amd64"})
		if err != nil {
			t.Fatal(err)
		}
		return kernels[0]
	}
	k := find()
	at := func(name string) string { return "/run/gokms/lib/" + name + "/usr/lib/x86_64-linux-gnu" }
	if diff := cmp.Diff([]string{at("libssl3")}, k.Libraries); diff != "" {
		t.Errorf("libraries (-want +got):\n%s", diff)
	}
	want := []sandbox.File{{Path: "/run/gokms/bin/pahole", Mode: 0o755, Text: "#!/bin/sh\n" +
		"LD_LIBRARY_PATH=" + at("libdw1") + ":" + at("zlib1g") + "${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\nexport LD_LIBRARY_PATH\n" +
		"exec /run/gokms/pahole/usr/bin/pahole \"$@\"\n"}}
	if diff := cmp.Diff(want, k.Files); diff != "" || fmt.Sprint(k.Programs) != "[/run/gokms/bin]" {
		t.Errorf("programs %q, files (-want +got):\n%s", k.Programs, diff)
	}
	mounted := map[string]int{}
	for _, m := range k.Mounts {
		mounted[m.Path]++
	}
	if mounted[at("libdw1")] != 1 || mounted["/run/gokms/pahole"] != 1 || mounted[at("libelf1")] != 0 || mounted[at("unrelated")] != 0 {
		t.Errorf("mounts %v", mounted)
	}
	f.LookPath = func(string) (string, error) { return "/usr/bin/pahole", nil }
	if k := find(); len(k.Programs)+len(k.Files) > 0 {
		t.Errorf("the host has pahole: programs %q, files %v", k.Programs, k.Files)
	}
}

// dpkg is a dpkg-query that knows these lines.
func dpkg(t *testing.T, f *Finder, lines ...string) {
	f.AdminDir = t.TempDir()
	f.Run = func(cmd *exec.Cmd) error {
		if filepath.Base(cmd.Args[0]) != "dpkg-query" {
			return errors.New("not there")
		}
		for _, line := range lines {
			if name, _, _ := strings.Cut(line, "\t"); slices.Contains(cmd.Args, name) {
				fmt.Fprintln(cmd.Stdout, line)
			}
		}
		return nil
	}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "\t")
		write(t, filepath.Join(f.AdminDir, "info", name+".md5sums"), name)
	}
}

const (
	flavourLine = "linux-headers-6.1.0-1-amd64\t6.1-1\tamd64\tlinux\t6.1-1\tlinux-headers-common (= 6.1-1), linux-kbuild-6.1, linux-compiler-gcc-12-x86"
	commonLine  = "linux-headers-common\t6.1-1\tall\tlinux\t6.1-1\t"
	kbuildLine  = "linux-kbuild-6.1\t6.1-1\tamd64\tlinux\t6.1-1\tlibc6"
)

func TestIdentify(t *testing.T) {
	f, a := newFinder(t)
	dpkg(t, f, flavourLine, commonLine, kbuildLine)
	kernels, err := f.Find(t.Context(), []string{"6.1.0-1-amd64", "6.1.0-2-amd64"})
	if err != nil {
		t.Fatal(err)
	}
	headers := func(k *Kernel) string {
		r, err := f.Identify(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, h := range r.Headers {
			all = append(all, fmt.Sprintf("%s %s %.8s|%.8s", h.Name, h.Version, h.SHA256, h.MD5Sums))
		}
		for _, tree := range r.Trees {
			all = append(all, fmt.Sprintf("%s %d", strings.ReplaceAll(tree.Path, f.ModulesRoot, "ROOT"), len(tree.SHA256)))
		}
		return r.Origin + ": " + strings.Join(all, ", ")
	}
	// Of no package, as its root is not the system's.
	if got, want := headers(kernels[0]), "installed: ROOT/6.1.0-1-amd64/build 64"; got != want {
		t.Errorf("a tree: %q; want %q", got, want)
	}
	kernels[0].Packages = []archive.Package{{Name: "linux-headers-6.1.0-1-amd64"}}
	a.damaged = kernels[1].Packages[0].Name
	if _, err := f.Identify(t.Context(), kernels[1]); err == nil || !strings.Contains(err.Error(), "x has changed") {
		t.Errorf("Identify() of damaged headers: %v", err)
	}
	a.damaged = ""
	want := "installed: linux-headers-6.1.0-1-amd64 6.1-1 |12090395, linux-headers-common 6.1-1 |790c6765, linux-kbuild-6.1 6.1-1 |91fc4a99"
	if got := headers(kernels[0]); got != want {
		t.Errorf("installed packages: %q; want %q", got, want)
	}
	kernels[1].Packages, kernels[1].Assumed = append(kernels[1].Packages[:1], archive.Package{Name: "libelf1", SHA256: "1"}), []string{"linux-kbuild-6.1", "libssl3"}
	if got, want := headers(kernels[1]), "cached: linux-headers-6.1.0-2-amd64 6.1.1-1 6.1.0-2-|, linux-kbuild-6.1 6.1-1 |91fc4a99"; got != want {
		t.Errorf("cached packages: %q; want %q", got, want)
	}
}

// TestRecorded takes kernels from a record.
func TestRecorded(t *testing.T) {
	sum := strings.Repeat("0", 64)
	kbuildSum := fmt.Sprintf("%x", sha256.Sum256([]byte("linux-kbuild-6.1")))
	for _, tt := range []struct {
		name          string
		kbuild        record.Headers
		lines         []string
		want, err     string
		withoutHashes bool
	}{
		{name: "fetched", want: "6.1.0-1-amd64 given"},
		{name: "with one installed", kbuild: record.Headers{Package: archive.Package{Name: "linux-kbuild-6.1", Version: "6.1-1", Architecture: "amd64"}, MD5Sums: kbuildSum},
			lines: []string{kbuildLine}, want: "6.1.0-1-amd64 given"},
		{name: "installed", withoutHashes: true, lines: []string{flavourLine}, want: "6.1.0-1-amd64 installed"},
		{name: "not installed", withoutHashes: true, err: "--headers FILE: package linux-headers-6.1.0-1-amd64 is not installed; it was, in version 6.1-1"},
		{name: "two not installed", withoutHashes: true, kbuild: record.Headers{Package: archive.Package{Name: "linux-kbuild-6.1", Version: "6.1-1", Architecture: "amd64"}, MD5Sums: kbuildSum},
			err: "--headers FILE: packages that were installed are not: linux-headers-6.1.0-1-amd64 6.1-1, linux-kbuild-6.1 6.1-1"},
		{name: "another version", kbuild: record.Headers{Package: archive.Package{Name: "linux-kbuild-6.1", Version: "6.0-1", Architecture: "amd64"}, MD5Sums: kbuildSum},
			lines: []string{kbuildLine}, err: "--headers FILE: package linux-kbuild-6.1 is installed in version 6.1-1; it was 6.0-1"},
		{name: "other files", kbuild: record.Headers{Package: archive.Package{Name: "linux-kbuild-6.1", Version: "6.1-1", Architecture: "amd64"}, MD5Sums: sum},
			lines: []string{kbuildLine}, err: "--headers FILE: package linux-kbuild-6.1 6.1-1 is installed with other files than it was"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, a := newFinder(t)
			dpkg(t, f, tt.lines...)
			h := record.Headers{Package: archive.Package{Name: "linux-headers-6.1.0-1-amd64", Version: "6.1-1", Architecture: "amd64", SHA256: sum}}
			if tt.withoutHashes {
				h.SHA256, h.MD5Sums = "", fmt.Sprintf("%x", sha256.Sum256([]byte(h.Name)))
			}
			r := &record.Record{
				Format: record.Format, Sources: []record.Source{{SHA256: sum}}, Packages: []record.Package{{File: "x", SHA256: sum}},
				Kernels: []record.Kernel{{Release: "6.1.0-1-amd64", Headers: []record.Headers{h}, Compiler: record.Tool{Command: "gcc-12"}}},
			}
			if tt.kbuild.Name != "" {
				r.Kernels[0].Headers = append(r.Kernels[0].Headers, tt.kbuild)
			}
			file := filepath.Join(t.TempDir(), "record")
			if err := record.Write(file, r); err != nil {
				t.Fatal(err)
			}
			f.Headers = []string{file}
			kernels, err := f.Find(t.Context(), nil)
			text := ""
			if err != nil {
				text = strings.ReplaceAll(err.Error(), file, "FILE")
			}
			if found(kernels) != tt.want || text != tt.err {
				t.Errorf("found %q, error %q; want %q, %q", found(kernels), text, tt.want, tt.err)
			}
			if fetched := !tt.withoutHashes && tt.err == ""; fetched != (len(a.exact) == 1) {
				t.Errorf("fetched %v", a.exact)
			}
		})
	}
}

// TestRootHint gives one tree of an unpacked root, which builds upon another.
func TestRootHint(t *testing.T) {
	root := t.TempDir()
	src := filepath.Join(root, "usr/src")
	dir := tree(t, filepath.Join(src, "linux-headers-6.1.0-1-amd64"), "6.1.0-1-amd64")
	write(t, filepath.Join(dir, "Makefile"), "include /usr/src/linux-headers-6.1.0-1-common/Makefile\n")
	write(t, filepath.Join(src, "linux-headers-6.1.0-1-common/Makefile"), "x:\n")
	f, _ := newFinder(t)
	f.Headers = []string{dir}
	_, err := f.Find(t.Context(), nil)
	h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	if !ok || !strings.HasSuffix(h.Hint(), "--headers "+root) {
		t.Errorf("Find() = %v; want a hint that names %s", err, root)
	}
}

func TestMetapackages(t *testing.T) {
	for _, tt := range []struct{ arch, name string }{
		{"amd64", "linux-headers-amd64"}, {"armhf", "linux-headers-armmp-lpae"}, {"i386", "linux-headers-686-pae"}, {"i386", "linux-headers-686"},
		{"ppc64el", "linux-headers-powerpc64le"}, {"armel", "linux-headers-rpi"}, {"mipsel", "linux-headers-4kc-malta"},
	} {
		if ok, err := path.Match(metapackages(tt.arch), tt.name); !ok || err != nil {
			t.Errorf("metapackages(%s) = %s, which does not match %s, %v", tt.arch, metapackages(tt.arch), tt.name, err)
		}
	}
	for _, name := range []string{"linux-headers-6.1.0-50-686", "linux-headers-rt-686-pae"} {
		if ok, _ := path.Match(metapackages("i386"), name); ok {
			t.Errorf("%s is none of i386", name)
		}
	}
}
