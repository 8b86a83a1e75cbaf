// SPDX-License-Identifier: MIT

// Package dhmodules builds the binary module packages of a Debian source
// package during its build: what debian/PKG.gokms-modules asks for. dh_gokms
// plans them, to depend on them; dh_gokms_modules builds them.
package dhmodules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/debsource"
	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/pkg/debhelper"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/upload"
)

// stageDir holds what is staged, relative to the source package.
const stageDir = "debian/.debhelper/gokms"

// modulesRoot is where build dependencies install headers.
const modulesRoot = "/lib/modules"

// Options of [Plan].
type Options struct {
	TempDir string // "": the system's
	OS      string // $running_distribution
	Getenv  func(string) string
	Run     func(*exec.Cmd) error // must be set
	DestDir string                // for packages; "": the parent of the source package
}

// Batch is what one debian/PKG.gokms-modules asks for.
type Batch struct {
	Package *debhelper.Package
	Cells   []*cell.Cell

	tree *debsource.Tree
	work string
}

// Plan returns what p's debian/PKG.gokms-modules asks for, nil if there is no
// such file. The module sources are staged below debian/.debhelper. The caller
// calls Close.
func Plan(ctx context.Context, t *debsource.Tree, p *debhelper.Package, o Options) (_ *Batch, err error) {
	file, err := t.Session.PkgFile(p, "gokms-modules")
	if err != nil || file == "" {
		return nil, err
	}
	conf, err := readConfig(t.Dir, file)
	if err != nil {
		return nil, err
	}
	trees, err := openTrees(ctx, t, conf, o)
	if err != nil {
		return nil, err
	}
	b := &Batch{Package: p, tree: t}
	if b.work, err = os.MkdirTemp(o.TempDir, "gokms-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	sources, err := b.sources(ctx, conf)
	if err != nil {
		return nil, err
	}
	return b, b.plan(ctx, sources, trees, o)
}

// Close removes the temporary directory.
func (b *Batch) Close() error { return cell.RemoveWork(b.work) }

func openTrees(ctx context.Context, t *debsource.Tree, conf *config, o Options) ([]*kernel.Tree, error) {
	from, err := candidates(ctx, t.Session.Control, o.Run)
	if err != nil {
		return nil, err
	}
	releases, err := conf.choose(from)
	if err != nil {
		return nil, err
	}
	var trees []*kernel.Tree
	var errs []error
	for _, release := range releases {
		tree, err := kernel.Open(modulesRoot, release, &kernel.Options{Run: o.Run, Getenv: o.Getenv})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		trees = append(trees, tree)
	}
	return trees, errors.Join(errs...)
}

// sources stages the module sources: those of conf's Dkms, else of every
// debian/*.dkms, whichever package they belong to and whether or not that is
// built now.
func (b *Batch) sources(ctx context.Context, conf *config) ([]*source.Source, error) {
	stage := filepath.Join(stageDir, b.Package.Name)
	if err := os.RemoveAll(filepath.Join(b.tree.Dir, stage)); err != nil {
		return nil, err
	}
	modules, err := b.modules(ctx, conf)
	if err != nil {
		return nil, err
	}
	var sources []*source.Source
	for _, m := range modules {
		dir, err := b.tree.Stage(m, stage)
		if err != nil {
			return nil, err
		}
		identity, err := source.TreeIdentity(b.tree.Dir, m.Package.Name)
		if err != nil {
			return nil, err
		}
		s := &source.Source{
			Arg: m.File, Dir: filepath.Join(b.tree.Dir, dir), Name: m.Name, Version: m.Version,
			Debian: identity, NewestFile: b.tree.Clock,
		}
		s.Conf.Path, s.Conf.Text = m.File, m.Text
		sources = append(sources, s)
	}
	return sources, nil
}

func (b *Batch) modules(ctx context.Context, conf *config) ([]*debsource.Module, error) {
	var all []*debsource.Module
	add := func(p *debhelper.Package, c debsource.Choice) error {
		found, err := b.tree.Modules(ctx, p, c)
		all = append(all, found...)
		return err
	}
	for _, file := range conf.dkms {
		if err := add(b.Package, debsource.Choice{File: file}); err != nil {
			return nil, err
		}
	}
	if len(conf.dkms) == 0 {
		for _, p := range b.tree.Session.AllPackages {
			if err := add(p, debsource.Choice{}); err != nil {
				return nil, err
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no debian/*.dkms says how to build modules", conf.file)
	}
	byName := map[string]string{}
	for _, m := range all {
		if other := byName[m.Name]; other != "" {
			return nil, fmt.Errorf("%s and %s both have the PACKAGE_NAME %s", other, m.File, m.Name)
		}
		byName[m.Name] = m.File
	}
	return all, nil
}

func (b *Batch) plan(ctx context.Context, sources []*source.Source, trees []*kernel.Tree, o Options) error {
	dest := o.DestDir
	if dest == "" {
		dest = filepath.Dir(b.tree.Dir)
	}
	clock := b.tree.Clock
	logs := filepath.Join(b.tree.Dir, stageDir, "log")
	opts := &cell.Options{
		WorkDir: b.work, Output: dest, LogDir: logs, RecordDir: logs, Epoch: &clock, OS: o.OS,
		Jobs: b.tree.Session.Build.Parallel(), Run: o.Run, Eval: b.tree.Eval,
	}
	var errs []error
	for _, tree := range trees {
		for _, src := range sources {
			planned, err := cell.Plan(ctx, src, tree, opts)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			b.Cells = append(b.Cells, planned)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	var err error
	if b.Cells, err = cell.Order(b.Cells); err != nil {
		return err
	}
	if cell.AllExcluded(b.Cells) {
		return fmt.Errorf("%s: dkms.conf excludes all the kernels: %s", b.Package.Name, b.Cells[0].Conf.Excluded)
	}
	return cell.CheckNames(b.Cells)
}

// NewestDepends is what a package has to depend on to bring the modules for
// the newest kernel of each flavour: exact versions of their packages.
func (b *Batch) NewestDepends() string {
	newest := map[string]string{} // module and flavour to release
	for _, c := range b.Cells {
		key := c.Source.Name + "/" + c.Kernel.Flavour
		if c.Conf.Excluded == nil && (newest[key] == "" || compareReleases(c.Kernel.Release, newest[key]) > 0) {
			newest[key] = c.Kernel.Release
		}
	}
	var items []string
	for _, c := range b.Cells {
		if c.Conf.Excluded == nil && newest[c.Source.Name+"/"+c.Kernel.Flavour] == c.Kernel.Release {
			items = append(items, fmt.Sprintf("%s (= %s)", c.Package.Binary(), c.Package.Version))
		}
	}
	slices.Sort(items)
	return strings.Join(items, ", ")
}

// Register enters the packages of results into debian/files. They are not in
// debian/control, which "automatic=yes" tells the other tools.
func (b *Batch) Register(results []*cell.Result) error {
	var files []upload.File
	for _, r := range results {
		if r.Package == nil {
			continue
		}
		files = append(files, upload.File{
			Name: filepath.Base(r.Package.File), Section: "kernel", Priority: "optional", Attributes: []string{"automatic=yes"},
		})
	}
	return upload.AddFiles(b.tree.Dir, files...)
}
