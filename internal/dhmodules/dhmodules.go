// SPDX-License-Identifier: MIT

// Package dhmodules builds the binary module packages of a Debian source
// package during its build: what debian/PKG.gokms-modules asks for. dh_gokms
// plans them, to depend on them; dh_gokms_modules builds them.
package dhmodules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/debsource"
	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debhelper"
	"github.com/gokms/gokms/pkg/textfile"
	"github.com/gokms/gokms/pkg/upload"
)

// stageDir holds what is staged, relative to the source package.
const stageDir = "debian/.debhelper/gokms"

// Options of [Plan].
type Options struct {
	TempDir string                // "": the system's
	OS      string                // $running_distribution
	Run     func(*exec.Cmd) error // must be set
	DestDir string                // for packages; "": the parent of the source package
	Choice  debsource.Choice      // its Version
	// ModulesRoot is where build dependencies install headers; "": /lib/modules.
	ModulesRoot string
	// Confine finds out whether to build in a sandbox, once something is to be
	// built; nil: without.
	Confine func() (bool, error)

	dbgsym    bool // packages of debug symbols, too
	sandboxed bool
}

// Batch is what one debian/PKG.gokms-modules asks for.
type Batch struct {
	Package *debhelper.Package
	Cells   []*cell.Cell

	tree  *debsource.Tree
	work  string
	stage string // relative to the source package
}

// Plan returns what p's debian/PKG.gokms-modules asks for, nil if there is no
// such file. The module sources are staged below debian/.debhelper. The caller
// calls Close.
func Plan(ctx context.Context, t *debsource.Tree, p *debhelper.Package, o Options) (_ *Batch, err error) {
	file, err := t.Session.PkgFile(p, "gokms-modules")
	if err != nil || file == "" {
		return nil, err
	}
	o.ModulesRoot = cmp.Or(o.ModulesRoot, "/lib/modules")
	conf, err := readConfig(t.Dir, file)
	if err != nil {
		return nil, err
	}
	if p.Architecture == "all" {
		return nil, textfile.Errorf(file, 0, "package %s is for all architectures: only one that is built for an architecture can depend on modules", p.Name)
	}
	if o.Confine != nil {
		if o.sandboxed, err = o.Confine(); err != nil {
			return nil, err
		}
	}
	kernels, err := findKernels(ctx, t, conf, o)
	if err != nil {
		return nil, err
	}
	b := &Batch{Package: p, tree: t, stage: filepath.Join(stageDir, p.Name)}
	if b.work, err = makeWork(o.TempDir, t.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	sources, err := b.sources(ctx, conf, o.Choice)
	if err != nil {
		return nil, err
	}
	o.dbgsym = conf.dbgsym && !t.Session.Build.NoAutoDbgsym()
	return b, b.plan(ctx, sources, kernels, o)
}

// makeWork makes the temporary directory, below the source package at dir where
// tmp is relative. What root evaluates is evaluated as nobody, see
// [confeval.RootsGroup], who must get to the sources.
func makeWork(tmp, dir string) (string, error) {
	if tmp != "" && !filepath.IsAbs(tmp) {
		tmp = filepath.Join(dir, tmp)
	}
	work, err := os.MkdirTemp(tmp, "gokms-")
	if err != nil {
		return "", fmt.Errorf("temporary directory: %w", err)
	}
	if os.Geteuid() != 0 || os.Chown(work, -1, confeval.RootsGroup) != nil {
		return work, nil
	}
	return work, os.Chmod(work, 0o710)
}

// Close removes what was staged and the temporary directory.
func (b *Batch) Close() error {
	return errors.Join(cell.RemoveWork(b.work), os.RemoveAll(filepath.Join(b.tree.Dir, b.stage)))
}

func findKernels(ctx context.Context, t *debsource.Tree, conf *config, o Options) ([]*target.Kernel, error) {
	host, err := t.Session.HostArch()
	if err != nil {
		return nil, err
	}
	h := headers{ctx: ctx, run: o.Run, root: o.ModulesRoot}
	from, err := h.candidates(t.Session.Control, host, t.Session.Profiles())
	if err != nil {
		return nil, err
	}
	releases, err := conf.choose(from)
	if err != nil {
		return nil, err
	}
	finder := &target.Finder{ModulesRoot: o.ModulesRoot, Offline: true, Run: o.Run}
	kernels, err := finder.Find(ctx, releases)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, k := range kernels {
		if k.DebArch != host {
			errs = append(errs, fmt.Errorf("%s: kernel %s is for %s, and this build is for %s", conf.file, k.Release, k.DebArch, host))
		}
	}
	return kernels, errors.Join(errs...)
}

// sources stages the module sources: those of conf's Dkms, else of every
// debian/*.dkms, whichever package they belong to and whether or not that is
// built now.
func (b *Batch) sources(ctx context.Context, conf *config, choice debsource.Choice) ([]*source.Source, error) {
	modules, err := b.modules(ctx, conf, choice)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(b.tree.Dir, b.stage)); err != nil {
		return nil, err
	}
	var sources []*source.Source
	for _, m := range modules {
		staging, err := b.tree.PlanStage(m, b.stage)
		if err != nil {
			return nil, err
		}
		if err := b.tree.Stage(staging); err != nil {
			return nil, err
		}
		binary := ""
		if m.Package != nil {
			binary = m.Package.Name
		}
		identity, err := source.TreeIdentity(b.tree.Dir, binary)
		if err != nil {
			return nil, err
		}
		s := &source.Source{
			Arg: m.File, Dir: filepath.Join(b.tree.Dir, staging.Dir), Shown: cmp.Or(staging.From, staging.Dir),
			Name: m.Name, Version: m.Version, Debian: identity, NewestFile: b.tree.Clock,
		}
		s.Conf.Path, s.Conf.Text = m.File, m.Text
		sources = append(sources, s)
	}
	return sources, nil
}

func (b *Batch) modules(ctx context.Context, conf *config, choice debsource.Choice) ([]*debsource.Module, error) {
	all, err := conf.modules(ctx, b.tree, choice)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, &hinted{fmt.Errorf("%s: no debian/*.dkms says how to build modules", conf.file),
			"add one, or name a dkms.conf of the source: Dkms: FILE"}
	}
	return all, debsource.OneName(all)
}

func (c *config) modules(ctx context.Context, t *debsource.Tree, choice debsource.Choice) ([]*debsource.Module, error) {
	if len(c.dkms) == 0 {
		return t.AllModules(ctx, choice)
	}
	var all []*debsource.Module
	for _, w := range c.dkms {
		m, err := t.Module(ctx, w.text, choice)
		if err != nil {
			return nil, c.errorf(w, "Dkms: %w", err)
		}
		all = append(all, m)
	}
	return all, nil
}

// checkDepends refuses modules that depend on a source which is not there.
func checkDepends(cells []*cell.Cell, sources []*source.Source) error {
	for _, c := range cells {
		for _, name := range c.Conf.BuildDepends {
			if !slices.ContainsFunc(sources, func(s *source.Source) bool { return s.Name == name }) {
				return &hinted{c.Conf.Values.Errorf("BUILD_DEPENDS", 0, "BUILD_DEPENDS names %s, whose source is not in this package", name),
					"module packages can only be built with all that they need: put its source and .dkms here, or use gokms-mkbmdeb"}
			}
		}
	}
	return nil
}

// checkPackages refuses packages that debian/control has already.
func (b *Batch) checkPackages() error {
	for _, c := range b.Cells {
		for _, p := range b.tree.Session.AllPackages {
			if c.Conf.Excluded == nil && c.Package.Binary() == p.Name {
				return fmt.Errorf("debian/control: package %s is what %s becomes for kernel %s: remove its stanza", p.Name, c.Source.Arg, c.Kernel.Release)
			}
		}
	}
	return cell.CheckNames(b.Cells)
}

func (b *Batch) plan(ctx context.Context, sources []*source.Source, kernels []*target.Kernel, o Options) error {
	dest := o.DestDir
	if dest == "" {
		dest = filepath.Dir(b.tree.Dir)
	}
	clock := b.tree.Clock
	logs := filepath.Join(b.tree.Dir, stageDir, "log")
	opts := &cell.Options{
		WorkDir: b.work, Output: dest, LogDir: logs, RecordDir: logs, Epoch: &clock, OS: o.OS,
		Jobs: b.tree.Session.Build.Parallel(), Run: o.Run, Eval: confeval.EvalIn, Sandboxed: o.sandboxed, Dbgsym: o.dbgsym,
	}
	cells, err := cell.PlanEach(ctx, sources, kernels, opts)
	if err != nil {
		return err
	}
	if err := checkDepends(cells, sources); err != nil {
		return err
	}
	if b.Cells, err = cell.Order(cells); err != nil {
		return err
	}
	if cell.AllExcluded(b.Cells) {
		return fmt.Errorf("package %s: its modules exclude all the kernels: %s", b.Package.Name, b.Cells[0].Conf.Excluded)
	}
	return b.checkPackages()
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
			items = append(items, control.Exactly(c.Package.Binary(), c.Package.Version).String())
		}
	}
	slices.Sort(items)
	return strings.Join(items, ", ")
}

// Register enters the packages of results into debian/files of the source
// package at dir. They are not in debian/control, which "automatic=yes" tells
// the other tools.
func Register(dir string, results []*cell.Result) error {
	var files []upload.File
	for _, r := range results {
		files = append(files, entry(r.Package, "kernel"))
		if r.Dbgsym != nil {
			files = append(files, entry(r.Dbgsym, "debug"))
		}
	}
	return upload.AddFiles(dir, files...)
}

func entry(p *cell.PackageRecord, section string) upload.File {
	return upload.File{
		Name: filepath.Base(p.File), Section: section, Priority: "optional", Attributes: []string{"automatic=yes"},
	}
}
