// SPDX-License-Identifier: MIT

package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// PartOfModule reports whether a name at the top of a source package can be
// part of the module: it is neither Debian's nor kept by version control, of
// whose names dpkg-source(1) has the list.
func PartOfModule(name string) bool { return !slices.Contains(notModule, name) }

var notModule = []string{
	"debian", ".pc", ".github", ".gitlab-ci.yml", ".git", ".gitattributes", ".gitignore", ".gitmodules", ".gitreview",
	".hg", ".hgignore", ".hgsigs", ".hgtags", ".svn", "CVS", ".cvsignore", "RCS", ".bzr", ".bzr.backup", ".bzr.tags", ".bzrignore",
	"_darcs", "_MTN", ".mtn-ignore", ".arch-ids", ".arch-inventory", "{arch}",
}

// ownResult matches the files that gokms puts into an output directory, which
// may well be the source: packages, records, logs, and any of them half made.
var ownResult = regexp.MustCompile(`^(?:\.gokms-.+|\.?[a-z0-9][-+.a-z0-9]*-modules-[^_]+_[^_]+_[^_.]+\.(?:deb|json|log)(?:\.[0-9]+)?)$`)

// survey is a look at every file of a source, before anything is copied.
type survey struct {
	dir   string // absolute
	shown string // dir as messages name it
	// installed is set for what a -dkms package holds: dkms builds it with all
	// that lies there. Of other directories only what is part of the module is
	// taken.
	installed bool

	newest time.Time // modification time of the module's newest file
	left   []string  // what is not taken, relative to dir
}

// walk finds what no build could copy, beside the fields that it sets.
func (v *survey) walk() error {
	dir, err := filepath.EvalSymlinks(v.dir)
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel := strings.TrimPrefix(strings.TrimPrefix(path, dir), "/")
		if err == nil && rel != "" && !v.takes(rel, d) {
			v.left = append(v.left, rel)
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if err == nil && d.Type().IsRegular() {
			err = v.file(path, rel, d)
		}
		if errors.Is(err, fs.ErrNotExist) { // a temporary file of another program
			return nil
		}
		if e, ok := errors.AsType[*os.PathError](err); ok {
			err = e.Err
		}
		if err == nil {
			if kind := d.Type(); kind != 0 && kind != fs.ModeDir && kind != fs.ModeSymlink {
				err = errors.New("neither a file, a directory nor a symbolic link")
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(v.shown, rel), err)
		}
		return nil
	})
}

func (v *survey) takes(rel string, d fs.DirEntry) bool {
	if ownResult.MatchString(d.Name()) && !d.IsDir() {
		return false
	}
	return v.installed || PartOfModule(rel)
}

// file looks at one regular file. What version control keeps has no part in
// the module's time even where it is installed.
func (v *survey) file(path, rel string, d fs.DirEntry) error {
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS); err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	top, _, _ := strings.Cut(rel, "/")
	if PartOfModule(top) && info.ModTime().After(v.newest) {
		v.newest = info.ModTime()
	}
	return nil
}

// bareFiles looks at the files of s, a directory with a dkms.conf. It becomes
// a copy in WorkDir where it holds, or is going to hold, what a build must not
// see.
func (r *resolver) bareFiles(ctx context.Context, s *Source) error {
	v := survey{dir: s.Dir, shown: s.Shown, installed: r.inSourceTree(s.Dir)}
	if err := v.walk(); err != nil {
		return err
	}
	s.NewestFile = v.newest
	if len(v.left) == 0 && !r.outputIn(s.Dir) {
		return nil
	}
	return r.stage(ctx, s, v)
}

// inSourceTree reports whether dir lies in the source tree, as -dkms packages
// install it.
func (r *resolver) inSourceTree(dir string) bool {
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	tree, err := filepath.EvalSymlinks(r.SourceTree)
	return err == nil && filepath.Dir(resolved) == tree
}

// outputIn reports whether results will appear in dir or below.
func (r *resolver) outputIn(dir string) bool {
	return slices.ContainsFunc(r.Outputs, func(output string) bool {
		rel, err := filepath.Rel(resolved(dir), resolved(output))
		return err == nil && filepath.IsLocal(rel)
	})
}

// resolved is path without symbolic links in as much of it as there is.
func resolved(path string) string {
	if found, err := filepath.EvalSymlinks(path); err == nil || path == filepath.Dir(path) {
		return found
	}
	return filepath.Join(resolved(filepath.Dir(path)), filepath.Base(path))
}

// stage copies what v found into a directory below WorkDir, which becomes
// s.Dir.
func (r *resolver) stage(ctx context.Context, s *Source, v survey) error {
	entries, err := os.ReadDir(v.dir)
	if err != nil {
		return err
	}
	if s.Dir, err = r.makeDir("module-"); err != nil {
		return err
	}
	args := []string{"-a", "-t", s.Dir, "--"}
	for _, e := range entries {
		if !slices.Contains(v.left, e.Name()) {
			args = append(args, filepath.Join(v.dir, e.Name()))
		}
	}
	if len(args) == 4 {
		return nil
	}
	if err := r.run(exec.CommandContext(ctx, "cp", args...)); err != nil {
		return err
	}
	// A copy that its owner may not write to could not be removed.
	if err := r.run(exec.CommandContext(ctx, "chmod", "-R", "u+rwX", "--", s.Dir)); err != nil {
		return err
	}
	for _, rel := range v.left {
		if err := os.RemoveAll(filepath.Join(s.Dir, rel)); err != nil {
			return err
		}
	}
	return nil
}

// makeDir makes a directory in WorkDir that an evaluation as another user can
// read.
func (r *resolver) makeDir(prefix string) (string, error) {
	dir, err := os.MkdirTemp(r.WorkDir, prefix)
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	return dir, err
}
