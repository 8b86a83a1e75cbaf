// SPDX-License-Identifier: MIT

package cell

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/pkg/debfile"
)

// check finds what would end a build before it begins.
func (c *Cell) check() error {
	if len(c.built()) == 0 {
		return fmt.Errorf("%s: no module to build: neither BUILT_MODULE_NAME nor DEST_MODULE_LOCATION is there", c.Source.Conf.Path)
	}
	return errors.Join(c.checkBuildDir(), c.Kernel.CheckCompiler(c.opts.lookPath()), c.checkTools(),
		c.Conf.CheckPatches(os.DirFS(c.Source.Dir)))
}

// checkBuildDir refuses what the kernel's Makefiles cannot work in: make
// splits at blanks, its rules at colons, and expands the rest.
func (c *Cell) checkBuildDir() error {
	const forbidden = " \t\n:#$'\"\\%="
	switch {
	case strings.ContainsAny(c.opts.WorkDir, forbidden):
		return &source.Error{
			Err:  fmt.Errorf("temporary directory %q: make cannot work in a path with any of %q", c.opts.WorkDir, forbidden),
			Cure: "set TMPDIR to another one",
		}
	case strings.ContainsAny(c.Source.Name, forbidden):
		return c.Conf.Values.Errorf("PACKAGE_NAME", 0, "PACKAGE_NAME: %q: make cannot work in a path with any of %q", c.Source.Name, forbidden)
	case strings.ContainsAny(c.Source.Version, forbidden):
		return c.Conf.Values.Errorf("PACKAGE_VERSION", 0, "PACKAGE_VERSION: %q: make cannot work in a path with any of %q", c.Source.Version, forbidden)
	}
	return nil
}

func (o *Options) lookPath() func(string) (string, error) {
	if o.LookPath == nil {
		return exec.LookPath
	}
	return o.LookPath
}

// checkTools looks for the programs that this cell will run beside the
// compiler.
func (c *Cell) checkTools() error {
	var errs []error
	need := func(tool, pkg, why string) {
		if _, err := c.opts.lookPath()(tool); err != nil {
			errs = append(errs, &source.Error{
				Err:  fmt.Errorf("%s, which %s needs, is not installed", tool, why),
				Cure: "install the package " + pkg,
			})
		}
	}
	need("make", "make", "building modules")
	if len(c.Conf.Patches) > 0 {
		need("patch", "patch", "a source with PATCH")
	}
	switch c.opts.Compression {
	case debfile.XZ, "":
		need("xz", "xz-utils", "--compression=xz")
	case debfile.Gzip:
		need("gzip", "gzip", "--compression=gzip")
	}
	return errors.Join(errs...)
}
