// SPDX-License-Identifier: MIT

// Package target finds the kernels to build for: installed, in the cache, in
// the archive, or given as directories and packages. It says as well where a
// sandbox must put their headers, so that makefiles find each other.
package target

import (
	"context"
	"errors"
	"os/exec"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/internal/sandbox"
	"github.com/gokms/gokms/pkg/kernel"
)

// Origin is where a kernel's headers come from.
type Origin string

// The origins.
const (
	Installed Origin = "installed"
	Cached    Origin = "cached"
	Archive   Origin = "archive"
	Given     Origin = "given"
)

// Kernel is one kernel to build for.
type Kernel struct {
	*kernel.Tree
	Origin   Origin
	Packages []archive.Package // that hold its headers, as far as is known
	// Assumed are further packages that are needed and that the machine has
	// installed.
	Assumed []string
	// Given is the path of --headers that led to it, if it is no package.
	Given string
	// Mounts, Links and Files put its headers where its makefiles expect them.
	// For installed ones these are the host's own places.
	Mounts []sandbox.Mount
	Links  []sandbox.Link
	Files  []sandbox.File
	// Programs are further directories with programs, as the build sees them,
	// and Libraries with shared libraries, that the kernel's own need.
	Programs, Libraries []string
}

// NeedsSandbox says whether modules of the kernel can be built in a sandbox
// only: makefiles of headers name absolute paths, where nothing is unless they
// are installed.
func (k *Kernel) NeedsSandbox() bool { return k.Origin != Installed }

// Packages is the archive together with the cache, an [archive.Archive].
type Packages interface {
	Find(ctx context.Context, glob string) ([]archive.Package, error)
	Lookup(release string) (*archive.Set, error)
	Cached() ([]*archive.Set, error)
	Fetch(ctx context.Context, headers archive.Package) (*archive.Set, error)
	FetchExact(ctx context.Context, packages []archive.Package) (*archive.Set, error)
	Unpack(ctx context.Context, debs []string) (*archive.Set, error)
	Verify(ctx context.Context, p archive.Package) error
}

// Finder finds kernels.
type Finder struct {
	ModulesRoot string   // where installed kernels are: /lib/modules
	Headers     []string // --headers, absolute: header trees, unpacked packages, directories of .debs, .debs, records
	Arch        string   // Debian architecture; "": the machine's
	Archive     Packages // nil: none, because of NoArchive
	NoArchive   error    // nil: nobody wants to hear of one
	Offline     bool     // do not look in the archive, only in the cache
	Run         func(*exec.Cmd) error
	// LookPath finds the compiler and pahole as the build will; nil: in the
	// PATH of every build.
	LookPath func(string) (string, error)
	// AdminDir is dpkg's database; "": /var/lib/dpkg.
	AdminDir string
	// HostRoot is where the programs and libraries are that builds use; "": /.
	HostRoot string
}

// AptPrefix begins the words of -k that name packages of the archive.
const AptPrefix = "apt:"

// All is the word of -k for every installed kernel.
const All = "all"

// Find returns the kernels that words of -k stand for, each once and in that
// order: a release, [All], apt:GLOB. A release is looked for among the given
// headers, the installed ones, the cache, the archive. Without words all given
// kernels are meant. All errors are joined.
func (f *Finder) Find(ctx context.Context, words []string) ([]*Kernel, error) {
	s := &search{Finder: f, seen: map[string]bool{}}
	var err error
	if s.given, err = f.given(ctx); err != nil {
		return nil, err
	}
	if len(words) == 0 {
		if len(s.given) == 0 {
			return nil, f.noKernel()
		}
		return s.given, nil
	}
	return s.words(ctx, words)
}

// Releases returns the kernels of releases, from where [Finder.Find] would take
// them. It knows no other words, neither [All] nor apt:GLOB: the names may be
// those that a package brings along, in its paths.
func (f *Finder) Releases(ctx context.Context, releases []string) ([]*Kernel, error) {
	var errs []error
	for _, release := range releases {
		errs = append(errs, kernel.CheckRelease(release))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &search{Finder: f, seen: map[string]bool{}}
	var err error
	if s.given, err = f.given(ctx); err != nil {
		return nil, err
	}
	for _, release := range releases {
		errs = append(errs, s.release(ctx, release))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s.found, nil
}

// Release is [Finder.Releases] for one.
func (f *Finder) Release(ctx context.Context, release string) (*Kernel, error) {
	kernels, err := f.Releases(ctx, []string{release})
	if err != nil {
		return nil, err
	}
	return kernels[0], nil
}
