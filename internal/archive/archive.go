// SPDX-License-Identifier: MIT

// Package archive fetches packages with the machine's own apt(8) and keeps them
// unpacked in a cache: the headers of kernels that are not installed, and
// sources of modules.
//
// apt is asked with its own configuration, sources, keys, proxies and pins, as
// any user, and nothing of the machine's is changed. Where its lists are
// missing, a day old or of another architecture, the cache holds lists of its
// own.
//
// The cache, which any number of processes may share, holds
//
//	debs/SHA256/            one package: package.json, its files in root/, and
//	                        what these were when they were unpacked in files
//	kernels/ARCH/RELEASE.json  the packages that make up one kernel's headers
//	packages/SHA256/        one .deb as it is
//	apt/                    apt's lists
//	tmp/                    what is being made; what a killed process left there
//	                        goes when the next one fetches
//
// Everything in it but tmp and apt is complete: it was made in tmp and renamed.
package archive

import (
	"context"
	"os/exec"
	"sync"
	"time"

	"github.com/gokms/gokms/pkg/kernel"
)

// Options of [Open].
type Options struct {
	CacheDir string   // absolute; made when something is to be kept
	Arch     string   // Debian architecture of the kernels; "": BuildArch
	Apt      []string // options for every apt command, e.g. -o Dir::Etc::SourceList=FILE
	Offline  bool     // do not ask the archive
	Run      func(*exec.Cmd) error
	Progress func(Progress) // nil: told to no one; never called twice at a time

	// BuildArch is the Debian architecture of the programs that run here; "":
	// that of this program.
	BuildArch string
	// AdminDir is dpkg's database: what is installed; "": /var/lib/dpkg.
	AdminDir string
	// Warn is told what went wrong without being the end; nil: no one is.
	Warn func(error)
	Now  func() time.Time // nil: time.Now
}

// Progress is how far a download or an unpacking is.
type Progress struct {
	Package string // linux-headers-6.1.0-56-amd64
	Step    string // Download or Unpacking
	Done    int64  // bytes
	Total   int64  // bytes; 0: unknown
}

// The steps of [Progress].
const (
	Download  = "download"
	Unpacking = "unpack"
)

// Package is one package of the archive, of the cache, or given as a file.
type Package struct {
	Name          string `json:"name"`
	Version       string `json:"version"`
	Architecture  string `json:"architecture"`
	Source        string `json:"source"`
	SourceVersion string `json:"source_version"`
	SHA256        string `json:"sha256"` // of the .deb
	Depends       string `json:"-"`      // and Pre-Depends
	Size          int64  `json:"-"`      // of the .deb, bytes
	Root          string `json:"-"`      // where it is unpacked; "" if it is not
}

// Set are the packages that hold the headers of one kernel: that of the flavour
// first, then what it depends on.
type Set struct {
	Release  string
	Packages []Package
	// Installed are packages that are needed as well, and not among Packages
	// because the machine has them installed.
	Installed []string
}

// Archive is the machine's archive together with the cache. It may be used by
// several goroutines.
type Archive struct {
	o     Options
	arch  string // of the kernels
	build string // of the programs that run here

	mu    sync.Mutex
	lists map[string]*lists // by architecture
	swept sync.Once
	told  sync.Map   // texts of warnings
	tell  sync.Mutex // one call of Progress at a time
}

// Open does not touch anything yet.
func Open(o Options) *Archive {
	if o.Run == nil {
		o.Run = (*exec.Cmd).Run
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.AdminDir == "" {
		o.AdminDir = "/var/lib/dpkg"
	}
	a := &Archive{o: o, arch: o.Arch, build: o.BuildArch, lists: map[string]*lists{}}
	if a.build == "" {
		a.build = kernel.OwnArch()
	}
	if a.arch == "" {
		a.arch = a.build
	}
	return a
}

// progress tells how far a step is.
func (a *Archive) progress(p Progress) {
	a.tell.Lock()
	defer a.tell.Unlock()
	a.o.Progress(p)
}

// headersLists are the lists of the kernels' architecture.
func (a *Archive) headersLists(ctx context.Context) (*lists, error) { return a.listsOf(ctx, a.arch) }

// nativeLists are those of programs that run here; often the same.
func (a *Archive) nativeLists(ctx context.Context) (*lists, error) { return a.listsOf(ctx, a.build) }
