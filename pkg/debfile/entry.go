// SPDX-License-Identifier: MIT

package debfile

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Entry is one entry of the data member. Its Open is nil: the content comes
// with it.
type Entry struct {
	File
	Link string // for a hard link: the path of the earlier entry it is one with
}

// tree holds what has been seen of a member: the type by path.
type tree map[string]fs.FileMode

// entry checks an entry against those before it and takes it in.
func (t tree) entry(h *tar.Header) (Entry, error) {
	e, err := newEntry(h)
	if err != nil {
		return e, err
	}
	if _, dup := t[e.Path]; dup {
		return e, errors.New("duplicate entry")
	}
	if len(t) >= maxEntries {
		return e, fmt.Errorf("more than %d entries", maxEntries)
	}
	if err := t.checkParent(e.Path); err != nil {
		return e, err
	}
	if e.Link != "" {
		if mode, ok := t[e.Link]; !ok || !mode.IsRegular() {
			return e, fmt.Errorf("hard link to %q, which is not an earlier file of the package", e.Link)
		}
	}
	t[e.Path] = e.Mode
	return e, nil
}

// checkParent wants the directory of name to be there, as dpkg does; a link to
// a directory will not do. (dpkg-deb never packs such a tree.)
func (t tree) checkParent(name string) error {
	dir := path.Dir(name)
	if dir == "." {
		return nil
	}
	switch mode, ok := t[dir]; {
	case !ok:
		return fmt.Errorf("no entry for its directory %q", dir)
	case mode&fs.ModeSymlink != 0:
		return fmt.Errorf("path goes through the link %q", dir)
	case !mode.IsDir():
		return fmt.Errorf("lies below %q, which is not a directory", dir)
	}
	return nil
}

// newEntry translates a tar header.
func newEntry(h *tar.Header) (e Entry, err error) {
	if len(h.PAXRecords) > 0 || h.Typeflag == tar.TypeXGlobalHeader {
		return e, errors.New("tar header of the PAX format, which dpkg does not know")
	}
	if e.Path, err = entryName(h.Name); err != nil {
		return e, err
	}
	e.ModTime = h.ModTime
	e.Mode = h.FileInfo().Mode() & fileBits
	switch h.Typeflag {
	case tar.TypeReg:
		e.Size = h.Size
	case tar.TypeDir:
		e.Mode |= fs.ModeDir
	case tar.TypeSymlink:
		e.Mode |= fs.ModeSymlink
		e.Target = h.Linkname
	case tar.TypeLink:
		e.Link, err = entryName(h.Linkname)
		if err != nil {
			return e, fmt.Errorf("hard link to %q: %w", h.Linkname, err)
		}
	default:
		return e, fmt.Errorf("entry of type %q: not a file, directory or link", h.Typeflag)
	}
	return e, nil
}

// entryName cleans the name of an entry, "./usr/", to "usr".
func entryName(name string) (string, error) {
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", errors.New(`".." in path`)
	}
	clean := path.Clean(name)
	if name != "" && clean == "." {
		return clean, nil
	}
	return clean, checkName(clean)
}
