// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kernel"
)

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
		o := &kernel.Options{Run: c.run(), LookPath: kbuild.LookPath} // the build sees nothing of our environment
		tree, err := kernel.Open(c.modulesRoot, release, o)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, w := range tree.Warnings {
			c.log.Warn(w)
		}
		// A compiler that is not there at all is an error of the plan.
		if older, ok := errors.AsType[*kernel.VersionError](tree.CompareCompiler(o)); ok {
			c.log.Warn(older)
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
