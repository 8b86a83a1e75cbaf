// SPDX-License-Identifier: MIT

package depmod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gokms/gokms/pkg/textfile"
)

// maxFile is far above any depmod.d file.
const maxFile = 16 << 20

// Dirs returns the directories of configuration files in falling order of
// precedence. kmod 30 does not name /usr/lib/depmod.d, but on a merged /usr it
// is /lib/depmod.d.
func Dirs() []string {
	return []string{"/etc/depmod.d", "/run/depmod.d", "/usr/local/lib/depmod.d", "/usr/lib/depmod.d", "/lib/depmod.d"}
}

// Load reads the configuration of a system whose root directory is root (""
// is that of the running system). Paths, in falling order of precedence,
// stand in for [Dirs] as those of depmod -C do: a directory stands for its
// files *.conf, and what does not exist is skipped. Symbolic links are
// followed inside of root.
//
// What depmod skips is a warning; a file or directory that this process may
// not read is an error, because depmod runs as another user.
func Load(root string, paths ...string) (*Config, error) {
	l := loader{root: root}
	if len(paths) == 0 {
		paths = l.defaultPaths()
	}
	for _, path := range paths {
		if err := l.list(path); err != nil {
			return nil, err
		}
	}
	c := New(l.sources...)
	c.Warnings = append(l.warnings, c.Warnings...)
	return c, nil
}

type loader struct {
	root     string
	sources  []Source
	warnings []error
}

func (l *loader) warnf(path, format string, args ...any) {
	l.warnings = append(l.warnings, textfile.Errorf(path, 0, format, args...))
}

// defaultPaths is Dirs, without the second name of one directory.
func (l *loader) defaultPaths() []string {
	dirs := Dirs()
	usr, err1 := os.Stat(Resolve(l.root, "/usr/lib/depmod.d"))
	lib, err2 := os.Stat(Resolve(l.root, "/lib/depmod.d"))
	switch {
	case err1 != nil:
	case err2 == nil && os.SameFile(usr, lib):
		dirs = dirs[:4]
	default:
		l.warnf("/usr/lib/depmod.d", "kmod 30 reads /lib/depmod.d, and that is another directory here")
	}
	return dirs
}

// list adds the files of one directory, or a file.
func (l *loader) list(path string) error {
	real := Resolve(l.root, path)
	info, err := os.Stat(real)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return l.read(path)
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), ".conf") {
			continue
		}
		if err := l.read(strings.TrimSuffix(path, "/") + "/" + e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// read adds one file. Whether a link without target masks others of its name
// is undefined in kmod 30, which looks at what stat(2) left on the stack; we
// say that it does, and warn.
func (l *loader) read(path string) error {
	real := Resolve(l.root, path)
	info, err := os.Stat(real)
	src := Source{Path: path}
	switch {
	case strings.TrimPrefix(real, l.root) == os.DevNull:
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ELOOP):
		l.warnf(path, "a symbolic link without target, which may or may not mask others of its name")
	case err != nil:
		return err
	case info.IsDir():
		l.warnf(path, "depmod ignores directories")
		return nil
	default:
		if src.Data, err = textfile.ReadFile(real, maxFile); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	l.sources = append(l.sources, src)
	return nil
}

// maxLinks is how many links the kernel follows in one path.
const maxLinks = 40

// Resolve follows the symbolic links of a path as a process would whose root
// directory is root, "" for the running system's. What cannot be followed is
// kept as it is.
func Resolve(root, path string) string {
	if root == "" {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real
		}
		return path
	}
	done, todo := "/", strings.Split(path, "/")
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		next := filepath.Join(done, part) // ".." of the root stays there
		target, err := os.Readlink(filepath.Join(root, next))
		if err != nil || links == maxLinks {
			done = next
			continue
		}
		links++
		if strings.HasPrefix(target, "/") {
			done = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return strings.TrimSuffix(root, "/") + done
}
