// SPDX-License-Identifier: MIT

// Package cell is one module source built for one kernel, as a value: [Plan]
// resolves everything that can be known before a build, and any bad input ends
// there; [Cell.Run] builds, packs and publishes. Cells share no state.
package cell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kernel"
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
	Compression    debfile.Compression
	Epoch          *time.Time // SOURCE_DATE_EPOCH
	Dbgsym         bool       // make a package of debug symbols as well

	OverrideDir string   // NAME*.conf files as in /etc/dkms; "": none
	Directives  []string // NAME=VALUE
	OS          string   // $running_distribution

	Jobs     int
	Run      func(*exec.Cmd) error        // nil: (*exec.Cmd).Run
	LookPath func(string) (string, error) // nil: the build's PATH for its programs, else the caller's
	Now      func() time.Time             // measures how long things take; nil: time.Now
	Eval     func(context.Context, dkms.Input) (*dkms.Values, error)
}

// Cell is one source planned for one kernel.
type Cell struct {
	Source  *source.Source
	Kernel  *kernel.Tree
	Conf    *dkms.Conf
	Package bmdeb.Package // all but the modules; zero if excluded
	Layout  kbuild.Layout
	Depends []*Cell // the cells of BUILD_DEPENDS, set by [Order]

	Warnings []error
	opts     *Options
	clock    time.Time

	// Set by Run, for the cells that depend on this one.
	result *Result
	symver string
}

// Title names a cell in messages.
func (c *Cell) Title() string {
	return fmt.Sprintf("%s/%s for %s", c.Source.Name, c.Source.Version, c.Kernel.Release)
}

// Plan evaluates src for tree and resolves what its package will be. Nothing
// but WorkDir is written. A kernel that dkms.conf excludes is no error: see
// Conf.Excluded.
func Plan(ctx context.Context, src *source.Source, tree *kernel.Tree, o *Options) (*Cell, error) {
	c := &Cell{Source: src, Kernel: tree, opts: o, Layout: layout(src, tree, o), clock: clock(src, o)}
	if err := c.link(); err != nil {
		return nil, err
	}
	if err := c.evaluate(ctx); err != nil {
		return nil, err
	}
	if c.Conf.Excluded != nil {
		return c, nil
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	var err error
	c.Package, err = c.pkg()
	return c, err
}

// layout gives each cell a dkms tree of its own; the source tree is shared, so
// that sources find those they depend on.
func layout(src *source.Source, tree *kernel.Tree, o *Options) kbuild.Layout {
	same := func(elem ...string) kbuild.Path {
		p := filepath.Join(elem...)
		return kbuild.Path{Host: p, Build: p}
	}
	cell := filepath.Join(o.WorkDir, "cells", tree.Release, src.Name, src.Version)
	return kbuild.Layout{
		DKMSTree:   same(cell, "dkms"),
		SourceTree: same(o.WorkDir, "src"),
		TmpDir:     same(cell, "tmp"),
		Headers:    same(tree.BuildDir),
		Name:       src.Name,
		Version:    src.Version,
	}
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

// link makes the source appear as SourceTree/NAME-VERSION.
func (c *Cell) link() error {
	dir := c.Layout.SourceDir().Host
	tree := filepath.Dir(dir)
	if err := errors.Join(os.MkdirAll(tree, 0o755), os.Chmod(tree, 0o755)); err != nil {
		return err
	}
	err := os.Symlink(c.Source.Dir, dir)
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	// An earlier cell of the same source; or a-1/2 and a/1-2.
	if first, err := os.Readlink(dir); err != nil || first != c.Source.Dir {
		return fmt.Errorf("%s: another source has the same directory %s below /usr/src", c.Source.Arg, filepath.Base(dir))
	}
	return nil
}

func (c *Cell) evaluate(ctx context.Context) error {
	env := c.env()
	files, err := c.files()
	if err != nil {
		return err
	}
	values, err := c.opts.Eval(ctx, dkms.Input{Files: files, Directives: c.opts.Directives, Env: env})
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
		KernelConfig:    c.Kernel.ConfigPath,
		DKMSTree:        c.Layout.DKMSTree.Build,
		SourceTree:      c.Layout.SourceTree.Build,
		InstallTree:     filepath.Dir(filepath.Dir(c.Layout.Headers.Build)),
		TmpDir:          c.Layout.TmpDir.Build,
		Jobs:            c.opts.Jobs,
		OS:              c.opts.OS,
		Dir:             "/",
	}
}

// maxConf is the largest override file, in bytes, that is read.
const maxConf = 1 << 20

// files are the dkms.conf and the override files that exist, in dkms's order.
func (c *Cell) files() ([]dkms.File, error) {
	files := []dkms.File{c.Source.Conf}
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
