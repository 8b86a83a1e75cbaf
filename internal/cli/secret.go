// SPDX-License-Identifier: MIT

package cli

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// HideEnvironment keeps other processes of the same user, but for root's, from
// reading this one's environment and memory in /proc: it holds a secret, and
// programs of others are to be run. An ordinary user's process cannot set up
// user namespaces for its children after that.
func HideEnvironment() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hide the environment from other processes: %w", err)
	}
	return nil
}
