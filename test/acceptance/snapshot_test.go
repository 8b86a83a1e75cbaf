// SPDX-License-Identifier: MIT

package acceptance

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// snapshot is the files of a system: path to kind, mode and content.
type snapshot map[string]string

// unwatched are the folders whose contents the package manager, and not a
// package, answers for.
var unwatched = []string{"proc", "sys", "dev", "run", "tmp", "var/log", "var/cache", "var/lib/apt", "var/lib/dpkg"}

// Snapshot takes down all files of the chroot but those of unwatched folders.
func (c *chroot) Snapshot(t *testing.T) snapshot {
	t.Helper()
	s := snapshot{}
	must(t, filepath.WalkDir(c.dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(c.dir, file)
		if err != nil {
			return err
		}
		if slices.Contains(unwatched, name) {
			return fs.SkipDir
		}
		s["/"+name], err = describe(file, d)
		return err
	}))
	return s
}

func describe(file string, d fs.DirEntry) (string, error) {
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(file)
		return "link to " + to, err
	case !info.Mode().IsRegular():
		return info.Mode().String(), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %x", info.Mode(), sum.Sum(nil)[:8]), nil
}

// since lists what was added (+), removed (-) and changed (~) since an earlier
// snapshot.
func (s snapshot) since(earlier snapshot) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		was, ok := earlier[name]
		switch {
		case !ok:
			lines = append(lines, "+ "+name)
		case was != s[name]:
			lines = append(lines, fmt.Sprintf("~ %s: was %s, is %s", name, was, s[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(earlier)) {
		if _, ok := s[name]; !ok {
			lines = append(lines, "- "+name)
		}
	}
	return lines
}

// mustEqual fails the test where the system is not as it was.
func (s snapshot) mustEqual(t *testing.T, earlier snapshot, when string) {
	t.Helper()
	if lines := s.since(earlier); len(lines) > 0 {
		t.Errorf("%s, the system differs:\n%s", when, strings.Join(lines, "\n"))
	}
}
