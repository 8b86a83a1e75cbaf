// SPDX-License-Identifier: MIT

package target

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/pkg/kernel"
)

// hinted is an error with a cure.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// Hint returns the cure.
func (e hinted) Hint() string { return e.hint }

// NotFoundError says that there are no headers of a kernel anywhere.
type NotFoundError struct {
	Release string
	places  []string // where they were looked for, and why they are not there
	near    []string // "installed: RELEASE, RELEASE"
	cure    string   // of what keeps from asking the archive; "": nothing does

	archived []string // releases of the archive that are alike
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no headers of kernel %s: %s", e.Release, strings.Join(e.places, "; "))
}

// Hint says what there is instead.
func (e *NotFoundError) Hint() string {
	hint := "install the package " + headersPrefix + e.Release
	if len(e.near) > 0 {
		hint += ", or take a kernel that there is: " + strings.Join(e.near, "; ")
	}
	if e.cure != "" {
		hint += "; or " + e.cure
	}
	return hint
}

// similar notes near misses of all places in e.
func (s *search) similar(e *NotFoundError) {
	var given []string
	for _, k := range s.given {
		given = append(given, k.Release)
	}
	installed, _ := kernel.List(s.ModulesRoot) // that there are none was said
	for _, place := range []struct {
		name     string
		releases []string
	}{{"given", given}, {"installed", installed}, {"cached", s.cachedReleases()}, {"in the archive", e.archived}} {
		if near := kernel.Nearest(e.Release, place.releases); len(near) > 0 {
			e.near = append(e.near, place.name+": "+strings.Join(near, ", "))
		}
	}
}

// noMatch tells of a glob that matches nothing in the archive what there is
// elsewhere.
func (s *search) noMatch(e *archive.NoMatchError) error {
	like := &NotFoundError{Release: strings.Trim(strings.TrimPrefix(e.Glob, headersPrefix), "*")}
	s.similar(like)
	if len(like.near) == 0 {
		return e
	}
	return hinted{e, e.Hint() + "; or take a kernel that there is: " + strings.Join(like.near, "; ")}
}

// cachedReleases is for hints: a cache that cannot be read holds none.
func (f *Finder) cachedReleases() []string {
	if f.Archive == nil {
		return nil
	}
	sets, err := f.Archive.Cached()
	if err != nil {
		return nil
	}
	var releases []string
	for _, set := range sets {
		releases = append(releases, set.Release)
	}
	return releases
}

// noArchive is why there is no archive.
func (f *Finder) noArchive() error {
	if f.NoArchive == nil {
		return errors.New("neither the package archive nor a cache of it is used here")
	}
	return f.NoArchive
}

// noKernel is the error of a command line that names no kernel, or asks for the
// installed ones where there are none. Which kernel runs here is never asked:
// packages are built for other machines.
func (f *Finder) noKernel() error {
	found, err := kernel.List(f.ModulesRoot)
	if err != nil || len(found) == 0 {
		return hinted{
			fmt.Errorf("no kernel to build for: no headers are installed below %s", f.ModulesRoot),
			"name a kernel's release with -k KVER, or kernels of the archive, such as -k " + AptPrefix + f.metapackages(),
		}
	}
	return hinted{
		errors.New("no kernel to build for: -k KVER is missing"),
		"kernels with headers: " + strings.Join(found, ", ") + "; or -k " + All,
	}
}

// noGlob is the error of "apt:" alone.
func (f *Finder) noGlob() error {
	return fmt.Errorf("%s names no package, such as %s%s", AptPrefix, AptPrefix, f.metapackages())
}

// metapackages is an example for hints.
func (f *Finder) metapackages() string {
	if f.Arch == "" {
		return headersPrefix + "ARCH"
	}
	return metapackages(f.Arch)
}

// notCached is the error of a glob that matches nothing in the cache, with
// --offline.
func (f *Finder) notCached(glob string) error {
	err := fmt.Errorf("%s%s: no such package is in the cache, and --offline keeps from asking the archive", AptPrefix, glob)
	releases := f.cachedReleases()
	if len(releases) == 0 {
		return hinted{err, "the cache holds no kernel"}
	}
	return hinted{err, "the cache holds kernels " + strings.Join(releases, ", ")}
}
