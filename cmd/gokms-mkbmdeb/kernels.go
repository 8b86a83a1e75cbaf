// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"

	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kernel"
)

// findKernels finds the kernels asked for, and fetches those that are not here.
func (c *command) findKernels(ctx context.Context) ([]*target.Kernel, error) {
	progress := c.progress()
	kernels, err := c.places.Finder(c.run(), kbuild.LookPath, progress).Find(ctx, c.kernels)
	progress.End()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, k := range kernels {
		for _, w := range k.Warnings {
			c.log.Warn(w)
		}
		// A compiler that is not there at all is an error of the plan.
		err := k.CompareCompiler(&kernel.Options{Run: c.run(), LookPath: kbuild.LookPath})
		other, ok := errors.AsType[*kernel.VersionError](err)
		switch {
		case ok && other.Older():
			errs = append(errs, other)
		case ok:
			c.log.Warn(other)
		}
	}
	return kernels, errors.Join(errs...)
}

// progress tells what is fetched, and what goes wrong meanwhile without being
// the end of it.
func (c *command) progress() *cli.Progress {
	p := cli.NewProgress(c.env, prog, c.log, c.level)
	c.places.Warn = func(err error) {
		p.End()
		c.log.Warn(err)
	}
	return p
}
