// SPDX-License-Identifier: MIT

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks is the kernel's own limit (path_resolution(7)).
const maxLinks = 40

// sysroot is the directory below which a tree finds all its files, as a
// process would whose root it is; "" is the machine's own root. It has no
// links in it.
type sysroot string

// openSysroot checks the directory that an option names.
func openSysroot(dir string) (sysroot, error) {
	if dir == "" {
		return "", nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if real == "/" {
		real = ""
	}
	return sysroot(real), err
}

// seen is a path of the host without links as a build sees it.
func (s sysroot) seen(path string) string { return strings.TrimPrefix(path, string(s)) }

// resolve follows all links of a path of the host. Absolute ones begin at the
// sysroot, and none leads above it.
func (s sysroot) resolve(path string) (string, error) {
	if s == "" {
		return filepath.EvalSymlinks(path)
	}
	rel, err := filepath.Rel(string(s), path)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s is not below %s", path, s)
	}
	todo, at, links := strings.Split(rel, "/"), string(s), 0
	for len(todo) > 0 {
		elem := todo[0]
		todo = todo[1:]
		switch elem {
		case "", ".":
			continue
		case "..":
			if at != string(s) {
				at = filepath.Dir(at)
			}
			continue
		}
		next := filepath.Join(at, elem)
		target, err := s.readlink(next)
		if err != nil {
			return "", err
		}
		if target == "" {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			at = string(s)
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return at, nil
}

// readlink is the target of a link, "" of anything else that is there.
func (s sysroot) readlink(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		return "", err
	}
	return os.Readlink(path)
}

// within is path as it is to be opened: as it was given where that is the
// machine's own, else without links.
func (s sysroot) within(path string) (string, error) {
	if s == "" {
		return path, nil
	}
	return s.resolve(path)
}

// stat follows links.
func (s sysroot) stat(path string) (fs.FileInfo, error) {
	real, err := s.within(path)
	if err != nil {
		return nil, err
	}
	return os.Stat(real)
}

// exists follows links. What cannot be looked at counts as there, so that the
// error of opening it is the one that is reported.
func (s sysroot) exists(path string) bool {
	_, err := s.stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// readFile follows links.
func (s sysroot) readFile(path string) ([]byte, error) {
	real, err := s.within(path)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(real)
}

// modulesRoots are where packages that are unpacked below s have modules. The
// two are one only where something made lib a link.
func (s sysroot) modulesRoots() []string {
	return []string{filepath.Join(string(s), "lib/modules"), filepath.Join(string(s), "usr/lib/modules")}
}

// modulesRoot is root, or its sibling below s where that has the release.
func (s sysroot) modulesRoot(root, release string) string {
	roots := s.modulesRoots()
	if s == "" || !slices.Contains(roots, root) {
		return root
	}
	for _, dir := range append([]string{root}, roots...) {
		if s.exists(filepath.Join(dir, release)) {
			return dir
		}
	}
	return root
}

// ResolveBelow follows the links of path below dir, as a process would whose
// root dir is, and returns where that is on the host: below dir, without links.
func ResolveBelow(dir, path string) (string, error) {
	s, err := openSysroot(dir)
	if err != nil {
		return "", err
	}
	return s.resolve(filepath.Join("/", string(s), filepath.Join("/", path)))
}

// ListBelow returns the releases that have headers in packages unpacked below
// dir, in the order of [List]: in its lib/modules and usr/lib/modules, absolute
// links resolved below dir.
func ListBelow(dir string) ([]string, error) {
	s, err := openSysroot(dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, root := range s.modulesRoots() {
		found, err := s.list(root)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, compareReleases)
	return slices.Compact(all), nil
}
