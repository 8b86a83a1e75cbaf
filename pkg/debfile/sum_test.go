// SPDX-License-Identifier: MIT

package debfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSum(t *testing.T) {
	path := filepath.Join(t.TempDir(), "abc")
	if err := os.WriteFile(path, []byte("abc"), 0o644); err != nil {
		t.Fatal(err)
	}
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, B.1
	if size, sum, err := Sum(path); size != 3 || sum != want || err != nil {
		t.Errorf("Sum() = %d, %s, %v; want 3, %s", size, sum, err, want)
	}
	if _, _, err := Sum(path + "x"); !os.IsNotExist(err) {
		t.Errorf("Sum() of no file = %v", err)
	}
}
