// SPDX-License-Identifier: MIT

package kbuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// copySource makes the build directory from the source and links the source
// beside it, as dkms lays them out.
func (r *run) copySource(ctx context.Context) error {
	src, dst := r.SourceHost, r.Layout.BuildDir().Host
	if info, err := os.Stat(src); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("source %s is not a directory", src)
	}
	if err := notInside(dst, src); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	r.log.say("copying %s to %s", src, dst)
	if err := CopyTree(ctx, src, dst); err != nil {
		return fmt.Errorf("copy source: %w", err)
	}
	if r.DKMSConf != nil {
		if err := replaceFile(filepath.Join(dst, "dkms.conf"), r.DKMSConf); err != nil {
			return err
		}
	}
	link := filepath.Join(filepath.Dir(dst), "source")
	if err := os.Symlink(r.Layout.SourceDir().Build, link); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var err error
	r.view, err = r.openView()
	return err
}

// notInside refuses a copy of a tree into itself.
func notInside(dst, src string) error {
	real, err := filepath.EvalSymlinks(src)
	if err != nil {
		return err
	}
	// The deepest part of dst that exists is enough to tell.
	for dir := dst; ; dir = filepath.Dir(dir) {
		found, err := filepath.EvalSymlinks(dir)
		if err != nil && dir != filepath.Dir(dir) {
			continue
		}
		if rel, err := filepath.Rel(real, found); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("build directory %s lies inside of its source %s", dst, src)
		}
		return nil
	}
}

// CopyTree copies the directory src to dst, which must not exist: files,
// directories and links with their modes and times. Links stay links wherever
// they lead. The owner may always read and write the copy, so that a
// read-only source can be built by an ordinary user. Holes in files stay holes.
func CopyTree(ctx context.Context, src, dst string) error {
	src, err := filepath.EvalSymlinks(src)
	if err != nil {
		return err
	}
	var dirs []copied
	err = filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		c := copied{from: path, to: dst + strings.TrimPrefix(path, src), info: info}
		if d.IsDir() {
			dirs = append(dirs, c)
		}
		return c.make(ctx)
	})
	// Directories get their times last: what is put into them changes these.
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- {
		err = dirs[i].times()
	}
	return err
}

// copied is one entry of a tree being copied.
type copied struct {
	from, to string
	info     fs.FileInfo
}

func (c copied) make(ctx context.Context) error {
	switch mode := c.info.Mode(); mode.Type() {
	case fs.ModeDir:
		if err := os.Mkdir(c.to, 0o700); err != nil {
			return err
		}
		return os.Chmod(c.to, mode.Perm()|0o700)
	case fs.ModeSymlink:
		target, err := os.Readlink(c.from)
		if err != nil {
			return err
		}
		return os.Symlink(target, c.to)
	case 0:
		if err := c.regular(ctx); err != nil {
			return err
		}
		return c.times()
	default:
		return fmt.Errorf("%s is neither file, directory nor link (%s)", c.from, mode.Type())
	}
}

func (c copied) regular(ctx context.Context) (err error) {
	in, err := os.Open(c.from)
	if err != nil {
		return err
	}
	defer in.Close()
	// A process forked by another build at this moment would hold the file
	// open for writing, and executing it would fail (ETXTBSY).
	if c.info.Mode()&0o111 != 0 {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	out, err := os.OpenFile(c.to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := copyData(ctx, out, in, c.info.Size()); err != nil {
		return fmt.Errorf("copy %s: %w", c.from, err)
	}
	return out.Chmod(c.info.Mode().Perm() | 0o600)
}

const (
	chunk    = 32 << 20 // bytes that are copied between two looks at the context
	smallest = 64 << 10 // bytes of a file whose holes are worth keeping
)

// copyData fills out, which is empty, with the size bytes of in. Holes stay
// holes: an image of a disk in the source may be larger than the disk.
func copyData(ctx context.Context, out, in *os.File, size int64) error {
	if size < smallest {
		_, err := io.Copy(out, in)
		return err
	}
	for at := int64(0); at < size; {
		start, end, err := nextData(in, at, size)
		if err != nil {
			return err
		}
		if err := copyRange(ctx, out, in, start, end); err != nil {
			return err
		}
		at = end
	}
	return out.Truncate(size)
}

// nextData finds the first stretch of data in f from at on; an empty one at the
// end if all the rest is a hole. Where the filesystem does not know of holes,
// all is data.
func nextData(f *os.File, at, size int64) (start, end int64, err error) {
	start, err = f.Seek(at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, size, nil
	case errors.Is(err, unix.EINVAL):
		return at, size, nil
	case err != nil:
		return 0, 0, err
	}
	end, err = f.Seek(start, unix.SEEK_HOLE)
	return min(start, size), min(end, size), err
}

// copyRange copies the bytes from start to end to the same place.
func copyRange(ctx context.Context, out, in *os.File, start, end int64) error {
	for _, f := range []*os.File{in, out} {
		if _, err := f.Seek(start, io.SeekStart); err != nil {
			return err
		}
	}
	for left := end - start; left > 0; left -= chunk {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, min(left, chunk)); err != nil {
			return err // io.EOF too: it was cut while it was copied
		}
	}
	return nil
}

func (c copied) times() error {
	return os.Chtimes(c.to, time.Time{}, c.info.ModTime())
}

// replaceFile writes data to path, even where a link is in its place.
func replaceFile(path string, data []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
