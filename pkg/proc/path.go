// SPDX-License-Identifier: MIT

package proc

import (
	"os/exec"
	"path/filepath"
)

// SearchPath is where programs are searched that must not depend on who calls:
// those of builds, and those that write into modules. The caller's PATH would
// bring in tools of one user, which need that user's HOME as well.
const SearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// LookPath finds program in searchPath, which has the form of PATH. Its errors
// are those of [exec.LookPath].
func LookPath(program, searchPath string) (string, error) {
	for _, dir := range filepath.SplitList(searchPath) {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", &exec.Error{Name: program, Err: exec.ErrNotFound}
}
