// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/version"
)

// understood names the dkms version from which on a directive has its effect,
// and tells whether a file uses it.
var understood = []struct {
	since string
	uses  func(*dkms.Values) bool
}{
	{"2.1.0.0", func(*dkms.Values) bool { return true }}, // common.postinst
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
		for _, e := range v.Elements[directive] {
			if e.Value != "" {
				return true
			}
		}
		return false
	}
}

// depends are the items of ${misc:Depends} that p's modules need.
func (c *command) depends(ctx context.Context, p plan, all []plan) ([]string, error) {
	if c.runtime == "none" {
		return nil, nil
	}
	if c.legacy {
		return []string{"dkms"}, nil
	}
	need := ""
	var items []string
	for _, m := range p.modules {
		for _, u := range understood {
			if u.uses(m.Values) && (need == "" || version.Compare(u.since, need) > 0) {
				need = u.since
			}
		}
		for _, name := range m.Conf.BuildDepends {
			pkg := c.packageOf(ctx, name, p, all)
			switch pkg {
			case "":
				c.log.Warn(cli.WithHint(m.Values.Errorf("BUILD_DEPENDS", 0, "BUILD_DEPENDS names %s, and neither debian/control nor dpkg knows its package", name),
					"add that package to Depends"))
			case p.pkg.Name:
			default:
				items = append(items, pkg)
			}
		}
	}
	return append([]string{fmt.Sprintf("dkms (>= %s)", need)}, items...), nil
}

// packageOf is the package that brings the module source called name: one of
// this build, else an installed one.
func (c *command) packageOf(ctx context.Context, name string, own plan, all []plan) string {
	for _, p := range append([]plan{own}, all...) {
		for _, m := range p.modules {
			if m.Name == name {
				return p.pkg.Name
			}
		}
	}
	return c.installedPackage(ctx, name)
}

func (c *command) installedPackage(ctx context.Context, name string) string {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "dpkg-query", "-S", "/usr/src/"+name+"-*/dkms.conf")
	cmd.Stdout = &out
	if c.run()(cmd) != nil {
		return ""
	}
	pkg, path, _ := strings.Cut(strings.TrimSpace(out.String()), ": ")
	if strings.ContainsAny(pkg+path, ", \n") {
		return "" // several
	}
	return pkg
}
