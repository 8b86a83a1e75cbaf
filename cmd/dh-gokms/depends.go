// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/debsource"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debhelper"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/version"
)

// withPostinst is the first dkms that brings the postinst which the packages'
// own calls; one made with --legacy does without.
const withPostinst = "2.1.0.0"

// understood names the dkms version from which on a directive has its effect,
// and tells whether a file uses it.
var understood = []struct {
	since string
	uses  func(*dkms.Values) bool
}{
	{"3.0.3-4~", uses("BUILD_EXCLUSIVE_CONFIG")},
	{"3.0.11", func(v *dkms.Values) bool {
		return uses("BUILD_EXCLUSIVE_KERNEL_MIN")(v) || uses("BUILD_EXCLUSIVE_KERNEL_MAX")(v)
	}},
	{"3.1.7", func(v *dkms.Values) bool { return strings.EqualFold(v.Get("AUTOINSTALL"), "no") }},
	{"3.2.0", uses("BUILD_DEPENDS_REBUILD")},
	{"3.3.0", func(v *dkms.Values) bool {
		for _, rule := range []string{"KERNEL", "KERNEL_MIN", "KERNEL_MAX", "ARCH", "CONFIG"} {
			for _, e := range v.Elements["BUILD_EXCLUSIVE_"+rule] {
				if e.Index > 0 && e.Value != "" {
					return true
				}
			}
		}
		return false
	}},
}

func uses(directive string) func(*dkms.Values) bool {
	return func(v *dkms.Values) bool {
		return slices.ContainsFunc(v.Elements[directive], func(e dkms.Element) bool { return e.Value != "" })
	}
}

// dkmsNeeded is the dependency on dkms itself.
func (c *command) dkmsNeeded(modules []*debsource.Module) string {
	need := withPostinst
	if c.legacy {
		need = ""
	}
	for _, m := range modules {
		for _, u := range understood {
			if u.uses(m.Values) && (need == "" || version.Compare(u.since, need) > 0) {
				need = u.since
			}
		}
	}
	if need == "" {
		return "dkms"
	}
	return fmt.Sprintf("dkms (>= %s)", need)
}

// depends are the items of ${misc:Depends} that p's modules need.
func (c *command) depends(ctx context.Context, p *plan) ([]string, error) {
	if c.runtime == "none" {
		return nil, nil
	}
	items := []string{c.dkmsNeeded(p.modules)}
	for _, m := range p.modules {
		for _, name := range m.Conf.BuildDepends {
			pkg, err := c.packageOf(ctx, name, p)
			switch {
			case err != nil:
				return nil, err
			case pkg == "":
				c.log.Warn(cli.WithHint(m.Values.Errorf("BUILD_DEPENDS", 0, "BUILD_DEPENDS names %s, and neither debian/control nor dpkg knows its package", name),
					"add that package to Depends"))
			case pkg != p.pkg.Name:
				items = append(items, pkg)
			}
		}
	}
	return items, nil
}

// packageOf is the package that brings the module source called name: one of
// this source package, one that is called NAME-dkms in debian/control, else an
// installed one.
func (c *command) packageOf(ctx context.Context, name string, own *plan) (string, error) {
	for _, m := range own.modules {
		if m.Name == name {
			return own.pkg.Name, nil
		}
	}
	siblings, err := c.tree.AllModules(ctx, debsource.Choice{})
	if err != nil {
		return "", err
	}
	for _, m := range siblings {
		if m.Name == name {
			return m.Package.Name, nil
		}
	}
	usual := strings.TrimSuffix(strings.ToLower(strings.ReplaceAll(name, "_", "-")), "-dkms") + "-dkms"
	known, err := c.named(own.pkg)
	if err != nil || slices.Contains(known, usual) {
		return usual, err
	}
	return c.installedPackage(name), nil
}

// named are the packages that debian/control names where p or its build
// depends on them.
func (c *command) named(p *debhelper.Package) ([]string, error) {
	relations, err := c.Control.BuildDepends()
	if err != nil {
		return nil, err
	}
	names := relations.Names()
	for _, field := range []string{"Depends", "Pre-Depends"} {
		for _, text := range strings.Split(p.Stanza.Unfold(field), ",") {
			if strings.Contains(text, "${") {
				continue
			}
			relations, err := control.ParseRelations(text)
			if err != nil {
				return nil, fmt.Errorf("debian/control: package %s: %s: %w", p.Name, field, err)
			}
			names = append(names, relations.Names()...)
		}
	}
	return names, nil
}

// installedPackage asks dpkg which installed package has that module source,
// "" if that is not clear.
func (c *command) installedPackage(name string) string {
	confs, err := filepath.Glob("/usr/src/*/dkms.conf")
	if err != nil {
		return ""
	}
	pkg := ""
	for _, conf := range confs {
		text, err := os.ReadFile(conf)
		if err != nil {
			continue
		}
		if found, _, err := dkms.Peek(conf, text); err != nil || found != name {
			continue
		}
		owner := c.ownerOf(conf)
		if owner == "" || pkg != "" && pkg != owner {
			return ""
		}
		pkg = owner
	}
	return pkg
}

func (c *command) ownerOf(file string) string {
	var out bytes.Buffer
	cmd := c.Command("dpkg-query", "-S", file)
	cmd.Stdout, cmd.Stderr = &out, nil
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8")
	if c.run()(cmd) != nil {
		return ""
	}
	pkg, path, _ := strings.Cut(strings.TrimSpace(out.String()), ": ")
	if path != file || strings.ContainsAny(pkg, ", \n") {
		return "" // several
	}
	return pkg
}
