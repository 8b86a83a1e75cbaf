// SPDX-License-Identifier: MIT

package debsource

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/debhelper"
)

// notes is where a run notes what it installs into p, so that the next one
// can tell that from what others have put there. dh_prep removes it with p's
// files.
func (t *Tree) notes(p *debhelper.Package) string {
	return filepath.Join(t.Dir, "debian/.debhelper/generated", p.Name, "files-of-"+t.Session.Tool.Name)
}

// Earlier are the files that an earlier run has installed into p by
// [Tree.Replace].
func (t *Tree) Earlier(p *debhelper.Package) ([]string, error) {
	text, err := os.ReadFile(t.notes(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	files := strings.Split(string(text), "\x00")
	return slices.DeleteFunc(files, func(f string) bool { return f == "" }), err
}

// Replace stages all of new, the modules of p, in place of what an earlier run
// has installed, and tells dh_missing. An interrupted run can be repeated.
func (t *Tree) Replace(p *debhelper.Package, all []*Staging) error {
	earlier, err := t.Earlier(p)
	if err != nil {
		return err
	}
	var files []string
	for _, s := range all {
		files = append(files, s.conf())
		for _, f := range s.files {
			if !f.mode.IsDir() {
				files = append(files, f.to)
			}
		}
	}
	if err := t.note(p, append(slices.Clone(earlier), files...)); err != nil {
		return err
	}
	for _, old := range earlier {
		if !slices.Contains(files, old) {
			if err := t.remove(old); err != nil {
				return err
			}
		}
	}
	for _, s := range all {
		if err := t.Stage(s); err != nil {
			return err
		}
		if err := t.Session.LogInstalled(p, append(s.taken, s.Module.File)...); err != nil {
			return err
		}
	}
	return t.note(p, files)
}

func (t *Tree) note(p *debhelper.Package, files []string) error {
	if t.Session.NoAct {
		return nil
	}
	slices.Sort(files)
	files = slices.Compact(files)
	if err := os.MkdirAll(filepath.Dir(t.notes(p)), 0o755); err != nil {
		return err
	}
	var text bytes.Buffer
	for _, f := range files {
		text.WriteString(f + "\x00")
	}
	return os.WriteFile(t.notes(p), text.Bytes(), 0o644)
}

// remove deletes a file and the directories that are empty without it.
func (t *Tree) remove(file string) error {
	if err := t.Session.RemoveFiles(file); err != nil || t.Session.NoAct {
		return err
	}
	for dir := filepath.Dir(file); dir != "debian" && dir != "."; dir = filepath.Dir(dir) {
		if os.Remove(t.path(dir)) != nil {
			break // not empty
		}
	}
	return nil
}
