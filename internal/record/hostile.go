// SPDX-License-Identifier: MIT

package record

import (
	"fmt"
	"regexp"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/version"
)

// commandRE is a program that may be asked for its version: one that is found
// in the fixed search path. A record may come from anywhere.
var commandRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+_-]*$`)

// checkTool refuses what would be run, or passed to dpkg-query, as something
// else than a program or a package.
func checkTool(t Tool) error {
	if !commandRE.MatchString(t.Command) {
		return fmt.Errorf("tool %q: want the name of a program", t.Command)
	}
	if t.Package == "" {
		return nil
	}
	if err := control.ValidPackageName(t.Package); err != nil {
		return fmt.Errorf("tool %s: %w", t.Command, err)
	}
	return nil
}

// checkHeaders does the same for a package of headers.
func checkHeaders(h Headers) error {
	if err := control.ValidPackageName(h.Name); err != nil {
		return err
	}
	if err := version.Validate(h.Version); err != nil {
		return fmt.Errorf("package %s: %w", h.Name, err)
	}
	if err := control.ValidArchitecture(h.Architecture); err != nil {
		return fmt.Errorf("package %s: %w", h.Name, err)
	}
	return nil
}
