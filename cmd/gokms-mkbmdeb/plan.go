// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/internal/target"
)

// printPlan is --no-act.
func (c *command) printPlan(cells []*cell.Cell) error {
	var plans []*cell.Description
	for _, one := range cells {
		d, err := one.Describe()
		if err != nil {
			return err
		}
		plans = append(plans, d)
	}
	if c.json {
		if err := cli.WriteJSON(c.env.Stdout, plans); err != nil {
			return err
		}
	} else {
		var texts []string
		for _, d := range plans {
			texts = append(texts, d.String())
		}
		if _, err := fmt.Fprint(c.env.Stdout, strings.Join(texts, "\n")); err != nil {
			return err
		}
	}
	if cell.AllExcluded(cells) {
		return &cli.ExitError{Code: cli.ExitExcluded}
	}
	return nil
}

// plan resolves all sources for all kernels. All that is wrong is told at once.
func (c *command) plan(ctx context.Context, kernels []*target.Kernel) ([]*cell.Cell, error) {
	o := c.cellOptions()
	sources, err := c.resolve(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := c.checkOutput(); err != nil {
		return nil, err
	}
	cells, err := cell.PlanEach(ctx, sources, kernels, o)
	if err != nil {
		return nil, err
	}
	if cells, err = cell.Order(cells); err != nil {
		return nil, err
	}
	return cells, cell.CheckNames(cells)
}

// resolve finds the sources; two of one name are an error.
func (c *command) resolve(ctx context.Context, o *cell.Options) ([]*source.Source, error) {
	work := filepath.Join(c.work, "sources")
	if err := errors.Join(os.Mkdir(work, 0o755), os.Chmod(work, 0o755)); err != nil {
		return nil, err
	}
	var all []*source.Source
	var errs []error
	byName := map[string]*source.Source{}
	for _, text := range c.sources {
		arg, err := c.fetchSource(ctx, text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found, err := source.Resolve(ctx, arg, source.Options{
			Dir: c.env.Dir, SourceTree: c.sourceTree, SourceDir: c.sourceDir, Maintainer: c.maintainer,
			Outputs: c.outputs(), WorkDir: work, Eval: o.EvalSource, Run: c.run(),
		})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.arguments = append(c.arguments, c.newArgument(text, arg, found))
		for _, s := range found {
			for _, w := range s.Warnings {
				c.log.Warn(w)
			}
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

// fetchSource replaces apt:PACKAGE by the .deb that it brings into the cache.
func (c *command) fetchSource(ctx context.Context, arg string) (string, error) {
	name, ok := strings.CutPrefix(arg, target.AptPrefix)
	switch {
	case !ok:
		return arg, nil
	case c.places.NoCache != nil:
		return "", c.places.NoCache
	}
	progress := c.progress()
	defer progress.End()
	return c.places.Archive(c.run(), progress).Deb(ctx, name)
}

// outputs are the directories that results go to.
func (c *command) outputs() []string {
	if c.logDir == "" {
		return []string{c.output}
	}
	return []string{c.output, c.logDir}
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
	return errors.Join(append(errs, c.checkRecord())...)
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
		Depmod: c.depmod, DepmodOverride: c.depmodOverride,
		Coexist: c.coexist, DestDir: c.destDir, Compression: c.compression, Epoch: c.epoch,
		Dbgsym: !c.noDbgsym, NoVerify: c.noVerify, Sign: c.sign,
		OverrideDir: c.overrides, Directives: c.directives, OS: cli.RunningDistribution(),
		Sandboxed: c.sandboxed, Timeout: c.timeout, Memory: c.memory,
		Jobs: c.jobs, Run: c.run(), Tell: c.tell, Now: c.env.Now, Eval: confeval.EvalIn,
	}
}
