// SPDX-License-Identifier: MIT

package cell

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/gokms/gokms/internal/sandbox"
)

// Confinement says whether builds run in a sandbox.
type Confinement string

// The values of --sandbox.
const (
	On   Confinement = "on"
	Off  Confinement = "off"
	Auto Confinement = "auto" // if one can be made here
)

// Check refuses other values.
func (c Confinement) Check() error {
	switch c {
	case On, Off, Auto:
		return nil
	}
	return fmt.Errorf("--sandbox %q: want on, off or auto", string(c))
}

// Decide finds out whether to use a sandbox. For Auto, the error says why
// there is none and is no more than a warning.
func (c Confinement) Decide(ctx context.Context, run func(*exec.Cmd) error) (sandboxed bool, err error) {
	if c == Off {
		return false, nil
	}
	err = sandbox.Probe(ctx, run)
	return err == nil, err
}
