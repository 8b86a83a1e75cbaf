// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/debsource"
	"github.com/gokms/gokms/internal/dhmodules"
	"github.com/gokms/gokms/pkg/debhelper"
	"github.com/gokms/gokms/pkg/dkms"
)

const prog = "dh_gokms"

// options are those of dh_gokms itself.
type options struct {
	legacy  bool
	runtime string // "dkms" or "none"
}

func (o *options) flags() []debhelper.Flag {
	return []debhelper.Flag{
		debhelper.Bool(&o.legacy, "l", "legacy"),
		debhelper.String(&o.runtime, "runtime"),
	}
}

// run is the command. The error it returns holds the exit code.
func run(ctx context.Context, env *cli.Env) error {
	var o options
	return cli.Debhelper(ctx, env, debhelper.Command{Name: prog, Version: cli.Version(), Flags: o.flags()}, help, func(s *debhelper.Session, log *cli.Log) error {
		c := &command{Session: s, options: o, log: log, env: env}
		return c.do(ctx)
	})
}

// command is one run on a source package.
type command struct {
	*debhelper.Session
	options
	log  *cli.Log
	env  *cli.Env
	tree *debsource.Tree
}

func (c *command) do(ctx context.Context) error {
	if c.runtime == "" {
		c.runtime = "dkms"
	}
	if c.runtime != "dkms" && c.runtime != "none" {
		return fmt.Errorf("--runtime=%s: want dkms or none", c.runtime)
	}
	choice := debsource.Choice{Version: c.V}
	if len(c.Rest) > 1 {
		return fmt.Errorf("one dkms.conf can follow \"--\", not %d", len(c.Rest))
	}
	if len(c.Rest) == 1 {
		choice.File = c.Rest[0]
	}
	var err error
	if c.tree, err = debsource.Open(c.Session, c.env.Dir); err != nil {
		return err
	}
	c.tree.Eval = func(ctx context.Context, in dkms.Input) (*dkms.Values, error) {
		return confeval.Run(ctx, in, confeval.Limits{})
	}
	if err := c.tree.CheckRules(); err != nil {
		return err
	}
	plans, err := c.plan(ctx, choice)
	if err != nil {
		return err
	}
	for _, p := range plans {
		if err := c.install(p); err != nil {
			return err
		}
	}
	return c.dependOnModules(ctx)
}

// plan is what one package gets; all of it is known before anything is
// written.
type plan struct {
	pkg     *debhelper.Package
	modules []*debsource.Module
	depends []string
}

func (c *command) plan(ctx context.Context, choice debsource.Choice) ([]plan, error) {
	var plans []plan
	var errs []error
	for _, p := range c.Packages {
		choice := choice
		if file, err := c.PkgFile(p, "dkms"); err != nil {
			errs = append(errs, err)
			continue
		} else if file != "" {
			choice.File = "" // a package's own file goes first, as in dh_dkms
		}
		modules, err := c.tree.Modules(ctx, p, choice)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(modules) > 0 {
			plans = append(plans, plan{pkg: p, modules: modules})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for i := range plans {
		var err error
		if plans[i].depends, err = c.depends(ctx, plans[i], plans); err != nil {
			return nil, err
		}
	}
	return plans, nil
}

// install puts a package's modules, dependencies and scripts in place.
func (c *command) install(p plan) error {
	usrSrc := filepath.Join(c.PackageTmpDir(p.pkg), "usr/src")
	for _, m := range p.modules {
		c.Verbosef("installing %s as dkms.conf of %s-%s", m.File, m.Name, m.Version)
		for _, w := range m.Conf.Warnings {
			c.log.Warn(w)
		}
		if err := c.stage(m, usrSrc); err != nil {
			return err
		}
		if c.runtime == "none" || c.NoScripts {
			continue
		}
		if err := c.scripts(p.pkg, m); err != nil {
			return err
		}
	}
	for _, item := range p.depends {
		if err := c.AddSubstvar(p.pkg, "misc:Depends", item); err != nil {
			return err
		}
	}
	if c.legacy && c.runtime == "dkms" {
		return c.installLegacy(p)
	}
	return nil
}

func (c *command) stage(m *debsource.Module, usrSrc string) error {
	if c.OnlyScripts {
		return nil
	}
	dir, err := c.tree.Stage(m, usrSrc)
	if err != nil || c.NoAct {
		return err
	}
	missing, err := c.tree.Unbuildable(m, dir)
	if err != nil {
		return err
	}
	for _, name := range missing {
		c.log.Warn(fmt.Errorf("%s: no makefile in %s mentions the module %s", m.File, dir, name))
	}
	return c.LogInstalled(m.Package, dir)
}

// dkmsPackage is how the scripts of dkms call the -dkms package of a module.
func dkmsPackage(name string) string { return name + "-dkms" }

// scripts adds what registers a module with dkms, and takes it away again.
func (c *command) scripts(p *debhelper.Package, m *debsource.Module) error {
	values := map[string]string{"NAME": m.Name, "VERSION": m.Version, "PACKAGE": dkmsPackage(m.Name)}
	for _, script := range []string{"postinst", "prerm"} {
		err := c.Autoscript(p, debhelper.Snippet{Script: script, File: script + "-gokms", Key: m.Name, Values: values})
		if err != nil {
			return err
		}
	}
	return nil
}

// installLegacy ships dkms's own postinst where the package's looks for it if
// dkms has none.
func (c *command) installLegacy(p plan) error {
	const common = "/usr/lib/dkms/common.postinst"
	for _, m := range p.modules {
		dir := filepath.Join(c.PackageTmpDir(p.pkg), "usr/share", dkmsPackage(m.Name))
		if err := c.InstallDir(dir); err != nil {
			return err
		}
		if err := c.InstallProgram(common, filepath.Join(dir, "postinst")); err != nil {
			return cli.WithHint(fmt.Errorf("--legacy: %w", err), "add dkms to Build-Depends")
		}
	}
	return nil
}

// dependOnModules sets ${gokms:Depends} of packages that have a
// debian/PKG.gokms-modules.
func (c *command) dependOnModules(ctx context.Context) error {
	for _, p := range c.Packages {
		b, err := dhmodules.Plan(ctx, c.tree, p, dhmodules.Options{
			TempDir: c.env.Getenv("TMPDIR"), OS: cli.RunningDistribution(), Getenv: c.env.Getenv, Run: c.run(),
		})
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		defer b.Close()
		if err := c.SetSubstvar(p, "gokms:Depends", b.NewestDepends()); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) run() func(*exec.Cmd) error {
	if c.env.Run != nil {
		return c.env.Run
	}
	return (*exec.Cmd).Run
}
