// SPDX-License-Identifier: MIT

package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// checkPatches refuses a source package whose debian/patches are not applied:
// in format 3.0 (quilt) dpkg-source does that, before any build.
func (r *resolver) checkPatches(ctx context.Context, dir string) error {
	format, err := optional(filepath.Join(dir, "debian", "source", "format"))
	if err != nil || strings.TrimSpace(format) != "3.0 (quilt)" {
		return err
	}
	file := filepath.Join(dir, "debian", "patches", "series")
	if vendor, err := os.ReadFile(filepath.Join(dir, ".pc", ".quilt_series")); err == nil {
		file = filepath.Join(filepath.Dir(file), filepath.Base(strings.TrimSpace(string(vendor))))
	}
	text, err := optional(file)
	if err != nil {
		return err
	}
	done, err := optional(filepath.Join(dir, ".pc", "applied-patches"))
	if err != nil {
		return err
	}
	series, applied := patchNames(text), patchNames(done)
	if slices.Equal(series, applied) {
		return nil
	}
	// Like dpkg-source, take a tree from version control that has the patches,
	// but no .pc, for what it is.
	if len(applied) == 0 && !r.applies(ctx, dir, filepath.Join(filepath.Dir(file), series[0])) {
		return nil
	}
	return &Error{
		Err:  fmt.Errorf("%s: %s", r.shown(file), difference(series, applied)),
		Cure: "apply them with dpkg-source --before-build (or quilt push -a), or pass the -dkms .deb",
	}
}

// difference says how the patches that are applied differ from a series.
func difference(series, applied []string) string {
	for i, name := range series {
		if i >= len(applied) {
			return fmt.Sprintf("patch %s is not applied", name)
		}
		if name != applied[i] {
			return fmt.Sprintf("patch %s is not applied, but %s is, says .pc/applied-patches", name, applied[i])
		}
	}
	return fmt.Sprintf("it lacks patch %s, which is applied, says .pc/applied-patches", applied[len(series)])
}

// applies tries a patch without changing anything. What cannot be tried
// counts as one that would.
func (r *resolver) applies(ctx context.Context, dir, patch string) bool {
	err := r.run(exec.CommandContext(ctx, "patch", "--dry-run", "-s", "-t", "-N", "-F0", "-p1", "-u", "-r", "-", "-d", dir, "-i", patch))
	exit, ran := errors.AsType[*exec.ExitError](err)
	return !ran || exit.ExitCode() != 1
}

// patchNames reads a series file of quilt: a patch on each line, with options
// behind it; "#" begins a comment.
func patchNames(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 && words[0][0] != '#' {
			names = append(names, words[0])
		}
	}
	return names
}

// optional reads a file that may be missing.
func optional(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}
