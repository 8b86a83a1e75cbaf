// SPDX-License-Identifier: MIT

package source

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// entries returns what is below dir and no directory, sorted.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestBareFiles has what may lie in a directory with a dkms.conf beside the
// module: none of it moves the clock, and no build sees it.
func TestBareFiles(t *testing.T) {
	t.Parallel()
	const deb, record, log = "foo-modules-6.1.0-9-amd64_1.0_amd64.deb", "foo-modules-6.1.0-9-amd64_1.0_amd64.json", "foo-modules-6.1.0-9-amd64_1.0_amd64.log"
	module := []string{"dkms.conf", "foo.c", "sub/bar.c"}
	for _, tt := range []struct {
		name, dir, output string
		more              []string
		copied            bool
		want              []string // files, with those of module
		clock             bool     // more is part of the clock
	}{
		{name: "nothing", dir: "foo"},
		{name: "results", dir: "foo", more: []string{deb, record, log}, copied: true},
		{name: "half of a result", dir: "foo", more: []string{"." + record + ".123", ".gokms-1-" + deb, ".gokms-abc"}, copied: true},
		{name: "results below", dir: "foo", more: []string{"out/" + deb, "sub/" + log}, copied: true},
		{name: "version control", dir: "foo", more: []string{".git/index", ".gitignore"}, copied: true},
		{name: "debian", dir: "foo", more: []string{"debian/rules"}, copied: true},
		{name: "debian below", dir: "foo", more: []string{"sub/debian"}, want: []string{"sub/debian"}, clock: true},
		{name: "left by a build", dir: "foo", more: []string{"foo.o"}, want: []string{"foo.o"}, clock: true},
		{name: "names like ours", dir: "foo", more: []string{"a-modules-b.json", "x_y_z.log"}, want: []string{"a-modules-b.json", "x_y_z.log"}, clock: true},
		{name: "a directory like a result", dir: "foo", more: []string{log + "/foo.c"}, want: []string{log + "/foo.c"}, clock: true},
		{name: "results to come", dir: "foo", output: "foo", copied: true},
		{name: "results to come below", dir: "foo", output: "foo/not/yet", copied: true},
		{name: "results to come through a link", dir: "foo", output: "link/out", copied: true},
		{name: "results elsewhere", dir: "foo", output: "foo-out"},
		{name: "installed", dir: "src/foo-1.0"},
		{name: "installed with all", dir: "src/foo-1.0", more: []string{".git/index", "debian/rules"}, want: []string{".git/index", "debian/rules"}},
		{name: "installed with results", dir: "src/foo-1.0", more: []string{".gitignore", deb}, copied: true, want: []string{".gitignore"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			files := map[string]string{}
			for _, name := range slices.Concat(module, tt.more) {
				files[filepath.Join(tt.dir, name)] = conf
			}
			write(t, root, files)
			if err := os.Symlink("foo", filepath.Join(root, "link")); err != nil {
				t.Fatal(err)
			}
			want := changelogDate
			for _, name := range module {
				if err := os.Chtimes(filepath.Join(root, tt.dir, name), want, want); err != nil {
					t.Fatal(err)
				}
			}
			o := options(t, root)
			if tt.output != "" {
				o.Outputs = []string{filepath.Join(root, tt.output)}
			}
			got, err := Resolve(t.Context(), tt.dir, o)
			if err != nil {
				t.Fatal(err)
			}
			s := got[0]
			if moved := !s.NewestFile.Equal(want); moved != tt.clock {
				t.Errorf("clock %v; want the module's: %v", s.NewestFile, !tt.clock)
			}
			if copied := s.Dir != filepath.Join(root, tt.dir); copied != tt.copied || s.Shown != tt.dir {
				t.Errorf("in %s, shown as %s; want a copy: %v", s.Dir, s.Shown, tt.copied)
			}
			all := slices.Sorted(slices.Values(slices.Concat(module, tt.want)))
			if diff := cmp.Diff(all, entries(t, s.Dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCopyCanBeRemoved copies a source that may not be written to.
func TestCopyCanBeRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"foo/dkms.conf": conf, "foo/.gitignore": "", "foo/sub/foo.c": ""})
	sub := filepath.Join(dir, "foo/sub")
	if err := os.Chmod(sub, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(sub, 0o755); err != nil {
			t.Error(err)
		}
	})
	got, err := Resolve(t.Context(), "foo", options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(got[0].Dir, "sub"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("sub: %v, %v", info.Mode(), err)
	}
}

// TestNoBuildCouldCopy has files that end a build when it begins.
func TestNoBuildCouldCopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"fifo", "socket", "link", "git", "src/foo-1.0"} {
		write(t, dir, map[string]string{name + "/dkms.conf": conf, name + "/sub/foo.c": ""})
	}
	write(t, dir, map[string]string{"p/debian/changelog": changelogText, "p/debian/foo.dkms": conf, "p/src/foo.c": "", "git/.git/index": ""})
	for path, kind := range map[string]uint32{
		"fifo/sub/f": unix.S_IFIFO, "socket/s": unix.S_IFSOCK, "git/.git/s": unix.S_IFSOCK, "src/foo-1.0/.f": unix.S_IFIFO, "p/src/f": unix.S_IFIFO, "p/f": unix.S_IFIFO,
	} {
		if err := unix.Mknod(filepath.Join(dir, path), kind|0o644, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../fifo/sub/f", filepath.Join(dir, "link/f")); err != nil {
		t.Fatal(err)
	}
	const neither = ": neither a file, a directory nor a symbolic link"
	for _, tt := range []struct{ arg, want string }{
		{"fifo", "fifo/sub/f" + neither},
		{"socket", "socket/s" + neither},
		{"foo/1.0", "src/foo-1.0/.f" + neither},
		{"p", "p/src/f" + neither},
		{"link", ""},
		{"git", ""}, // git's file system monitor has one
	} {
		_, err := Resolve(t.Context(), tt.arg, options(t, dir))
		got := ""
		if err != nil {
			got = strings.ReplaceAll(err.Error(), dir+"/", "")
		}
		if got != tt.want {
			t.Errorf("Resolve(%s): %q; want %q", tt.arg, got, tt.want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"file/dkms.conf": conf, "file/foo.c": "", "folder/dkms.conf": conf, "folder/sub/foo.c": ""})
	for _, path := range []string{"file/foo.c", "folder/sub"} {
		if err := os.Chmod(filepath.Join(dir, path), 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(filepath.Join(dir, path), 0o755) })
		arg, _, _ := strings.Cut(path, "/")
		if _, err := Resolve(t.Context(), arg, options(t, dir)); err == nil || err.Error() != path+": permission denied" {
			t.Errorf("Resolve(%s): %v", arg, err)
		}
	}
}

// TestLinkedDirectory reads the clock through a link.
func TestLinkedDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"foo/dkms.conf": conf})
	if err := os.Symlink("foo", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	got, err := Resolve(t.Context(), "link", options(t, dir))
	if err != nil || time.Since(got[0].NewestFile) > time.Hour {
		t.Errorf("Resolve(link): %v, %v", got, err)
	}
}
