// SPDX-License-Identifier: MIT

package cell

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/pkg/dkms"
)

// PlanEach plans every source for every kernel. All that is wrong is joined,
// each thing said once: a broken dkms.conf is as broken for every kernel.
func PlanEach(ctx context.Context, sources []*source.Source, kernels []*target.Kernel, o *Options) ([]*Cell, error) {
	var cells []*Cell
	var errs []error
	said := map[string]bool{}
	for _, src := range sources { // each may look for another
		if err := o.link(src); err != nil {
			return nil, err
		}
	}
	for _, k := range kernels {
		for _, src := range sources {
			c, err := Plan(ctx, src, k, o)
			if err == nil {
				cells = append(cells, c)
			} else if !said[err.Error()] {
				said[err.Error()] = true
				errs = append(errs, err)
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return cells, nil
}

// Order links the cells of each kernel by their BUILD_DEPENDS and returns them
// so that each comes after those it depends on, otherwise in the order given.
// Unknown names and cycles are errors. A cell that depends on an excluded one
// becomes excluded as well, since dkms builds none whose BUILD_DEPENDS are not
// installed.
func Order(cells []*Cell) ([]*Cell, error) {
	o := &orderer{state: map[*Cell]int{}, byName: map[[2]string]*Cell{}}
	for _, c := range cells {
		o.byName[[2]string{c.Kernel.Release, c.Source.Name}] = c
	}
	var errs []error
	for _, c := range cells {
		errs = append(errs, o.visit(c, nil))
	}
	return o.done, errors.Join(errs...)
}

type orderer struct {
	byName map[[2]string]*Cell // kernel release, PACKAGE_NAME
	state  map[*Cell]int
	done   []*Cell
}

// The states of a cell on its way.
const (
	entered = iota + 1
	left
)

func (o *orderer) visit(c *Cell, path []string) error {
	path = append(path[:len(path):len(path)], c.Source.Name)
	switch o.state[c] {
	case left:
		return nil
	case entered:
		return fmt.Errorf("%s: BUILD_DEPENDS form a cycle: %s", c.Source.Conf.Path, strings.Join(path, " -> "))
	}
	o.state[c] = entered
	defer func() { o.state[c] = left }()
	var errs []error
	if c.Conf.Excluded == nil {
		errs = o.depends(c, path)
	}
	o.done = append(o.done, c)
	return errors.Join(errs...)
}

func (o *orderer) depends(c *Cell, path []string) []error {
	var errs []error
	for _, name := range c.Conf.BuildDepends {
		dep := o.byName[[2]string{c.Kernel.Release, name}]
		if dep == nil {
			errs = append(errs, &source.Error{
				Err:  fmt.Errorf("%s: BUILD_DEPENDS names %s, which is not among the sources", c.Source.Conf.Path, name),
				Cure: fmt.Sprintf("add the source of %s to the command line", name),
			})
			continue
		}
		if err := o.visit(dep, path); err != nil {
			errs = append(errs, err)
			continue
		}
		c.Depends = append(c.Depends, dep)
		if x := dep.Conf.Excluded; x != nil && c.Conf.Excluded == nil {
			c.Conf.Excluded = &dkms.Exclusion{
				Rule: "BUILD_DEPENDS", Value: name,
				Found: fmt.Sprintf("%s, since for %s %s", c.Kernel.Release, name, x),
			}
		}
	}
	return errs
}
