// SPDX-License-Identifier: MIT

package archive

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gokms/gokms/pkg/debfile"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// everything is what a bare machine fetches for a kernel.
const everything = "linux-headers-6.1.0-2-amd64 linux-headers-6.1.0-2-common linux-kbuild-6.1 libelf1 libssl3 pahole zlib1g libdw1"

func two() []deb {
	return slices.Concat(headerPackages("6.1.0-1", "6.1.1-1"), headerPackages("6.1.0-2", "6.1.2-1"), programs)
}

func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// mustFetch fetches one kernel.
func mustFetch(t *testing.T, a *Archive, name string) *Set {
	t.Helper()
	set, err := a.Fetch(t.Context(), Package{Name: name})
	if err != nil {
		t.Fatalf("Fetch(%s) = %v\n%s", name, err, hint(err))
	}
	return set
}

func TestFetch(t *testing.T) {
	t.Parallel()
	r := newRepo(t, two()...)
	for _, tt := range []struct{ name, installed, want, assumed string }{
		{"bare", "libc6 2.36-9", everything, ""},
		{"no dpkg", "", everything, ""},
		{"all libraries", "libc6 2.36-9,libelf1 0.188-2,libssl3 3.0-1,libdw1 0.188-2,zlib1g 1:1.2-1",
			"linux-headers-6.1.0-2-amd64 linux-headers-6.1.0-2-common linux-kbuild-6.1 pahole", "libelf1 libssl3 libdw1"},
		{"too old", "libc6 2.36-9,libelf1 0.100-1,libssl3 3.0-1,libdw1 0.1-1,zlib1g 1:1.2-1",
			"linux-headers-6.1.0-2-amd64 linux-headers-6.1.0-2-common linux-kbuild-6.1 libelf1 pahole", "libssl3 zlib1g libdw1"},
		{"alternative and provided", "libdw1t64 0.190-1,libelf1t64 0.190-1 libelf1 (= 0.190-1),libssl3 3.0-1,linux-image-x 1",
			"linux-headers-6.1.0-2-amd64 linux-headers-6.1.0-2-common linux-kbuild-6.1 pahole", "libelf1t64 libssl3 libdw1t64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, r, slices.DeleteFunc(strings.Split(tt.installed, ","), func(s string) bool { return s == "" })...)
			set := mustFetch(t, Open(m.Options), "linux-headers-6.1.0-2-amd64")
			if got := names(set); got != tt.want || strings.Join(set.Installed, " ") != tt.assumed || set.Release != "6.1.0-2-amd64" {
				t.Errorf("Fetch() = %s: %s; installed %v; want %s; installed %s", set.Release, got, set.Installed, tt.want, tt.assumed)
			}
			if left := leftovers(t, m.CacheDir); left != nil {
				t.Errorf("left in tmp: %q", left)
			}
		})
	}
}

func TestFetchOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t, newRepo(t, two()...), "libelf1 0.188-2", "libssl3 3.0-1", "libdw1 0.188-2")
	a := Open(m.Options)
	if set, err := a.Lookup("6.1.0-2-amd64"); set != nil || err != nil {
		t.Errorf("Lookup() before = %v, %v; want nil", set, err)
	}
	first := mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
	if n := m.count("download"); n != 4 {
		t.Errorf("%d downloads; want 4", n)
	}
	p := first.Packages[0]
	if p.Source != "linux-signed" || p.SourceVersion != "6.1.2-1+1" || p.Version != "6.1.2-1" || p.Architecture != "amd64" || p.Depends == "" {
		t.Errorf("package of the kernel: %+v", p)
	}
	a = Open(m.Options)
	for name, get := range map[string]func() (*Set, error){
		"Lookup": func() (*Set, error) { return a.Lookup("6.1.0-2-amd64") },
		"Cached": func() (*Set, error) {
			sets, err := a.Cached()
			if err != nil || len(sets) != 1 {
				t.Fatalf("Cached() = %v, %v; want one", sets, err)
			}
			return sets[0], nil
		},
		"Fetch": func() (*Set, error) { return a.Fetch(t.Context(), p) },
	} {
		got, err := get()
		for i := range first.Packages {
			first.Packages[i].Size = 0
		}
		if diff := cmp.Diff(first, got); diff != "" || err != nil {
			t.Errorf("%s(), error %v (-fetched +got):\n%s", name, err, diff)
		}
		if m.count("") != 0 {
			t.Errorf("%s() ran programs", name)
		}
	}
	mustFetch(t, a, "linux-headers-6.1.0-1-amd64")
	if n := m.count("download"); n != 2 {
		t.Errorf("%d downloads for a second kernel; want 2", n)
	}
	if sets, err := a.Cached(); err != nil || len(sets) != 2 || sets[0].Release != "6.1.0-1-amd64" {
		t.Errorf("Cached() = %v, %v; want two kernels", sets, err)
	}
	for _, release := range []string{"", "..", "../amd64/6.1.0-2-amd64", "6.1.0-2"} {
		if set, err := a.Lookup(release); set != nil || err != nil {
			t.Errorf("Lookup(%q) = %v, %v; want nil", release, set, err)
		}
	}
}

// TestLookupIncomplete spoils a cache in all ways that it must notice.
func TestLookupIncomplete(t *testing.T) {
	t.Parallel()
	r := newRepo(t, two()...)
	for name, spoil := range map[string]func(m *machine, set *Set) error{
		"no root":    func(m *machine, set *Set) error { return os.RemoveAll(set.Packages[1].Root) },
		"no package": func(m *machine, set *Set) error { return os.RemoveAll(filepath.Dir(set.Packages[1].Root)) },
		"half record": func(m *machine, set *Set) error {
			return os.Truncate(filepath.Join(m.CacheDir, "kernels/amd64/6.1.0-2-amd64.json"), 100)
		},
		"empty record": func(m *machine, set *Set) error {
			return os.Truncate(filepath.Join(m.CacheDir, "kernels/amd64/6.1.0-2-amd64.json"), 0)
		},
		"other record": func(m *machine, set *Set) error {
			return os.WriteFile(filepath.Join(m.CacheDir, "kernels/amd64/6.1.0-2-amd64.json"), []byte("{}"), 0o600)
		},
		"library gone": func(m *machine, set *Set) error {
			write(t, filepath.Join(m.AdminDir, "status"), "")
			return os.Remove(filepath.Join(m.AdminDir, "info/libssl3.list"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, r, "libssl3 3.0-1")
			a := Open(m.Options)
			set := mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
			if err := spoil(m, set); err != nil {
				t.Fatal(err)
			}
			if got, err := a.Lookup(set.Release); got != nil || err != nil {
				t.Errorf("Lookup() = %v, %v; want nil", got, err)
			}
			if sets, err := a.Cached(); len(sets) != 0 || err != nil {
				t.Errorf("Cached() = %v, %v; want none", sets, err)
			}
			mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
			if got, err := a.Lookup(set.Release); got == nil || err != nil {
				t.Errorf("Lookup() after another Fetch = %v, %v", got, err)
			}
		})
	}
}

// TestTree looks at what is unpacked: readable by all, without set-uid bits.
func TestTree(t *testing.T) {
	t.Parallel()
	m := newMachine(t, newRepo(t, two()...))
	set := mustFetch(t, Open(m.Options), "linux-headers-6.1.0-2-amd64")
	root := set.Packages[0].Root
	got := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		rel, _ := filepath.Rel(root, path)
		got[rel] = info.Mode().String()
		if info.Mode()&fs.ModeSymlink != 0 {
			got[rel], _ = os.Readlink(path)
		} else if rel != "." && !info.ModTime().Equal(time.Unix(1e9, 0)) {
			t.Errorf("%s has time %v", rel, info.ModTime())
		}
		return err
	})
	const dir = "drwxr-xr-x"
	tree := "usr/src/linux-headers-6.1.0-2-amd64"
	want := map[string]string{
		".": dir, "usr": dir, "usr/src": dir, tree: dir, tree + "/scripts": dir, tree + "/.config": "-rw-r--r--",
		tree + "/scripts/program": "-rwxr-xr-x", "lib": dir, "lib/modules": dir, "lib/modules/6.1.0-2-amd64": dir,
		"lib/modules/6.1.0-2-amd64/build": "/" + tree,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("unpacked, error %v (-want +got):\n%s", err, diff)
	}
	for dir := filepath.Dir(root); dir != filepath.Dir(m.CacheDir); dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v; want 0755", dir, info.Mode(), err)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	debs := slices.Concat(two(), headerPackages("6.12.3+deb12", "6.12.3-1"), []deb{
		{name: "linux-headers-6.1.0-1-rt-amd64", version: "6.1.1-1", depends: "linux-headers-6.1.0-1-common-rt (= 6.1.1-1)"},
		{name: "linux-headers-6.1.0-1-common-rt", version: "6.1.1-1", arch: "all"},
		{name: "linux-headers-amd64", version: "6.1.2-1", depends: "linux-headers-6.1.0-2-amd64 (= 6.1.2-1)"},
		{name: "linux-headers-generic", version: "6.1.2-1", depends: "linux-headers-amd64"},
		{name: "linux-headers-all", version: "6.1.2-1", depends: "linux-headers-6.1.0-1-amd64, linux-headers-6.1.0-2-amd64"},
		{name: "linux-headers-stale", version: "1", depends: "linux-headers-6.1.0-2-amd64 (= 6.1.9-1)"},
		{name: "linux-headers-loop1", version: "1", depends: "linux-headers-loop2"},
		{name: "linux-headers-loop2", version: "1", depends: "linux-headers-loop1"},
		{name: "linux-headers-9.9-self", version: "9.9-1"},
		{name: "linux-headers-6.8.0-45", version: "6.8.0-45.45", arch: "all"},
		{name: "linux-headers-6.8.0-45-generic", version: "6.8.0-45.45", depends: "linux-headers-6.8.0-45"},
	})
	a := Open(newMachine(t, newRepo(t, debs...)).Options)
	for _, tt := range []struct{ glob, want, err, hint string }{
		{"linux-headers-6.1.0-2-amd64", "6.1.0-2-amd64=6.1.2-1", "", ""},
		{"linux-headers-6.1.0-*-amd64", "6.1.0-1-amd64=6.1.1-1 6.1.0-1-rt-amd64=6.1.1-1 6.1.0-2-amd64=6.1.2-1", "", ""},
		{"linux-headers-6.*", "6.1.0-1-amd64=6.1.1-1 6.1.0-1-rt-amd64=6.1.1-1 6.1.0-2-amd64=6.1.2-1 6.8.0-45-generic=6.8.0-45.45 6.12.3+deb12-amd64=6.12.3-1", "", ""},
		{"linux-headers-amd64", "6.1.0-2-amd64=6.1.2-1", "", ""},
		{"linux-headers-generic", "6.1.0-2-amd64=6.1.2-1", "", ""},
		{"linux-headers-all", "6.1.0-1-amd64=6.1.1-1 6.1.0-2-amd64=6.1.2-1", "", ""},
		{"linux-headers-9*", "9.9-self=9.9-1", "", ""},
		{"linux-headers-stale", "", "linux-headers-stale needs linux-headers-6.1.0-2-amd64 (= 6.1.9-1), which is not in the archive for amd64", "try again later"},
		{"linux-headers-loop1", "", "metapackages of kernel headers depend on each other", ""},
		{"linux-headers-6.1.0-2-common", "", "the archive has no package linux-headers-6.1.0-2-common for amd64", "linux-headers-6.1.0-2-amd64"},
		{"linux-headers-6.1.0-3-amd64", "", "the archive has no package linux-headers-6.1.0-3-amd64", "it has linux-headers-6.1.0-2-amd64, linux-headers-6.1.0-1-amd64, "},
		{"linux-headers-6.1.0-3*-amd64", "", "no package", "it has linux-headers-6.1.0-2-amd64, linux-headers-6.1.0-1-amd64, "},
		{"libelf1", "", "no package libelf1", "apt-cache pkgnames linux-headers-"},
		{"linux-headers-[", "", `pattern "linux-headers-[" of package names: syntax error in pattern`, ""},
	} {
		found, err := a.Find(t.Context(), tt.glob)
		var got []string
		for _, p := range found {
			got = append(got, release(p)+"="+p.Version)
			if p.SHA256 == "" || p.Architecture != "amd64" {
				t.Errorf("Find(%q): %+v", tt.glob, p)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("Find(%q) = %q; want %q", tt.glob, got, tt.want)
		}
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(hint(err), tt.hint)) {
			t.Errorf("Find(%q), error %v, hint %s; want %s, %s", tt.glob, err, hint(err), tt.err, tt.hint)
		}
	}
	if _, err := a.Find(t.Context(), "["); !errors.Is(err, path.ErrBadPattern) {
		t.Errorf("Find([) = %v; want %v", err, path.ErrBadPattern)
	}
}

func TestFetchErrors(t *testing.T) {
	t.Parallel()
	debs := slices.Concat(two(), []deb{
		{name: "linux-headers-1-amd64", version: "1", depends: "linux-headers-1-common (= 1)"},
		{name: "linux-headers-2-amd64", version: "2", depends: "linux-headers-2-common (= 2)"},
		{name: "linux-headers-2-common", version: "1", arch: "all"},
		{name: "linux-headers-3-amd64", version: "3", depends: "linux-kbuild-9"},
		{name: "linux-headers-4-amd64", version: "4", depends: "linux-kbuild-new"},
		{name: "linux-kbuild-new", version: "4", depends: "libc6 (>= 2.38)"},
	})
	r := newRepo(t, debs...)
	m := newMachine(t, r, "libc6 2.36-9")
	a := Open(m.Options)
	for name, want := range map[string]string{
		"linux-headers-1-amd64": "linux-headers-1-amd64 needs linux-headers-1-common (= 1), which is not in the archive for amd64",
		"linux-headers-2-amd64": "linux-headers-2-amd64 needs linux-headers-2-common (= 2), which is not in the archive for amd64",
		"linux-headers-3-amd64": "linux-headers-3-amd64 needs linux-kbuild-9, which is not in the archive for amd64",
		"linux-headers-4-amd64": "linux-kbuild-new needs libc6 (>= 2.38), and this machine has 2.36-9",
		"linux-headers-5-amd64": "the archive has no package linux-headers-5-amd64 for amd64",
		"../evil":               `package name "../evil" does not begin with a letter or digit`,
	} {
		set, err := a.Fetch(t.Context(), Package{Name: name})
		if err == nil || err.Error() != want || name[0] == 'l' && hint(err) == "" {
			t.Errorf("Fetch(%s) = %v, %v, hint %s; want %s", name, set, err, hint(err), want)
		}
	}
	if got := debsIn(t, m.CacheDir); got != "" {
		t.Errorf("in the cache: %s", got)
	}
}

func TestTampered(t *testing.T) {
	t.Parallel()
	r := newRepo(t, two()...)
	m := newMachine(t, r)
	a := Open(m.Options)
	path := filepath.Join(r.dir, "linux-headers-6.1.0-2-common_6.1.2-1_all.deb")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good := slices.Clone(text)
	text[len(text)/2] ^= 1
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = a.Fetch(t.Context(), Package{Name: "linux-headers-6.1.0-2-amd64"})
	var e *HashError
	if !errors.As(err, &e) || e.Package != "linux-headers-6.1.0-2-common" || hint(err) == "" {
		t.Errorf("Fetch() of a tampered package = %v; want a HashError", err)
	}
	if got := debsIn(t, m.CacheDir); strings.Contains(got, "common") || leftovers(t, m.CacheDir) != nil {
		t.Errorf("in the cache: %s, in tmp: %q", got, leftovers(t, m.CacheDir))
	}
	if err := os.WriteFile(path, good, 0o644); err != nil {
		t.Fatal(err)
	}
	mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
}

// TestOwnCheck lets apt overlook what is wrong.
func TestOwnCheck(t *testing.T) {
	t.Parallel()
	m := newMachine(t, newRepo(t, two()...))
	m.Run = func(cmd *exec.Cmd) error {
		err := m.run(cmd)
		if slices.Contains(cmd.Args, "linux-kbuild-6.1=6.1-5") {
			debs, _ := filepath.Glob(filepath.Join(cmd.Dir, "*.deb"))
			return os.WriteFile(debs[0], []byte("evil"), 0o644)
		}
		return err
	}
	_, err := Open(m.Options).Fetch(t.Context(), Package{Name: "linux-headers-6.1.0-2-amd64"})
	var e *HashError
	if !errors.As(err, &e) || e.Got == "" || strings.Contains(debsIn(t, m.CacheDir), "kbuild") {
		t.Errorf("Fetch() = %v; want a HashError", err)
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	m := newMachine(t, newRepo(t, two()...))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			name := "linux-headers-6.1.0-2-amd64"
			if i == 3 {
				name = "linux-headers-6.1.0-1-amd64"
			}
			set, err := Open(m.Options).Fetch(t.Context(), Package{Name: name})
			if err != nil || len(set.Packages) != 8 {
				t.Errorf("Fetch() = %v, %v", set, err)
			}
		})
	}
	wg.Wait()
	if n := m.count(" download "); n != 10 {
		t.Errorf("%d downloads; want 10", n)
	}
	if left := leftovers(t, m.CacheDir); left != nil {
		t.Errorf("left in tmp: %q", left)
	}
}

// child is what TestKilled starts: a fetch that stands still in the middle.
func child(cache string) int {
	a := Open(Options{
		CacheDir: cache, BuildArch: "amd64", AdminDir: "/nonexistent", Apt: strings.Fields(os.Getenv("GOKMS_ARCHIVE_APT")),
		Run: func(cmd *exec.Cmd) error {
			err := cmd.Run()
			if slices.Contains(cmd.Args, "linux-kbuild-6.1=6.1-5") {
				os.Stdout.WriteString("here\n")
				time.Sleep(time.Minute)
			}
			return err
		},
	})
	if _, err := a.Fetch(context.Background(), Package{Name: "linux-headers-6.1.0-2-amd64"}); err != nil {
		return 1
	}
	return 0
}

func TestKilled(t *testing.T) {
	t.Parallel()
	m := newMachine(t, newRepo(t, two()...))
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "GOKMS_ARCHIVE_CHILD="+m.CacheDir, "GOKMS_ARCHIVE_APT="+strings.Join(m.Apt, " "))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if left := leftovers(t, m.CacheDir); left == nil {
		t.Error("the killed process left nothing: nothing is tested")
	}
	debsIn(t, m.CacheDir) // all whole
	// Of another killed process, whose package nobody wants any more.
	write(t, filepath.Join(m.CacheDir, "tmp", strings.Repeat("0", 64), "root/x"), "")
	write(t, filepath.Join(m.CacheDir, "tmp", strings.Repeat("1", 64)+".lock"), "")
	a := Open(m.Options)
	if set, err := a.Lookup("6.1.0-2-amd64"); set != nil || err != nil {
		t.Errorf("Lookup() = %v, %v; want nil", set, err)
	}
	if set := mustFetch(t, a, "linux-headers-6.1.0-2-amd64"); names(set) != everything {
		t.Errorf("Fetch() = %s", names(set))
	}
	if left := leftovers(t, m.CacheDir); left != nil {
		t.Errorf("left in tmp: %q", left)
	}
}

// TestSweepSparesTheLiving keeps hands off what another process makes.
func TestSweepSparesTheLiving(t *testing.T) {
	t.Parallel()
	m := newMachine(t, newRepo(t, two()...))
	path := filepath.Join(m.CacheDir, "tmp", strings.Repeat("0", 64))
	write(t, filepath.Join(path, "root/x"), "")
	l, err := tryLock(path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryLock(path + ".lock"); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("tryLock() of what is held = %v; want EWOULDBLOCK", err)
	}
	Open(m.Options).sweep()
	if len(leftovers(t, m.CacheDir)) != 2 {
		t.Errorf("in tmp: %q; want two files", leftovers(t, m.CacheDir))
	}
	l.release()
	Open(m.Options).sweep()
	if left := leftovers(t, m.CacheDir); left != nil {
		t.Errorf("left in tmp: %q", left)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, at := range []string{" update", " show ", " download ", "gzip"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, newRepo(t, two()...))
			ctx, cancel := context.WithCancel(t.Context())
			m.stopAt, m.stopped = at, func() error { cancel(); return nil }
			if at == "gzip" { // unpacking runs no program here
				m.stopAt = ""
				m.Progress = func(p Progress) {
					if p.Step == Unpacking {
						cancel()
					}
				}
			}
			set, err := Open(m.Options).Fetch(ctx, Package{Name: "linux-headers-6.1.0-2-amd64"})
			if set != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("Fetch() = %v, %v; want %v", set, err, context.Canceled)
			}
			if left := leftovers(t, m.CacheDir); left != nil {
				t.Errorf("left in tmp: %q", left)
			}
			m.stopAt, m.Progress = "", nil
			mustFetch(t, Open(m.Options), "linux-headers-6.1.0-2-amd64")
		})
	}
}

// TestCancelKillsApt lets apt and what it started wait for ever.
func TestCancelKillsApt(t *testing.T) {
	t.Parallel()
	a := Open(Options{Run: func(cmd *exec.Cmd) error {
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", "sleep 77 & sleep 77"}
		return cmd.Run()
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := a.command(ctx, "", "apt-get", "update")
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
		t.Errorf("command() = %v after %v; want %v at once", err, time.Since(start), context.DeadlineExceeded)
	}
}

func TestBadCache(t *testing.T) {
	t.Parallel()
	r := newRepo(t, two()...)
	notDir := filepath.Join(t.TempDir(), "file")
	write(t, notDir, "")
	for dir, want := range map[string]error{notDir: syscall.ENOTDIR, notDir + "/cache": syscall.ENOTDIR, "/proc/cache": syscall.ENOENT} {
		m := newMachine(t, r)
		m.CacheDir = dir
		a := Open(m.Options)
		for name, do := range map[string]func() error{
			"Fetch": func() error { _, err := a.Fetch(t.Context(), Package{Name: "linux-headers-6.1.0-2-amd64"}); return err },
			"Deb":   func() error { _, err := a.Deb(t.Context(), "libelf1"); return err },
		} {
			err := do()
			var e *CacheError
			if !errors.As(err, &e) || !errors.Is(err, want) || hint(err) == "" {
				t.Errorf("%s() with cache %s = %v; want a CacheError with %v", name, dir, err, want)
			}
		}
	}
}

// mount puts a small file system of its own at dir for the test, as root.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not root: cannot mount a small tmpfs")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("missing: the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestFullCache(t *testing.T) {
	t.Parallel()
	r := newRepo(t, slices.Concat(two(), []deb{
		{name: "linux-headers-big-amd64", version: "1", files: flavour("big-amd64"), depends: "linux-headers-big-common"},
		{name: "linux-headers-big-common", version: "1", arch: "all", files: []debfile.File{file("usr/src/big", strings.Repeat("0123456789", 1<<17))}},
	})...)
	for _, size := range []string{"8k", "800k"} { // full with lists, with headers
		m := newMachine(t, r)
		mount(t, m.CacheDir, "size="+size)
		_, err := Open(m.Options).Fetch(t.Context(), Package{Name: "linux-headers-big-amd64"})
		var e *CacheError
		if !errors.As(err, &e) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(hint(err), "make room") {
			t.Errorf("Fetch() with %s = %v; want a CacheError with %v", size, err, syscall.ENOSPC)
		}
		if left := leftovers(t, m.CacheDir); left != nil {
			t.Errorf("%s: left in tmp: %q", size, left)
		}
	}
}

func TestReadOnlyCache(t *testing.T) {
	t.Parallel()
	m := newMachine(t, newRepo(t, two()...))
	if os.Getuid() == 0 {
		mount(t, m.CacheDir, "")
	}
	a := Open(m.Options)
	set := mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
	if os.Getuid() == 0 {
		if err := unix.Mount("", m.CacheDir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	} else {
		for _, dir := range []string{"debs", "kernels/amd64", "tmp", "."} {
			dir = filepath.Join(m.CacheDir, dir)
			if err := os.Chmod(dir, 0o555); err != nil {
				t.Fatal(err)
			}
			defer os.Chmod(dir, 0o755)
		}
	}
	if got, err := a.Fetch(t.Context(), set.Packages[0]); err != nil || got.Release != set.Release {
		t.Errorf("Fetch() of what is there = %v, %v", got, err)
	}
	_, err := Open(m.Options).Fetch(t.Context(), Package{Name: "linux-headers-6.1.0-1-amd64"})
	var e *CacheError
	if !errors.As(err, &e) || !strings.Contains(hint(err), "that you can write") {
		t.Errorf("Fetch() of another = %v; want a CacheError", err)
	}
}

func TestOffline(t *testing.T) {
	t.Parallel()
	m := newMachine(t, newRepo(t, two()...))
	a := Open(m.Options)
	set := mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
	dkms, err := a.Deb(t.Context(), "libelf1")
	if err != nil {
		t.Fatal(err)
	}
	m.Offline = true
	m.count("")
	a = Open(m.Options)
	if got, err := a.Fetch(t.Context(), Package{Name: "linux-headers-6.1.0-2-amd64"}); err != nil || names(got) != names(set) {
		t.Errorf("Fetch() = %v, %v", got, err)
	}
	if got, err := a.Deb(t.Context(), "libelf1"); got != dkms || err != nil {
		t.Errorf("Deb() = %s, %v; want %s", got, err, dkms)
	}
	for name, do := range map[string]func() error{
		"Find":  func() error { _, err := a.Find(t.Context(), "linux-headers-*"); return err },
		"Fetch": func() error { _, err := a.Fetch(t.Context(), Package{Name: "linux-headers-6.1.0-1-amd64"}); return err },
		"FetchNew": func() error {
			_, err := a.Fetch(t.Context(), Package{Name: "linux-headers-6.1.0-2-amd64", SHA256: "x"})
			return err
		},
		"Deb": func() error { _, err := a.Deb(t.Context(), "libelf"); return err },
		"FetchExact": func() error {
			_, err := a.FetchExact(t.Context(), []Package{{Name: "a", Version: "1", SHA256: strings.Repeat("0", 64)}})
			return err
		},
	} {
		err := do()
		var e *OfflineError
		if !errors.As(err, &e) || hint(err) == "" {
			t.Errorf("%s() = %v; want an OfflineError", name, err)
		}
	}
	if n := m.count("apt"); n != 0 {
		t.Errorf("apt was asked %d times", n)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	r := newRepo(t, two()...)
	m := newMachine(t, r)
	write(t, r.sources, "deb [trusted=yes] http://127.0.0.1:1/ ./\n")
	_, err := Open(m.Options).Find(t.Context(), "linux-headers-*")
	var e *UnreachableError
	var n *NoListsError
	if !errors.As(err, &e) || !errors.As(err, &n) || hint(err) == "" {
		t.Errorf("Find() = %T %v; want an UnreachableError", err, err)
	}
	write(t, r.sources, "")
	m = newMachine(t, r)
	_, err = Open(m.Options).Find(t.Context(), "linux-headers-*")
	if !errors.As(err, &n) || n.Arch != "amd64" || hint(err) == "" {
		t.Errorf("Find() without sources = %v; want a NoListsError", err)
	}
	// One of two is there: what it has can be had, what it lacks is told with
	// the reason.
	write(t, r.sources, "deb [trusted=yes] file:"+r.dir+" ./\ndeb [trusted=yes] http://127.0.0.1:1/ ./\n")
	m = newMachine(t, r)
	a := Open(m.Options)
	mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
	if len(m.warned) != 1 {
		t.Errorf("warnings: %v; want one", m.warned)
	}
	if _, err = a.Find(t.Context(), "linux-headers-7"); !errors.As(err, &e) || !strings.Contains(err.Error(), "may be incomplete") {
		t.Errorf("Find() of what is not there = %v", err)
	}
}

// TestRefresh changes the archive after its lists were read.
func TestRefresh(t *testing.T) {
	t.Parallel()
	r := newRepo(t, two()...)
	m := newMachine(t, r)
	found, err := Open(m.Options).Find(t.Context(), "linux-headers-6.1.0-2-amd64")
	if err != nil || m.count(" update") != 1 {
		t.Fatalf("Find() = %v, %v; want one update", found, err)
	}
	// The lists are of the day: no update.
	if _, err := Open(m.Options).Find(t.Context(), "linux-headers-*"); err != nil || m.count(" update") != 0 {
		t.Errorf("Find(): %v; want no update", err)
	}
	old := m.Options
	old.Now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	if _, err := Open(old).Find(t.Context(), "linux-headers-*"); err != nil || m.count(" update") != 1 {
		t.Errorf("Find() a day later: %v; want an update", err)
	}
	// A name that is new.
	r.add(t, headerPackages("6.1.0-3", "6.1.3-1")...)
	a := Open(m.Options)
	if found, err := a.Find(t.Context(), "linux-headers-6.1.0-3-amd64"); len(found) != 1 || m.count(" update") != 1 {
		t.Errorf("Find() of a new kernel = %v, %v; want an update", found, err)
	}
	if found, err := a.Find(t.Context(), "linux-headers-6.1.0-4-amd64"); err == nil || m.count(" update") != 0 {
		t.Errorf("Find() of no kernel = %v, %v; want no second update", found, err)
	}
	// A version that is gone.
	for _, name := range []string{"linux-headers-6.1.0-2-amd64", "linux-headers-6.1.0-2-common"} {
		debs, _ := filepath.Glob(filepath.Join(r.dir, name+"_*"))
		if err := os.Remove(debs[0]); err != nil {
			t.Fatal(err)
		}
	}
	r.add(t, headerPackages("6.1.0-2", "6.1.2-9")...)
	set, err := Open(m.Options).Fetch(t.Context(), found[0])
	if err != nil || set.Packages[0].Version != "6.1.2-9" || set.Packages[1].Version != "6.1.2-9" {
		t.Errorf("Fetch() of a version that is gone = %v, %v; want 6.1.2-9", set, err)
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	arm := headerPackages("6.1.0-2", "6.1.2-1")
	for i := range arm[0].files {
		arm[0].files[i].Path = strings.ReplaceAll(arm[0].files[i].Path, "amd64", "arm64")
	}
	arm[0].name, arm[0].arch = "linux-headers-6.1.0-2-arm64", "arm64"
	debs := slices.Concat(two(), arm[:1], []deb{
		{name: "linux-kbuild-6.1", version: "6.1-6", arch: "arm64", depends: "libelf1"},
		{name: "libelf1", version: "0.188-3", arch: "arm64"},
		{name: "linux-headers-arm64", version: "1", arch: "arm64", depends: "linux-headers-6.1.0-2-arm64"},
	})
	m := newMachine(t, newRepo(t, debs...))
	m.Arch = "arm64"
	a := Open(m.Options)
	found, err := a.Find(t.Context(), "linux-headers-*")
	if err != nil || len(found) != 1 || found[0].Architecture != "arm64" {
		t.Fatalf("Find() = %v, %v; want the arm64 kernel", found, err)
	}
	set, err := a.Fetch(t.Context(), found[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(everything, "2-amd64", "2-arm64"); names(set) != want || set.Release != "6.1.0-2-arm64" {
		t.Errorf("Fetch() = %s: %s; want %s", set.Release, names(set), want)
	}
	for i, p := range set.Packages {
		want := "amd64"
		if i == 0 {
			want = "arm64"
		} else if i == 1 {
			want = "all"
		}
		if p.Architecture != want {
			t.Errorf("%s is for %s; want %s", p.Name, p.Architecture, want)
		}
	}
	if got, err := Open(m.Options).Lookup("6.1.0-2-arm64"); got == nil || err != nil {
		t.Errorf("Lookup() = %v, %v", got, err)
	}
	m.Arch = ""
	if got, err := Open(m.Options).Lookup("6.1.0-2-arm64"); got != nil || err != nil {
		t.Errorf("Lookup() for amd64 = %v, %v; want nil", got, err)
	}
}

func TestDeb(t *testing.T) {
	t.Parallel()
	r := newRepo(t, deb{name: "foo-dkms", version: "1:1.0-1", arch: "all"}, deb{name: "fob-dkms", version: "1"})
	m := newMachine(t, r)
	a := Open(m.Options)
	first, err := a.Deb(t.Context(), "foo-dkms")
	if err != nil || filepath.Base(first) != "foo-dkms_1.0-1_all.deb" || !strings.HasPrefix(first, m.CacheDir) {
		t.Fatalf("Deb() = %s, %v", first, err)
	}
	if _, sum, err := debfile.Sum(first); err != nil || filepath.Base(filepath.Dir(first)) != sum {
		t.Errorf("%s has SHA-256 %s", first, sum)
	}
	if info, err := os.Stat(first); err != nil || info.Mode() != 0o644 {
		t.Errorf("%s: %v, %v", first, info, err)
	}
	second, err := Open(m.Options).Deb(t.Context(), "foo-dkms")
	if second != first || err != nil || m.count(" download ") != 1 {
		t.Errorf("Deb() again = %s, %v", second, err)
	}
	_, err = a.Deb(t.Context(), "fou-dkms")
	var e *NoMatchError
	if !errors.As(err, &e) || hint(err) != "it has foo-dkms, fob-dkms" {
		t.Errorf("Deb(fou-dkms) = %v, hint %s", err, hint(err))
	}
	if _, err := a.Deb(t.Context(), "../foo"); err == nil {
		t.Error("Deb(../foo) = nil")
	}
	if err := os.Remove(filepath.Join(r.dir, "foo-dkms_1.0-1_all.deb")); err != nil {
		t.Fatal(err)
	}
	r.add(t, deb{name: "foo-dkms", version: "2-1", arch: "all"}, deb{name: "foo-dkms", version: "1:2-1", arch: "all"})
	if err := os.RemoveAll(filepath.Join(m.CacheDir, "packages")); err != nil {
		t.Fatal(err)
	}
	third, err := Open(m.Options).Deb(t.Context(), "foo-dkms") // the lists name what is gone
	if err != nil || filepath.Base(third) != "foo-dkms_2-1_all.deb" {
		t.Errorf("Deb() of what changed = %s, %v", third, err)
	}
}

func TestDebExact(t *testing.T) {
	t.Parallel()
	r := newRepo(t, deb{name: "foo-dkms", version: "1:1.0-1", arch: "all"})
	m := newMachine(t, r)
	first, err := Open(m.Options).Deb(t.Context(), "foo-dkms")
	if err != nil {
		t.Fatal(err)
	}
	sum := filepath.Base(filepath.Dir(first))
	r.add(t, deb{name: "foo-dkms", version: "2-1", arch: "all"})
	bare := newMachine(t, r)
	a := Open(bare.Options)
	want := Package{Name: "foo-dkms", Version: "1:1.0-1", Architecture: "all", SHA256: sum}
	for range 2 {
		got, err := a.DebExact(t.Context(), want)
		if err != nil || !strings.HasPrefix(got, bare.CacheDir) || !strings.HasSuffix(got, "/foo-dkms_1.0-1_all.deb") {
			t.Errorf("DebExact() = %s, %v", got, err)
		}
	}
	if n := bare.count(" download "); n != 1 {
		t.Errorf("%d downloads; want 1", n)
	}
	offline := bare.Options
	offline.Offline = true
	if _, err := Open(offline).DebExact(t.Context(), want); err != nil {
		t.Errorf("DebExact() offline = %v", err)
	}
	gone, other := want, want
	gone.Version, gone.SHA256 = "1.5-1", strings.Repeat("0", 64)
	if _, err := Open(offline).DebExact(t.Context(), gone); !errors.As(err, new(*OfflineError)) {
		t.Errorf("DebExact() offline = %v; want an OfflineError", err)
	}
	if _, err := a.DebExact(t.Context(), gone); !errors.As(err, new(*GoneError)) {
		t.Errorf("DebExact() of what is gone = %v; want a GoneError", err)
	}
	other.SHA256 = strings.Repeat("0", 64)
	if _, err := a.DebExact(t.Context(), other); !errors.As(err, new(*HashError)) {
		t.Errorf("DebExact() of other bytes = %v; want a HashError", err)
	}
}

func TestFetchExact(t *testing.T) {
	t.Parallel()
	r := newRepo(t, two()...)
	m := newMachine(t, r, "libelf1 0.188-2", "libssl3 3.0-1", "libdw1 0.188-2")
	a := Open(m.Options)
	want := mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
	packages := slices.Clone(want.Packages)
	for i, p := range packages { // what a record says
		packages[i] = Package{Name: p.Name, Version: p.Version, Architecture: p.Architecture, SHA256: p.SHA256}
	}
	m.count("")
	got, err := Open(m.Options).FetchExact(t.Context(), packages)
	if err != nil || names(got) != names(want) || got.Release != want.Release || m.count("apt") != 0 {
		t.Errorf("FetchExact() from the cache = %v, %v", got, err)
	}
	r.add(t, headerPackages("6.1.0-2", "6.1.2-2")...) // newer ones
	bare := newMachine(t, r)
	a = Open(bare.Options)
	got, err = a.FetchExact(t.Context(), packages)
	if err != nil || names(got) != "linux-headers-6.1.0-2-amd64 linux-headers-6.1.0-2-common linux-kbuild-6.1 pahole libelf1 libssl3 libdw1 zlib1g" ||
		got.Packages[0].SHA256 != packages[0].SHA256 || got.Packages[1].Version != "6.1.2-1" {
		t.Errorf("FetchExact() from the archive = %v, %v", got, err)
	}
	if set, err := a.Lookup("6.1.0-2-amd64"); set != nil || err != nil {
		t.Errorf("Lookup() = %v, %v; want nil", set, err)
	}
	gone, other := slices.Clone(packages), slices.Clone(packages)
	gone[1].Version, gone[1].SHA256 = "6.1.2-0", strings.Repeat("0", 64)
	_, err = a.FetchExact(t.Context(), gone)
	var e *GoneError
	if !errors.As(err, &e) || e.Version != "6.1.2-0" || !strings.Contains(hint(err), "snapshot.debian.org") {
		t.Errorf("FetchExact() of what is gone = %v; want a GoneError", err)
	}
	other[1].SHA256 = strings.Repeat("0", 64)
	_, err = a.FetchExact(t.Context(), other)
	var h *HashError
	if !errors.As(err, &h) {
		t.Errorf("FetchExact() of other bytes = %v; want a HashError", err)
	}
	for _, bad := range [][]Package{nil, {{Name: "a", Version: "1"}}, {{Name: "-a", Version: "1", SHA256: packages[0].SHA256}}} {
		if set, err := a.FetchExact(t.Context(), bad); err == nil {
			t.Errorf("FetchExact(%v) = %v, nil", bad, set)
		}
	}
}

func TestUnpackGiven(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var debs []string
	for _, d := range slices.Concat(headerPackages("6.1.0-2", "6.1.2-1"), programs, []deb{
		{name: "linux-kbuild-6.1", version: "6.1-6", arch: "arm64"},
	}) {
		debs = append(debs, makeDeb(t, dir, d))
	}
	self := makeDeb(t, dir, deb{name: "linux-headers-6.6.1-own", version: "6.6.1-1", depends: "libc6", files: flavour("6.6.1-Own+")})
	r := &repo{sources: "/dev/null"}
	m := newMachine(t, r)
	a := Open(m.Options)
	set, err := a.Unpack(t.Context(), append(slices.Clone(debs), filepath.Join(dir, "none")))
	if err == nil || !os.IsNotExist(err) {
		t.Errorf("Unpack() of a file that is not there = %v, %v", set, err)
	}
	if set, err = a.Unpack(t.Context(), debs); err != nil || names(set) != everything || set.Release != "6.1.0-2-amd64" {
		t.Errorf("Unpack() = %v, %v; want %s", set, err, everything)
	}
	if set, err = a.Unpack(t.Context(), []string{self}); err != nil || set.Release != "6.6.1-Own+" || names(set) != "linux-headers-6.6.1-own" {
		t.Errorf("Unpack(self-built) = %v, %v", set, err)
	}
	if sets, err := a.Cached(); len(sets) != 0 || err != nil {
		t.Errorf("Cached() = %v, %v; want none", sets, err)
	}
	if set, err = a.Unpack(t.Context(), append(slices.Clone(debs), self)); err == nil || !strings.Contains(err.Error(), "more than one kernel: linux-headers-6.1.0-2-amd64, linux-headers-6.6.1-own") {
		t.Errorf("Unpack() of two kernels = %v, %v", set, err)
	}
	if set, err = a.Unpack(t.Context(), debs[1:]); err == nil || !strings.Contains(err.Error(), "none of the given packages holds") {
		t.Errorf("Unpack() without a kernel = %v, %v", set, err)
	}
	_, err = a.Unpack(t.Context(), debs[:1])
	if err == nil || err.Error() != "linux-headers-6.1.0-2-amd64 needs linux-headers-6.1.0-2-common (= 6.1.2-1), which is not among the given packages, nor installed" ||
		hint(err) != "give its .deb as well" {
		t.Errorf("Unpack() without the common part = %v, hint %s", err, hint(err))
	}
	m.install(t, "linux-headers-6.1.0-2-common 6.1.2-1", "linux-kbuild-6.1 6.1-5")
	if set, err = a.Unpack(t.Context(), debs[:1]); err != nil || strings.Join(set.Installed, " ") != "linux-headers-6.1.0-2-common linux-kbuild-6.1" {
		t.Errorf("Unpack() with the others installed = %v, %v", set, err)
	}
	if n := m.count("apt"); n != 0 {
		t.Errorf("apt was asked %d times", n)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	m := newMachine(t, newRepo(t, two()...))
	last := map[string]Progress{}
	m.Progress = func(p Progress) {
		if q := last[p.Package+" "+p.Step]; p.Done < q.Done {
			t.Errorf("progress goes back: %+v, %+v", q, p)
		}
		last[p.Package+" "+p.Step] = p
	}
	set := mustFetch(t, Open(m.Options), "linux-headers-6.1.0-2-amd64")
	for _, p := range set.Packages {
		for _, step := range []string{Download, Unpacking} {
			if got := last[p.Name+" "+step]; got.Done != got.Total || step == Download && got.Total != p.Size || p.Size == 0 {
				t.Errorf("%s of %s ended with %+v; size %d", step, p.Name, got, p.Size)
			}
		}
	}
}
