// SPDX-License-Identifier: MIT

package dkms

import (
	"fmt"
	"strconv"
)

// LimitError says that an evaluation did too much of something and was ended.
type LimitError struct {
	What string // e.g. "ran for more than 10s"
}

// Error returns What as a sentence.
func (e *LimitError) Error() string { return "evaluation ended by force: it " + e.What }

// Hint says what is expected of a dkms.conf.
func (e *LimitError) Hint() string {
	return "a dkms.conf is a shell fragment that is evaluated for every kernel; it must end by itself and leave nothing running"
}

// hintError is an error with a cure.
type hintError struct {
	text, cure string
}

func hintf(cure, format string, args ...any) error {
	return &hintError{fmt.Sprintf(format, args...), cure}
}

func (e *hintError) Error() string { return e.text }

// Hint returns the cure, one line.
func (e *hintError) Hint() string { return e.cure }

func itoa(n int) string { return strconv.Itoa(n) }
