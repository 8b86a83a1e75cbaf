// SPDX-License-Identifier: MIT

// Package target finds the kernels to build for: installed, in the cache, in
// the archive, or given as directories and packages.
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

// Finder finds kernels.
type Finder struct {
	ModulesRoot string   // where installed kernels are: /lib/modules
	Headers     []string // --headers: header trees, directories of .debs, .debs
	Arch        string   // Debian architecture; "": the machine's
	Archive     *archive.Archive
	Offline     bool
	Run         func(*exec.Cmd) error
	LookPath    func(string) (string, error) // of the compiler
}

// Find returns the kernels that words of -k stand for, each once: a release,
// "all" (the installed ones), apt:GLOB. All errors are joined.
func (f *Finder) Find(ctx context.Context, words []string) ([]*Kernel, error) {
	return nil, errors.New("not implemented")
}
