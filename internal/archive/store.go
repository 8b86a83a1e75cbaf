// SPDX-License-Identifier: MIT

package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/version"
	"golang.org/x/sys/unix"
)

// entry is what package.json says of an unpacked package.
type entry struct {
	Package
	Depends string `json:"depends,omitempty"`
	Release string `json:"release,omitempty"` // of the kernel whose headers it is
}

// record is what says that a kernel is in the cache.
type record struct {
	Release   string   `json:"release"`
	Packages  []entry  `json:"packages"`
	Installed []string `json:"installed,omitempty"`
}

func (a *Archive) debDir(sum string) string  { return filepath.Join(a.o.CacheDir, "debs", sum) }
func (a *Archive) tempDir(sum string) string { return filepath.Join(a.o.CacheDir, "tmp", sum) }
func (a *Archive) recordDir() string         { return filepath.Join(a.o.CacheDir, "kernels", a.arch) }

// Lookup returns the headers of a kernel if they are in the cache as a whole,
// else nil. It reads one file and runs nothing.
func (a *Archive) Lookup(release string) (*Set, error) {
	if release == "" || release[0] == '.' || strings.ContainsAny(release, "/\x00") {
		return nil, nil
	}
	return a.readRecord(filepath.Join(a.recordDir(), release+".json"))
}

// readRecord returns nil for what is not there, or no longer.
func (a *Archive) readRecord(path string) (*Set, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, a.cacheError(err)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil || len(r.Packages) == 0 || r.Release+".json" != filepath.Base(path) {
		return nil, nil // not ours, or the disk's fault: fetched again
	}
	set := &Set{Release: r.Release, Installed: r.Installed}
	for _, e := range r.Packages {
		p, ok := a.unpackedAt(e)
		if !ok {
			return nil, nil
		}
		set.Packages = append(set.Packages, p)
	}
	for _, name := range r.Installed {
		if !a.installedHere(name) {
			return nil, nil // the cache came from another machine
		}
	}
	return set, nil
}

// unpackedAt gives the package of an entry its place, if it is there.
func (a *Archive) unpackedAt(e entry) (Package, bool) {
	p := e.Package
	if !sha256RE.MatchString(p.SHA256) {
		return p, false
	}
	p.Depends, p.Root = e.Depends, filepath.Join(a.debDir(p.SHA256), "root")
	info, err := os.Stat(p.Root)
	return p, err == nil && info.IsDir()
}

// Cached lists the kernels that are in the cache as a whole, the oldest first.
func (a *Archive) Cached() ([]*Set, error) {
	files, err := os.ReadDir(a.recordDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, a.cacheError(err)
	}
	var sets []*Set
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".json" {
			continue
		}
		set, err := a.readRecord(filepath.Join(a.recordDir(), f.Name()))
		if err != nil {
			return nil, err
		}
		if set != nil {
			sets = append(sets, set)
		}
	}
	slices.SortStableFunc(sets, func(x, y *Set) int { return compareReleases(x.Release, y.Release) })
	return sets, nil
}

// compareReleases orders kernels by version, then flavour.
func compareReleases(x, y string) int {
	return cmp.Or(version.Compare(x, y), strings.Compare(x, y))
}

// publish writes the record of a kernel whose packages are in the cache.
func (a *Archive) publish(set *Set) error {
	r := record{Release: set.Release, Installed: set.Installed}
	for _, p := range set.Packages {
		r.Packages = append(r.Packages, entry{Package: p, Depends: p.Depends})
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := a.makeDirs(a.recordDir()); err != nil {
		return err
	}
	return a.writeFile(filepath.Join(a.recordDir(), set.Release+".json"), append(text, '\n'))
}

// readEntry reads package.json of an unpacked package; nil if it is not there.
func (a *Archive) readEntry(sum string) *entry {
	text, err := os.ReadFile(filepath.Join(a.debDir(sum), "package.json"))
	if err != nil {
		return nil // whoever makes it meets the cause
	}
	var e entry
	if json.Unmarshal(text, &e) != nil || e.SHA256 != sum {
		return nil
	}
	p, ok := a.unpackedAt(e)
	if !ok {
		return nil
	}
	e.Package = p
	return &e
}

// make lets fill make the directory that is to become dest, where one process
// at a time makes what has this SHA-256. It does nothing if there says that it
// is there.
func (a *Archive) make(ctx context.Context, sum, dest string, there func() bool, fill func(dir string) error) error {
	if there() {
		return nil
	}
	temp := a.tempDir(sum)
	if err := a.makeDirs(filepath.Dir(temp), filepath.Dir(dest)); err != nil {
		return err
	}
	lock, err := lockFile(ctx, temp+".lock")
	if err != nil {
		return a.cacheError(err)
	}
	defer lock.release()
	if there() {
		return nil // while we waited
	}
	defer os.RemoveAll(temp)
	if err := errors.Join(os.RemoveAll(temp), os.RemoveAll(dest)); err != nil {
		return a.cacheError(err)
	}
	if err := a.makeDirs(temp); err != nil {
		return err
	}
	if err := fill(temp); err != nil {
		return a.cacheError(err)
	}
	if err := syncDisk(temp); err != nil {
		return a.cacheError(err)
	}
	return a.cacheError(os.Rename(temp, dest))
}

// syncDisk writes out what was made: thousands of files at once.
func syncDisk(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// sweep removes what killed processes left, once.
func (a *Archive) sweep() {
	a.swept.Do(func() {
		a.sweepFiles()
		tmp := filepath.Join(a.o.CacheDir, "tmp")
		files, err := os.ReadDir(tmp)
		if err != nil {
			return // nothing there
		}
		for _, f := range files {
			path := filepath.Join(tmp, strings.TrimSuffix(f.Name(), ".lock"))
			lock, err := tryLock(path + ".lock")
			if err != nil {
				continue // somebody is at it
			}
			if err := os.RemoveAll(path); err != nil {
				a.o.Warn(err)
			}
			lock.release()
		}
	})
}

// sweepFiles removes files that nobody can be writing any more.
func (a *Archive) sweepFiles() {
	for _, dir := range []string{"kernels", "apt"} {
		files, err := filepath.Glob(filepath.Join(quoteGlob(a.o.CacheDir), dir, "*", ".new-*"))
		if err != nil {
			return
		}
		for _, f := range files {
			if info, err := os.Stat(f); err == nil && a.o.Now().Sub(info.ModTime()) > time.Hour {
				os.Remove(f)
			}
		}
	}
}

// makeDirs makes directories of the cache. Builds run as other users: they are
// readable by all, whatever the umask.
func (a *Archive) makeDirs(dirs ...string) error {
	if err := os.MkdirAll(filepath.Dir(a.o.CacheDir), 0o777); err != nil {
		return &CacheError{Dir: a.o.CacheDir, Err: err}
	}
	for _, dir := range dirs {
		if err := a.makeDir(dir); err != nil {
			return &CacheError{Dir: a.o.CacheDir, Err: err}
		}
	}
	return nil
}

func (a *Archive) makeDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
	}
	if dir != a.o.CacheDir {
		if err := a.makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // somebody else was faster
		}
		return err
	}
	return os.Chmod(dir, 0o755)
}

// writeFile writes a file of the cache whole, or not.
func (a *Archive) writeFile(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return a.cacheError(err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return a.cacheError(err)
}
