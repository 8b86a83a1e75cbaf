// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/debsource"
	"github.com/gokms/gokms/internal/dhmodules"
	"github.com/gokms/gokms/pkg/debhelper"
	"github.com/gokms/gokms/pkg/upload"
)

const prog = "dh_gokms_modules"

// options are those of dh_gokms_modules itself.
type options struct {
	destDir string
	sandbox string
}

func (o *options) flags() []debhelper.Flag {
	return []debhelper.Flag{debhelper.String(&o.destDir, "destdir"), debhelper.String(&o.sandbox, "sandbox")}
}

// run is the command. The error it returns holds the exit code.
func run(ctx context.Context, env *cli.Env) error {
	o := options{sandbox: string(cell.Auto)}
	return cli.DebhelperProgram{
		Command: debhelper.Command{Name: prog, Version: cli.Version(), Flags: o.flags()},
		Help:    help,
		Do: func(s *debhelper.Session, log *cli.Log) error {
			c := &command{Session: s, options: o, log: log, env: env}
			return c.do(ctx)
		},
	}.Run(ctx, env)
}

// command is one run on a source package.
type command struct {
	*debhelper.Session
	options
	log *cli.Log
	env *cli.Env
}

func (c *command) do(ctx context.Context) (err error) {
	if c.NoAct {
		return nil
	}
	tree, err := debsource.Open(c.Session, c.env.Dir)
	if err != nil {
		return err
	}
	tree.Eval = confeval.Eval
	if c.destDir != "" && !filepath.IsAbs(c.destDir) {
		c.destDir = filepath.Join(c.env.Dir, c.destDir)
	}
	if err := cell.Confinement(c.sandbox).Check(); err != nil {
		return cli.BadInput(err)
	}
	confine := sync.OnceValues(func() (bool, error) { return c.confine(ctx) })
	var batches []*dhmodules.Batch
	defer func() {
		for _, b := range batches {
			err = errors.Join(err, b.Close())
		}
	}()
	for _, p := range c.Packages {
		b, err := dhmodules.Plan(ctx, tree, p, dhmodules.Options{
			TempDir: c.env.Getenv("TMPDIR"), OS: cli.RunningDistribution(), Run: c.run(), DestDir: c.destDir,
			Confine: confine,
			Choice:  debsource.Choice{Version: c.V},
		})
		if err != nil {
			return err
		}
		if b != nil {
			batches = append(batches, b)
		}
	}
	return c.build(ctx, batches)
}

// confine finds out whether to build in a sandbox. Build daemons build in a
// chroot, where there can be none: that is said, and no error.
func (c *command) confine(ctx context.Context) (bool, error) {
	mode := cell.Confinement(c.sandbox)
	sandboxed, err := mode.Decide(ctx, c.env.Run)
	if err != nil && mode == cell.Auto {
		c.infof("%v; building without one", err)
		return false, nil
	}
	return sandboxed, err
}

// build makes all the packages, or leaves none.
func (c *command) build(ctx context.Context, batches []*dhmodules.Batch) error {
	var cells []*cell.Cell
	for _, b := range batches {
		cells = append(cells, b.Cells...)
	}
	if len(cells) == 0 {
		return nil
	}
	if err := errors.Join(cell.CheckNames(cells), upload.Check(c.env.Dir)); err != nil {
		return err
	}
	results, err := c.runCells(ctx, cells)
	if err == nil {
		err = dhmodules.Register(c.env.Dir, results)
	}
	if err != nil {
		for _, r := range results {
			for _, p := range []*cell.PackageRecord{r.Package, r.Dbgsym} {
				if p != nil {
					err = errors.Join(err, os.Remove(p.File))
				}
			}
		}
	}
	return err
}

// runCells builds one after the other; it returns those with a package.
func (c *command) runCells(ctx context.Context, cells []*cell.Cell) ([]*cell.Result, error) {
	var results []*cell.Result
	var errs []error
	for _, one := range cells {
		r := one.Run(ctx)
		for _, w := range one.Warnings {
			c.log.Warn(w)
		}
		errs = append(errs, c.showLog(r))
		switch r.Status {
		case cell.Failed:
			errs = append(errs, r.Err)
		case cell.Excluded:
			c.infof("excluded %s: %s", one.Title(), r.Rule)
		case cell.Built:
			c.infof("built %s", filepath.Base(r.Package.File))
			results = append(results, r)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return results, errors.Join(errs...)
}

func (c *command) infof(format string, args ...any) {
	if !c.Quiet {
		c.log.Infof(format, args...)
	}
}

// showLog copies the build log to standard output, as builds of packages do
// (Policy 4.9): on a build daemon nothing else of it is kept.
func (c *command) showLog(r *cell.Result) error {
	if r.Log == "" || c.Quiet && r.Status != cell.Failed {
		return nil
	}
	f, err := os.Open(r.Log)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(c.env.Stdout, f)
	return err
}

func (c *command) run() func(*exec.Cmd) error {
	run := c.env.Run
	if run == nil {
		run = (*exec.Cmd).Run
	}
	return func(cmd *exec.Cmd) error {
		if c.Verbose {
			fmt.Fprintln(c.env.Stdout, "\t"+debhelper.EscapeShell(cmd.Args...))
		}
		return run(cmd)
	}
}
