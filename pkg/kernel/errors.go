// SPDX-License-Identifier: MIT

package kernel

import (
	"fmt"
	"strconv"
	"strings"
)

// NotFoundError says that there are no usable headers of a kernel.
type NotFoundError struct {
	Release string   // "" of a directory that was named itself
	Root    string   // the modules root that was searched, or that directory
	Reason  string   // e.g. "/lib/modules/6.1.0-57-amd64 does not exist"
	Package string   // linux-headers-RELEASE
	Similar []string // releases below Root that do have headers, the likeliest first
}

func (e *NotFoundError) Error() string {
	if e.Release == "" {
		return "no kernel headers: " + e.Reason
	}
	return fmt.Sprintf("no headers of kernel %s: %s", e.Release, e.Reason)
}

// Hint says what to install, and what there is instead.
func (e *NotFoundError) Hint() string {
	if e.Release == "" {
		return "name a directory of headers, or one that a kernel was built or prepared in (make modules_prepare)"
	}
	hint := "install the package " + e.Package
	if len(e.Similar) > 0 {
		hint += "; there are headers of " + strings.Join(e.Similar, ", ")
	}
	return hint
}

// MismatchError says that the headers at the place of one release are those of
// another: modules built with them would not load.
type MismatchError struct {
	Release string // as asked for
	Found   string // as the tree says
	File    string // where it says so
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s: headers are of kernel %s, not %s", e.File, e.Found, e.Release)
}

// Hint says how to get the right tree.
func (e *MismatchError) Hint() string {
	return fmt.Sprintf("ask for kernel %s, or reinstall the package linux-headers-%s", e.Found, e.Release)
}

// CompilerError says that a program that modules of a kernel must be built
// with is not there.
type CompilerError struct {
	Release string
	Command string // e.g. gcc-12
	Package string // that ships Command; "" where that is unknown
	Err     error  // of the search, or nil
	other   string // the package for a build machine of another architecture
}

func (e *CompilerError) Error() string {
	return fmt.Sprintf("%s, which modules of kernel %s are built with, is not installed", e.Command, e.Release)
}

// Unwrap returns the error of the search in PATH.
func (e *CompilerError) Unwrap() error { return e.Err }

// Hint names the package to install.
func (e *CompilerError) Hint() string {
	if e.Package == "" {
		return "install " + e.Command + " where a build looks for it, such as /usr/local/bin"
	}
	hint := "install the package " + e.Package
	if e.other != "" {
		hint += " (on a machine of another architecture " + e.other + ")"
	}
	return hint
}

// VersionError says that the compiler that is installed is of another major
// version than the one the kernel was compiled with.
type VersionError struct {
	Release string
	Command string
	Text    string // the kernel's, CONFIG_CC_VERSION_TEXT
	Want    string // the kernel's major version
	Found   string // as the compiler reports it
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("kernel %s was compiled with %q, and %s here is version %s", e.Release, e.Text, e.Command, e.Found)
}

// Older says whether the compiler here is older than the kernel's: it may not
// know options that the kernel's makefiles use.
func (e *VersionError) Older() bool {
	found, _, _ := strings.Cut(e.Found, ".")
	have, err1 := strconv.Atoi(found)
	want, err2 := strconv.Atoi(e.Want)
	return err1 == nil && err2 == nil && have < want
}

// Hint says what an older compiler has to make way for.
func (e *VersionError) Hint() string {
	if !e.Older() {
		return ""
	}
	return fmt.Sprintf("let %s be of version %s, as the package %s-%s has it", e.Command, e.Want, e.Command, e.Want)
}
