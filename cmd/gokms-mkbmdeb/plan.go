// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"

	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/cli"
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
		if err := printJSON(c.env.Stdout, plans); err != nil {
			return err
		}
	} else {
		var texts []string
		for _, d := range plans {
			texts = append(texts, d.String())
		}
		fmt.Fprint(c.env.Stdout, strings.Join(texts, "\n"))
	}
	if cell.AllExcluded(cells) {
		return &cli.ExitError{Code: cli.ExitExcluded}
	}
	return nil
}
