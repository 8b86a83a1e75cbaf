// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	ucli "github.com/urfave/cli/v2"
	"mvdan.cc/sh/v3/syntax"

	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kernel"
)

const prog = "gokms-mkbmdeb"

// run is the command: it parses env.Args, does what they say, and tells what
// went wrong. The error it returns holds the exit code.
func run(ctx context.Context, env *cli.Env) error {
	app := &ucli.App{
		Name:                      prog,
		HideHelp:                  true,
		HideVersion:               true, // its -v is our --verbose
		Flags:                     flags(),
		Writer:                    env.Stdout,
		ErrWriter:                 env.Stderr,
		ExitErrHandler:            func(*ucli.Context, error) {},
		DisableSliceFlagSeparator: true,
		OnUsageError:              func(_ *ucli.Context, err error, _ bool) error { return cli.BadInput(err) },
		Action: func(c *ucli.Context) error {
			if c.Bool("version") {
				_, err := fmt.Fprintln(env.Stdout, prog, cli.Version())
				return err
			}
			o, err := newOptions(c, env)
			if err != nil {
				return cli.BadInput(err)
			}
			return (&command{env: env, options: o, log: cli.NewLog(env.Stderr, prog, o.level)}).do(ctx)
		},
	}
	args, err := normalize(app.Flags, env.Args)
	switch {
	case err != nil:
		err = cli.BadInput(err)
	case slices.Contains(args[:slices.Index(args, "--")], "--help"):
		_, err = fmt.Fprint(env.Stdout, help) // urfave's takes arguments for topics
	default:
		err = app.Run(append([]string{prog}, args...))
	}
	if err != nil {
		cli.NewLog(env.Stderr, prog, cli.Normal).Error(err)
	}
	return err
}

// command is one run with its options.
type command struct {
	*options
	env  *cli.Env
	log  *cli.Log
	work string // temporary directory

	started   bool  // a build
	stdoutErr error // the first of writing there
	warned    map[string]bool
}

func (c *command) do(ctx context.Context) (err error) {
	if len(c.sources) == 0 {
		return cli.BadInput(cli.WithHint(errors.New("no SOURCE"), "see "+prog+" --help"))
	}
	trees, err := c.trees()
	if err != nil {
		return cli.BadInput(err)
	}
	if err := c.makeWork(); err != nil {
		return planError(err)
	}
	defer func() { err = errors.Join(err, c.tidy()) }()
	cells, err := c.plan(ctx, trees)
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx)
	case err != nil:
		return planError(err)
	}
	c.warned = map[string]bool{}
	for _, one := range cells {
		c.warn(one)
	}
	if c.noAct {
		return c.printPlan(cells)
	}
	return c.build(ctx, cells)
}

// planError is bad input, but for what may work the next time.
func planError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO) {
		return err
	}
	return cli.BadInput(err)
}

// interrupted is the error of a run that a signal ended.
func interrupted(ctx context.Context) error {
	return fmt.Errorf("interrupted: %w", context.Cause(ctx))
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
		c.log.Infof("build directories kept in %s", filepath.Join(c.work, "cells"))
		return nil
	}
	return cell.RemoveWork(c.work)
}

// trees opens the header trees asked for.
func (c *command) trees() ([]*kernel.Tree, error) {
	if len(c.kernels) == 0 {
		return nil, c.noKernel()
	}
	releases, err := c.releases()
	if err != nil {
		return nil, err
	}
	var trees []*kernel.Tree
	var errs []error
	for _, release := range releases {
		tree, err := kernel.Open(c.modulesRoot, release, &kernel.Options{Run: c.run(), Getenv: c.env.Getenv})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, w := range tree.Warnings {
			c.log.Warn(w)
		}
		trees = append(trees, tree)
	}
	return trees, errors.Join(errs...)
}

// releases are the kernels of -k, each once, "all" replaced.
func (c *command) releases() ([]string, error) {
	var all []string
	seen := map[string]bool{}
	add := func(releases ...string) {
		for _, r := range releases {
			if !seen[r] {
				seen[r] = true
				all = append(all, r)
			}
		}
	}
	for _, k := range c.kernels {
		if k != "all" {
			add(k)
			continue
		}
		installed, err := kernel.List(c.modulesRoot)
		if err != nil || len(installed) == 0 {
			return nil, c.noKernel()
		}
		add(installed...)
	}
	return all, nil
}

// noKernel is the usage error that lists the kernels there are. Which kernel
// runs here is never asked: packages are built for other machines.
func (c *command) noKernel() error {
	found, err := kernel.List(c.modulesRoot)
	if err != nil || len(found) == 0 {
		return cli.WithHint(fmt.Errorf("no kernel to build for: no headers are installed below %s", c.modulesRoot),
			"install a linux-headers package, then name its release with -k KVER")
	}
	return cli.WithHint(errors.New("no kernel to build for: -k KVER is missing"),
		"kernels with headers: "+strings.Join(found, ", ")+"; or -k all")
}

// run is how programs are started: as env says, told under -v.
func (c *command) run() func(*exec.Cmd) error {
	run := c.env.Run
	if run == nil {
		run = (*exec.Cmd).Run
	}
	if c.level < cli.Verbose {
		return run
	}
	return func(cmd *exec.Cmd) error {
		c.log.Debugf("run: %s", commandLine(cmd))
		return run(cmd)
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
	var quoted []string
	for _, word := range words {
		if q, err := syntax.Quote(word, syntax.LangBash); err == nil {
			word = q
		}
		quoted = append(quoted, word)
	}
	return strings.Join(quoted, " ")
}

func (c *command) eval(ctx context.Context, in dkms.Input) (*dkms.Values, error) {
	return confeval.Run(ctx, in, confeval.Limits{})
}

// plan resolves all sources for all kernels. All that is wrong is told at once.
func (c *command) plan(ctx context.Context, trees []*kernel.Tree) ([]*cell.Cell, error) {
	sources, err := c.resolve(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.checkOutput(); err != nil {
		return nil, err
	}
	opts := c.cellOptions()
	var cells []*cell.Cell
	var errs []error
	for _, tree := range trees {
		for _, src := range sources {
			planned, err := cell.Plan(ctx, src, tree, opts)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			cells = append(cells, planned)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(distinct(errs)...)
	}
	if cells, err = cell.Order(cells); err != nil {
		return nil, err
	}
	return cells, cell.CheckNames(cells)
}

// distinct drops errors that say what an earlier one said: a broken dkms.conf
// is as broken for every kernel.
func distinct(errs []error) []error {
	seen := map[string]bool{}
	var kept []error
	for _, err := range errs {
		if !seen[err.Error()] {
			seen[err.Error()] = true
			kept = append(kept, err)
		}
	}
	return kept
}

// resolve finds the sources; two of one name are an error.
func (c *command) resolve(ctx context.Context) ([]*source.Source, error) {
	work := filepath.Join(c.work, "sources")
	if err := os.Mkdir(work, 0o755); err != nil {
		return nil, err
	}
	var all []*source.Source
	var errs []error
	byName := map[string]*source.Source{}
	for _, arg := range c.sources {
		found, err := source.Resolve(ctx, arg, source.Options{
			Dir: c.env.Dir, SourceTree: c.sourceTree, SourceDir: c.sourceDir, WorkDir: work, Eval: c.eval, Run: c.run(),
		})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, s := range found {
			if first := byName[s.Name]; first != nil {
				errs = append(errs, fmt.Errorf("two sources are named %s: %s (%s) and %s (%s)",
					s.Name, first.Arg, first.Version, s.Arg, s.Version))
			}
			byName[s.Name] = s
			all = append(all, s)
		}
	}
	if len(errs) == 0 && len(all) > 1 {
		errs = c.oneSource(fmt.Sprintf("%s holds %d", c.sources[0], len(all)))
	}
	return all, errors.Join(errs...)
}

// checkOutput finds out before anything is built whether its results can be
// kept.
func (c *command) checkOutput() error {
	if c.noAct {
		return nil
	}
	errs := []error{writable("--output", c.output)}
	if c.logDir != "" && c.logDir != c.output {
		errs = append(errs, writable("--log-dir", c.logDir))
	}
	return errors.Join(errs...)
}

// writable finds out whether files can be made in dir or, if it does not exist
// yet, dir itself.
func writable(option, dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		f, err := os.CreateTemp(at, ".gokms-")
		if err == nil {
			return errors.Join(f.Close(), os.Remove(f.Name()))
		}
		if _, statErr := os.Stat(at); errors.Is(statErr, os.ErrNotExist) && at != filepath.Dir(at) {
			continue
		}
		if e, ok := errors.AsType[*os.PathError](err); ok {
			err = fmt.Errorf("%s: %w", at, e.Err)
		}
		if errors.Is(err, os.ErrNotExist) { // as /proc says it
			err = fmt.Errorf("%s: no files can be made there", at)
		}
		if at != dir {
			return fmt.Errorf("%s %s cannot be made: %w", option, dir, err)
		}
		return fmt.Errorf("%s is not writable: %w", option, err)
	}
}

func (c *command) cellOptions() *cell.Options {
	return &cell.Options{
		WorkDir: c.work, Output: c.output, LogDir: c.logDir,
		Maintainer: c.maintainer, FallbackMaint: c.fallbackMaint, Name: c.name,
		PackageVersion: c.packageVersion, Revision: c.revision, Provides: c.provides, Copyright: c.copyright,
		Coexist: c.coexist, DestDir: c.destDir, Compression: c.compression, Epoch: c.epoch,
		OverrideDir: c.overrides, Directives: c.directives, OS: cli.RunningDistribution(),
		Jobs: c.jobs, Run: c.run(), Now: c.env.Now, Eval: c.eval,
	}
}

// build runs the cells one after another and tells the results.
func (c *command) build(ctx context.Context, cells []*cell.Cell) error {
	c.started = true
	results := []*cell.Result{}
	failed, built := 0, 0
	for _, one := range cells {
		r := c.buildOne(ctx, one)
		if ctx.Err() != nil && r.Status == cell.Failed {
			break
		}
		results = append(results, r)
		switch r.Status {
		case cell.Failed:
			failed++
		case cell.Built:
			built++
		}
	}
	if c.json {
		if err := printJSON(c.env.Stdout, results); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx)
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
		if !c.json {
			_, err := fmt.Fprintln(c.env.Stdout, r.Package.File)
			c.stdoutErr = cmp.Or(c.stdoutErr, err)
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

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
