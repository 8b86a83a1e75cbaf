// SPDX-License-Identifier: MIT

package debfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"
)

// Extract unpacks the data member into dir, an empty directory, as an ordinary
// user can: owners and the setuid, setgid and sticky bits are dropped, modes
// and the times of files and directories kept, whatever the umask. Nothing is
// written outside dir, and no link in it leads out of it: an absolute one is
// an error as well. On an error dir holds a part of the package.
func (r *Reader) Extract(dir string) error {
	if err := checkEmpty(dir); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	x := &extractor{root: root}
	err = r.Walk(func(e Entry, content io.Reader) error {
		var known *memberError
		err := x.add(e, content)
		if err != nil && !errors.As(err, &known) {
			err = fmt.Errorf("%q: %w", e.Path, err)
		}
		return r.dataError(err)
	})
	if err != nil {
		return err
	}
	return r.dataError(x.finish())
}

func checkEmpty(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("extract into %s: directory is not empty", dir)
	}
	return nil
}

// extractor writes entries below root. [os.Root] follows no link out of it;
// the checks on the entries themselves give errors that say why.
type extractor struct {
	root  *os.Root
	dirs  []Entry // get their modes and times at the end
	links []string
}

func (x *extractor) add(e Entry, content io.Reader) error {
	switch {
	case e.Path == ".":
		return nil
	case e.Link != "":
		return x.root.Link(e.Link, e.Path)
	case e.Mode.IsDir():
		x.dirs = append(x.dirs, e)
		return x.root.Mkdir(e.Path, 0o700)
	case e.Mode&fs.ModeSymlink != 0:
		if err := checkInside(e.Path, e.Target); err != nil {
			return err
		}
		x.links = append(x.links, e.Path)
		return x.root.Symlink(e.Target, e.Path)
	}
	return x.file(e, content)
}

// checkInside wants a link that stays inside of the extracted tree.
func checkInside(name, target string) error {
	if path.IsAbs(target) {
		return fmt.Errorf("absolute link target %q leads out of the package", target)
	}
	return checkTarget(name, target)
}

func (x *extractor) file(e Entry, content io.Reader) error {
	f, err := x.root.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Chmod(e.Mode.Perm())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return x.root.Chtimes(e.Path, time.Time{}, e.ModTime)
}

// finish checks where links lead through other links, and sets the modes of
// the directories, those of the deepest first.
func (x *extractor) finish() error {
	for _, name := range x.links {
		_, err := x.root.Stat(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%q: link cannot be followed: %w", name, err)
		}
	}
	for i := len(x.dirs) - 1; i >= 0; i-- {
		d := x.dirs[i]
		if err := x.root.Chmod(d.Path, d.Mode.Perm()); err != nil {
			return err
		}
		if err := x.root.Chtimes(d.Path, time.Time{}, d.ModTime); err != nil {
			return err
		}
	}
	return nil
}
