// SPDX-License-Identifier: MIT

package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// Sum is the SHA-256 of a file; of a directory that of a list of all it holds:
// paths, contents, targets of links, and whether files may be executed. Owners
// and times do not count, nor what version control and gokms itself keep there.
func Sum(ctx context.Context, path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if info.IsDir() {
		err = sumTree(ctx, h, path)
	} else {
		err = copyFile(h, path)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// notSource are the directories of version control.
var notSource = []string{".git", ".hg", ".svn", "CVS", "RCS", ".bzr", "_darcs", "_MTN", ".pc"}

// ownResult is what gokms writes into its output directory, which may be the
// source.
var ownResult = regexp.MustCompile(`^\.?[a-z0-9][-+.a-z0-9]*-modules-[^_]+_[^_]+_[^_.]+\.(deb|json|log|failed\.log)$|^\.gokms-`)

// sumTree writes a line for each entry, in the order of their names.
func sumTree(ctx context.Context, h hash.Hash, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		name := d.Name()
		if path != dir && (slices.Contains(notSource, name) || ownResult.MatchString(name)) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		line, err := entryLine(path, d)
		if err == nil && line != "" {
			_, err = fmt.Fprintf(h, "%q %s\n", path[len(dir):], line)
		}
		return err
	})
}

// entryLine is what counts of an entry besides its path.
func entryLine(path string, d fs.DirEntry) (string, error) {
	switch {
	case d.IsDir():
		return "directory", nil
	case d.Type() == fs.ModeSymlink:
		target, err := os.Readlink(path)
		return fmt.Sprintf("link %q", target), err
	case !d.Type().IsRegular():
		return "", nil // sockets and such are no input
	}
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	kind := "file"
	if info.Mode()&0o111 != 0 {
		kind = "program"
	}
	h := sha256.New()
	err = copyFile(h, path)
	return fmt.Sprintf("%s %x", kind, h.Sum(nil)), err
}
