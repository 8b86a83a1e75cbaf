// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/pkg/kmod"
)

// fileReport is what was found of one file for one kernel. An array of them is
// the output of --json, whose schema the man page has.
type fileReport struct {
	File    string          `json:"file"`
	Kernel  string          `json:"kernel"`
	Modules []*moduleReport `json:"modules"`
}

// moduleReport is about one module.
type moduleReport struct {
	Module    string           `json:"module"`
	Path      string           `json:"path"` // in the package
	Version   string           `json:"version"`
	Loads     bool             `json:"loads"`
	Signature *signatureReport `json:"signature"` // null: none
	Findings  []kmod.Finding   `json:"findings"`

	state string // of the signature, for people
	// unverified: nothing is wrong but the signature, without which the kernel
	// may load the module.
	unverified bool
}

// signatureReport is about the signature of a module.
type signatureReport struct {
	Signer   string `json:"signer"`
	Key      string `json:"key"`
	Hash     string `json:"hash"`
	Verified *bool  `json:"verified"` // null: not asked for
}

// report is about m, in which findings were found. config is the kernel's.
func (v *checker) report(m *module, findings []kmod.Finding, config func(string) string) *moduleReport {
	r := &moduleReport{
		Module: m.name(), Path: m.member, Loads: len(kmod.Errors(findings)) == 0, Findings: []kmod.Finding{},
	}
	r.unverified = !r.Loads && config("CONFIG_MODULE_SIG_FORCE") != "y" &&
		!slices.ContainsFunc(kmod.Errors(findings), func(f kmod.Finding) bool { return f.Check != "signature" })
	for _, f := range findings {
		f.Path = m.member
		r.Findings = append(r.Findings, f)
	}
	if m.file == nil {
		return r
	}
	r.Version, r.state = m.file.Info().Version, "unsigned"
	switch s := m.signature; {
	case m.unread != nil:
		r.state = fmt.Sprintf("signature cannot be read: %v", m.unread)
	case s != nil:
		r.Signature = &signatureReport{Signer: s.Issuer, Key: s.Key(), Hash: s.Hash}
		r.state = "signed by " + cmp.Or(s.Issuer, "key "+s.Key())
		if len(v.certs) > 0 {
			good := !slices.ContainsFunc(findings, func(f kmod.Finding) bool { return f.Check == "signature" })
			if r.Signature.Verified = &good; good {
				r.state += ", verified"
			}
		}
	}
	return r
}

// tell writes the results. That modules would not load is the error.
func (v *checker) tell(reports []*fileReport, json bool) error {
	if json {
		if err := cli.WriteJSON(v.env.Stdout, reports); err != nil {
			return fmt.Errorf("write standard output: %w", err)
		}
	} else if err := v.list(reports); err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	var kernels []string
	all, bad, unverified := map[string]int{}, map[string]int{}, map[string]int{}
	for _, r := range reports {
		if all[r.Kernel] == 0 {
			kernels = append(kernels, r.Kernel)
		}
		for _, m := range r.Modules {
			all[r.Kernel]++
			switch {
			case m.unverified:
				unverified[r.Kernel]++
			case !m.Loads:
				bad[r.Kernel]++
			}
		}
	}
	var errs []error
	for _, k := range kernels {
		switch {
		case bad[k] > 0 && all[k] == 1:
			errs = append(errs, fmt.Errorf("the module would not load into kernel %s", k))
		case bad[k] > 0:
			errs = append(errs, fmt.Errorf("%d of %d modules would not load into kernel %s", bad[k], all[k], k))
		}
		switch {
		case unverified[k] > 0 && all[k] == 1:
			errs = append(errs, fmt.Errorf("the signature of the module for kernel %s is not verified", k))
		case unverified[k] > 0:
			errs = append(errs, fmt.Errorf("the signatures of %d of %d modules for kernel %s are not verified", unverified[k], all[k], k))
		case bad[k] > 0:
		case all[k] == 1:
			v.log.Infof("the module would load into kernel %s", k)
		default:
			v.log.Infof("all %d modules would load into kernel %s", all[k], k)
		}
	}
	return errors.Join(errs...)
}

// list writes a paragraph for each file and kernel, a line for each module.
func (v *checker) list(reports []*fileReport) error {
	for _, r := range reports {
		var rows [][]string
		row := func(indent int, format string, args ...any) {
			text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
			rows = append(rows, []string{strings.Repeat(" ", indent) + text})
		}
		for _, m := range r.Modules {
			if v.level == cli.Quiet && m.Loads {
				continue
			}
			row(2, "%s", m.line())
			for _, f := range m.Findings {
				if v.level == cli.Quiet && f.Severity != kmod.Error {
					continue
				}
				f.Path, f.Module = "", "" // stand above
				row(4, "%s%s", f.Severity, f.Error())
			}
		}
		if rows == nil {
			continue
		}
		title := []string{fmt.Sprintf("%s, kernel %s:", r.File, r.Kernel)}
		if err := cli.Table(v.env.Stdout, slices.Insert(rows, 0, title)); err != nil {
			return err
		}
	}
	return nil
}

// line is the verdict on a module.
func (m *moduleReport) line() string {
	text := m.Module
	if m.Version != "" {
		text += " " + m.Version
	}
	switch {
	case m.Loads:
		text += ": would load"
	case m.unverified:
		text += ": signature not verified"
	default:
		text += ": would not load"
	}
	if m.state != "" {
		text += "; " + m.state
	}
	return text
}
