// SPDX-License-Identifier: MIT

package proc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestLookPath(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for path, mode := range map[string]os.FileMode{
		filepath.Join(first, "plain"): 0o644, filepath.Join(second, "plain"): 0o755, filepath.Join(first, "both"): 0o755,
		filepath.Join(second, "both"): 0o755,
	} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", first)
	for program, want := range map[string]string{"plain": filepath.Join(second, "plain"), "both": filepath.Join(first, "both")} {
		if got, err := LookPath(program, first+":"+second); got != want || err != nil {
			t.Errorf("LookPath(%s) = %q, %v; want %q", program, got, err, want)
		}
	}
	if _, err := LookPath("both", second+"/nosuch"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("LookPath of what is in PATH alone = %v; want %v", err, exec.ErrNotFound)
	}
}
