// SPDX-License-Identifier: MIT

// Package cell is one module source built for one kernel, as a value: [Plan]
// resolves everything that can be known before a build, and any bad input ends
// there; [Cell.Run] builds, packs and publishes. Cells share no state.
package cell

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/internal/verify"
	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/depmod"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kmod"
	"github.com/gokms/gokms/pkg/textfile"
)

// Options are what the cells of one run share.
type Options struct {
	WorkDir string // temporary directory of the run
	Output  string // where packages and records go
	LogDir  string // where build logs go; "": Output
	// RecordDir is where JSON records go; "": Output.
	RecordDir string

	Maintainer     string // "": the source's, else DefaultMaintainer
	FallbackMaint  string // from DEBFULLNAME and DEBEMAIL
	Name           string // "": from PACKAGE_NAME
	PackageVersion string // "": the source's Debian version, else from PACKAGE_VERSION
	Revision       string // appended as +R
	Provides       []string
	Copyright      []byte // nil: the source's
	Coexist        bool
	DestDir        string // "": bmdeb's default
	// Depmod is the configuration of the machines that the packages are for;
	// nil: depmod's default, which is Debian's.
	Depmod         *depmod.Config
	DepmodOverride bool // ship the lines by which depmod takes the modules
	Compression    debfile.Compression
	Epoch          *time.Time // SOURCE_DATE_EPOCH
	Dbgsym         bool       // make a package of debug symbols as well
	NoVerify       []string   // checks of [kmod.Checks] to leave out
	Sign           *Signing   // nil: modules stay unsigned

	OverrideDir string   // NAME*.conf files as in /etc/dkms; "": none
	Directives  []string // NAME=VALUE
	OS          string   // $running_distribution

	// Sandboxed: evaluations and builds see the places of dkms on a default
	// machine, and nothing of this one but its programs.
	Sandboxed bool
	Timeout   time.Duration // of a build; 0: none
	Memory    int64         // that the processes of a build may use together, in bytes; 0: no limit; sandboxed only

	Jobs     int
	Run      func(*exec.Cmd) error        // nil: (*exec.Cmd).Run
	Tell     func(*exec.Cmd)              // is told what runs in a sandbox; nil: nobody is
	LookPath func(string) (string, error) // nil: the build's PATH for its programs, else the caller's
	Now      func() time.Time             // measures how long things take; nil: time.Now
	// Eval evaluates a dkms.conf; what it starts goes through the function given, nil: (*exec.Cmd).Run.
	Eval func(context.Context, dkms.Input, func(*exec.Cmd) error) (*dkms.Values, error)

	kernels verify.Kernels
}

// Cell is one source planned for one kernel.
type Cell struct {
	Source  *source.Source
	Kernel  *target.Kernel
	Conf    *dkms.Conf
	Package bmdeb.Package // all but the modules; zero if excluded
	Layout  kbuild.Layout
	Depends []*Cell // the cells of BUILD_DEPENDS, set by [Order]

	Warnings []error
	opts     *Options
	clock    time.Time

	compression kmod.Compression  // of the modules
	signer      *kmod.Signer      // nil: they stay unsigned
	certificate *x509.Certificate // of signer

	// Set by Run, for the cells that depend on this one.
	result  *Result
	symver  string
	exports map[string]kmod.Provided
}

// Title names a cell in messages.
func (c *Cell) Title() string {
	return fmt.Sprintf("%s/%s for %s", c.Source.Name, c.Source.Version, c.Kernel.Release)
}

// Clock is the time of all files in c's package.
func (c *Cell) Clock() time.Time { return c.clock }

// Plan evaluates src for tree and resolves what its package will be. Nothing
// but WorkDir is written. A kernel that dkms.conf excludes is no error: see
// Conf.Excluded.
func Plan(ctx context.Context, src *source.Source, k *target.Kernel, o *Options) (*Cell, error) {
	c := &Cell{Source: src, Kernel: k, opts: o, Layout: layout(src, k, o), clock: clock(src, o)}
	if k.NeedsSandbox() && !o.Sandboxed {
		return nil, needsSandbox(k)
	}
	if err := o.link(src); err != nil {
		return nil, err
	}
	if err := c.evaluate(ctx); err != nil {
		return nil, err
	}
	if c.Conf.Excluded != nil {
		return c, nil
	}
	var err error
	if c.compression, err = kmod.ConfigCompression(k.Config.Text); err != nil {
		return nil, fmt.Errorf("%s: %w", k.ConfigPath, err)
	}
	if err := errors.Join(c.checkClock(), c.check(), c.planSigning(ctx)); err != nil {
		return nil, err
	}
	c.Package, err = c.pkg()
	return c, err
}

// layout gives each cell a dkms tree of its own; the source tree is shared, so
// that sources find those they depend on. In a sandbox all of it is where dkms
// has it.
func layout(src *source.Source, k *target.Kernel, o *Options) kbuild.Layout {
	cell := filepath.Join(o.WorkDir, "cells", k.Release, src.Name, src.Version)
	l := kbuild.Layout{
		DKMSTree:   kbuild.Same(filepath.Join(cell, "dkms")),
		SourceTree: kbuild.Same(filepath.Join(o.WorkDir, "src")),
		TmpDir:     kbuild.Same(filepath.Join(cell, "tmp")),
		Headers:    kbuild.Same(k.BuildDir),
		Name:       src.Name,
		Version:    src.Version,
	}
	if o.Sandboxed {
		l.DKMSTree.Build, l.SourceTree.Build, l.TmpDir.Build = dkmsTree, sourceTree, tmpDir
		l.Headers = kbuild.Path{Host: k.SourceDir, Build: filepath.Join("/lib/modules", k.Release, "build")}
		for _, m := range k.Mounts {
			l.Mounts = append(l.Mounts, kbuild.Path{Host: m.Host, Build: m.Path})
		}
	}
	return l
}

// clock is the one time that enters a package: SOURCE_DATE_EPOCH, else the
// changelog's date, else the newest source file.
func clock(src *source.Source, o *Options) time.Time {
	t := src.NewestFile
	switch {
	case o.Epoch != nil:
		t = *o.Epoch
	case !src.Debian.ChangelogDate.IsZero():
		t = src.Debian.ChangelogDate
	}
	return t.UTC().Truncate(time.Second)
}

// LastSecond is the last, since 1970, that the files of a package can have: tar
// has 11 octal digits for it, which end in the year 2242.
const LastSecond = 1<<33 - 1

// checkClock refuses a time that no package can hold.
func (c *Cell) checkClock() error {
	if s := c.clock.Unix(); s >= 0 && s <= LastSecond {
		return nil
	}
	return &source.Error{
		Err:  fmt.Errorf("%s: the time of the packages' files would be %s: want one from 1970 to 2242", c.Source.Shown, c.clock.Format(time.RFC3339)),
		Cure: "set SOURCE_DATE_EPOCH to another one, in seconds since 1970",
	}
}

// link makes src appear as NAME-VERSION in the source tree of the run.
func (o *Options) link(src *source.Source) error {
	tree := filepath.Join(o.WorkDir, "src")
	if err := errors.Join(os.MkdirAll(tree, 0o755), os.Chmod(tree, 0o755)); err != nil {
		return err
	}
	dir := filepath.Join(tree, src.Name+"-"+src.Version)
	err := os.Symlink(src.Dir, dir)
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	// An earlier cell of the same source; or a-1/2 and a/1-2.
	if first, err := os.Readlink(dir); err != nil || first != src.Dir {
		return fmt.Errorf("%s: another source has the same directory %s below /usr/src", src.Arg, filepath.Base(dir))
	}
	return nil
}

func (c *Cell) evaluate(ctx context.Context) error {
	env := c.env()
	files, err := c.files()
	if err != nil {
		return err
	}
	run, err := c.evalRun()
	if err != nil {
		return err
	}
	values, err := c.opts.Eval(ctx, dkms.Input{Files: files, Directives: c.opts.Directives, Env: env}, run)
	if err != nil {
		return err
	}
	if c.Conf, err = dkms.Resolve(values, env, c.Kernel.Config.On); err != nil {
		return err
	}
	if c.Conf.Name != c.Source.Name {
		return values.Errorf("PACKAGE_NAME", 0, "PACKAGE_NAME becomes %q for kernel %s: the source is called %s", c.Conf.Name, c.Kernel.Release, c.Source.Name)
	}
	if c.Conf.Version != c.Source.Version {
		return values.Errorf("PACKAGE_VERSION", 0, "PACKAGE_VERSION becomes %q for kernel %s: the source is %s/%s", c.Conf.Version, c.Kernel.Release, c.Source.Name, c.Source.Version)
	}
	c.Warnings = append(c.Warnings, c.Conf.Warnings...)
	if said := strings.TrimSpace(values.Messages); said != "" {
		c.Warnings = append(c.Warnings, fmt.Errorf("%s: it says, evaluated for kernel %s: %s", c.Source.Conf.Path, c.Kernel.Release, said))
	}
	return nil
}

func (c *Cell) env() dkms.Env {
	return dkms.Env{
		KernelVersion:   c.Kernel.Release,
		Arch:            c.Kernel.Machine,
		KernelSourceDir: c.Layout.Headers.Build,
		KernelConfig:    c.kernelConfig(),
		DKMSTree:        c.Layout.DKMSTree.Build,
		SourceTree:      c.Layout.SourceTree.Build,
		InstallTree:     filepath.Dir(filepath.Dir(c.Layout.Headers.Build)),
		TmpDir:          c.Layout.TmpDir.Build,
		Jobs:            c.opts.Jobs,
		OS:              c.opts.OS,
		Dir:             "/",
	}
}

// kernelConfig is the kernel's configuration as the build sees it.
func (c *Cell) kernelConfig() string {
	rel, err := filepath.Rel(c.Kernel.SourceDir, c.Kernel.ConfigPath)
	if err != nil || !filepath.IsLocal(rel) {
		return c.Kernel.ConfigPath
	}
	return filepath.Join(c.Layout.Headers.Build, rel)
}

// maxConf is the largest override file, in bytes, that is read.
const maxConf = 1 << 20

// files are the dkms.conf and the override files that exist, in dkms's order.
func (c *Cell) files() ([]dkms.File, error) {
	files := []dkms.File{c.Source.Conf}
	if c.opts.Sandboxed {
		files[0].Source = filepath.Join(c.Layout.SourceDir().Build, "dkms.conf")
	}
	if c.opts.OverrideDir == "" {
		return files, nil
	}
	name, v, kver, arch := c.Source.Name, c.Source.Version, c.Kernel.Release, c.Kernel.Machine
	for _, base := range []string{
		name, name + "-" + v, name + "-" + v + "-" + kver, name + "-" + v + "-" + kver + "-" + arch,
		name + "--" + kver, name + "--" + kver + "-" + arch,
	} {
		path := filepath.Join(c.opts.OverrideDir, base+".conf")
		text, err := textfile.ReadFile(path, maxConf)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, dkms.File{Path: path, Text: text})
	}
	return files, nil
}

// built are the modules that this kernel gets.
func (c *Cell) built() []dkms.Module {
	var built []dkms.Module
	for _, m := range c.Conf.Modules {
		if m.Excluded == nil {
			built = append(built, m)
		}
	}
	return built
}
