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

	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/debsource"
	"github.com/gokms/gokms/internal/dhmodules"
	"github.com/gokms/gokms/pkg/debhelper"
	"github.com/gokms/gokms/pkg/dkms"
)

const prog = "dh_gokms_modules"

// options are those of dh_gokms_modules itself.
type options struct {
	destDir string
}

func (o *options) flags() []debhelper.Flag {
	return []debhelper.Flag{debhelper.String(&o.destDir, "destdir")}
}

// run is the command. The error it returns holds the exit code.
func run(ctx context.Context, env *cli.Env) error {
	var o options
	return cli.Debhelper(ctx, env, debhelper.Command{Name: prog, Version: cli.Version(), Flags: o.flags()}, help, func(s *debhelper.Session, log *cli.Log) error {
		c := &command{Session: s, options: o, log: log, env: env}
		return c.do(ctx)
	})
}

// command is one run on a source package.
type command struct {
	*debhelper.Session
	options
	log *cli.Log
	env *cli.Env
}

func (c *command) do(ctx context.Context) error {
	tree, err := debsource.Open(c.Session, c.env.Dir)
	if err != nil {
		return err
	}
	tree.Eval = func(ctx context.Context, in dkms.Input) (*dkms.Values, error) {
		return confeval.Run(ctx, in, confeval.Limits{})
	}
	for _, p := range c.Packages {
		if err := c.build(ctx, tree, p); err != nil {
			return err
		}
	}
	return nil
}

// build does what debian/PKG.gokms-modules says.
func (c *command) build(ctx context.Context, tree *debsource.Tree, p *debhelper.Package) (err error) {
	if c.NoAct {
		return nil
	}
	if c.destDir != "" && !filepath.IsAbs(c.destDir) {
		c.destDir = filepath.Join(c.env.Dir, c.destDir)
	}
	b, err := dhmodules.Plan(ctx, tree, p, dhmodules.Options{
		TempDir: c.env.Getenv("TMPDIR"), OS: cli.RunningDistribution(), Getenv: c.env.Getenv, Run: c.run(), DestDir: c.destDir,
	})
	if err != nil || b == nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	results, err := c.runCells(ctx, b)
	if err != nil {
		return err
	}
	return b.Register(results)
}

func (c *command) runCells(ctx context.Context, b *dhmodules.Batch) ([]*cell.Result, error) {
	var results []*cell.Result
	var errs []error
	for _, one := range b.Cells {
		r := one.Run(ctx)
		for _, w := range one.Warnings {
			c.log.Warn(w)
		}
		if err := c.showLog(r); err != nil {
			return nil, err
		}
		switch r.Status {
		case cell.Failed:
			errs = append(errs, r.Err)
		case cell.Excluded:
			c.log.Infof("excluded %s: %s", one.Title(), r.Rule)
		case cell.Built:
			c.log.Infof("built %s", filepath.Base(r.Package.File))
			results = append(results, r)
		}
	}
	return results, errors.Join(errs...)
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
