// SPDX-License-Identifier: MIT

package signing

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
)

// inOrder puts the .changes behind the .buildinfo that they list.
func inOrder(paths []string) []string {
	paths = slices.Clone(paths)
	slices.SortStableFunc(paths, func(a, b string) int {
		last := map[string]int{".changes": 1}
		return last[filepath.Ext(a)] - last[filepath.Ext(b)]
	})
	return paths
}

// lists are the fields of .changes and .buildinfo files that list files, each
// line of them with a sum first, then the size, and the name last
// (deb-changes(5), deb-buildinfo(5)).
var lists = map[string]func() hash.Hash{
	"Files": md5.New, "Checksums-Md5": md5.New, "Checksums-Sha1": sha1.New, "Checksums-Sha256": sha256.New,
}

// allChanges writes all .changes and .buildinfo files anew.
func (j *job) allChanges() error {
	paths := slices.Clone(j.Changes)
	for _, path := range j.Changes {
		stanza, err := readChanges(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) != ".changes" {
			continue
		}
		for _, name := range listed(stanza) {
			switch filepath.Ext(name) {
			case ".buildinfo":
				paths, err = withBuildinfo(paths, path, name)
			case ".deb":
				err = j.leftOut(path, name)
			}
			if err != nil {
				return err
			}
		}
	}
	for _, path := range inOrder(paths) {
		if err := j.changes(path); err != nil {
			return err
		}
	}
	return nil
}

// listed are the names of the files that a .changes lists.
func listed(changes control.Stanza) []string {
	var names []string
	for _, f := range changes.Fields {
		if lists[f.Name] == nil {
			continue
		}
		for line := range strings.Lines(f.Value) {
			if words := strings.Fields(line); len(words) >= 3 {
				names = append(names, words[len(words)-1])
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// withBuildinfo is paths with the .buildinfo that the file changes lists: its
// old sums would be wrong.
func withBuildinfo(paths []string, changes, name string) ([]string, error) {
	if slices.ContainsFunc(paths, func(path string) bool { return filepath.Base(path) == name }) {
		return paths, nil
	}
	beside := filepath.Join(filepath.Dir(changes), name)
	if _, err := os.Stat(beside); name != filepath.Base(name) || err != nil {
		return nil, &Error{Deb: changes, Err: fmt.Errorf("lists %s, which does not lie beside it: its sums would be those of the old packages", name),
			Cure: "give it as well: --changes " + name}
	}
	return append(paths, beside), nil
}

// leftOut refuses to leave out a package that the file changes lists and that
// wants the old version of one that gets a new one.
func (j *job) leftOut(changes, name string) error {
	if j.Revision == "" || j.renamed[name] != "" || name != filepath.Base(name) {
		return nil
	}
	refuse := func(pkg string) error {
		return &Error{Deb: changes, Err: fmt.Errorf("%s depends on %s (= %s), which becomes %s", name, pkg, j.versions[pkg], j.revised(j.versions[pkg])),
			Cure: "give it as well: its dependency is mended, too"}
	}
	beside := filepath.Join(filepath.Dir(changes), name)
	if _, err := os.Stat(beside); err != nil { // its name must do
		pkg, _, _ := strings.Cut(name, "_")
		if main := strings.TrimSuffix(pkg, "-dbgsym"); main != pkg && j.versions[main] != "" {
			return refuse(main)
		}
		return nil
	}
	r, err := debfile.OpenWith(beside, j.reader())
	if err != nil {
		return err
	}
	c := r.Control()
	for _, field := range []string{"Depends", "Pre-Depends"} {
		for _, m := range exactRelation.FindAllStringSubmatch(c.Get(field), -1) {
			if old := j.versions[m[1]]; old != "" && m[3] == old {
				return errors.Join(refuse(m[1]), r.Close())
			}
		}
	}
	return r.Close()
}

// readChanges reads a .changes or .buildinfo file.
func readChanges(path string) (s control.Stanza, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN PGP")) {
		return s, &Error{Deb: path, Err: errors.New("is signed with OpenPGP: the signature would become wrong"),
			Cure: "give the unsigned file, and run debsign on the new one"}
	}
	stanzas, err := control.Parse(bytes.NewReader(text), path)
	if err != nil {
		return s, err
	}
	if len(stanzas) != 1 {
		return s, &Error{Deb: path, Err: fmt.Errorf("has %d stanzas: want one", len(stanzas))}
	}
	return stanzas[0], nil
}

// changesName is the new name of a .changes or .buildinfo file: an archive that
// has one of the old name takes no other. The revision goes to the version in
// SOURCE_VERSION_ARCH.changes.
func (j *job) changesName(name string) string {
	if j.Revision == "" {
		return name
	}
	ext := filepath.Ext(name)
	words := strings.Split(strings.TrimSuffix(name, ext), "_")
	words[min(1, len(words)-1)] += "+" + j.Revision
	return strings.Join(words, "_") + ext
}

// changes writes the file at path anew, with the sums of what was made.
func (j *job) changes(path string) error {
	stanza, err := readChanges(path)
	if err != nil {
		return err
	}
	mended := 0
	for i, f := range stanza.Fields {
		sum := lists[f.Name]
		if sum == nil {
			continue
		}
		value, n, err := j.mend(f.Value, sum)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", path, f.Name, err)
		}
		stanza.Fields[i].Value, mended = value, mended+n
	}
	if mended == 0 {
		return &Error{Deb: path, Err: errors.New("lists none of the packages")}
	}
	text, err := control.Format(stanza)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	name := filepath.Base(path)
	if j.renamed[name] != "" {
		return &Error{Deb: path, Err: errors.New("is given twice")}
	}
	j.renamed[name] = j.changesName(name)
	j.made = append(j.made, j.renamed[name])
	return os.WriteFile(filepath.Join(j.tmp, j.renamed[name]), text, 0o666)
}

// mend replaces names, sums and sizes of what was made, and counts packages.
func (j *job) mend(list string, sum func() hash.Hash) (string, int, error) {
	lines := strings.Split(list, "\n")
	count := 0
	for i, line := range lines {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		name := j.renamed[words[len(words)-1]]
		if name == "" {
			continue
		}
		size, digest, err := digestOf(filepath.Join(j.tmp, name), sum())
		if err != nil {
			return "", 0, err
		}
		words[0], words[1], words[len(words)-1] = digest, strconv.FormatInt(size, 10), name
		lines[i] = strings.Join(words, " ")
		if filepath.Ext(name) == ".deb" {
			count++
		}
	}
	return strings.Join(lines, "\n"), count, nil
}

func digestOf(path string, h hash.Hash) (int64, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	n, err := io.Copy(h, f)
	return n, fmt.Sprintf("%x", h.Sum(nil)), err
}
