// SPDX-License-Identifier: MIT

package kbuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/dkms"
)

const patchDir = "patches"

// checkPatches reports every PATCH of conf that is not a file below patches/
// of dir. A plan has found most of that with [dkms.Conf.CheckPatches], which
// knows the lines; here nothing is taken for granted.
func checkPatches(dir string, conf *dkms.Conf) error {
	var errs []error
	for _, name := range conf.Patches {
		if err := checkPatch(dir, name); err != nil {
			errs = append(errs, fmt.Errorf("%s: PATCH %q: %w", conf.File, name, err))
		}
	}
	return errors.Join(errs...)
}

func checkPatch(dir, name string) error {
	switch {
	case slices.Contains(strings.Split(name, "/"), ".."):
		return errors.New(`".." is not allowed`)
	case !filepath.IsLocal(name) || filepath.Clean(name) == ".":
		return errors.New("not a file name below patches/")
	}
	info, err := os.Stat(filepath.Join(dir, patchDir, name))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("not found in %s", filepath.Join(dir, patchDir))
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("not a regular file")
	}
	return nil
}

// applyPatches runs patch(1) for each PATCH in order.
func (r *run) applyPatches(ctx context.Context) error {
	if err := checkPatches(r.Layout.BuildDir().Host, r.Conf); err != nil {
		return err
	}
	for _, name := range r.Conf.Patches {
		file := patchDir + "/" + name
		err := r.exec(ctx, program{
			name: "patch " + name,
			show: "patch -p1 --forward -i " + quote(file),
			argv: shell(runProgram, "patch", "-p1", "--forward", "-i", file),
		})
		if err != nil {
			return r.explain(err, r.tail)
		}
	}
	return nil
}
