// SPDX-License-Identifier: MIT

package debfile

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// entry is one entry of the data member as it will be written.
type entry struct {
	file   *File // with its defaults; the caller's value is not touched
	header *tar.Header
}

// layout returns the entries of the data member in the order that dpkg-deb(1)
// writes them in, the top directory and missing parents included.
func layout(p *Package) ([]entry, error) {
	if err := checkClock(p.ModTime); err != nil {
		return nil, err
	}
	files := make(map[string]*File, 2*len(p.Files))
	for i := range p.Files {
		f := p.Files[i]
		if err := checkFile(&f); err != nil {
			return nil, fmt.Errorf("%q: %w", f.Path, err)
		}
		if files[f.Path] != nil {
			return nil, fmt.Errorf("%q: listed twice", f.Path)
		}
		files[f.Path] = &f
	}
	for i := range p.Files {
		if err := addParents(files, p.Files[i].Path); err != nil {
			return nil, err
		}
	}
	entries := make([]entry, 0, len(files)+1)
	for _, f := range files {
		h := header(f, p.ModTime)
		if err := checkClock(h.ModTime); err != nil {
			return nil, fmt.Errorf("%q: %w", f.Path, err)
		}
		entries = append(entries, entry{f, h})
	}
	slices.SortFunc(entries, func(a, b entry) int { return compareFiles(a.file, b.file) })
	return entries, nil
}

// dirMode is the mode of directories that nobody listed.
const dirMode = fs.ModeDir | 0o755

// addParents adds the directories above name that nobody listed, "." for the
// top one included.
func addParents(files map[string]*File, name string) error {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		switch f := files[dir]; {
		case f == nil:
			files[dir] = &File{Path: dir, Mode: dirMode}
		case !f.Mode.IsDir():
			return fmt.Errorf("%q: lies below %q, which is not a directory", name, dir)
		}
		if dir == "." {
			return nil
		}
	}
}

// compareFiles orders by path, component by component, so that a directory is
// followed by what it holds. Links come last: dpkg-deb does that so that a
// link never appears before its target.
func compareFiles(a, b *File) int {
	return cmp.Or(
		cmp.Compare(a.Mode&fs.ModeSymlink, b.Mode&fs.ModeSymlink),
		slices.Compare(components(a.Path), components(b.Path)),
	)
}

// components splits a clean relative path; the top directory has none.
func components(name string) []string {
	if name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

// fileBits are the mode bits that an entry can carry.
const fileBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// checkFile reports why f cannot be written as it stands.
func checkFile(f *File) error {
	if err := checkName(f.Path); err != nil {
		return err
	}
	if extra := f.Mode &^ (fs.ModeType | fileBits); extra != 0 {
		return fmt.Errorf("mode %v has bits that a package cannot hold", f.Mode)
	}
	switch f.Mode.Type() {
	case 0:
		if f.Open == nil {
			return errors.New("no content: Open is nil")
		}
		if f.Size < 0 {
			return fmt.Errorf("negative size %d", f.Size)
		}
	case fs.ModeDir:
	case fs.ModeSymlink:
		if err := checkTarget(f.Path, f.Target); err != nil {
			return err
		}
	default:
		return fmt.Errorf("mode %v: neither file, directory nor symbolic link", f.Mode)
	}
	if f.Size != 0 && !f.Mode.IsRegular() {
		return fmt.Errorf("size %d for what is not a regular file", f.Size)
	}
	if f.Target != "" && f.Mode.Type() != fs.ModeSymlink {
		return fmt.Errorf("target %q for what is not a symbolic link", f.Target)
	}
	return nil
}

// checkName wants a clean path below the top directory. Control characters
// are refused since dpkg's own file lists are lines of text.
func checkName(name string) error {
	switch {
	case name == "" || name == ".":
		return errors.New("no file name")
	case strings.HasPrefix(name, "/"):
		return errors.New("path is absolute")
	case name == ".." || strings.HasPrefix(name, "../"):
		return errors.New("path leads out of the package")
	case path.Clean(name) != name:
		return fmt.Errorf("path is not clean: want %q", path.Clean(name))
	case hasControl(name):
		return errors.New("control character in path")
	}
	return nil
}

// checkTarget wants a link target that, seen from the package's top, does not
// climb out of it. Absolute ones stay below the root of the installed system.
func checkTarget(name, target string) error {
	switch {
	case target == "":
		return errors.New("symbolic link without target")
	case hasControl(target):
		return fmt.Errorf("control character in link target %q", target)
	case !path.IsAbs(target) && leadsOut(name, target):
		return fmt.Errorf("link target %q leads out of the package", target)
	}
	return nil
}

// leadsOut tells whether the relative target of the link name climbs above
// the top directory, going by the text alone.
func leadsOut(name, target string) bool {
	p := path.Join(path.Dir(name), target)
	return p == ".." || strings.HasPrefix(p, "../")
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

// header is the one place where the fields of an entry are decided.
func header(f *File, clock time.Time) *tar.Header {
	h := &tar.Header{
		Format:   tar.FormatGNU,
		Typeflag: tar.TypeReg,
		Name:     "./" + f.Path,
		Size:     f.Size,
		Mode:     unixMode(f.Mode),
		ModTime:  clampTime(f.ModTime, clock),
		Uname:    "root",
		Gname:    "root",
	}
	switch f.Mode.Type() {
	case fs.ModeDir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		h.Linkname = f.Target
		h.Mode = 0o777 // what lstat(2) says of every link on Linux
	}
	if f.Path == "." {
		h.Name = "./"
	}
	return h
}

// unixMode is the mode in the bits that tar uses.
func unixMode(m fs.FileMode) int64 {
	mode := int64(m.Perm())
	if m&fs.ModeSetuid != 0 {
		mode |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		mode |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		mode |= 0o1000
	}
	return mode
}

// clampTime cuts t to seconds and to at most clock; zero is clock.
func clampTime(t, clock time.Time) time.Time {
	if t.IsZero() || t.After(clock) {
		t = clock
	}
	return time.Unix(t.Unix(), 0).UTC()
}

// maxTime is the last second that tar's 11 octal digits hold, in the year 2242.
const maxTime = 1<<33 - 1

func checkClock(t time.Time) error {
	if s := t.Unix(); s < 0 || s > maxTime {
		return fmt.Errorf("time %v: want one from 1970 to 2242", t.UTC().Format(time.RFC3339))
	}
	return nil
}

// installedSize is the value of Installed-Size in KiB, counted as
// dpkg-gencontrol(1) does in a tree that debhelper filled: files and links
// rounded up one by one, 1 for anything else. DEBIAN and the members in it lie
// in that tree at that time, all but control and md5sums, and are counted.
func installedSize(entries []entry, scripts map[string]string) int64 {
	total := int64(1) // DEBIAN itself
	for _, content := range scripts {
		total += kib(int64(len(content)))
	}
	for _, e := range entries {
		switch e.file.Mode.Type() {
		case 0:
			total += kib(e.file.Size)
		case fs.ModeSymlink:
			total += kib(int64(len(e.file.Target)))
		default:
			total++
		}
	}
	return total
}

func kib(size int64) int64 {
	return size/1024 + min(size%1024, 1)
}
