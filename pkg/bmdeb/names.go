// SPDX-License-Identifier: MIT

package bmdeb

import (
	"fmt"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/version"
)

// ModuleName makes a dkms PACKAGE_NAME the NAME part of Debian package names:
// "_" becomes "-", capitals small, and a trailing "-dkms" is dropped. What is
// then no legal name (Policy 5.6.1) is an error; users choose another one with
// --name.
func ModuleName(dkmsName string) (string, error) {
	name := strings.TrimSuffix(debianize(dkmsName), "-dkms")
	if err := control.ValidPackageName(name); err != nil {
		return "", &nameError{fmt.Errorf("package name from PACKAGE_NAME %q: %w", dkmsName, err), "choose one with --name"}
	}
	return name, nil
}

// debianize maps the two differences between what the kernel's world and what
// Policy 5.6.1 allow in names.
func debianize(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "_", "-")
}

// Version makes a dkms PACKAGE_VERSION a Debian version: a leading "v" is
// dropped and "_" becomes "~". What is then no version (Policy 5.6.12) is an
// error; users set another one with --package-version.
func Version(dkmsVersion string) (string, error) {
	v := strings.ReplaceAll(dkmsVersion, "_", "~")
	if len(v) > 1 && v[0] == 'v' && v[1] >= '0' && v[1] <= '9' {
		v = v[1:]
	}
	if err := version.Validate(v); err != nil {
		return "", &nameError{fmt.Errorf("package version from PACKAGE_VERSION %q: %w", dkmsVersion, err), "set one with --package-version"}
	}
	return v, nil
}

// PackageName is the binary package's name for module NAME and a kernel
// release: NAME-modules-KVER.
func PackageName(name, release string) string {
	return name + "-modules-" + debianize(release)
}

// nameError is a name or version that cannot be mapped, with its cure.
type nameError struct {
	err  error
	hint string
}

func (e *nameError) Error() string { return e.err.Error() }
func (e *nameError) Unwrap() error { return e.err }
func (e *nameError) Hint() string  { return e.hint }
