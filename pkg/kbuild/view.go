// SPDX-License-Identifier: MIT

package kbuild

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks is the kernel's own limit (path_resolution(7)).
const maxLinks = 40

// view is the directories that a build may have left something in. Whoever
// calls, possibly root, reads through it what commands wrote that nobody
// trusts: links are followed as the build sees them and never lead out, and
// only regular files are opened. The directories are opened before the first
// command runs, so none can be replaced.
type view struct {
	trees []viewTree // the longest path first
}

// viewTree is a directory, and one of its names.
type viewTree struct {
	path string
	root *os.Root
}

// openView opens the build directory, the dkms tree and the source.
func (b *Build) openView() (*view, error) {
	l, v := b.Layout, &view{}
	for _, p := range []Path{l.BuildDir(), l.DKMSTree, {Host: b.SourceHost, Build: l.SourceDir().Build}} {
		if err := v.add(p); err != nil {
			v.close()
			return nil, err
		}
	}
	return v, nil
}

// add opens p, under both of its names and that of the host's without links,
// which is what getcwd(2) tells where there is no sandbox.
func (v *view) add(p Path) error {
	names := []string{p.Build, p.Host}
	if real, err := filepath.EvalSymlinks(p.Host); err == nil {
		names = append(names, real)
	}
	root, err := os.OpenRoot(p.Host)
	if err != nil {
		return err
	}
	for _, name := range names {
		v.trees = append(v.trees, viewTree{path: name, root: root})
	}
	slices.SortStableFunc(v.trees, func(a, b viewTree) int { return cmp.Compare(len(b.path), len(a.path)) })
	return nil
}

// close closes the directories, some of them more than once.
func (v *view) close() {
	for _, t := range v.trees {
		_ = t.root.Close() // nothing was written through them
	}
}

// tree finds the directory that path lies in, and path below it.
func (v *view) tree(path string) (root *os.Root, rel string) {
	for _, t := range v.trees {
		if rel, err := filepath.Rel(t.path, path); err == nil && filepath.IsLocal(rel) {
			return t.root, rel
		}
	}
	return nil, ""
}

// outsideError is a path that leads out of what a build may leave things in.
type outsideError struct{ path string }

func (e *outsideError) Error() string { return "leads out of the build, to " + e.path }

// resolve follows the links of an absolute path of the build.
func (v *view) resolve(path string) (root *os.Root, rel string, err error) {
	at, links := "/", 0
	for todo := strings.Split(path, "/"); len(todo) > 0; {
		elem := todo[0]
		todo = todo[1:]
		next := filepath.Join(at, elem) // knows "", "." and ".."
		root, rel = v.tree(next)
		if root == nil || elem == ".." || rel == "." {
			at = next
			continue
		}
		info, err := root.Lstat(rel)
		if err != nil {
			return nil, "", err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			at = next
			continue
		}
		target, err := root.Readlink(rel)
		if err != nil {
			return nil, "", err
		}
		if links++; links > maxLinks {
			return nil, "", &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	if root, rel = v.tree(at); root == nil {
		return nil, "", &outsideError{at}
	}
	return root, rel, nil
}

// stat follows links.
func (v *view) stat(path string) (fs.FileInfo, error) {
	root, rel, err := v.resolve(path)
	if err != nil {
		return nil, err
	}
	return root.Lstat(rel)
}

// errNotRegular is what devices, FIFOs, sockets and directories give.
var errNotRegular = errors.New("not a regular file")

// open opens a regular file for reading. It never waits, as opening a FIFO
// would.
func (v *view) open(path string) (*os.File, error) {
	root, rel, err := v.resolve(path)
	if err != nil {
		return nil, err
	}
	info, err := root.Lstat(rel) // opening a device can do something already
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	file, err := root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// readFile reads at most limit bytes; more are an error.
func (v *view) readFile(path string, limit int64) ([]byte, error) {
	file, err := v.open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("larger than %d bytes", limit)
	}
	return data, err
}

// writeBelow makes the file name of the directory dir from in, with the
// directories between them. Neither a link in place of a directory is followed
// out of dir nor one in place of the file at all.
func writeBelow(dir, name string, in io.Reader) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
