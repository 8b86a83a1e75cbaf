// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/debsource"
	"github.com/gokms/gokms/internal/dhmodules"
	"github.com/gokms/gokms/pkg/debhelper"
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

func (o *options) check() error {
	switch o.runtime {
	case "":
		o.runtime = "dkms"
	case "dkms":
	case "none":
		if o.legacy {
			return errors.New("--legacy is for packages that dkms builds, and --runtime=none is not for dkms: choose one")
		}
	default:
		return fmt.Errorf("--runtime=%s: want dkms or none", o.runtime)
	}
	return nil
}

// run is the command. The error it returns holds the exit code.
func run(ctx context.Context, env *cli.Env) error {
	var o options
	return cli.DebhelperProgram{
		Command: debhelper.Command{Name: prog, Version: cli.Version(), Flags: o.flags()},
		Help:    help,
		Do: func(s *debhelper.Session, log *cli.Log) error {
			if err := o.check(); err != nil {
				return err
			}
			c := &command{Session: s, options: o, log: log, env: env}
			return c.do(ctx)
		},
	}.Run(ctx, env)
}

// command is one run on a source package.
type command struct {
	*debhelper.Session
	options
	log  *cli.Log
	env  *cli.Env
	tree *debsource.Tree
}

// do finds out all that is to be done, which is where bad input ends, and then
// does it.
func (c *command) do(ctx context.Context) error {
	var err error
	if c.tree, err = debsource.Open(c.Session, c.env.Dir); err != nil {
		return err
	}
	c.tree.Eval = confeval.Eval
	if err := c.tree.CheckRules(); err != nil {
		return err
	}
	plans, err := c.plans(ctx)
	if err != nil {
		return err
	}
	depends, err := c.moduleDepends(ctx)
	if err != nil {
		return err
	}
	for _, p := range plans {
		if err := c.install(p); err != nil {
			return err
		}
	}
	for _, p := range c.Packages {
		if value, ok := depends[p]; ok {
			if err := c.SetSubstvar(p, "gokms:Depends", value); err != nil {
				return err
			}
		}
	}
	return nil
}

// plan is what one package gets.
type plan struct {
	pkg     *debhelper.Package
	modules []*debsource.Module
	staged  []*debsource.Staging
	depends []string
}

// plans are those of the packages with modules.
func (c *command) plans(ctx context.Context) ([]*plan, error) {
	choice, target, err := c.choice()
	if err != nil {
		return nil, err
	}
	var plans []*plan
	var errs []error
	for _, p := range c.Packages {
		own := choice
		if p != target {
			own.File = ""
		}
		planned, err := c.plan(ctx, p, own)
		if err != nil {
			errs = append(errs, err)
		} else if planned != nil {
			plans = append(plans, planned)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if err := separate(plans); err != nil {
		return nil, err
	}
	for _, p := range plans {
		if p.depends, err = c.depends(ctx, p); err != nil {
			return nil, err
		}
	}
	return plans, nil
}

// choice is what the command line says of modules, and the package that its
// FILE is for: the only one that has no .dkms file of its own.
func (c *command) choice() (debsource.Choice, *debhelper.Package, error) {
	choice := debsource.Choice{Version: c.V}
	files := append(slices.Clone(c.Args), c.Rest...)
	switch {
	case len(files) == 0:
		return choice, nil, nil
	case len(files) > 1:
		return choice, nil, fmt.Errorf("one FILE can be given as dkms.conf, not %d: %q", len(files), files)
	}
	choice.File = files[0]
	var target *debhelper.Package
	for _, p := range c.Packages {
		has, err := c.tree.HasConf(p)
		if err != nil {
			return choice, nil, err
		}
		meta, err := c.PkgFile(p, "gokms-modules")
		if err != nil {
			return choice, nil, err
		}
		if has || meta != "" {
			continue
		}
		if target != nil {
			return choice, nil, cli.WithHint(fmt.Errorf("%s would be the dkms.conf of %s and of %s", choice.File, target.Name, p.Name), "name one package with -p")
		}
		target = p
	}
	return choice, target, nil
}

// plan finds p's modules; nil if there are none.
func (c *command) plan(ctx context.Context, p *debhelper.Package, choice debsource.Choice) (*plan, error) {
	modules, err := c.tree.Modules(ctx, p, choice)
	if err != nil || len(modules) == 0 {
		return nil, err
	}
	if err := debsource.OneName(modules); err != nil {
		return nil, err
	}
	planned := &plan{pkg: p, modules: modules}
	earlier, err := c.tree.Earlier(p)
	if err != nil || c.OnlyScripts {
		return planned, err
	}
	for _, m := range modules {
		s, err := c.tree.PlanStage(m, c.usrSrc(p), earlier...)
		if err != nil {
			return nil, err
		}
		planned.staged = append(planned.staged, s)
	}
	return planned, nil
}

func (c *command) usrSrc(p *debhelper.Package) string {
	return filepath.Join(c.PackageTmpDir(p), "usr/src")
}

// separate refuses packages with the same files.
func separate(plans []*plan) error {
	byDir := map[string]*debsource.Module{}
	for _, p := range plans {
		for _, m := range p.modules {
			if other := byDir[m.Dir()]; other != nil {
				return fmt.Errorf("%s and %s both become /usr/src/%s, in %s and %s", other.File, m.File, m.Dir(), other.Package.Name, p.pkg.Name)
			}
			byDir[m.Dir()] = m
		}
	}
	return nil
}

// install puts a package's modules, dependencies and scripts in place.
func (c *command) install(p *plan) error {
	for _, m := range p.modules {
		c.Verbosef("installing %s as dkms.conf of %s", m.File, m.Dir())
		for _, w := range m.Conf.Warnings {
			c.log.Warn(w)
		}
	}
	if !c.OnlyScripts {
		if err := c.tree.Replace(p.pkg, p.staged); err != nil {
			return err
		}
		if err := c.review(p); err != nil {
			return err
		}
	}
	if c.runtime == "none" {
		return nil
	}
	for _, m := range p.modules {
		if err := c.scripts(p.pkg, m); err != nil {
			return err
		}
	}
	for _, item := range p.depends {
		if err := c.AddSubstvar(p.pkg, "misc:Depends", item); err != nil {
			return err
		}
	}
	if c.legacy && !c.OnlyScripts {
		return c.installLegacy(p)
	}
	return nil
}

// review warns of what will most likely not work where the package is
// installed.
func (c *command) review(p *plan) error {
	if c.NoAct {
		return nil
	}
	var dirs []string
	for i, m := range p.modules {
		dirs = append(dirs, m.Dir())
		missing, err := c.tree.Unbuildable(m, p.staged[i].Dir)
		if err != nil {
			return err
		}
		for _, name := range missing {
			c.log.Warn(m.Values.Errorf("BUILT_MODULE_NAME", 0, "no makefile in %s mentions the module %s", p.staged[i].Dir, name))
		}
	}
	entries, err := os.ReadDir(filepath.Join(c.env.Dir, c.usrSrc(p.pkg)))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(dirs, e.Name()) {
			c.log.Warn(cli.WithHint(fmt.Errorf("%s/%s is not the directory of a module; those of %s are %q", c.usrSrc(p.pkg), e.Name(), p.pkg.Name, dirs),
				"sources belong into usr/src/PACKAGE_NAME-PACKAGE_VERSION"))
		}
	}
	return nil
}

// dkmsPackage is how the scripts of dkms call the -dkms package of a module.
func dkmsPackage(name string) string { return name + "-dkms" }

// scripts adds what registers a module with dkms, and takes it away again.
func (c *command) scripts(p *debhelper.Package, m *debsource.Module) error {
	if c.NoScripts {
		return nil
	}
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
func (c *command) installLegacy(p *plan) error {
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

// moduleDepends is ${gokms:Depends} of the packages that have a
// debian/PKG.gokms-modules. --no-act leaves it out, since it takes a copy of
// the sources to know.
func (c *command) moduleDepends(ctx context.Context) (map[*debhelper.Package]string, error) {
	depends := map[*debhelper.Package]string{}
	for _, p := range c.Packages {
		if c.NoAct {
			break
		}
		b, err := dhmodules.Plan(ctx, c.tree, p, dhmodules.Options{
			TempDir: c.env.Getenv("TMPDIR"), OS: cli.RunningDistribution(), Run: c.run(),
			Choice: debsource.Choice{Version: c.V},
		})
		if err != nil {
			return nil, err
		}
		if b == nil {
			continue
		}
		depends[p] = b.NewestDepends()
		if err := b.Close(); err != nil {
			return nil, err
		}
	}
	return depends, nil
}

func (c *command) run() func(*exec.Cmd) error {
	if c.env.Run != nil {
		return c.env.Run
	}
	return (*exec.Cmd).Run
}
