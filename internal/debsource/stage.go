// SPDX-License-Identifier: MIT

package debsource

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/pkg/debhelper"
)

// Staging is the sources and the dkms.conf of a module on their way to a
// directory.
type Staging struct {
	Module *Module
	Dir    string // NAME-VERSION below the directory asked for
	From   string // where the sources are, "" where they come from several places
	files  []staged
	taken  []string // the sources as dh_missing knows them
}

// staged is one file; from and to are relative to the source package.
type staged struct {
	from, to string
	mode     fs.FileMode // its type, and whether it can be executed
}

// PlanStage finds what [Tree.Stage] is to install as usrSrc/NAME-VERSION: what
// debian/PKG.gokms or debian/PKG.NAME.gokms lists, else src/ if there is one,
// else all but debian/ and what version control keeps; the latter two only
// where nothing else has put files there. Files that are there are never
// replaced, but the dkms.conf. ours are those that count as not being there.
func (t *Tree) PlanStage(m *Module, usrSrc string, ours ...string) (*Staging, error) {
	s := &Staging{Module: m, Dir: filepath.Join(usrSrc, m.Dir())}
	there, err := t.filesBelow(s.Dir)
	if err != nil {
		return nil, err
	}
	there = slices.DeleteFunc(there, func(file string) bool {
		return file == s.conf() || slices.Contains(ours, file)
	})
	switch {
	case m.list != "":
		err = t.planList(s)
	case len(there) == 0:
		err = t.planTree(s)
	}
	if err != nil {
		return nil, err
	}
	s.files = slices.DeleteFunc(s.files, func(f staged) bool {
		return f.to == s.conf() || slices.Contains(there, f.to)
	})
	if len(there) == 0 && !slices.ContainsFunc(s.files, func(f staged) bool { return !f.mode.IsDir() }) {
		return nil, &hinted{fmt.Errorf("%s: there are no sources for %s", m.File, m.Dir()),
			"put them into src/, list them in " + t.listName(m) + ", or install them with dh_install"}
	}
	return s, nil
}

func (s *Staging) conf() string { return filepath.Join(s.Dir, "dkms.conf") }

func (t *Tree) listName(m *Module) string {
	switch {
	case m.list != "":
		return m.list
	case m.Package == nil:
		return "debian/PKG.gokms"
	}
	return "debian/" + m.Package.Name + ".gokms"
}

// filesBelow lists all but directories, as paths relative to the source
// package.
func (t *Tree) filesBelow(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(t.path(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(t.Dir, path)
		files = append(files, rel)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return files, err
}

// planList takes what m.list says, as dh_install does: the last of several
// words is a directory below s.Dir, and a file on a line of its own keeps the
// directory it is in.
func (t *Tree) planList(s *Staging) error {
	entries, err := t.Session.ReadList(s.Module.list)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if err := t.planEntry(s, e); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (t *Tree) planEntry(s *Staging, e debhelper.Entry) error {
	patterns, to := e.Words, ""
	if len(e.Words) > 1 {
		last := len(e.Words) - 1
		patterns, to = e.Words[:last], filepath.Clean(strings.Trim(e.Words[last], "/"))
		if !filepath.IsLocal(to) {
			return e.Errorf("%q leads out of the module's directory", e.Words[last])
		}
	}
	for _, pattern := range patterns {
		if t.Session.Excluded(pattern) {
			continue
		}
		found := t.Session.Glob(pattern, ".", "debian/tmp")
		if len(found) == 0 {
			return e.Errorf("nothing matches %q, neither here nor in debian/tmp", pattern)
		}
		for _, file := range found {
			file = filepath.Clean(file)
			if !filepath.IsLocal(file) {
				return e.Errorf("%q leads out of the source package", pattern)
			}
			where := to
			if to == "" {
				where = filepath.Dir(strings.TrimPrefix(file, "debian/tmp/"))
			}
			if err := t.planCopy(s, file, filepath.Join(s.Dir, where, filepath.Base(file))); err != nil {
				return err
			}
		}
	}
	return nil
}

// planTree takes src/, or the whole source.
func (t *Tree) planTree(s *Staging) error {
	s.From = "src"
	if info, err := os.Stat(t.path(s.From)); err != nil || !info.IsDir() {
		s.From = "."
	}
	entries, err := os.ReadDir(t.path(s.From))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !source.PartOfModule(name) && !(s.From == "src" && name == "debian") {
			continue
		}
		if err := t.planCopy(s, filepath.Join(s.From, name), filepath.Join(s.Dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// planCopy takes the file or directory from, but for what -X names and what
// version control keeps.
func (t *Tree) planCopy(s *Staging, from, to string) error {
	s.taken = append(s.taken, from)
	top := t.path(from)
	return filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		rel := filepath.Join(from, inside)
		if t.Session.Excluded(rel) {
			return nil
		}
		if path != top && d.Name() != "debian" && !source.PartOfModule(d.Name()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := staged{rel, filepath.Join(to, inside), info.Mode()}
		if kind := f.mode.Type(); kind != 0 && kind != fs.ModeDir && kind != fs.ModeSymlink {
			return fmt.Errorf("%s: neither a file, a directory nor a symbolic link", rel)
		}
		s.files = append(s.files, f)
		return nil
	})
}

// Stage installs what s found and the dkms.conf. Modes become 0644 and 0755,
// all modification times t.Clock.
func (t *Tree) Stage(s *Staging) error {
	made := map[string]bool{}
	mkdir := func(dir string) error {
		if made[dir] {
			return nil
		}
		made[dir] = true
		return t.Session.InstallDir(dir)
	}
	if err := mkdir(s.Dir); err != nil {
		return err
	}
	for _, f := range s.files {
		dir := filepath.Dir(f.to)
		if f.mode.IsDir() {
			dir = f.to
		}
		if err := mkdir(dir); err != nil {
			return err
		}
		if err := t.stageFile(f); err != nil {
			return err
		}
	}
	return t.Session.InstallText(string(s.Module.Text), s.conf(), t.Clock)
}

func (t *Tree) stageFile(f staged) error {
	install := t.Session.InstallFile
	switch {
	case f.mode.IsDir():
		return nil
	case f.mode.Type() == fs.ModeSymlink:
		target, err := os.Readlink(t.path(f.from))
		if err != nil {
			return err
		}
		return t.Session.InstallLink(target, f.to)
	case f.mode&0o111 != 0:
		install = t.Session.InstallProgram
	}
	if err := install(f.from, f.to); err != nil || t.Session.NoAct {
		return err
	}
	return os.Chtimes(t.path(f.to), time.Time{}, t.Clock)
}
