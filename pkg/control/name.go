// SPDX-License-Identifier: MIT

package control

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ValidPackageName reports what is wrong with name as the name of a source or
// binary package, Policy 5.6.1: small letters, digits and "+-.", a letter or
// digit first. Like dpkg it takes a single character, which Policy does not.
func ValidPackageName(name string) error {
	if name == "" {
		return errors.New("empty package name")
	}
	for i, r := range name {
		alnum := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		switch {
		case i == 0 && strings.ContainsRune("+-.", r):
			return fmt.Errorf("package name %q does not begin with a letter or digit", name)
		case !alnum && !strings.ContainsRune("+-.", r):
			return fmt.Errorf("character %q in package name %q", r, name)
		}
	}
	return nil
}

var architectureName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// ValidArchitecture reports what is wrong with name as the one architecture of
// a binary package, Policy 5.6.8 and 11.1: small letters, digits and "-". That
// there is such an architecture is not asked. dpkg-deb only warns of others,
// though the name becomes part of the file's.
func ValidArchitecture(name string) error {
	if !architectureName.MatchString(name) {
		return fmt.Errorf("architecture name %q: want small letters, digits and \"-\"", name)
	}
	return nil
}

// asciiLower leaves everything but A to Z alone.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
