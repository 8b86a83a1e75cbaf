// SPDX-License-Identifier: MIT

package cell

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"

	"github.com/gokms/gokms/internal/sandbox"
	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kmod"
)

// check finds what would end a build before it begins.
func (c *Cell) check() error {
	if len(c.built()) == 0 {
		return fmt.Errorf("%s: no module to build: neither BUILT_MODULE_NAME nor DEST_MODULE_LOCATION is there", c.Source.Conf.Path)
	}
	lookPath := c.opts.lookPath(kbuild.LookPath)
	return errors.Join(c.checkBuildDir(), c.Kernel.CheckCompiler(lookPath), c.checkPahole(lookPath), c.checkTools(),
		c.Conf.CheckPatches(os.DirFS(c.Source.Dir)))
}

// checkPahole looks for pahole(1), which the headers may bring along.
func (c *Cell) checkPahole(lookPath func(string) (string, error)) error {
	if slices.ContainsFunc(c.Kernel.Files, func(f sandbox.File) bool { return path.Base(f.Path) == "pahole" }) {
		return nil
	}
	return c.Kernel.CheckPahole(lookPath)
}

// checkBuildDir refuses what the kernel's Makefiles cannot work in.
func (c *Cell) checkBuildDir() error {
	if err := kbuild.CheckPath(c.opts.WorkDir); err != nil {
		return &source.Error{Err: fmt.Errorf("temporary directory %w", err), Cure: "set TMPDIR to another one"}
	}
	if err := kbuild.CheckPath(c.Source.Name); err != nil {
		return c.Conf.Values.Errorf("PACKAGE_NAME", 0, "PACKAGE_NAME: %w", err)
	}
	if err := kbuild.CheckPath(c.Source.Version); err != nil {
		return c.Conf.Values.Errorf("PACKAGE_VERSION", 0, "PACKAGE_VERSION: %w", err)
	}
	return nil
}

// lookPath finds programs: those of a build where the build will look for
// them, those that gokms runs itself in the caller's PATH.
func (o *Options) lookPath(other func(string) (string, error)) func(string) (string, error) {
	if o.LookPath == nil {
		return other
	}
	return o.LookPath
}

// checkTools looks for the programs that this cell will run beside the
// compiler.
func (c *Cell) checkTools() error {
	var errs []error
	build, own := c.opts.lookPath(kbuild.LookPath), c.opts.lookPath(exec.LookPath)
	need := func(lookPath func(string) (string, error), tool, pkg, why string) {
		if _, err := lookPath(tool); err != nil {
			errs = append(errs, &source.Error{
				Err:  fmt.Errorf("%s, which %s needs, is not installed", tool, why),
				Cure: "install the package " + pkg,
			})
		}
	}
	need(build, "make", "make", "building modules")
	if len(c.Conf.Patches) > 0 {
		need(build, "patch", "patch", "a source with PATCH")
	}
	switch c.opts.Compression {
	case debfile.XZ, "":
		need(own, "xz", "xz-utils", "--compression=xz")
	case debfile.Gzip:
		need(own, "gzip", "gzip", "--compression=gzip")
	}
	switch c.compression {
	case kmod.XZ:
		need(build, "xz", "xz-utils", "compression of modules for kernel "+c.Kernel.Release)
	case kmod.Gzip:
		need(build, "gzip", "gzip", "compression of modules for kernel "+c.Kernel.Release)
	}
	if o := c.kmodOptions(); c.opts.LookPath == nil && slices.ContainsFunc(c.built(), func(m dkms.Module) bool { return m.Strip }) {
		errs = append(errs, o.Check())
	}
	return errors.Join(errs...)
}
