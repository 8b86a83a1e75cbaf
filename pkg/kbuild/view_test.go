// SPDX-License-Identifier: MIT

package kbuild

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gokms/gokms/pkg/dkms"
)

// hostile is a build of MAKE that the caller's file at $SECRET is nothing to.
// "$B" in make is the build directory as the build sees it.
func hostile(t *testing.T, make string) (b *Build, secret string) {
	t.Helper()
	secret = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b = newBuild(t, make, map[string]string{"in-source": "from source\n"})
	b.Layout.DKMSTree.Build, b.Layout.SourceTree.Build = "/view/dkms", "/view/src"
	b.Run = func(cmd *exec.Cmd) error { cmd.Dir = b.Layout.BuildDir().Host; return cmd.Run() }
	b.Setenv = []string{"SECRET=" + secret, "B=/view/dkms/foo/1.0/build"}
	return b, secret
}

// within ends the test where something waits for a FIFO that nobody writes to.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s hangs", what)
	}
}

func TestCollectRefuses(t *testing.T) {
	for _, row := range []struct{ name, make, want string }{
		{"absolute link", `ln -s $SECRET foo.ko`, "expected foo.ko, found foo.ko (a link that leads out of the build, to $SECRET)"},
		{"relative link", `ln -s ../../../../../../../../../../../../..$SECRET foo.ko`, "(a link that leads out of the build, to $SECRET)"},
		{"link to a link", `ln -s $SECRET a; ln -s a foo.ko`, "(a link that leads out of the build, to $SECRET)"},
		{"link by way of the dkms tree", `ln -s $SECRET ../../../x; ln -s ../../../x foo.ko`, "(a link that leads out of the build, to $SECRET)"},
		{"absolute link as the build sees it", `ln -s $B/../../../../../etc/passwd foo.ko`, "(a link that leads out of the build, to /etc/passwd)"},
		{"a directory that is a link", `ln -s $(dirname $SECRET) d; ln -s d/secret foo.ko`, "(a link that leads out of the build, to $SECRET)"},
		{"loop", `ln -s bar.ko foo.ko; ln -s foo.ko bar.ko`, "found bar.ko (a link that leads nowhere), foo.ko (a link that leads nowhere)"},
		{"dangling", `ln -s $B/gone foo.ko`, "found foo.ko (a link that leads nowhere)"},
		{"fifo", `mkfifo foo.ko`, "found foo.ko (not a regular file)"},
		{"link to a fifo", `mkfifo a; ln -s a foo.ko`, "found foo.ko (not a regular file)"},
		{"directory", `mkdir foo.ko`, "expected foo.ko, found none"},
		{"link to the build directory", `ln -s . foo.ko`, "found foo.ko (not a regular file)"},
		{"symbols by a link", `: > foo.ko; ln -s $SECRET Module.symvers`, "Module.symvers: leads out of the build, to $SECRET"},
		{"symbols by a fifo", `: > foo.ko; mkfifo Module.symvers`, "Module.symvers: not a regular file"},
		{"symbols without end", `: > foo.ko; truncate -s 1T Module.symvers`, "Module.symvers: larger than 67108864 bytes"},
		{"module without end", `truncate -s 1T foo.ko`, "copy module foo.ko: larger than 1073741824 bytes"},
		{"the build directory is replaced", `cd ..; mv build was; ln -s $(dirname $SECRET) build; ln -s secret $(dirname $SECRET)/foo.ko`, "expected foo.ko, found none"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, secret := hostile(t, row.make)
			within(t, "Do()", func() {
				r, err := b.Do(context.Background())
				want := strings.ReplaceAll(row.want, "$SECRET", secret)
				if r != nil || err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Do() = %v, %v; want an error with %q", r, err, want)
				}
			})
			noSecret(t, b.Out)
		})
	}
}

// noSecret looks for the caller's file below dir.
func noSecret(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(read(t, path), "password") {
			t.Errorf("%s holds the caller's file", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestCollectDevice needs root to make one.
func TestCollectDevice(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: no devices can be made")
	}
	b, _ := hostile(t, "mknod foo.ko c 1 5")
	within(t, "Do()", func() {
		if e := mustFail(t, b, "MAKE"); !strings.Contains(e.Error(), "found foo.ko (not a regular file)") {
			t.Errorf("Do() = %v", e)
		}
	})
}

func TestCollectFollows(t *testing.T) {
	for _, row := range []struct{ name, make, want string }{
		{"within", `mkdir d; echo x > d/real; ln -s d/real foo.ko`, "x\n"},
		{"through a directory link", `mkdir d; echo x > d/real; ln -s $B/d e; ln -s ../build/e/../d/real foo.ko`, "x\n"},
		{"as the build sees it", `echo x > real; ln -s $B/real foo.ko`, "x\n"},
		{"the source", `ln -s /view/src/foo-1.0/in-source foo.ko`, "from source\n"},
		{"the source beside the build", `ln -s ../source/in-source foo.ko`, "from source\n"},
		{"the dkms tree", `echo x > ../../../shared; ln -s /view/dkms/shared foo.ko`, "x\n"},
	} {
		b, _ := hostile(t, row.make)
		r, err := b.Do(context.Background())
		if err != nil {
			t.Errorf("%s: Do() = %v", row.name, err)
			continue
		}
		if got := read(t, r.Modules[0].Path); got != row.want {
			t.Errorf("%s: the module is %q; want %q", row.name, got, row.want)
		}
	}
}

// TestCollectRealPath has a layout that is reached by a link, and a build that
// names its directory as getcwd(2) does.
func TestCollectRealPath(t *testing.T) {
	b := newBuild(t, `echo x > real; ln -s "$(pwd -P)/real" foo.ko`, nil)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	b.Layout.DKMSTree = Same(filepath.Join(link, "dkms"))
	if got := read(t, mustDo(t, b).Modules[0].Path); got != "x\n" {
		t.Errorf("the module is %q", got)
	}
}

// TestCollectIntoPlanted has links in Out that lead to the caller's files.
func TestCollectIntoPlanted(t *testing.T) {
	for _, row := range []struct {
		name, link, target string // in Out; $D is the secret's directory
		fails              bool
	}{
		{"module", "sub/foo.ko", "$D/secret", false},
		{"symbols", "Module.symvers", "$D/secret", false},
		{"directory", "sub", "$D", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, secret := hostile(t, "mkdir sub; echo x | tee sub/foo.ko > Module.symvers")
			b.Conf.Modules = []dkms.Module{{BuiltName: "foo", BuiltDir: "sub"}}
			link := filepath.Join(b.Out, row.link)
			if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(strings.ReplaceAll(row.target, "$D", filepath.Dir(secret)), link); err != nil {
				t.Fatal(err)
			}
			r, err := b.Do(context.Background())
			if (err != nil) != row.fails {
				t.Errorf("Do() = %v, %v; want failure: %v", r, err, row.fails)
			}
			if got := read(t, secret); got != "password\n" {
				t.Errorf("the caller's file became %q", got)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(secret), "foo.ko")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a module was written beside the caller's file: %v", err)
			}
		})
	}
}

// TestSymversIntoPlanted has a dkms tree in which an earlier build left a link.
func TestSymversIntoPlanted(t *testing.T) {
	b, secret := hostile(t, ": > foo.ko")
	b.ExtraSymvers = []Symvers{{Name: "dep", Version: "1", Host: filepath.Join(b.SourceHost, "in-source")}}
	if err := os.MkdirAll(b.Layout.DKMSTree.Host, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(secret), filepath.Join(b.Layout.DKMSTree.Host, "dep")); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Do(context.Background()); err == nil {
		t.Errorf("Do() = %v; want an error", r)
	}
	if entries, err := os.ReadDir(filepath.Dir(secret)); err != nil || len(entries) != 1 {
		t.Errorf("beside the caller's file is %v, %v; want nothing", entries, err)
	}
}

// TestScriptOutside has scripts that are the host's, and one that MAKE put
// there.
func TestScriptOutside(t *testing.T) {
	b, secret := hostile(t, ": > foo.ko; ln -s $SECRET post.sh")
	if err := os.Chmod(secret, 0o755); err != nil {
		t.Fatal(err)
	}
	b.Conf.Scripts = dkms.Scripts{PreBuild: []string{"../../../../../bin/true"}, PostBuild: []string{"post.sh"}}
	r := mustDo(t, b)
	want := `[dkms.conf: PRE_BUILD "../../../../../bin/true" leads out of the build, to /bin/true, and was not run ` +
		`dkms.conf: POST_BUILD "post.sh" leads out of the build, to ` + secret + `, and was not run]`
	if got := texts(r.Warnings); got != want {
		t.Errorf("Warnings = %s; want %s", got, want)
	}
	if len(r.Steps) != 1 {
		t.Errorf("%d steps; want MAKE alone", len(r.Steps))
	}
}

func TestViewOpen(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"a/f": "text", "a/l": "-> f", "a/up": "-> ../b/f", "b/f": "other"})
	if err := syscall.Mkfifo(filepath.Join(dir, "a/fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	v := &view{}
	t.Cleanup(v.close)
	if err := v.add(Path{Host: filepath.Join(dir, "a"), Build: "/build"}); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ path, want string }{
		{"/build/f", "text"}, {"/build/l", "text"}, {"/build/./x/../f", "file does not exist"}, {"/build//f", "text"}, {"/x/../build/f", "text"},
		{filepath.Join(dir, "a/f"), "text"}, {filepath.Join(dir, "b/f"), "leads out of the build, to " + dir + "/b/f"},
		{"/build/up", "leads out of the build, to /b/f"}, {"/build/fifo", "not a regular file"}, {"/build", "not a regular file"},
		{"/build2/f", "leads out of the build, to /build2/f"}, {"/build/f/g", "not a directory"}, {"/", "leads out of the build, to /"},
	} {
		within(t, row.path, func() {
			data, err := v.readFile(row.path, 10)
			if got := string(data); err == nil && got != row.want || err != nil && !strings.HasSuffix(err.Error(), row.want) &&
				!(errors.Is(err, fs.ErrNotExist) && row.want == "file does not exist") {
				t.Errorf("readFile(%s) = %q, %v; want %q", row.path, data, err, row.want)
			}
		})
	}
	if data, err := v.readFile("/build/f", 3); err == nil {
		t.Errorf("readFile() of more than the limit = %q", data)
	}
}
