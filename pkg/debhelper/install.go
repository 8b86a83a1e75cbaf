// SPDX-License-Identifier: MIT

package debhelper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// InstallFile copies source to dest with mode 0644. Both are relative to the
// source package. Like all of these it keeps the modification time, unless
// that is later than s.Clock, never changes the owner, replaces what is at
// dest in one step (a symbolic link itself, not what it points to), and does
// nothing under --no-act. The directory must be there, see [Session.InstallDir].
func (s *Session) InstallFile(source, dest string) error { return s.install(source, dest, 0o644) }

// InstallProgram copies source to dest with mode 0755, as InstallFile does.
func (s *Session) InstallProgram(source, dest string) error { return s.install(source, dest, 0o755) }

func (s *Session) install(source, dest string, mode fs.FileMode) error {
	s.Verbosef("install -p -m%04o %s", mode, EscapeShell(source, dest))
	if s.NoAct {
		return nil
	}
	in, err := os.Open(s.path(source))
	if err != nil {
		return s.inTree(err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return s.inTree(err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("install %s: not a regular file", source)
	}
	return s.replace(dest, mode, s.clamp(info.ModTime()), func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

// InstallText writes text to dest with mode 0644 and the modification time
// when, s.Clock at the latest.
func (s *Session) InstallText(text, dest string, when time.Time) error {
	s.Verbosef("[META] write %s", EscapeShell(dest))
	if s.NoAct {
		return nil
	}
	return s.replace(dest, 0o644, s.clamp(when), func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// InstallDir makes directories, with those above them, mode 0755 whatever the
// umask. What is there already is left alone.
func (s *Session) InstallDir(dirs ...string) error {
	if len(dirs) == 0 {
		return nil
	}
	s.Verbosef("install -m0755 -d %s", EscapeShell(dirs...))
	if s.NoAct {
		return nil
	}
	for _, dir := range dirs {
		if err := makeDir(s.path(dir)); err != nil {
			return s.inTree(err)
		}
	}
	return nil
}

func makeDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("something else is there")}
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// InstallLink makes dest a symbolic link that says target, in place of what is
// there, a directory excepted.
func (s *Session) InstallLink(target, dest string) error {
	s.Verbosef("ln -s %s", EscapeShell(target, dest))
	if s.NoAct {
		return nil
	}
	if err := os.Remove(s.path(dest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.inTree(err)
	}
	return s.inTree(os.Symlink(target, s.path(dest)))
}

// RemoveFiles deletes files; those that are not there are no error.
func (s *Session) RemoveFiles(files ...string) error {
	s.Verbosef("rm -f %s", EscapeShell(files...))
	for _, file := range files {
		if s.NoAct {
			return nil
		}
		if err := os.Remove(s.path(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s.inTree(err)
		}
	}
	return nil
}

func (s *Session) clamp(t time.Time) time.Time {
	if !s.Clock.IsZero() && t.After(s.Clock) {
		return s.Clock
	}
	return t
}

// writeFile replaces one of debhelper's own files below debian/.
func (s *Session) writeFile(name, text string, mode fs.FileMode) error {
	if s.NoAct {
		return nil
	}
	return s.replace(name, mode, time.Time{}, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// replace writes a file under another name and renames it into place. when:
// its modification time, zero for now.
func (s *Session) replace(name string, mode fs.FileMode, when time.Time, write func(io.Writer) error) (err error) {
	path := s.path(name)
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return s.inTree(err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = s.inTree(err)
		}
	}()
	err = write(f)
	if chmodErr := f.Chmod(mode); err == nil {
		err = chmodErr
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && !when.IsZero() {
		err = os.Chtimes(f.Name(), when, when)
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
