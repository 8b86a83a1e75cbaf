// SPDX-License-Identifier: MIT

package kbuild

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var past = time.Date(2011, 1, 2, 3, 4, 5, 678, time.UTC)

// writeTree makes files below dir: "path" -> contents; a contents of "-> x"
// makes a link, a path that ends in "/" a directory. Names that end in .sh are
// executable.
func writeTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		target, link := strings.CutPrefix(text, "-> ")
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case link:
			err = os.Symlink(target, path)
		case strings.HasSuffix(name, ".sh"):
			err = os.WriteFile(path, []byte(text), 0o755)
		default:
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// treeMap describes every entry below dir: kind, mode, time, contents.
func treeMap(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var text string
		switch {
		case d.Type() == fs.ModeSymlink:
			text, err = os.Readlink(path)
			found[strings.TrimPrefix(path, dir)] = "-> " + text
			return err
		case d.Type().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(data)
		}
		found[strings.TrimPrefix(path, dir)] = fmt.Sprintf("%v %d %q", info.Mode(), info.ModTime().UnixNano(), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCopyTree(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	writeTree(t, src, map[string]string{
		"a.c":            "int a;",
		"sub/deep/b.c":   "int b;",
		"empty/":         "",
		"configure.sh":   "#!/bin/sh\n",
		"in":             "-> sub/deep/b.c",
		"out":            "-> /etc/passwd",
		"up":             "-> ../../nothing",
		"sub/.hidden":    "x",
		"odd name\n\xff": "y",
	})
	for _, dir := range []string{"sub/deep", "sub", "empty", "a.c", "configure.sh", "."} {
		if err := os.Chtimes(filepath.Join(src, dir), past, past); err != nil {
			t.Fatal(err)
		}
	}
	dst := filepath.Join(t.TempDir(), "dst")
	if err := CopyTree(context.Background(), src, dst); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(treeMap(t, src), treeMap(t, dst)); diff != "" {
		t.Errorf("copy differs (-src +dst):\n%s", diff)
	}
}

func TestCopyTreeReadOnly(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	writeTree(t, src, map[string]string{"sub/a.c": "int a;", "run.sh": ""})
	for path, mode := range map[string]fs.FileMode{"sub/a.c": 0o444, "run.sh": 0o555, "sub": 0o555, ".": 0o555} {
		if err := os.Chmod(filepath.Join(src, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(src, 0o755); os.Chmod(filepath.Join(src, "sub"), 0o755) })
	dst := filepath.Join(t.TempDir(), "dst")
	if err := CopyTree(context.Background(), src, dst); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{"sub/a.c": 0o644, "run.sh": 0o755, "sub": 0o755, ".": 0o755} {
		info, err := os.Stat(filepath.Join(dst, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: mode %v; want %v", path, info.Mode().Perm(), want)
		}
	}
}

func TestCopyTreeRefuses(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	writeTree(t, src, map[string]string{"a": ""})
	if err := CopyTree(context.Background(), src, src); err == nil {
		t.Error("CopyTree over an existing directory succeeded")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := CopyTree(ctx, src, filepath.Join(dir, "x")); err != context.Canceled {
		t.Errorf("CopyTree of an ended context = %v; want %v", err, context.Canceled)
	}
	if err := syscall.Mkfifo(filepath.Join(src, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := CopyTree(context.Background(), src, filepath.Join(dir, "y"))
	if err == nil || !strings.Contains(err.Error(), "src/pipe is neither") {
		t.Errorf("CopyTree of a fifo = %v; want an error that names it", err)
	}
}

func TestNotInside(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"src/a": "", "link": "-> src"})
	for _, row := range []struct {
		dst string
		ok  bool
	}{
		{"other/build", true},
		{"src2/build", true},
		{"src/build", false},
		{"src/not/there/build", false},
		{"link/build", false},
	} {
		err := notInside(filepath.Join(dir, row.dst), filepath.Join(dir, "src"))
		if (err == nil) != row.ok {
			t.Errorf("notInside(%s, src) = %v; want ok %v", row.dst, err, row.ok)
		}
	}
}

// TestCopySparse copies a file that is larger than the disk.
func TestCopySparse(t *testing.T) {
	t.Parallel()
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	const size = 1 << 40
	f, err := os.Create(filepath.Join(src, "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []int64{0, size / 2} {
		if _, err := f.WriteAt([]byte("data"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Skipf("the filesystem has no such files: %v", err)
	}
	if err := CopyTree(t.Context(), src, dst); err != nil {
		t.Fatal(err)
	}
	copied, err := os.Open(filepath.Join(dst, "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	info, err := copied.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if blocks := info.Sys().(*syscall.Stat_t).Blocks; info.Size() != size || blocks > 1024 {
		t.Errorf("the copy has %d bytes in %d blocks; want %d in a few", info.Size(), blocks, int64(size))
	}
	for _, at := range []int64{0, size / 2} {
		text := make([]byte, 5)
		if _, err := copied.ReadAt(text, at); err != nil || string(text) != "data\x00" {
			t.Errorf("the copy has %q at %d, %v", text, at, err)
		}
	}
}

// TestCopyDataStops wants the end of a context to be seen within one file.
func TestCopyDataStops(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(name, make([]byte, smallest), 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(name + ".copy")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := copyData(ctx, out, in, smallest); err != context.Canceled {
		t.Errorf("copyData() = %v; want %v", err, context.Canceled)
	}
	if err := copyData(t.Context(), out, in, smallest); err != nil {
		t.Errorf("copyData() = %v", err)
	}
}
