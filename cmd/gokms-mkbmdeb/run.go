// SPDX-License-Identifier: MIT

package main

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
	"syscall"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/confeval"
)

const prog = "gokms-mkbmdeb"

// run is the command: it parses env.Args, does what they say, and tells what
// went wrong. The error it returns holds the exit code.
func run(ctx context.Context, env *cli.Env) error {
	return cli.Program{Name: prog, Help: help, Flags: commandFlags(), Do: do}.Run(ctx, env)
}

func do(ctx context.Context, c *ucli.Context, env *cli.Env) error {
	if c.Bool("version") {
		_, err := fmt.Fprintln(env.Stdout, prog, cli.Version())
		return err
	}
	o, err := newOptions(c, env)
	if err != nil {
		return cli.BadInput(err)
	}
	return (&command{env: env, options: o, log: cli.NewLog(env.Stderr, prog, o.level)}).do(ctx)
}

// command is one run with its options.
type command struct {
	*options
	env  *cli.Env
	log  *cli.Log
	work string // temporary directory

	sandboxed bool // builds and evaluations are

	arguments []argument
	results   []*cell.Result

	started   bool  // a build
	stdoutErr error // the first of writing there
	warned    map[string]bool
}

func (c *command) do(ctx context.Context) (err error) {
	if len(c.sources) == 0 {
		return cli.BadInput(cli.WithHint(errors.New("no SOURCE"), "see "+prog+" --help"))
	}
	kernels, err := c.findKernels(ctx)
	switch {
	case ctx.Err() != nil:
		return cli.Interrupted(ctx)
	case err != nil:
		return planError(err)
	}
	if err := c.decideSandbox(ctx); err != nil {
		return cli.BadInput(err)
	}
	if err := errors.Join(c.hidePIN(), c.makeWork()); err != nil {
		return planError(err)
	}
	defer func() { err = errors.Join(err, c.tidy()) }()
	cells, err := c.plan(ctx, kernels)
	switch {
	case ctx.Err() != nil:
		return cli.Interrupted(ctx)
	case err != nil:
		return planError(err)
	}
	c.warned = map[string]bool{}
	if c.depmod != nil {
		for _, w := range c.depmod.Warnings {
			c.log.Warn(w)
		}
	}
	for _, doubt := range c.doubts {
		c.log.Warn(doubt)
	}
	for _, one := range cells {
		c.warn(one)
	}
	if c.noAct {
		return c.printPlan(cells)
	}
	recorded, err := c.beginRecord(ctx, kernels, cells)
	switch {
	case ctx.Err() != nil:
		return cli.Interrupted(ctx)
	case err != nil:
		return planError(err)
	}
	if err := c.build(ctx, cells); err != nil {
		return err
	}
	return c.endRecord(recorded)
}

// decideSandbox finds out whether there will be one.
func (c *command) decideSandbox(ctx context.Context) error {
	var err error
	if c.sandboxed, err = c.sandbox.Decide(ctx, c.env.Run); err == nil || c.sandbox == cell.On {
		return err
	}
	if c.memory > 0 {
		return cli.WithHint(fmt.Errorf("--memory: %w", err), "without a sandbox, nothing counts the memory of a build: leave --memory out")
	}
	c.log.Warn(fmt.Errorf("%v; building without one", err)) // one line: its hint is for --sandbox=on
	return nil
}

// planError is bad input, but for what may work the next time.
func planError(err error) error {
	_, unreachable := errors.AsType[*archive.UnreachableError](err)
	_, torn := errors.AsType[*archive.HashError](err)
	if unreachable || torn || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO) {
		return err
	}
	return cli.BadInput(err)
}

// makeWork makes the temporary directory. What root evaluates is evaluated as
// nobody (see confeval), who must get to the sources; in a user namespace there
// is no nobody, and no need.
func (c *command) makeWork() error {
	tmp := c.env.Getenv("TMPDIR")
	if tmp != "" && !filepath.IsAbs(tmp) {
		tmp = filepath.Join(c.env.Dir, tmp)
	}
	var err error
	if c.work, err = os.MkdirTemp(tmp, "gokms-"); err != nil {
		return fmt.Errorf("temporary directory: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	if os.Chown(c.work, -1, confeval.RootsGroup) != nil {
		return nil
	}
	return os.Chmod(c.work, 0o710)
}

// tidy removes the temporary directory, or says where it is.
func (c *command) tidy() error {
	if c.keepBuild && c.started {
		// -q does not silence what was asked for.
		fmt.Fprintf(c.env.Stderr, "%s: build directories kept in %s\n", prog, filepath.Join(c.work, "cells"))
		return nil
	}
	return cell.RemoveWork(c.work)
}

// run is how programs are started: as env says, told under -v.
func (c *command) run() func(*exec.Cmd) error {
	run := c.env.Run
	if run == nil {
		run = (*exec.Cmd).Run
	}
	return func(cmd *exec.Cmd) error {
		c.tell(cmd)
		return run(cmd)
	}
}

// tell says under -v that cmd is run.
func (c *command) tell(cmd *exec.Cmd) {
	if c.level >= cli.Verbose {
		c.log.Debugf("run: %s", commandLine(cmd))
	}
}

// commandLine is what cmd runs, as one would type it. Of the shell programs
// that builds are started with only what they run is of interest.
func commandLine(cmd *exec.Cmd) string {
	words := cmd.Args
	if at := slices.Index(words, "-c"); at > 0 && words[0] == "bash" && len(words) > at+3 {
		if strings.Contains(words[at+1], `eval "$1"`) {
			return words[at+3]
		}
		words = words[at+3:]
	}
	return cli.CommandLine(words)
}

// build runs the cells one after another and tells the results.
func (c *command) build(ctx context.Context, cells []*cell.Cell) error {
	c.started = true
	c.results = []*cell.Result{}
	failed, built := 0, 0
	for _, one := range cells {
		r := c.buildOne(ctx, one)
		if ctx.Err() != nil && r.Status == cell.Failed {
			break
		}
		c.results = append(c.results, r)
		switch r.Status {
		case cell.Failed:
			failed++
		case cell.Built:
			built++
		}
	}
	if c.json {
		if err := cli.WriteJSON(c.env.Stdout, c.results); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return cli.Interrupted(ctx)
	case c.stdoutErr != nil:
		return fmt.Errorf("write standard output: %w", c.stdoutErr)
	case failed > 0:
		return &cli.ExitError{Code: cli.ExitFailed}
	case built == 0:
		return &cli.ExitError{Code: cli.ExitExcluded}
	}
	return nil
}

// buildOne runs one cell. Each package's path is a line on stdout.
func (c *command) buildOne(ctx context.Context, one *cell.Cell) *cell.Result {
	if one.Conf.Excluded == nil {
		c.log.Infof("building %s", one.Title())
	}
	r := one.Run(ctx)
	c.warn(one)
	switch r.Status {
	case cell.Excluded:
		c.log.Infof("excluded %s: %s", one.Title(), r.Rule)
	case cell.Failed:
		if ctx.Err() == nil {
			c.log.Error(r.Err)
		}
	case cell.Built:
		c.log.Infof("built %s (modules: %d, %.1f s)", filepath.Base(r.Package.File), len(r.Modules), r.Seconds)
		for _, p := range []*cell.PackageRecord{r.Package, r.Dbgsym} {
			if p != nil && !c.json {
				_, err := fmt.Fprintln(c.env.Stdout, p.File)
				c.stdoutErr = cmp.Or(c.stdoutErr, err)
			}
		}
	}
	return r
}

// warn tells the warnings of a cell that no other cell had. An excluded one
// has none of interest.
func (c *command) warn(one *cell.Cell) {
	if one.Conf.Excluded != nil {
		return
	}
	for _, w := range one.Warnings {
		if text := w.Error(); !c.warned[text] {
			c.warned[text] = true
			c.log.Warn(w)
		}
	}
}
