// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	ucli "github.com/urfave/cli/v2"

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
		Usage:                     "build lean binary packages of kernel modules",
		UsageText:                 usage,
		CustomAppHelpTemplate:     help,
		HideHelpCommand:           true,
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
	err := app.Run(append([]string{prog}, cli.FlagsFirst(app.Flags, env.Args)...))
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
}

func (c *command) do(ctx context.Context) (err error) {
	if len(c.sources) == 0 {
		return cli.BadInput(cli.WithHint(errors.New("no SOURCE"), "see "+prog+" --help"))
	}
	trees, err := c.trees()
	if err != nil {
		return cli.BadInput(err)
	}
	c.work, err = os.MkdirTemp(c.env.Getenv("TMPDIR"), "gokms-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.tidy()) }()
	cells, err := c.plan(ctx, trees)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return cli.BadInput(err)
	}
	if c.noAct {
		return c.printPlan(cells)
	}
	return c.build(ctx, cells)
}

// tidy removes the temporary directory, or says where it is.
func (c *command) tidy() error {
	if c.keepBuild {
		c.log.Infof("kept %s", c.work)
		return nil
	}
	return removeAll(c.work)
}

// removeAll removes dir even where a build left directories without write
// permission.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	return errors.Join(err, os.RemoveAll(dir))
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
		c.log.Debugf("run: %s", strings.Join(cmd.Args, " "))
		return run(cmd)
	}
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
	if err := writable(c.output); err != nil {
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
	return all, errors.Join(errs...)
}

// writable finds out whether files can be made in dir, or dir itself.
func writable(dir string) error {
	for {
		f, err := os.CreateTemp(dir, ".gokms-")
		if err == nil {
			return errors.Join(f.Close(), os.Remove(f.Name()))
		}
		if !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			return fmt.Errorf("output directory: %w", err)
		}
		dir = filepath.Dir(dir)
	}
}

func (c *command) cellOptions() *cell.Options {
	return &cell.Options{
		WorkDir: c.work, Output: c.output, LogDir: c.logDir,
		Maintainer: c.maintainer, FallbackMaint: c.fallbackMaint, Name: c.name,
		PackageVersion: c.packageVersion, Revision: c.revision, Provides: c.provides, Copyright: c.copyright,
		Coexist: c.coexist, DestDir: c.destDir, Compression: c.compression, Epoch: c.epoch,
		OverrideDir: c.overrides, Directives: c.directives, OS: runningDistribution(),
		Jobs: c.jobs, Run: c.run(), Eval: c.eval,
	}
}

// runningDistribution is what dkms calls $running_distribution: ID and
// VERSION_ID of os-release(5).
func runningDistribution() string {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	fields := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			fields[name] = strings.Trim(value, `"'`)
		}
	}
	return fields["ID"] + fields["VERSION_ID"]
}

// build runs the cells one after another and tells the results.
func (c *command) build(ctx context.Context, cells []*cell.Cell) error {
	var results []*cell.Result
	failed, built := 0, 0
	for _, one := range cells {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r := c.buildOne(ctx, one)
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
		return context.Cause(ctx)
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
	for _, w := range one.Warnings {
		c.log.Warn(w)
	}
	switch r.Status {
	case cell.Excluded:
		c.log.Infof("excluded %s: %s", one.Title(), r.Rule)
	case cell.Failed:
		c.log.Error(r.Err)
	case cell.Built:
		c.log.Infof("built %s (modules: %d, %.1f s)", filepath.Base(r.Package.File), len(r.Modules), r.Seconds)
		if !c.json {
			fmt.Fprintln(c.env.Stdout, r.Package.File)
		}
	}
	return r
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
