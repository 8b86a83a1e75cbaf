// SPDX-License-Identifier: MIT

package cell

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/kbuild"
)

// Run builds the cell and publishes its package: the log, then the package,
// then the record. The cells in c.Depends must have been run before. The
// result is never nil.
func (c *Cell) Run(ctx context.Context) *Result {
	now := c.opts.Now
	if now == nil {
		now = time.Now
	}
	start := now()
	r := &Result{Name: c.Source.Name, Version: c.Source.Version, Kernel: c.Kernel.Release, Status: Built}
	c.result = r
	r.warn(c.Warnings...)
	if x := c.Conf.Excluded; x != nil {
		r.Status, r.Rule = Excluded, x.String()
		return r
	}
	if err := c.run(ctx, r); err != nil {
		r.fail(err)
	}
	r.Seconds = now().Sub(start).Seconds()
	if r.Status == Built {
		c.complete(r)
	}
	return r
}

// complete publishes the record. A package without one is only half-done, and
// is removed: the log is that of a failure.
func (c *Cell) complete(r *Result) {
	if err := c.publishRecord(r); err != nil {
		r.fail(fmt.Errorf("%s: %w", c.Title(), errors.Join(err, r.unpublish(), c.failLog(r))))
	}
}

func (c *Cell) run(ctx context.Context, r *Result) error {
	for _, dep := range c.Depends {
		if dep.result.Status == Failed {
			return fmt.Errorf("%s: BUILD_DEPENDS: %s was not built", c.Title(), dep.Title())
		}
	}
	p := &packing{Package: c.Package, record: r}
	err := c.fill(ctx, p)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		err = c.publish(p)
	}
	if err == nil {
		return nil
	}
	logErr := c.failLog(r)
	if e, ok := errors.AsType[*kbuild.Error](err); ok {
		e.LogPath = r.Log
	}
	return errors.Join(err, c.titled(logErr))
}

// fill builds the modules and puts them into p.
func (c *Cell) fill(ctx context.Context, p *packing) error {
	built, err := c.build(ctx, p.record)
	if err != nil {
		return err
	}
	if err := c.addModules(ctx, p, built.Modules); err != nil {
		return c.titled(err)
	}
	for _, dep := range c.Depends {
		if dep.result.Status == Built {
			p.Siblings = append(p.Siblings, bmdeb.Sibling{Name: dep.Package.Name, Version: dep.Package.Version})
		}
	}
	return nil
}

// packing is a package that is being filled.
type packing struct {
	bmdeb.Package
	debug  []bmdeb.DebugFile
	record *Result
}

// workDir holds all of this cell.
func (c *Cell) workDir() string { return filepath.Dir(c.Layout.DKMSTree.Host) }

// workLog is the build log before it is published.
func (c *Cell) workLog() string { return filepath.Join(c.workDir(), "make.log") }

// modulesDir holds the modules that were built.
func (c *Cell) modulesDir() string { return filepath.Join(c.workDir(), "modules") }

// build runs kbuild.
func (c *Cell) build(ctx context.Context, r *Result) (*kbuild.Result, error) {
	if err := errors.Join(os.MkdirAll(c.workDir(), 0o755), os.MkdirAll(c.Layout.TmpDir.Host, 0o700)); err != nil {
		return nil, err
	}
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	run, err := c.buildRun(ctx)
	if err != nil {
		return nil, c.titled(err)
	}
	b := &kbuild.Build{
		Conf: c.Conf, Tree: c.Kernel.Tree, Layout: c.Layout, SourceHost: c.Source.Dir, Jobs: c.opts.Jobs,
		ExtraSymvers: c.extraSymvers(), Epoch: c.clock,
		Out: c.modulesDir(), LogPath: c.workLog(), Run: run, Now: c.opts.Now,
		DKMSConf: c.Source.Conf.Text, Programs: c.Kernel.Programs, Libraries: c.Kernel.Libraries,
	}
	built, err := b.Do(ctx)
	if e, ok := errors.AsType[*kbuild.Error](err); ok {
		e.Excerpt = c.shown(e.Excerpt)
	}
	if err != nil {
		return nil, c.titled(err)
	}
	for _, s := range built.Steps {
		r.Steps = append(r.Steps, StepRecord{s.Name, s.Command, s.ExitCode, s.Elapsed.Seconds()})
	}
	r.warn(built.Warnings...)
	c.Warnings = append(c.Warnings, built.Warnings...)
	c.symver = built.Symvers
	return built, nil
}

// titled puts the cell's name in front of an error that has none.
func (c *Cell) titled(err error) error {
	if _, ok := errors.AsType[*kbuild.Error](err); ok || err == nil {
		return err
	}
	return fmt.Errorf("%s: %w", c.Title(), err)
}

// shown names the source's files as the user does: what was unpacked or copied
// is gone when he reads this.
func (c *Cell) shown(text string) string {
	return strings.NewReplacer(c.Source.Dir+"/", c.Source.Shown+"/", c.Layout.BuildDir().Host+"/", c.Source.Shown+"/").Replace(text)
}

// extraSymvers are the Module.symvers of all that c depends on.
func (c *Cell) extraSymvers() []kbuild.Symvers {
	var files []kbuild.Symvers
	for _, dep := range c.allDepends() {
		if dep.symver != "" {
			files = append(files, kbuild.Symvers{Name: dep.Source.Name, Version: dep.Source.Version, Host: dep.symver})
		}
	}
	return files
}

// person is a maintainer's name and address.
type person struct{ name, email string }

// address takes a Maintainer field apart, as far as it can be.
func address(maintainer string) person {
	if a, err := mail.ParseAddress(maintainer); err == nil {
		return person{a.Name, a.Address}
	}
	name, rest, _ := strings.Cut(maintainer, "<")
	email, _, _ := strings.Cut(rest, ">")
	return person{strings.TrimSpace(name), strings.TrimSpace(email)}
}
