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
	"golang.org/x/sync/errgroup"
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
// else nil. It looks at their files, and runs nothing. Headers that were
// changed or lost are none, with a warning; offline, where they cannot be
// fetched again, they are a [*DamagedError].
func (a *Archive) Lookup(release string) (*Set, error) {
	if release == "" || release[0] == '.' || strings.ContainsAny(release, "/\x00") {
		return nil, nil
	}
	set, err := a.readRecord(filepath.Join(a.recordDir(), release+".json"))
	if set == nil || err != nil {
		return nil, err
	}
	var group errgroup.Group
	for _, p := range set.Packages {
		group.Go(func() error { return a.check(p, byTime) })
	}
	if err := group.Wait(); err != nil {
		return nil, a.damaged(err)
	}
	return set, nil
}

// damaged is err offline; else it is a warning, given once.
func (a *Archive) damaged(err error) error {
	if err == nil || a.o.Offline {
		return err
	}
	if _, told := a.told.LoadOrStore(err.Error(), true); !told {
		a.o.Warn(fmt.Errorf("%v; it is fetched again", err))
	}
	return nil
}

// readRecord returns nil for what is not there, or no longer. The files of
// packages are not looked at.
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
		p, ok := a.placed(e)
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

// placed gives the package of an entry its place.
func (a *Archive) placed(e entry) (p Package, ok bool) {
	p = e.Package
	p.Depends, p.Root = e.Depends, filepath.Join(a.debDir(p.SHA256), "root")
	return p, sha256RE.MatchString(p.SHA256)
}

// isThere says whether the packages of a set are, without a look at their
// files.
func (s *Set) isThere() bool {
	return !slices.ContainsFunc(s.Packages, func(p Package) bool {
		info, err := os.Stat(p.Root)
		return err != nil || !info.IsDir()
	})
}

// Cached lists the kernels that are in the cache, the oldest first. Unlike
// [Archive.Lookup] it does not look at their files.
func (a *Archive) Cached() ([]*Set, error) {
	files, err := os.ReadDir(a.recordDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, a.tryDir()
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
		if set != nil && set.isThere() {
			sets = append(sets, set)
		}
	}
	slices.SortStableFunc(sets, func(x, y *Set) int { return compareReleases(x.Release, y.Release) })
	return sets, nil
}

// tryDir finds out whether a cache that is not there could be made. Nothing is
// left of it.
func (a *Archive) tryDir() error {
	if a.o.Offline {
		return nil // nothing will be kept
	}
	dir := a.o.CacheDir
	for {
		_, err := os.Stat(dir)
		if err == nil || dir == filepath.Dir(dir) {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return &CacheError{Dir: a.o.CacheDir, Err: err}
		}
		dir = filepath.Dir(dir)
	}
	if dir == a.o.CacheDir {
		return nil
	}
	made, err := os.MkdirTemp(dir, ".gokms-")
	if err == nil {
		err = os.Remove(made)
	}
	if err != nil {
		return &CacheError{Dir: a.o.CacheDir, Err: fmt.Errorf("cannot be made in %s: %w", dir, errors.Unwrap(err))}
	}
	return nil
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

// readEntry reads package.json of an unpacked package; nil if it is not there
// as a whole. What is damaged is an error offline.
func (a *Archive) readEntry(sum string, how care) (*entry, error) {
	text, err := os.ReadFile(filepath.Join(a.debDir(sum), "package.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil: // it may be there, and whole
		return nil, a.cacheError(err)
	}
	var e entry
	if json.Unmarshal(text, &e) != nil || e.SHA256 != sum {
		return nil, nil
	}
	p, ok := a.placed(e)
	if !ok {
		return nil, nil
	}
	if err := a.check(p, how); err != nil {
		return nil, a.damaged(err)
	}
	e.Package = p
	return &e, nil
}

// discard removes an unpacked package, so that it is fetched again.
func (a *Archive) discard(ctx context.Context, sum string) error {
	temp := a.tempDir(sum)
	if err := a.makeDirs(filepath.Dir(temp)); err != nil {
		return err
	}
	lock, err := lockFile(ctx, temp+".lock")
	if err != nil {
		return a.cacheError(err)
	}
	defer lock.release()
	return a.cacheError(os.RemoveAll(a.debDir(sum)))
}

// Verify reads all files of a package of the cache. If they are not those of
// the package it is a [*DamagedError], and online the package is discarded.
func (a *Archive) Verify(ctx context.Context, p Package) error {
	err := a.check(p, byContent)
	if e, ok := errors.AsType[*DamagedError](err); ok && !a.o.Offline {
		if err := a.discard(ctx, p.SHA256); err != nil {
			return err
		}
		e.Discarded = true
	}
	return err
}

// make lets fill make the directory that is to become dest, where one process
// at a time makes what has this SHA-256. It does nothing if there says that it
// is there.
func (a *Archive) make(ctx context.Context, sum, dest string, there func() (bool, error), fill func(dir string) error) error {
	if is, err := there(); is || err != nil {
		return err
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
	if is, err := there(); is || err != nil {
		return err // while we waited
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
