// SPDX-License-Identifier: MIT

package cell

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// RemoveWork removes a working directory, also where a build left directories
// without write permission.
func RemoveWork(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	return errors.Join(err, os.RemoveAll(dir))
}
