// SPDX-License-Identifier: MIT

package archive

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gokms/gokms/pkg/debfile"
	"golang.org/x/sys/unix"
)

// manifest lists what a package was unpacked to, by directory. It is kept
// beside root/, so that what happens to that is seen.
type manifest []unpacked

// unpacked is one entry of a manifest.
type unpacked struct {
	kind  byte // 'f' a file, 'x' one that may be run, 'l' a link, 'd' a directory
	size  int64
	mtime int64  // Unix nanoseconds; 0: not known
	sum   string // SHA-256 of the content, of the link's target, of the names in the directory
	path  string // below root
}

// care is how closely a manifest is compared.
type care int

const (
	byTime    care = iota // what has the size and time that it had is the same
	byContent             // whatever its time
)

func sumOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// sumNames is the sum of a directory.
func sumNames(names []string) string {
	slices.Sort(names)
	return sumOf(strings.Join(names, "\x00"))
}

// entryOf describes an entry of a package but for its size and content.
func entryOf(e debfile.Entry) unpacked {
	u := unpacked{kind: 'f', path: e.Path}
	switch {
	case e.Mode.IsDir():
		u.kind, u.mtime = 'd', e.ModTime.UnixNano()
	case e.Mode&fs.ModeSymlink != 0:
		u.kind, u.sum = 'l', sumOf(e.Target)
	default:
		if e.Mode.Perm()&0o111 != 0 {
			u.kind = 'x'
		}
		u.mtime = e.ModTime.UnixNano()
	}
	return u
}

// finish puts m in order and tells directories what is in them.
func (m manifest) finish() {
	slices.SortFunc(m, func(x, y unpacked) int {
		return cmp.Or(strings.Compare(path.Dir(x.path), path.Dir(y.path)), strings.Compare(x.path, y.path))
	})
	names := map[string][]string{}
	for _, u := range m {
		if u.path != "." {
			names[path.Dir(u.path)] = append(names[path.Dir(u.path)], path.Base(u.path))
		}
	}
	for i, u := range m {
		if u.kind == 'd' {
			m[i].sum = sumNames(names[u.path])
		}
	}
}

// String is m as it is kept: the number of entries, then a line for each.
func (m manifest) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d\n", len(m))
	for _, u := range m {
		fmt.Fprintf(&text, "%c %d %d %s %q\n", u.kind, u.size, u.mtime, u.sum, u.path)
	}
	return text.String()
}

var errManifest = errors.New("its list of files is not whole")

// parseManifest reads what String wrote.
func parseManifest(text string) (manifest, error) {
	first, rest, _ := strings.Cut(text, "\n")
	n, err := strconv.Atoi(first)
	if err != nil || n != strings.Count(rest, "\n") {
		return nil, errManifest
	}
	m := make(manifest, 0, n)
	for line := range strings.Lines(rest) {
		u, err := parseUnpacked(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, errManifest
		}
		m = append(m, u)
	}
	return m, nil
}

// parseUnpacked reads one line.
func parseUnpacked(line string) (unpacked, error) {
	kind, line, _ := strings.Cut(line, " ")
	sizeText, line, _ := strings.Cut(line, " ")
	mtimeText, line, _ := strings.Cut(line, " ")
	sum, nameText, _ := strings.Cut(line, " ")
	size, err1 := strconv.ParseInt(sizeText, 10, 64)
	mtime, err2 := strconv.ParseInt(mtimeText, 10, 64)
	name, err3 := strconv.Unquote(nameText)
	if err1 != nil || err2 != nil || err3 != nil || len(kind) != 1 || !filepath.IsLocal(name) {
		return unpacked{}, errManifest
	}
	return unpacked{kind[0], size, mtime, sum, name}, nil
}

// check compares root with m. It looks at each file, 10 ms for the headers of
// a kernel, but reads only those whose time is another.
func (m manifest) check(root string, how care) error {
	dir, fd := "", -1
	defer func() { unix.Close(fd) }()
	for _, u := range m {
		if parent := path.Dir(u.path); parent != dir {
			unix.Close(fd)
			var err error
			dir = parent
			if fd, err = unix.Open(filepath.Join(root, dir), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
				return changed(dir, err)
			}
		}
		var st unix.Stat_t
		if err := unix.Fstatat(fd, path.Base(u.path), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return changed(u.path, err)
		}
		if err := u.check(root, &st, how); err != nil {
			return err
		}
	}
	return nil
}

// changed is the error for a file that cannot be looked at.
func changed(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is gone", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// check compares the file at its place with u.
func (u unpacked) check(root string, st *unix.Stat_t, how care) error {
	kind, mode := u.mode()
	switch {
	case st.Mode&unix.S_IFMT != kind:
		return fmt.Errorf("%s is another kind of file", u.path)
	case st.Mode&mode != mode || u.kind == 'f' && st.Mode&0o111 != 0:
		return fmt.Errorf("%s has another mode", u.path)
	case (u.kind == 'f' || u.kind == 'x') && st.Size != u.size:
		return fmt.Errorf("%s has another size", u.path)
	case how == byTime && u.kind != 'l' && st.Mtim.Nano() == u.mtime:
		return nil
	}
	sum, err := u.sumNow(filepath.Join(root, u.path))
	if err != nil {
		return changed(u.path, err)
	}
	if sum != u.sum {
		return fmt.Errorf("%s has changed", u.path)
	}
	return nil
}

// mode is the kind of file that u is, and what all must be allowed to do.
func (u unpacked) mode() (kind, allowed uint32) {
	switch u.kind {
	case 'l':
		return unix.S_IFLNK, 0
	case 'd':
		return unix.S_IFDIR, 0o555
	case 'x':
		return unix.S_IFREG, 0o555
	}
	return unix.S_IFREG, 0o444
}

// sumNow is the sum of what is at u's place now.
func (u unpacked) sumNow(name string) (string, error) {
	switch u.kind {
	case 'l':
		target, err := os.Readlink(name)
		return sumOf(target), err
	case 'd':
		entries, err := os.ReadDir(name)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return sumNames(names), err
	}
	_, sum, err := debfile.Sum(name)
	return sum, err
}

// check compares an unpacked package with its manifest. What it finds is a
// [*DamagedError].
func (a *Archive) check(p Package, how care) error {
	dir := a.debDir(p.SHA256)
	text, err := os.ReadFile(filepath.Join(dir, "files"))
	if err == nil {
		var m manifest
		if m, err = parseManifest(string(text)); err == nil {
			err = m.check(filepath.Join(dir, "root"), how)
		}
	} else {
		err = changed("its list of files", errors.Unwrap(err))
	}
	if err == nil {
		return nil
	}
	return &DamagedError{Cache: a.o.CacheDir, Dir: dir, Package: p.Name, Version: p.Version, Err: err}
}
