// SPDX-License-Identifier: MIT

package cell

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/kmod"
)

// VerifyError is about modules that must not be published.
type VerifyError struct {
	Findings []kmod.Finding // at least one
}

// mostFindings is how many of them the message of a [VerifyError] holds.
const mostFindings = 20

func (e *VerifyError) Error() string {
	if len(e.Findings) == 1 {
		return e.Findings[0].Error()
	}
	var b strings.Builder
	b.WriteString("modules do not pass verification:")
	for i, f := range e.Findings {
		if i == mostFindings {
			fmt.Fprintf(&b, "\nand %d more", len(e.Findings)-i)
			break
		}
		b.WriteString("\n" + f.Error())
	}
	return b.String()
}

// verify holds the modules of the package against the kernel. What stops
// nothing becomes warnings.
func (c *Cell) verify(r *Result, modules []*module) error {
	k, err := c.opts.kernels.Kernel(c.Kernel.Tree)
	if err != nil {
		return err
	}
	v := kmod.Verifier{Kernel: k, Extra: map[string]kmod.Provided{}, Skip: c.opts.NoVerify}
	for _, dep := range c.allDepends() {
		maps.Copy(v.Extra, dep.exports)
	}
	files := make([]*kmod.File, len(modules))
	for i, m := range modules {
		files[i] = m.file
	}
	findings := v.Check(files)
	r.verified(findings, c.opts.NoVerify)
	if k.InTree == nil && !slices.Contains(c.opts.NoVerify, "override") {
		r.Verified.Partial = []string{"override"}
	}
	if errs := kmod.Errors(findings); len(errs) > 0 {
		return &VerifyError{errs}
	}
	for _, f := range findings {
		w := c.titled(f)
		r.warn(w)
		c.Warnings = append(c.Warnings, w)
	}
	c.exports = exports(files)
	return nil
}

// verified records what was found, and which checks were made.
func (r *Result) verified(findings []kmod.Finding, skipped []string) {
	r.Verified = &VerifiedRecord{Skipped: skipped}
	for _, name := range kmod.Checks() {
		if !slices.Contains(skipped, name) {
			r.Verified.Checks = append(r.Verified.Checks, name)
		}
	}
	for _, f := range findings {
		switch f.Severity {
		case kmod.Error:
			r.Verified.Errors = append(r.Verified.Errors, f)
		default:
			r.Verified.Notes = append(r.Verified.Notes, f)
		}
	}
}

// exports are what modules provide to those of other packages.
func exports(files []*kmod.File) map[string]kmod.Provided {
	all := map[string]kmod.Provided{}
	for _, f := range files {
		for _, e := range f.Exports {
			all[e.Name] = kmod.Provided{Export: e, Module: f.Path}
		}
	}
	return all
}

// allDepends are the cells that c depends on, directly or not, each once.
func (c *Cell) allDepends() []*Cell {
	seen := map[*Cell]bool{}
	var all []*Cell
	var add func(*Cell)
	add = func(c *Cell) {
		for _, dep := range c.Depends {
			if !seen[dep] {
				seen[dep] = true
				all = append(all, dep)
				add(dep)
			}
		}
	}
	add(c)
	return all
}
