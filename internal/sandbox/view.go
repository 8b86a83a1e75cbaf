// SPDX-License-Identifier: MIT

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// bind is something of the host's that is mounted read-only.
type bind struct{ host, path string }

// view is what commands see of the host's own programs.
type view struct {
	binds []bind // host and path are equal
	links []Link
}

// hostView lists the host's programs, as the package documentation says.
func hostView() (view, error) {
	var v view
	for _, top := range []string{"/bin", "/sbin", "/lib32", "/lib64", "/libx32", "/libo32"} {
		if err := v.add(top); err != nil {
			return v, err
		}
	}
	// /lib is a link, or the older of two directories.
	if info, err := os.Lstat("/lib"); err == nil && info.IsDir() {
		if err := v.addEntries("/lib", "modules"); err != nil {
			return v, err
		}
	} else if err := v.add("/lib"); err != nil {
		return v, err
	}
	if err := v.addEntries("/usr", "src", "lib"); err != nil {
		return v, err
	}
	if err := v.addEntries("/usr/lib", "modules"); err != nil {
		return v, err
	}
	for _, name := range []string{
		"alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "debian_version", "lsb-release", "os-release",
	} {
		if err := v.add("/etc/" + name); err != nil {
			return v, err
		}
	}
	return v, nil
}

// add shows one path of the host, if it is there.
func (v *view) add(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSymlink:
		v.binds = append(v.binds, bind{path, path})
		return nil
	}
	target, err := os.Readlink(path)
	v.links = append(v.links, Link{path, target})
	return err
}

// addEntries shows what is in a directory of the host, but for some names.
func (v *view) addEntries(dir string, except ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.Contains(except, e.Name()) {
			continue
		}
		if err := v.add(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// maxLinks bounds links that lead to links, as path_resolution(7) does.
const maxLinks = 40

// resolve follows the links of the view that path leads through: bubblewrap
// mounts in a root where those to absolute paths lead out of it.
func (v *view) resolve(path string) string {
	path = filepath.Clean(path)
	for range maxLinks {
		i := slices.IndexFunc(v.links, func(l Link) bool { return below(path, l.Path) })
		if i < 0 {
			break
		}
		l := v.links[i]
		target := l.Target
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(l.Path), target)
		}
		path = filepath.Join(target, strings.TrimPrefix(path, l.Path))
	}
	return path
}

// filePlace is where a file has to be mounted to be seen at path. A mount over
// a link goes to what it leads to, which must be the same program alone.
func (v *view) filePlace(path string) (string, error) {
	path = v.resolve(path)
	if !v.covers(path) {
		return path, nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path, nil // checkPlaces tells
	}
	if filepath.Base(real) != filepath.Base(path) {
		return "", fmt.Errorf("file %s: the host's is a link to %s, which may be more than that", path, real)
	}
	return v.resolve(real), nil
}

// covers tells whether path is of the host's programs.
func (v *view) covers(path string) bool {
	return slices.ContainsFunc(v.binds, func(b bind) bool { return path == b.path || below(path, b.path) })
}

// below tells whether path lies in the directory dir.
func below(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(dir, "/"))
	return ok && strings.HasPrefix(rest, "/") && rest != "/"
}

// byPath sorts what is to be mounted: directories before what is in them.
func byPath[T any](all []T, path func(T) string) []T {
	slices.SortStableFunc(all, func(a, b T) int { return strings.Compare(path(a), path(b)) })
	return all
}

// checkPlaces refuses what bubblewrap could only fail at, or what would hide
// the programs.
func (s *Sandbox) checkPlaces() error {
	seen := map[string]bool{}
	check := func(path string) error {
		if seen[path] {
			return fmt.Errorf("%s is mounted twice", path)
		}
		seen[path] = true
		if path == "/" || slices.ContainsFunc(s.view.binds, func(b bind) bool { return below(b.path, path) }) {
			return fmt.Errorf("%s would hide the system's programs", path)
		}
		for _, own := range []string{"/proc", "/dev", "/etc"} {
			if path == own {
				return fmt.Errorf("%s is the sandbox's own", path)
			}
		}
		if _, err := os.Lstat(path); err != nil && s.view.covers(path) {
			return fmt.Errorf("%s cannot be made: its directory is the host's", path)
		}
		return nil
	}
	for _, m := range s.spec.Mounts {
		if err := check(m.Path); err != nil {
			return err
		}
	}
	for _, f := range s.files {
		if err := check(f.path); err != nil {
			return err
		}
	}
	for _, l := range s.spec.Links {
		if err := check(l.Path); err != nil {
			return err
		}
		inMount := func(m Mount) bool { return below(l.Path, m.Path) }
		if s.view.covers(l.Path) || slices.ContainsFunc(s.spec.Mounts, inMount) {
			return fmt.Errorf("link %s cannot be made: its directory is the host's", l.Path)
		}
	}
	return nil
}

// checkMounts finds, when a command is about to run, mounts of what is not
// there, and mount points that cannot be made in the directory above.
func (s *Sandbox) checkMounts() error {
	for i, m := range s.spec.Mounts {
		if _, err := os.Stat(m.Host); err != nil {
			return fmt.Errorf("mount at %s: %w", m.Path, err)
		}
		for _, above := range s.spec.Mounts[:i] {
			if !below(m.Path, above.Path) || above.Writable {
				continue
			}
			if _, err := os.Lstat(filepath.Join(above.Host, strings.TrimPrefix(m.Path, above.Path))); err != nil {
				return fmt.Errorf("%s cannot be mounted in %s: %w", m.Path, above.Path, err)
			}
		}
	}
	return nil
}
