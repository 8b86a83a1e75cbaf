// SPDX-License-Identifier: MIT

package cell

import (
	"errors"
	"fmt"
	"os"

	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kmod"
)

// The statuses of a [Result].
const (
	Built    = "built"
	Excluded = "excluded"
	Failed   = "failed"
)

// Result is the record of one cell, as --json prints it and as the file
// PACKAGE.json beside a published package holds it.
type Result struct {
	Name     string          `json:"name"`    // PACKAGE_NAME
	Version  string          `json:"version"` // PACKAGE_VERSION
	Kernel   string          `json:"kernel"`  // release
	Status   string          `json:"status"`  // built, excluded or failed
	Rule     string          `json:"rule,omitempty"`
	Package  *PackageRecord  `json:"package,omitempty"`
	Dbgsym   *PackageRecord  `json:"dbgsym,omitempty"` // its debug symbols
	Modules  []ModuleRecord  `json:"modules,omitempty"`
	Verified *VerifiedRecord `json:"verified,omitempty"` // nil: it did not come to that
	Warnings []string        `json:"warnings,omitempty"`
	Error    *ErrorRecord    `json:"error,omitempty"`
	Log      string          `json:"log,omitempty"` // path
	Steps    []StepRecord    `json:"steps,omitempty"`
	Seconds  float64         `json:"seconds"` // wall time of the whole cell

	// Err is what Error was made from.
	Err error `json:"-"`
}

// PackageRecord is the published package.
type PackageRecord struct {
	File         string `json:"file"` // path
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	Size         int64  `json:"size"` // bytes
	SHA256       string `json:"sha256"`
}

// ModuleRecord is one module in the package.
type ModuleRecord struct {
	Name        string `json:"name"`
	File        string `json:"file"` // path in the package
	Version     string `json:"version,omitempty"`
	SrcVersion  string `json:"srcversion,omitempty"`
	Vermagic    string `json:"vermagic"`
	Signer      string `json:"signer,omitempty"`      // as modinfo(8) shows it; of signed ones
	Compression string `json:"compression,omitempty"` // xz, zstd or gzip
	SHA256      string `json:"sha256"`                // of the file as it is in the package
}

// VerifiedRecord is what the modules were checked for, see [kmod.Checks].
type VerifiedRecord struct {
	Checks  []string `json:"checks"`
	Skipped []string `json:"skipped,omitempty"` // by --no-verify
	// Partial are those of Checks that saw a part only: without the kernel's
	// modules.order, override knows of the modules that export symbols.
	Partial []string       `json:"partial,omitempty"`
	Errors  []kmod.Finding `json:"errors,omitempty"` // for which nothing was published
	Notes   []kmod.Finding `json:"notes,omitempty"`
}

// ErrorRecord is why a cell failed.
type ErrorRecord struct {
	Message  string `json:"message"`
	Excerpt  string `json:"excerpt,omitempty"` // lines of the log that tell why
	Hint     string `json:"hint,omitempty"`
	Step     string `json:"step,omitempty"` // of the build
	ExitCode int    `json:"exit_code,omitempty"`
}

// StepRecord is one command of the build.
type StepRecord struct {
	Name     string  `json:"name"`
	Command  string  `json:"command"`
	ExitCode int     `json:"exit_code"`
	Seconds  float64 `json:"seconds"`
}

// fail records err.
func (r *Result) fail(err error) {
	r.Status, r.Err = Failed, err
	r.Error = &ErrorRecord{Message: err.Error()}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		r.Error.Hint = hinted.Hint()
	}
	if e, ok := errors.AsType[*kbuild.Error](err); ok {
		r.Error.Step, r.Error.ExitCode, r.Error.Excerpt = e.Step, e.ExitCode, e.Excerpt
		r.Error.Message = fmt.Sprintf("%s: %s: %v", e.Build, e.Step, e.Err)
	}
}

// unpublish removes the packages.
func (r *Result) unpublish() error {
	var errs []error
	for _, p := range []*PackageRecord{r.Dbgsym, r.Package} {
		if p != nil {
			errs = append(errs, os.Remove(p.File))
		}
	}
	r.Dbgsym, r.Package = nil, nil
	return errors.Join(errs...)
}

// warn records warnings.
func (r *Result) warn(errs ...error) {
	for _, err := range errs {
		r.Warnings = append(r.Warnings, err.Error())
	}
}
