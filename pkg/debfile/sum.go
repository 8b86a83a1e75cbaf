// SPDX-License-Identifier: MIT

package debfile

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
)

// Sum returns the size of a file, in bytes, and its SHA-256 in hexadecimal
// digits, as Packages indexes and .changes have them.
func Sum(path string) (size int64, sha256sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return 0, "", err
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}
