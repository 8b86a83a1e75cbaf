// SPDX-License-Identifier: MIT

// Package upload adds what was built to what dpkg-genbuildinfo and
// dpkg-genchanges gather: the list debian/files.
package upload

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gokms/gokms/pkg/textfile"
)

// File is one line of debian/files.
type File struct {
	Name     string // of the file, without a directory
	Section  string
	Priority string
	// Attributes follow as NAME=VALUE. "automatic=yes" is for packages that
	// are not in debian/control, and silences dpkg-genchanges about it.
	Attributes []string
}

// fileName is what dpkg takes for the name of an artifact, in its two forms:
// NAME_VERSION_ARCH.TYPE and anything else.
var (
	fileName     = regexp.MustCompile(`^[-+:.,_0-9a-zA-Z~]+$`)
	artifactName = regexp.MustCompile(`^([-+:.0-9a-z]+)_[^_]+_([-\w]+)\.([a-z0-9.]+)$`)
)

// artifact is the package, architecture and type of a name, to find what
// another version of the same replaces; the name itself where it has no such
// form.
func artifact(name string) string {
	if m := artifactName.FindStringSubmatch(name); m != nil {
		return m[1] + "_" + m[2] + "." + m[3]
	}
	return name
}

func (f File) check() error {
	if !fileName.MatchString(f.Name) {
		return fmt.Errorf("debian/files: invalid file name %q", f.Name)
	}
	for _, word := range append([]string{f.Section, f.Priority}, f.Attributes...) {
		if word == "" || strings.ContainsAny(word, " \t\n") {
			return fmt.Errorf("debian/files: %s: section, priority and attributes are words, not %q", f.Name, word)
		}
	}
	return nil
}

func (f File) line() string {
	return strings.Join(append([]string{f.Name, f.Section, f.Priority}, f.Attributes...), " ")
}

// AddFiles enters files into debian/files of the source package at dir. An
// entry for the same package and architecture is replaced. The list is locked
// against other tools as dpkg-gencontrol(1) does it, by a lock on
// debian/control, and replaced in one step.
func AddFiles(dir string, files ...File) error {
	for _, f := range files {
		if err := f.check(); err != nil {
			return err
		}
	}
	return edit(dir, func(lines []string) []string {
		for _, f := range files {
			lines = slices.DeleteFunc(lines, func(line string) bool {
				old, _, _ := strings.Cut(line, " ")
				return artifact(old) == artifact(f.Name)
			})
			lines = append(lines, f.line())
		}
		return lines
	})
}

// Check tells whether [AddFiles] will be able to write, before hours of work
// are done in vain.
func Check(dir string) error {
	return edit(dir, func([]string) []string { return nil })
}

// edit replaces the lines of the list by what change makes of them, nil:
// leaves them alone.
func edit(dir string, change func([]string) []string) (err error) {
	lock, err := lockControl(filepath.Join(dir, "debian", "control"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	list := filepath.Join(dir, "debian", "files")
	lines, err := readLines(list)
	if err != nil {
		return err
	}
	text := ""
	changed := change(slices.Clone(lines))
	if changed != nil {
		slices.Sort(changed)
		text = strings.Join(changed, "\n") + "\n"
	}
	if err := os.WriteFile(list+".new", []byte(text), 0o644); err != nil {
		return err
	}
	if changed == nil {
		return os.Remove(list + ".new")
	}
	return os.Rename(list+".new", list)
}

// lockControl waits for the lock; closing the file gives it back. dpkg locks
// with fcntl(2) where Perl's File::FcntlLock is there, else with flock(2). An
// open file description's lock excludes the former, too, and unlike it does
// not go when the process closes the file somewhere else.
func lockControl(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLKW, &unix.Flock_t{Type: unix.F_WRLCK})
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// readLines returns the lines of a list; a list that is not there has none.
func readLines(path string) ([]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	sc := textfile.NewScanner(f, path)
	for sc.Scan() {
		if sc.Text() != "" {
			lines = append(lines, sc.Text())
		}
	}
	return lines, sc.Err()
}
