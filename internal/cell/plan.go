// SPDX-License-Identifier: MIT

// Package cell is one module source built for one kernel, as a value: [Plan]
// resolves everything that can be known before a build, and any bad input ends
// there; [Cell.Run] builds, packs and publishes. Cells share no state.
package cell

import (
	"cmp"
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
	"github.com/gokms/gokms/pkg/changelog"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kernel"
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

	OverrideDir string   // NAME*.conf files as in /etc/dkms; "": none
	Directives  []string // NAME=VALUE
	OS          string   // $running_distribution

	Jobs     int
	Run      func(*exec.Cmd) error        // nil: (*exec.Cmd).Run
	LookPath func(string) (string, error) // nil: exec.LookPath
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
	switch {
	case o.Epoch != nil:
		return o.Epoch.UTC()
	case !src.Debian.ChangelogDate.IsZero():
		return src.Debian.ChangelogDate.UTC()
	}
	return src.NewestFile.UTC().Truncate(time.Second)
}

// link makes the source appear as SourceTree/NAME-VERSION.
func (c *Cell) link() error {
	dir := c.Layout.SourceDir().Host
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
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
	if c.Conf.Name != c.Source.Name || c.Conf.Version != c.Source.Version {
		return fmt.Errorf("%s: for kernel %s it calls itself %s/%s, but %s/%s without one",
			c.Source.Conf.Path, c.Kernel.Release, c.Conf.Name, c.Conf.Version, c.Source.Name, c.Source.Version)
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
		text, err := os.ReadFile(path)
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

// check finds what would end a build before it begins.
func (c *Cell) check() error {
	if len(c.built()) == 0 {
		return fmt.Errorf("%s: no module to build: neither BUILT_MODULE_NAME nor DEST_MODULE_LOCATION is there", c.Source.Conf.Path)
	}
	return errors.Join(c.checkBuildDir(), c.Kernel.CheckCompiler(c.opts.lookPath()), c.checkTools(),
		c.Conf.CheckPatches(os.DirFS(c.Source.Dir)))
}

// checkBuildDir refuses what the kernel's Makefiles cannot work in: make
// splits at blanks, its rules at colons, and expands the rest.
func (c *Cell) checkBuildDir() error {
	const forbidden = " \t\n:#$'\"\\%="
	switch {
	case strings.ContainsAny(c.opts.WorkDir, forbidden):
		return &source.Error{
			Err:  fmt.Errorf("temporary directory %q: make cannot work in a path with any of %q", c.opts.WorkDir, forbidden),
			Cure: "set TMPDIR to another one",
		}
	case strings.ContainsAny(c.Source.Name, forbidden):
		return c.Conf.Values.Errorf("PACKAGE_NAME", 0, "PACKAGE_NAME: %q: make cannot work in a path with any of %q", c.Source.Name, forbidden)
	case strings.ContainsAny(c.Source.Version, forbidden):
		return c.Conf.Values.Errorf("PACKAGE_VERSION", 0, "PACKAGE_VERSION: %q: make cannot work in a path with any of %q", c.Source.Version, forbidden)
	}
	return nil
}

func (o *Options) lookPath() func(string) (string, error) {
	if o.LookPath == nil {
		return exec.LookPath
	}
	return o.LookPath
}

// checkTools looks for the programs that this cell will run beside the
// compiler.
func (c *Cell) checkTools() error {
	var errs []error
	need := func(tool, pkg, why string) {
		if _, err := c.opts.lookPath()(tool); err != nil {
			errs = append(errs, &source.Error{
				Err:  fmt.Errorf("%s, which %s needs, is not installed", tool, why),
				Cure: "install the package " + pkg,
			})
		}
	}
	need("make", "make", "building modules")
	if len(c.Conf.Patches) > 0 {
		need("patch", "patch", "a source with PATCH")
	}
	switch c.opts.Compression {
	case debfile.XZ, "":
		need("xz", "xz-utils", "--compression=xz")
	case debfile.Gzip:
		need("gzip", "gzip", "--compression=gzip")
	}
	return errors.Join(errs...)
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

// pkg resolves all fields of the package.
func (c *Cell) pkg() (bmdeb.Package, error) {
	o, deb := c.opts, &c.Source.Debian
	p := bmdeb.Package{
		Maintainer:   cmp.Or(o.Maintainer, deb.Maintainer, o.FallbackMaint),
		Homepage:     deb.Homepage,
		Description:  deb.Description,
		Kernel:       c.Kernel,
		DestDir:      o.DestDir,
		Coexist:      o.Coexist,
		Provides:     o.Provides,
		ModTime:      c.clock,
		Compression:  o.Compression,
		Copyright:    deb.Copyright,
		RemakeInitrd: c.Conf.RemakeInitrd,
	}
	if o.Copyright != nil {
		p.Copyright = o.Copyright
	}
	if err := c.identify(&p); err != nil {
		return p, err
	}
	if p.Maintainer == "" {
		return p, &source.Error{
			Err:  fmt.Errorf("%s: no maintainer for package %s-modules-KVER", c.Source.Arg, p.Name),
			Cure: "set DEBEMAIL (and DEBFULLNAME), or pass --maintainer 'NAME <ADDRESS>'",
		}
	}
	if p.Copyright == nil {
		c.Warnings = append(c.Warnings, &source.Error{
			Err:  fmt.Errorf("%s: no copyright file for package %s-modules-KVER", c.Source.Arg, p.Name),
			Cure: "pass one with --copyright FILE",
		})
	}
	var err error
	if p.Changelog, err = c.changelog(&p); err != nil {
		return p, err
	}
	return p, c.tryPack(p)
}

// identify sets name, version, source and the -dkms packages of p.
func (c *Cell) identify(p *bmdeb.Package) error {
	o, deb := c.opts, &c.Source.Debian
	var err error
	if p.Name = o.Name; p.Name == "" {
		if p.Name, err = bmdeb.ModuleName(c.Conf.Name); err != nil {
			return err
		}
	}
	if p.Version = cmp.Or(o.PackageVersion, deb.Version); p.Version == "" {
		if p.Version, err = bmdeb.Version(c.Conf.Version); err != nil {
			return err
		}
	}
	p.Source, p.SourceVersion = cmp.Or(deb.Source, p.Name), cmp.Or(deb.SourceVersion, p.Version)
	if o.Revision != "" {
		p.Version += "+" + o.Revision
	}
	p.DKMSPackages = []string{c.rival(p)}
	return nil
}

// rival is the -dkms package of the source. What a bare directory would be
// called as a package can only be guessed, and not from --name.
func (c *Cell) rival(p *bmdeb.Package) string {
	if c.Source.Debian.Binary != "" {
		return c.Source.Debian.Binary
	}
	if name, err := bmdeb.ModuleName(c.Conf.Name); err == nil {
		return name + "-dkms"
	}
	return p.Name + "-dkms"
}

// tryPack makes the control file with stand-in modules, so that fields and
// names which no package can have end the plan.
func (c *Cell) tryPack(p bmdeb.Package) error {
	for _, m := range c.built() {
		p.Modules = append(p.Modules, bmdeb.Module{Name: m.DestName, Suffix: ".ko"})
	}
	deb, err := p.Deb()
	if err != nil {
		return err
	}
	if _, err := control.Format(deb.Control); err != nil {
		return fmt.Errorf("package %s: %w", p.Binary(), err)
	}
	return nil
}

// changelog is the source's own, below a new entry where the package's version
// is not its newest, or a made one.
func (c *Cell) changelog(p *bmdeb.Package) ([]byte, error) {
	deb := &c.Source.Debian
	if deb.Changelog != nil && p.Version == deb.Version {
		return deb.Changelog, nil
	}
	what := fmt.Sprintf("  * Binary module package built from %s/%s with dkms.conf.", c.Conf.Name, c.Conf.Version)
	if deb.Version != "" {
		what = fmt.Sprintf("  * Binary module package built from %s %s.", p.Source, p.SourceVersion)
	}
	entry, err := changelog.Format(changelog.Entry{
		Source: p.Source, Version: p.Version, Distributions: []string{"unstable"}, Urgency: "medium",
		Changes: []string{what}, Maintainer: address(p.Maintainer).name, Email: address(p.Maintainer).email,
		Date: c.clock,
	})
	if err != nil {
		return nil, err
	}
	if deb.Changelog == nil {
		return entry, nil
	}
	return append(append(entry, '\n'), deb.Changelog...), nil
}
