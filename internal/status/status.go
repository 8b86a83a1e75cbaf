// SPDX-License-Identifier: MIT

// Package status tells, for each kernel of a machine or of a root directory,
// which modules that are not the kernel's own it has, from where, and whether
// the kernel will get them: by the tree of modules and depmod.d(5), dpkg's
// database, the tree of dkms and the initramfs. Nothing is written, and no
// configuration is run.
//
// Of most modules only the names are looked at.
package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"mvdan.cc/sh/v3/syntax"

	"github.com/gokms/gokms/pkg/depmod"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/version"
)

// Options of [Read]. The zero value is that of the running system.
type Options struct {
	Root    string   // the root directory, absolute; "": the running system's
	Kernels []string // releases; none: all that are there
	// Names choose modules: by a module's name or file, the kernel's own included, by
	// the name of a package, with or without -KVER or -modules-KVER, or by that
	// of a source of dkms. None: all modules that are not the kernel's own.
	Names []string
	// Run runs the decompressors of initramfs and modules; nil: (*exec.Cmd).Run.
	Run func(*exec.Cmd) error
}

func (o *Options) run() func(*exec.Cmd) error {
	if o.Run == nil {
		return (*exec.Cmd).Run
	}
	return o.Run
}

// Report is all that [Read] found.
type Report struct {
	Kernels []*Kernel `json:"kernels"` // the oldest first
	DKMS    []*DKMS   `json:"dkms"`    // for these kernels, and those that are for none

	// Warnings are what could not be read, and what depmod ignores.
	Warnings []error `json:"-"`
}

// Kernel is one directory below lib/modules.
type Kernel struct {
	Release string `json:"release"`
	// Image says whether the kernel itself is there, by its modules.order and
	// what that lists.
	Image      bool   `json:"image"`
	Package    string `json:"package,omitempty"` // that holds the kernel
	Headers    bool   `json:"headers"`
	ModulesDep string `json:"modules_dep"` // a [Freshness]: of the whole file
	// Initramfs is the file; "": there is none.
	Initramfs string    `json:"initramfs,omitempty"`
	Modules   []*Module `json:"modules"`
	// Problems are those that belong to no module.
	Problems []Problem `json:"problems"`
}

// The values of [Kernel.ModulesDep] and [Module.Initramfs].
const (
	Current = "current"
	Stale   = "stale"
	Absent  = "absent"
	Unknown = "unknown" // it could not be read
)

// Where a file comes from.
const (
	FromPackage = "package" // of dpkg's, other than the kernel's
	FromDKMS    = "dkms"
	FromKernel  = "kernel"
	FromOther   = "other"
)

// The values of [Module.Verified].
const (
	Passed   = "passed"   // all checks against the kernel's headers
	Release  = "release"  // there are no headers: it names the kernel's release
	Refused  = "refused"  // it would not load
	NotKnown = "not read" // the file could not be read
)

// Module is one module of a kernel. What tells of a file tells of the one that
// depmod takes.
type Module struct {
	Name           string `json:"name"`
	File           string `json:"file,omitempty"` // below lib/modules/KVER; "": there is none, or it is not certain
	From           string `json:"from,omitempty"`
	Package        string `json:"package,omitempty"`
	PackageVersion string `json:"package_version,omitempty"`
	DKMS           *DKMS  `json:"-"`
	// DKMSSource and DKMSState are what dkms knows of the module.
	DKMSSource string `json:"dkms_source,omitempty"`
	DKMSState  string `json:"dkms_state,omitempty"`

	Version    string `json:"version,omitempty"`
	SrcVersion string `json:"srcversion,omitempty"`
	Vermagic   string `json:"vermagic,omitempty"`
	Signer     string `json:"signer,omitempty"`
	Verified   string `json:"verified,omitempty"`
	Initramfs  string `json:"initramfs,omitempty"` // "": the kernel has none
	// Files are all files of that name, sorted.
	Files    []File    `json:"files"`
	Problems []Problem `json:"problems"`

	sum digest // of the file
}

// File is one file of a module.
type File struct {
	File    string `json:"file"` // below lib/modules/KVER, or absolute
	From    string `json:"from"`
	Package string `json:"package,omitempty"`
	Wins    bool   `json:"wins"`          // depmod takes it, or may take it
	Why     string `json:"why,omitempty"` // it does not: a sentence
}

// The kinds of [Problem].
const (
	// Other kernels have the module, or a package ships it. That the source does
	// not want this kernel (BUILD_EXCLUSIVE_*) is not known here.
	Missing   = "missing"
	Loses     = "loses"      // a file that is not the kernel's own is not taken
	Uncertain = "uncertain"  // chance decides which file is taken
	Changed   = "changed"    // the file is not the one of its package
	OldDep    = "depmod"     // modules.dep is not up to date
	OldInitrd = "initramfs"  // the initramfs holds another file
	Unfit     = "unloadable" // the module would not load
	OfDKMS    = "dkms"       // what dkms built is not what is installed
	OfDpkg    = "dpkg"       // the package is not wholly installed
	NoKernel  = "no kernel"  // the modules are for a kernel that is not there
)

// Problem is something that is not as it should be.
type Problem struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// AnyProblem says whether anything is wrong.
func (r *Report) AnyProblem() bool {
	for _, k := range r.Kernels {
		if len(k.Problems) > 0 || slices.ContainsFunc(k.Modules, func(m *Module) bool { return len(m.Problems) > 0 }) {
			return true
		}
	}
	return slices.ContainsFunc(r.DKMS, func(d *DKMS) bool { return d.State == Broken })
}

// root is a root directory; "" is that of the running system.
type root string

// path is where a file of the root is, links followed inside of it.
func (r root) path(name string) string { return depmod.Resolve(string(r), name) }

// modules is where a kernel's modules are.
func modules(kver string) string { return path.Join("/lib/modules", kver) }

// machine is what is read once for all kernels.
type machine struct {
	root
	opts     *Options
	config   *depmod.Config
	packages *packages
	dkms     []*DKMS
	trees    []*tree
}

// Read looks at the machine. A name or a kernel that is not there is an error,
// [*NotFoundError].
func Read(ctx context.Context, o Options) (*Report, error) {
	m := &machine{root: root(strings.TrimSuffix(o.Root, "/")), opts: &o}
	if _, err := os.Stat(m.path("/")); err != nil {
		return nil, err
	}
	var err error
	if m.config, err = depmod.Load(string(m.root)); err != nil {
		return nil, err
	}
	m.packages = m.readPackages()
	m.dkms = m.readDKMS()
	r := &Report{Kernels: []*Kernel{}, DKMS: []*DKMS{}, Warnings: slices.Concat(m.config.Warnings, m.packages.warnings)}
	if err := m.readTrees(ctx); err != nil {
		return nil, err
	}
	m.findMissing()
	chosen := slices.DeleteFunc(slices.Clone(m.trees), func(t *tree) bool { return !m.chosen(t.Release) })
	if err := m.choose(chosen); err != nil {
		return nil, err
	}
	if err := m.examineAll(ctx, chosen); err != nil {
		return nil, err
	}
	for _, t := range chosen {
		r.Kernels = append(r.Kernels, t.Kernel)
		r.Warnings = append(r.Warnings, t.warnings...)
	}
	for _, d := range m.dkms {
		if (d.Kernel == "" || m.chosen(d.Kernel)) && (len(o.Names) == 0 || m.named(d.labels()...)) {
			r.DKMS = append(r.DKMS, d)
		}
	}
	return r, nil
}

// chosen says whether the user wants to know of that kernel.
func (m *machine) chosen(kver string) bool {
	return len(m.opts.Kernels) == 0 || slices.Contains(m.opts.Kernels, kver)
}

// readTrees finds the kernels. A directory with nothing but links to headers
// is none, unless it is asked for.
func (m *machine) readTrees(ctx context.Context) error {
	var kvers []string
	for _, kver := range m.dirs("/lib/modules") {
		if kernel.CheckRelease(kver) == nil {
			kvers = append(kvers, kver)
		}
	}
	slices.SortFunc(kvers, func(a, b string) int { return cmp.Or(version.Compare(a, b), cmp.Compare(a, b)) })
	for _, kver := range m.opts.Kernels {
		if !slices.Contains(kvers, kver) {
			return &NotFoundError{What: "kernel " + kver + " below " + m.path("/lib/modules"), There: kvers}
		}
	}
	trees := make([]*tree, len(kvers))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, kver := range kvers {
		g.Go(func() (err error) {
			if ctx.Err() == nil {
				trees[i], err = m.readTree(kver)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	m.trees = slices.DeleteFunc(trees, func(t *tree) bool {
		return t == nil || !t.Image && len(t.decisions) == 0 && len(t.shipped()) == 0 && !slices.Contains(m.opts.Kernels, t.Release)
	})
	return ctx.Err()
}

// examineAll looks at the files of the modules. Most of the time goes into the
// initramfs of each kernel.
func (m *machine) examineAll(ctx context.Context, trees []*tree) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, t := range trees {
		g.Go(func() error { return t.examine(ctx) })
	}
	return g.Wait()
}

// NotFoundError says that something that was asked for is not there.
type NotFoundError struct {
	What  string
	There []string // what else is
}

func (e *NotFoundError) Error() string { return "no " + e.What }

// Hint names what is there.
func (e *NotFoundError) Hint() string {
	if len(e.There) == 0 {
		return ""
	}
	return "there are " + strings.Join(e.There, ", ")
}

// exists says whether a file of the root is there.
func (r root) exists(name string) (bool, error) {
	_, err := os.Stat(r.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// runDepmod, runInitramfs and runDpkg say which command puts right what is old
// or half done.
func (t *tree) runDepmod() string {
	if t.root == "" {
		return "run depmod " + t.Release
	}
	return fmt.Sprintf("run depmod -b %s %s", t.root.quoted(), t.Release)
}

func (t *tree) runInitramfs() string {
	if t.root == "" {
		return "run update-initramfs -u -k " + t.Release
	}
	return fmt.Sprintf("run chroot %s update-initramfs -u -k %s", t.root.quoted(), t.Release)
}

func (t *tree) runDpkg() string {
	if t.root == "" {
		return "run dpkg --configure -a"
	}
	return fmt.Sprintf("run chroot %s dpkg --configure -a", t.root.quoted())
}

// quoted is the root as a word of a shell.
func (r root) quoted() string {
	word, err := syntax.Quote(string(r), syntax.LangBash)
	if err != nil {
		return string(r) // no path has the byte that cannot be quoted
	}
	return word
}

func problemf(kind, format string, args ...any) Problem {
	return Problem{Kind: kind, Text: fmt.Sprintf(format, args...)}
}
