// SPDX-License-Identifier: MIT

package target

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/internal/record"
	"github.com/gokms/gokms/pkg/control"
)

// TestReleases has names that would be words of -k.
func TestReleases(t *testing.T) {
	for _, tt := range []struct{ releases, want, err string }{
		{releases: "6.1.0-2-amd64 6.1.0-1-amd64", want: "6.1.0-2-amd64 cached, 6.1.0-1-amd64 installed"},
		{releases: "apt:linux-headers-* 6.1.0-1-amd64", err: `kernel release "apt:linux-headers-*" contains ':'`},
		{releases: "../x a/b", err: "kernel release \"../x\" begins with \".\"\nkernel release \"a/b\" contains '/'"},
		{releases: "all", err: "no headers of kernel all: ROOT/all does not exist; not in the cache; not in the archive"},
	} {
		f, a := newFinder(t)
		kernels, err := f.Releases(t.Context(), strings.Fields(tt.releases))
		text := ""
		if err != nil {
			text = strings.ReplaceAll(err.Error(), f.ModulesRoot, "ROOT")
		}
		if found(kernels) != tt.want || text != tt.err || len(a.fetched) > 0 {
			t.Errorf("Releases(%s) = %q, error %q, fetched %q; want %q, %q", tt.releases, found(kernels), text, a.fetched, tt.want, tt.err)
		}
	}
	f, _ := newFinder(t)
	if _, err := f.Release(t.Context(), "apt:x"); err == nil {
		t.Error("Release(apt:x) is a kernel")
	}
	if k, err := f.Release(t.Context(), "6.1.0-1-amd64"); err != nil || k.Release != "6.1.0-1-amd64" {
		t.Errorf("Release() = %v, %v", k, err)
	}
}

// TestNoReason has neither an archive nor a reason for that, as a build of
// module packages has not.
func TestNoReason(t *testing.T) {
	const none = "neither the package archive nor a cache of it is used here"
	for _, tt := range []struct {
		name, word, headers, want string
		list                      bool
	}{
		{name: "no .config", word: "6.6.1", want: "no headers of kernel 6.6.1: ROOT/6.6.1/build has no .config"},
		{name: "no include", word: "6.6.2", want: "no headers of kernel 6.6.2: ROOT/6.6.2/build has no directory include"},
		{name: "not there", word: "6.6.3", want: "no headers of kernel 6.6.3: ROOT/6.6.3 does not exist"},
		{name: "a glob", word: "apt:linux-headers-*", want: none},
		{name: "a list", word: "apt:linux-headers-*", list: true, want: none},
		{name: "packages", word: "6.6.3", headers: "x.deb", want: none},
	} {
		f := &Finder{ModulesRoot: t.TempDir(), Offline: true}
		write(t, filepath.Join(f.ModulesRoot, "6.6.1/build/include/x"), "")
		write(t, filepath.Join(f.ModulesRoot, "6.6.2/build/.config"), "")
		if tt.headers != "" {
			f.Headers = []string{filepath.Join(t.TempDir(), tt.headers)}
			write(t, f.Headers[0], "")
		}
		var err error
		if tt.list {
			_, _, err = f.List(t.Context(), []string{tt.word})
		} else {
			_, err = f.Find(t.Context(), []string{tt.word})
		}
		if text := strings.ReplaceAll(fmt.Sprint(err), f.ModulesRoot, "ROOT"); text != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, text, tt.want)
		}
	}
}

// TestHostileRecord has names of packages that dpkg-query would take for
// options and patterns.
func TestHostileRecord(t *testing.T) {
	for _, name := range []string{"--admindir=/tmp/x", "-f=x", "linux-*", "linux-headers-6.1:amd64", ""} {
		f, _ := newFinder(t)
		ran := false
		f.Run = func(*exec.Cmd) error { ran = true; return nil }
		k := record.Kernel{Release: "6.1.0-1-amd64", Headers: []record.Headers{{Package: archive.Package{Name: name, Version: "1"}}}}
		err := f.sameInstalled(t.Context(), k)
		if want := control.ValidPackageName(name); ran || err == nil || err.Error() != want.Error() {
			t.Errorf("a record with package %q: %v, dpkg-query ran: %v; want %v", name, err, ran, want)
		}
		if _, err := f.queryInstalled(t.Context(), []string{name}); ran || err == nil {
			t.Errorf("queryInstalled(%q): %v, dpkg-query ran: %v", name, err, ran)
		}
	}
}

// TestHostileCompiler has programs that must not be run to learn their version.
func TestHostileCompiler(t *testing.T) {
	for _, tt := range []struct {
		command string
		ran     string
	}{
		{"gcc-12", "/usr/bin/gcc-12 --version"},
		{"/home/u/evil", ""},
		{"../evil", ""},
		{"poweroff", ""},
	} {
		f, _ := newFinder(t)
		given := tree(t, t.TempDir(), "6.6.6")
		write(t, filepath.Join(given, ".kernelvariables"), "CC = "+tt.command+"\n")
		f.Headers, f.AdminDir = []string{given}, t.TempDir()
		f.LookPath = func(name string) (string, error) { return filepath.Join("/usr/bin", name), nil }
		var ran []string
		f.Run = func(cmd *exec.Cmd) error {
			if filepath.Base(cmd.Path) != "dpkg-query" {
				ran = append(ran, strings.Join(append([]string{cmd.Path}, cmd.Args[1:]...), " "))
			}
			return nil
		}
		kernels, err := f.Find(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := f.Identify(t.Context(), kernels[0])
		if got := strings.Join(ran, ", "); err != nil || got != tt.ran || r.Compiler.Command != tt.command {
			t.Errorf("CC = %s: runs %q, records %q, %v; want %q", tt.command, got, r.Compiler.Command, err, tt.ran)
		}
	}
}

// TestHostilePackage has links in an unpacked package that lead out of it: to
// the machine that unpacked it they are what they are to the build, paths below
// the package. HOME holds .ssh, and what would be taken for headers.
func TestHostilePackage(t *testing.T) {
	const release = "6.1.0-7-amd64"
	for _, tt := range []struct{ name, file, target string }{
		{"usr/src", "usr/src", "HOME"},
		{"usr/src, relative", "usr/src", "../../HOME"},
		{"usr", "usr", "HOME/usr"},
		{"modules", "lib/modules", "HOME"},
		{"one release", "lib/modules/6.1.0-8-amd64", "HOME/.ssh"},
		{"one release, relative", "lib/modules/6.1.0-8-amd64", "../../../HOME/.ssh"},
		{"usr/lib", "usr/lib", "HOME"},
		{"kbuild", "usr/lib/linux-kbuild-6.1", "HOME/.ssh"},
		{"kbuild, relative", "usr/lib/linux-kbuild-6.1", "../../../HOME/.ssh"},
		{"libraries", "usr/lib/x86_64-linux-gnu", "HOME"},
		{"a loop", "usr/src", "src"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			home, root := filepath.Join(dir, "home"), filepath.Join(dir, "root")
			for _, file := range []string{".ssh/id", "linux-x/id", "usr/src/x/id", "6.1.0-8-amd64/id", "libx.so.1", "x86_64-linux-gnu/libx.so.1"} {
				write(t, filepath.Join(home, file), "")
			}
			if err := os.Mkdir(root, 0o755); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(tt.file, "usr") {
				flavour(t, root, release)
			}
			if err := os.RemoveAll(filepath.Join(root, tt.file)); err != nil {
				t.Fatal(err)
			}
			target := strings.Replace(tt.target, "../HOME", "../home", 1)
			link(t, strings.Replace(target, "HOME", home, 1), filepath.Join(root, tt.file))

			var l layout
			err := l.packageRoot(root)
			f := &Finder{HostRoot: t.TempDir()}
			k := &Kernel{Packages: []archive.Package{{Name: "lib", Root: root}}}
			_, libErr := f.addLibraries(k, &archive.Package{Name: "linux-kbuild-6.1", Depends: "lib"})
			if loop := tt.name == "a loop"; loop != (err != nil) || libErr != nil {
				t.Errorf("errors %v, %v", err, libErr)
			}
			for _, m := range append(l.mounts, k.Mounts...) {
				if real, err := filepath.EvalSymlinks(m.Host); err != nil || !strings.HasPrefix(real, root+"/") {
					t.Errorf("%s is mounted at %s, %v", m.Host, m.Path, err)
				}
			}
		})
	}
}

// TestLinkedPackage has links that lead to other files of the package, as on a
// system with /usr merged.
func TestLinkedPackage(t *testing.T) {
	root := t.TempDir()
	flavour(t, filepath.Join(root, "usr"), "6.1.0-7-amd64")
	for from, to := range map[string]string{"usr/src": "/usr/usr/src", "lib": "usr/lib", "usr/lib/linux-kbuild-6.1": "../../srv/kbuild", "usr/lib/linux-gone": "/gone"} {
		link(t, to, filepath.Join(root, from))
	}
	write(t, filepath.Join(root, "srv/kbuild/scripts/modpost"), "")
	var l layout
	if err := l.packageRoot(root); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"/usr/src/linux-headers-6.1.0-7-amd64 = ROOT/usr/usr/src/linux-headers-6.1.0-7-amd64",
		"/usr/lib/linux-kbuild-6.1 = ROOT/srv/kbuild",
		"/lib/modules/6.1.0-7-amd64/build -> /usr/src/linux-headers-6.1.0-7-amd64",
		"/lib/modules/6.1.0-7-amd64/source -> /usr/src/linux-headers-common",
	}
	if diff := cmp.Diff(want, places(&Kernel{Mounts: l.mounts, Links: l.links}, root, "ROOT")); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

// TestHostileTree has trees of headers that name directories of the host: only
// those of kernels are shown.
func TestHostileTree(t *testing.T) {
	const warning = "TREE/x leads to %s, which is of no kernel, and is not shown to builds"
	for _, tt := range []struct {
		name     string
		makefile string // what it includes
		link     string // what TREE/x leads to
		want     string // further mounts
		err      string
		warning  string
	}{
		{name: "source", makefile: "DIR/linux", want: "DIR/linux"},
		{name: "source above", makefile: "DIR/linux/..", err: "TREE/Makefile includes DIR/Makefile, which is of no kernel"},
		{name: "home", makefile: "DIR/home", err: "TREE/Makefile includes DIR/home/Makefile, which is of no kernel"},
		{name: "home by a link", makefile: "DIR/linked", err: "TREE/Makefile includes DIR/home/Makefile, which is of no kernel"},
		{name: "home with all that a kernel has", makefile: "DIR/kernelhome", err: "TREE/Makefile includes DIR/kernelhome/Makefile, which is of no kernel"},
		{name: "the root", makefile: "DIR/../../../../../../../..", err: "TREE/Makefile includes /Makefile, which is of no kernel"},
		{name: "by way of a source", makefile: "DIR/second", err: "DIR/second/Makefile includes DIR/home/Makefile, which is of no kernel"},
		{name: "link to a source", link: "DIR/linux", want: "DIR/linux"},
		{name: "link into a source", link: "DIR/linux/scripts", want: "DIR/linux"},
		{name: "link to home", link: "DIR/home", warning: "DIR/home"},
		{name: "link into home", link: "DIR/home/.ssh/id", warning: "DIR/home/.ssh/id"},
		{name: "link to the configuration", link: "/etc", warning: "/etc"},
		{name: "link to the root", link: "/", warning: "/"},
		{name: "relative link", link: "../home/.ssh", warning: "DIR/home/.ssh"},
		{name: "link to programs", link: "/usr/lib/os-release"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			names := strings.NewReplacer("DIR", dir, "TREE", filepath.Join(dir, "tree"))
			given := tree(t, filepath.Join(dir, "tree"), "6.6.6")
			for _, source := range []string{"linux", "second", "kernelhome"} {
				for _, file := range []string{"Makefile", "include/linux/kernel.h", "scripts/Makefile"} {
					write(t, filepath.Join(dir, source, file), "")
				}
			}
			write(t, filepath.Join(dir, "second/Makefile"), "include "+dir+"/home/Makefile\n")
			for _, file := range []string{"home/.ssh/id", "home/Makefile", "home/include/x.h", "home/scripts/x", "kernelhome/.bashrc"} {
				write(t, filepath.Join(dir, file), "")
			}
			link(t, "home", filepath.Join(dir, "linked"))
			if tt.makefile != "" {
				write(t, filepath.Join(given, "Makefile"), "include "+names.Replace(tt.makefile)+"/Makefile\n")
			}
			if tt.link != "" {
				link(t, names.Replace(tt.link), filepath.Join(given, "x"))
			}
			for _, f := range []*Finder{
				{ModulesRoot: t.TempDir(), Headers: []string{given}},
				{ModulesRoot: t.TempDir()},
			} {
				words := []string{}
				if f.Headers == nil { // below another root than the system's
					link(t, given, filepath.Join(f.ModulesRoot, "6.6.6/build"))
					words = []string{All}
				}
				kernels, err := f.Find(t.Context(), words)
				if err != nil {
					if want := names.Replace(tt.err); want == "" || !strings.HasSuffix(err.Error(), want) {
						t.Errorf("error %v; want %q", err, want)
					}
					continue
				}
				want := strings.TrimSpace(given + " " + names.Replace(tt.want))
				var got []string
				for _, m := range kernels[0].Mounts {
					got = append(got, m.Host)
				}
				if strings.Join(got, " ") != want || tt.err != "" {
					t.Errorf("mounts %q; want %q, error %q", got, want, tt.err)
				}
				text := "[]"
				if tt.warning != "" {
					text = "[" + names.Replace(fmt.Sprintf(warning, tt.warning)) + "]"
				}
				if got := fmt.Sprint(kernels[0].Warnings); got != text {
					t.Errorf("warnings %s; want %s", got, text)
				}
			}
		})
	}
}
