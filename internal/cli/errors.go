// SPDX-License-Identifier: MIT

package cli

import (
	"errors"
	"strings"
)

// The exit codes of the gokms commands.
const (
	ExitOK       = 0
	ExitFailed   = 1  // a build, a check, the disk or the archive failed
	ExitInput    = 2  // bad input or usage: nothing was built, nothing written
	ExitExcluded = 77 // every cell was excluded by its dkms.conf
)

// ExitError ends a command with Code. Err may be nil: all was said already.
type ExitError struct {
	Code int
	Err  error
}

// Error returns what Err says.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return "failed"
	}
	return e.Err.Error()
}

// Unwrap returns e.Err.
func (e *ExitError) Unwrap() error { return e.Err }

// BadInput marks err as the user's to cure: exit code 2. nil stays nil.
func BadInput(err error) error {
	if err == nil {
		return nil
	}
	return &ExitError{Code: ExitInput, Err: err}
}

// ExitCode maps err to the exit code of a command.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if e, ok := errors.AsType[*ExitError](err); ok {
		return e.Code
	}
	return ExitFailed
}

// HintError carries a cure beside its error.
type HintError struct {
	Err  error
	Cure string
}

// WithHint attaches a cure to err: one line, without a full stop.
func WithHint(err error, cure string) error { return &HintError{Err: err, Cure: cure} }

// Error returns what Err says; the cure is not part of it.
func (e *HintError) Error() string { return e.Err.Error() }

// Unwrap returns e.Err.
func (e *HintError) Unwrap() error { return e.Err }

// Hint returns the cure.
func (e *HintError) Hint() string { return e.Cure }

// hint finds the first Hint in err's chain.
func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return strings.TrimSpace(h.Hint())
	}
	return ""
}

// split lists the single errors that err joins, in order.
func split(err error) []error {
	if e, ok := err.(*ExitError); ok {
		if e.Err == nil {
			return nil
		}
		return split(e.Err)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, split(e)...)
	}
	return all
}
