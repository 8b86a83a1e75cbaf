// SPDX-License-Identifier: MIT

package archive

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// CacheError is a cache directory that cannot be used.
type CacheError struct {
	Dir string
	Err error
}

func (e *CacheError) Error() string { return fmt.Sprintf("cache directory %s: %v", e.Dir, e.Err) }

// Unwrap returns e.Err.
func (e *CacheError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *CacheError) Hint() string {
	switch {
	case errors.Is(e.Err, syscall.ENOSPC), errors.Is(e.Err, syscall.EDQUOT):
		return "make room, or name another directory with --cache-dir; headers of one kernel take 150 MB"
	case errors.Is(e.Err, syscall.ENOTDIR), errors.Is(e.Err, syscall.EEXIST):
		return "name a directory with --cache-dir"
	}
	return "name a directory that you can write with --cache-dir"
}

// DamagedError is a package in the cache that is not as it was unpacked.
type DamagedError struct {
	Cache            string // the cache directory
	Dir              string // of the package in it
	Package, Version string
	Err              error // what differs
	Discarded        bool
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("cache directory %s: %s %s is not as it was unpacked: %v", e.Cache, e.Package, e.Version, e.Err)
}

// Unwrap returns e.Err.
func (e *DamagedError) Unwrap() error { return e.Err }

// Hint says how to get it whole.
func (e *DamagedError) Hint() string {
	if e.Discarded {
		return "run again: the package is fetched again"
	}
	return "remove " + e.Dir + " and run once without --offline: it is fetched again"
}

// cacheErrnos are what the cache's user can cure.
var cacheErrnos = []error{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EPERM, syscall.ENOTDIR, syscall.EEXIST,
}

// cacheError makes err, which came up in the cache, a [*CacheError] where the
// user can cure it.
func (a *Archive) cacheError(err error) error {
	if err == nil {
		return nil
	}
	if _, known := errors.AsType[*CacheError](err); known {
		return err
	}
	for _, errno := range cacheErrnos {
		if errors.Is(err, errno) {
			return &CacheError{Dir: a.o.CacheDir, Err: err}
		}
	}
	return err
}

// AptError is an apt command that did not succeed.
type AptError struct {
	Args   []string
	Err    error
	Output string // what it said, the lines of errors and warnings alone
}

// Error is what apt said; its command lines are long, and told with -v.
func (e *AptError) Error() string {
	var lines []string
	for line := range strings.Lines(e.Output) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "E: Some index files failed") {
			lines = append(lines, line)
		}
	}
	switch {
	case e.Output == "":
		return strings.Join(e.Args, " ") + ": " + e.Err.Error()
	case lines == nil:
		lines = []string{e.Output}
	}
	return fmt.Sprintf("%s (%s: %v)", strings.Join(lines, "; "), e.Args[0], e.Err)
}

// Unwrap returns e.Err.
func (e *AptError) Unwrap() error { return e.Err }

// UnreachableError is an archive that does not answer, or not with what its
// lists promise.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return "package archive not reachable: " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint says what to look at.
func (e *UnreachableError) Hint() string {
	return "see that apt-get update works here (network, proxy, sources), or name other sources with --apt-options"
}

// NoListsError is an apt without any list of packages, even after an update.
type NoListsError struct {
	Arch string
	Err  error // of the update; may be nil
}

func (e *NoListsError) Error() string {
	text := "apt has no list of packages for " + e.Arch
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns e.Err.
func (e *NoListsError) Unwrap() error { return e.Err }

// Hint says where lists come from.
func (e *NoListsError) Hint() string {
	return "see that apt's sources name an archive that has " + e.Arch + ", or name other sources with --apt-options"
}

// OfflineError is a question that only the archive could answer.
type OfflineError struct{ What string }

func (e *OfflineError) Error() string {
	return e.What + " is not in the cache, and the archive is not asked with --offline"
}

// Hint says how to get it.
func (e *OfflineError) Hint() string { return "run once without --offline" }

// NoMatchError is a name or pattern that no package of the archive has.
type NoMatchError struct {
	Glob string
	Arch string
	Near []string // names that are alike
	Err  error    // of an update that did not succeed, which was warned of; may be nil
}

func (e *NoMatchError) Error() string {
	text := fmt.Sprintf("the archive has no package %s for %s", e.Glob, e.Arch)
	if e.Err != nil {
		text += " (its lists may be incomplete: their update failed)"
	}
	return text
}

// Unwrap returns e.Err.
func (e *NoMatchError) Unwrap() error { return e.Err }

// Hint lists what is alike.
func (e *NoMatchError) Hint() string {
	if len(e.Near) == 0 {
		return "apt-cache pkgnames linux-headers- lists the packages that apt knows of"
	}
	return "it has " + strings.Join(e.Near, ", ")
}

// MissingError is a package without one that it needs.
type MissingError struct {
	Package  string // linux-headers-6.1.0-56-amd64
	Relation string // linux-headers-6.1.0-56-common (= 6.1.192-2)
	Where    string // where that was looked for
	Cure     string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s needs %s, which is not %s", e.Package, e.Relation, e.Where)
}

// Hint says how to cure it.
func (e *MissingError) Hint() string { return e.Cure }

// LibcError is a program of a kernel's headers that the C library of this
// machine is too old for.
type LibcError struct {
	Package  string // linux-kbuild-6.12
	Relation string // libc6 (>= 2.38)
	Version  string // installed
}

func (e *LibcError) Error() string {
	return fmt.Sprintf("%s needs %s, and this machine has %s", e.Package, e.Relation, e.Version)
}

// Hint says where such kernels can be built for.
func (e *LibcError) Hint() string {
	return "build modules of this kernel on the release that it comes from, a container of it will do"
}

// HashError is a package that is not the one that the signed lists name.
type HashError struct {
	Package, Version string
	Want, Got        string // SHA-256; Got is "" if apt found it out
	Err              error  // apt's; may be nil
}

func (e *HashError) Error() string {
	text := fmt.Sprintf("%s %s: downloaded file is not the one of the archive's lists: want SHA-256 %s", e.Package, e.Version, e.Want)
	if e.Got != "" {
		text += ", got " + e.Got
	}
	return text
}

// Unwrap returns e.Err.
func (e *HashError) Unwrap() error { return e.Err }

// Hint says whose fault it may be.
func (e *HashError) Hint() string {
	return "the mirror or a proxy may be out of step: try again later, or another mirror"
}

// GoneError is an exact version that the archive does not have any more.
type GoneError struct {
	Package, Version, SHA256 string
	Err                      error
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("neither the cache nor the archive has %s %s with SHA-256 %s", e.Package, e.Version, e.SHA256)
}

// Unwrap returns e.Err.
func (e *GoneError) Unwrap() error { return e.Err }

// Hint names an archive of all versions.
func (e *GoneError) Hint() string {
	return "snapshot.debian.org keeps old versions: name a sources file for it with --apt-options '-o Dir::Etc::SourceList=FILE'"
}
