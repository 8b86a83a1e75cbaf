// SPDX-License-Identifier: MIT

package debsource

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// notModule are names at the top of a source package that are no part of the
// module: Debian's own, and those of version control.
var notModule = []string{
	"debian", ".git", ".gitignore", ".gitattributes", ".gitmodules", ".github", ".gitlab-ci.yml",
	".hg", ".hgignore", ".hgtags", ".svn", ".bzr", ".bzrignore", "CVS", ".pc",
}

// Stage installs m as usrSrc/NAME-VERSION, where usrSrc is relative to the
// source package: its sources, unless something else has put files there
// already, and its dkms.conf. It returns the directory.
//
// The sources are what debian/STEM.gokms lists, else src/ if there is one,
// else all but debian/ and what version control keeps. Modes become 0644 and
// 0755, all modification times the package's clock.
func (t *Tree) Stage(m *Module, usrSrc string) (string, error) {
	dir := filepath.Join(usrSrc, m.Name+"-"+m.Version)
	there, err := names(filepath.Join(t.Dir, dir))
	if err != nil {
		return "", err
	}
	there = slices.DeleteFunc(there, func(name string) bool { return name == "dkms.conf" })
	if err := t.Session.InstallDir(dir); err != nil {
		return "", err
	}
	list, err := t.list(m)
	if err != nil {
		return "", err
	}
	switch {
	case list != "":
		err = t.stageList(list, dir)
	case len(there) == 0:
		err = t.stageTree(dir)
	}
	if err != nil {
		return "", err
	}
	return dir, t.Session.InstallText(string(m.Text), filepath.Join(dir, "dkms.conf"), t.Clock)
}

// list is the file that lists m's sources, "" if there is none.
func (t *Tree) list(m *Module) (string, error) {
	if m.Stem == m.Package.Name {
		return t.Session.PkgFile(m.Package, "gokms")
	}
	path := "debian/" + m.Stem + ".gokms"
	_, err := os.Stat(filepath.Join(t.Dir, path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return path, err
}

// stageList installs what list names, as dh_install does: the last of several
// words is a directory below dir, and a single one keeps its own.
func (t *Tree) stageList(list, dir string) error {
	entries, err := t.Session.ReadList(list)
	if err != nil {
		return err
	}
	for _, e := range entries {
		patterns, to := e.Words, ""
		if len(e.Words) > 1 {
			patterns, to = e.Words[:len(e.Words)-1], e.Words[len(e.Words)-1]
			if !filepath.IsLocal(strings.TrimPrefix(to, "/")) {
				return e.Errorf("%q leads out of the module's directory", to)
			}
		}
		for _, pattern := range patterns {
			found := t.Session.Glob(pattern, ".", "debian/tmp")
			if len(found) == 0 {
				return e.Errorf("cannot find (any matches for) %q (tried in ., debian/tmp)", pattern)
			}
			for _, file := range found {
				where := to
				if len(e.Words) == 1 {
					where = filepath.Dir(strings.TrimPrefix(filepath.Clean(file), "debian/tmp/"))
				}
				if err := t.copy(file, filepath.Join(dir, where, filepath.Base(file))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// stageTree installs src/, or the whole source.
func (t *Tree) stageTree(dir string) error {
	from := "src"
	if info, err := os.Stat(filepath.Join(t.Dir, from)); err != nil || !info.IsDir() {
		from = "."
	}
	all, err := names(filepath.Join(t.Dir, from))
	if err != nil {
		return err
	}
	found := false
	for _, name := range all {
		if slices.Contains(notModule, name) {
			continue
		}
		found = true
		if err := t.copy(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if !found {
		return &hinted{fmt.Errorf("no sources of the module: %s holds none, and %s is empty", from, dir),
			"put them into src/, list them in debian/PKG.gokms, or install them with dh_install"}
	}
	return nil
}

// copy installs the file or directory from, but for what -X names.
func (t *Tree) copy(from, to string) error {
	return filepath.WalkDir(filepath.Join(t.Dir, from), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(t.Dir, path)
		if err != nil {
			return err
		}
		if t.Session.Excluded(rel) {
			return nil
		}
		inside, err := filepath.Rel(filepath.Join(t.Dir, from), path)
		if err != nil {
			return err
		}
		return t.copyOne(rel, filepath.Join(to, inside), d)
	})
}

func (t *Tree) copyOne(from, to string, d fs.DirEntry) error {
	switch {
	case d.IsDir():
		return t.Session.InstallDir(to)
	case d.Type() == fs.ModeSymlink:
		target, err := os.Readlink(filepath.Join(t.Dir, from))
		if err != nil {
			return err
		}
		if err := t.Session.InstallDir(filepath.Dir(to)); err != nil {
			return err
		}
		return t.Session.InstallLink(target, to)
	case !d.Type().IsRegular():
		return fmt.Errorf("%s: neither a file, a directory nor a symbolic link", from)
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	if err := t.Session.InstallDir(filepath.Dir(to)); err != nil {
		return err
	}
	install := t.Session.InstallFile
	if info.Mode()&0o111 != 0 {
		install = t.Session.InstallProgram
	}
	if err := install(from, to); err != nil || t.Session.NoAct {
		return err
	}
	return os.Chtimes(filepath.Join(t.Dir, to), time.Time{}, t.Clock)
}

// Unbuildable reports those modules of m that no makefile below dir and no command
// of m's mentions.
func (t *Tree) Unbuildable(m *Module, dir string) ([]string, error) {
	var text strings.Builder
	text.WriteString(m.Conf.Make + strings.Join(m.Conf.Scripts.PreBuild, " "))
	err := filepath.WalkDir(filepath.Join(t.Dir, dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !isMakefile(d.Name()) {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(&text, io.LimitReader(f, 1<<20))
		return err
	})
	if err != nil {
		return nil, err
	}
	mentioned := strings.ReplaceAll(text.String(), "-", "_")
	var missing []string
	for _, module := range m.Conf.Modules {
		if !strings.Contains(mentioned, strings.ReplaceAll(module.BuiltName, "-", "_")) {
			missing = append(missing, module.BuiltName)
		}
	}
	return missing, nil
}

// isMakefile tells whether kbuild, make or what generates their files reads
// a file of that name.
func isMakefile(name string) bool {
	base := strings.TrimSuffix(name, ".in")
	return strings.HasPrefix(base, "Makefile") || strings.HasPrefix(base, "Kbuild") || base == "makefile" ||
		base == "GNUmakefile" || strings.HasSuffix(base, ".mk") || name == "configure" || name == "configure.ac"
}
