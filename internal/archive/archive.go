// SPDX-License-Identifier: MIT

// Package archive fetches packages with the machine's own apt and keeps them
// unpacked in a cache: the headers of kernels that are not installed, and
// sources of modules.
package archive

import (
	"context"
	"errors"
	"os/exec"
)

// Options of [Open].
type Options struct {
	CacheDir string   // absolute; made when something is to be kept
	Arch     string   // Debian architecture of the kernels; "": the machine's
	Apt      []string // options for every apt command, e.g. -o Dir::Etc::SourceList=FILE
	Offline  bool     // do not ask the archive
	Run      func(*exec.Cmd) error
	Progress func(Progress) // nil: told to no one
}

// Progress is how far a download or an unpacking is.
type Progress struct {
	Package string // linux-headers-6.1.0-56-amd64
	Step    string // "download" or "unpack"
	Done    int64  // bytes
	Total   int64  // bytes; 0: unknown
}

// Package is one package of the archive, of the cache, or given as a file.
type Package struct {
	Name          string `json:"name"`
	Version       string `json:"version"`
	Architecture  string `json:"architecture"`
	Source        string `json:"source"`
	SourceVersion string `json:"source_version"`
	SHA256        string `json:"sha256"` // of the .deb
	Depends       string `json:"-"`
	Size          int64  `json:"-"` // of the .deb, bytes
	Root          string `json:"-"` // where it is unpacked; "" if it is not
}

// Set are the packages that hold the headers of one kernel: that of the flavour
// first, then what it depends on.
type Set struct {
	Release  string
	Packages []Package
}

// Archive is the machine's archive together with the cache.
type Archive struct{ o Options }

// Open does not touch anything yet.
func Open(o Options) *Archive { return &Archive{o} }

// Find lists the header packages of the archive whose name matches glob
// (path.Match), metapackages replaced by what they depend on, each kernel's
// newest version, the oldest kernel first.
func (a *Archive) Find(ctx context.Context, glob string) ([]Package, error) {
	return nil, errors.New("not implemented")
}

// Cached lists the kernels that are in the cache as a whole.
func (a *Archive) Cached() ([]*Set, error) { return nil, errors.New("not implemented") }

// Fetch brings the headers that a package of [Archive.Find] begins into the
// cache, unless they are there.
func (a *Archive) Fetch(ctx context.Context, headers Package) (*Set, error) {
	return nil, errors.New("not implemented")
}

// Unpack brings given .deb files into the cache: one kernel's headers and what
// they depend on, as far as it is among them.
func (a *Archive) Unpack(ctx context.Context, debs []string) (*Set, error) {
	return nil, errors.New("not implemented")
}

// Deb downloads one package, in the newest version, into the cache and returns
// the path of the .deb.
func (a *Archive) Deb(ctx context.Context, name string) (string, error) {
	return "", errors.New("not implemented")
}
