// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/depmod"
)

// depmodOptions say which files depmod will take where the packages are
// installed.
type depmodOptions struct {
	depmod         *depmod.Config // nil: depmod's default
	depmodInputs   []input        // that it was read from
	depmodOverride bool
}

func depmodFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "depmod-config", Usage: "take `DIR` for the depmod.d of the machines that the packages are for, or for the root directory of one"},
		&ucli.BoolFlag{Name: "depmod-override", Usage: "ship the lines by which depmod takes the modules, where they are needed"},
	}
}

func newDepmodOptions(c *ucli.Context, abs func(string) string) (depmodOptions, error) {
	o := depmodOptions{depmodOverride: c.Bool("depmod-override")}
	var errs []error
	if c.Bool("coexist") && c.String("dest-dir") == bmdeb.DefaultDestDir {
		errs = append(errs, fmt.Errorf("--coexist contradicts --dest-dir %s, where dkms installs its own", bmdeb.DefaultDestDir))
	}
	if dir := abs("depmod-config"); dir != "" {
		if err := o.readConfig(dir); err != nil {
			errs = append(errs, fmt.Errorf("--depmod-config: %w", err))
		}
	}
	return o, errors.Join(errs...)
}

// readConfig takes a directory that holds one of depmod's directories for the
// root of a system.
func (o *depmodOptions) readConfig(dir string) error {
	if _, err := os.ReadDir(dir); err != nil {
		return err
	}
	const option = "--depmod-config"
	for _, sub := range depmod.Dirs() {
		if path := filepath.Join(dir, sub); isDir(path) {
			o.depmodInputs = append(o.depmodInputs, input{option, path})
		}
	}
	var err error
	if len(o.depmodInputs) > 0 {
		o.depmod, err = depmod.Load(dir)
		return err
	}
	o.depmodInputs = []input{{option, dir}}
	o.depmod, err = depmod.Load("", dir)
	return err
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
