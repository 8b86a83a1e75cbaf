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

// changes writes the file at path anew, with the sums of what was made.
func (j *job) changes(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN PGP")) {
		return &Error{Deb: path, Err: errors.New("is signed with OpenPGP: the signature would become wrong"),
			Cure: "give the unsigned file, and run debsign on the new one"}
	}
	stanzas, err := control.Parse(bytes.NewReader(text), path)
	if err != nil {
		return err
	}
	if len(stanzas) != 1 {
		return &Error{Deb: path, Err: fmt.Errorf("has %d stanzas: want one", len(stanzas))}
	}
	stanza := stanzas[0]
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
	if text, err = control.Format(stanza); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	name := filepath.Base(path)
	if j.renamed[name] != "" {
		return &Error{Deb: path, Err: errors.New("is given twice")}
	}
	j.made = append(j.made, name)
	j.renamed[name] = name
	return os.WriteFile(filepath.Join(j.tmp, name), text, 0o666)
}

// mend replaces names, sums and sizes of what was made, and counts them.
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
		count++
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
