// SPDX-License-Identifier: MIT

package dkms

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
)

// checkValue holds for every value that becomes part of a path.
func checkValue(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case s[0] == '-':
		return fmt.Errorf("%q begins with -", s)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return fmt.Errorf("%q has a control character", s)
	}
	return nil
}

// checkName is for values that are one element of a path.
func checkName(s string) error {
	if err := checkValue(s); err != nil {
		return err
	}
	switch {
	case strings.Contains(s, "/"):
		return fmt.Errorf("%q has a /", s)
	case s == "." || s == "..":
		return fmt.Errorf("%q is no name", s)
	case strings.ContainsAny(s, " \\'\"$`&;|<>()*?[]{}"):
		return fmt.Errorf("%q has white space or a character that the shell or make would take for its own", s)
	}
	return nil
}

// checkIdentity is for PACKAGE_NAME and PACKAGE_VERSION, which make up the
// build directory and the names of packages.
func checkIdentity(s string) error {
	if err := checkName(s); err != nil {
		return err
	}
	if s[0] == '.' {
		return fmt.Errorf("%q begins with a dot", s)
	}
	return nil
}

func checkModuleName(s string) error {
	if err := checkName(s); err != nil {
		return err
	}
	for _, suffix := range []string{".o", ".ko"} {
		if strings.HasSuffix(s, suffix) {
			return fmt.Errorf("%q ends in %s: write the name without it", s, suffix)
		}
	}
	return nil
}

// checkPath is for files below a directory of the source.
func checkPath(s string) error {
	if err := checkValue(s); err != nil {
		return err
	}
	if slices.Contains(strings.Split(s, "/"), "..") {
		return fmt.Errorf("%q has .. in it and may leave its directory", s)
	}
	return nil
}

// builtDir cleans a BUILT_MODULE_LOCATION, which is below the build directory
// even if it begins with a slash.
func builtDir(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if err := checkValue(s); err != nil {
		return "", err
	}
	dir := path.Clean(strings.TrimLeft(s, "/"))
	if dir == ".." || strings.HasPrefix(dir, "../") {
		return "", fmt.Errorf("%q leaves the build directory", s)
	}
	if dir == "." {
		dir = ""
	}
	return dir, nil
}

// checkDestLocation accepts what dkms does, as long as it stays below
// lib/modules/KVER: /kernel/../updates/ is in real use.
func checkDestLocation(s string) error {
	if err := checkValue(s); err != nil {
		return err
	}
	if !strings.HasPrefix(s, "/kernel") && !strings.HasPrefix(s, "/updates") && !strings.HasPrefix(s, "/extra") {
		return fmt.Errorf("%q does not begin with /kernel, /updates or /extra", s)
	}
	if rel := path.Clean(s[1:]); rel == ".." || strings.HasPrefix(rel, "../") {
		return fmt.Errorf("%q leaves the modules of the kernel", s)
	}
	return nil
}
