// SPDX-License-Identifier: MIT

package cell

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/control"
)

// Description is a plan as --no-act prints it: the resolved recipe and the
// package's fields. Paths of the build are those of dkms on a default machine.
type Description struct {
	Name         string            `json:"name"`
	Version      string            `json:"version"`
	Kernel       string            `json:"kernel"`
	Excluded     string            `json:"excluded,omitempty"`
	Conf         string            `json:"conf"`
	Compiler     string            `json:"compiler"`
	BuildDepends []string          `json:"build_depends,omitempty"`
	Patches      []string          `json:"patches,omitempty"`
	PreBuild     string            `json:"pre_build,omitempty"`
	Make         string            `json:"make,omitempty"`
	PostBuild    string            `json:"post_build,omitempty"`
	Modules      []ModulePlan      `json:"modules,omitempty"`
	Signer       string            `json:"signer,omitempty"` // as modinfo(8) will show it
	Depmod       []string          `json:"depmod,omitempty"` // lines for depmod that are shipped
	File         string            `json:"file,omitempty"`
	Fields       map[string]string `json:"fields,omitempty"`
	Warnings     []string          `json:"warnings,omitempty"`

	stanza control.Stanza
}

// ModulePlan is one module to be built.
type ModulePlan struct {
	Built string `json:"built"` // path below the build directory
	File  string `json:"file"`  // path in the package
	Strip bool   `json:"strip"`
}

// Describe tells what Run would do.
func (c *Cell) Describe() (*Description, error) {
	neutral := c.neutral()
	d := &Description{
		Name: c.Conf.Name, Version: c.Conf.Version, Kernel: c.Kernel.Release, Conf: c.Source.Conf.Path,
		Compiler: c.Kernel.Compiler.Command, BuildDepends: c.Conf.BuildDepends, Patches: c.Conf.Patches,
		PreBuild:  neutral(strings.Join(c.Conf.Scripts.PreBuild, " ")),
		Make:      neutral(c.Conf.MakeCommand(c.Kernel.Release)),
		PostBuild: neutral(strings.Join(c.Conf.Scripts.PostBuild, " ")),
	}
	for _, w := range c.Warnings {
		d.Warnings = append(d.Warnings, w.Error())
	}
	if x := c.Conf.Excluded; x != nil {
		d.Excluded = x.String()
		return d, nil
	}
	p := c.Package
	for _, m := range c.built() {
		planned := bmdeb.Module{Name: m.DestName, Suffix: suffix(c.compression)}
		p.Modules = append(p.Modules, planned)
		d.Modules = append(d.Modules, ModulePlan{
			Built: path.Join(m.BuiltDir, m.BuiltName+".ko"), File: p.ModulePath(planned), Strip: m.Strip,
		})
	}
	for _, dep := range c.Depends {
		p.Siblings = append(p.Siblings, bmdeb.Sibling{Name: dep.Package.Name, Version: dep.Package.Version})
	}
	d.File, d.Signer = p.FileName(), signerName(c.certificate)
	d.Depmod = slices.Collect(strings.Lines(string(p.DepmodConf)))
	for i, line := range d.Depmod {
		d.Depmod[i] = strings.TrimSuffix(line, "\n")
	}
	var err error
	d.stanza, err = p.Control()
	d.Fields = map[string]string{}
	for _, f := range d.stanza.Fields {
		d.Fields[f.Name] = f.Value
	}
	return d, err
}

// neutral maps the run's own directories to those of dkms on a default
// machine.
func (c *Cell) neutral() func(string) string {
	return strings.NewReplacer(
		c.Layout.DKMSTree.Build, "/var/lib/dkms",
		c.Layout.SourceTree.Build, "/usr/src",
	).Replace
}

// String formats d as stanzas: the recipe, then the package's fields.
func (d *Description) String() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	line("Module-Source", d.Name+"/"+d.Version)
	line("Kernel", d.Kernel)
	line("Dkms-Conf", d.Conf)
	line("Excluded-By", d.Excluded)
	if d.Excluded != "" {
		return b.String()
	}
	line("Compiler", d.Compiler)
	line("Built-After", strings.Join(d.BuildDepends, ", "))
	line("Patches", strings.Join(d.Patches, ", "))
	line("Pre-Build", d.PreBuild)
	line("Make", d.Make)
	line("Post-Build", d.PostBuild)
	b.WriteString("Modules:\n")
	for _, m := range d.Modules {
		strip := ""
		if !m.Strip {
			strip = " (not stripped)"
		}
		fmt.Fprintf(&b, " %s -> %s%s\n", m.Built, m.File, strip)
	}
	line("Signed-By", d.Signer)
	for _, text := range d.Depmod {
		line("Depmod", text)
	}
	line("File", d.File)
	b.WriteString("\n")
	if text, err := control.Format(d.stanza); err == nil {
		b.Write(text)
	}
	return b.String()
}

// CheckNames refuses cells whose packages would overwrite each other, or hold
// the same module file.
func CheckNames(cells []*Cell) error {
	byFile, byPath := map[string]*Cell{}, map[string]*Cell{}
	for _, c := range cells {
		if c.Conf.Excluded != nil {
			continue
		}
		file := c.Package.FileName()
		if other := byFile[file]; other != nil {
			return fmt.Errorf("%s and %s would both become %s", other.Title(), c.Title(), file)
		}
		byFile[file] = c
		for _, m := range c.built() {
			path := c.Package.ModulePath(bmdeb.Module{Name: m.DestName, Suffix: suffix(c.compression)})
			if other := byPath[path]; other != nil {
				return fmt.Errorf("%s and %s would both install %s", other.Title(), c.Title(), path)
			}
			byPath[path] = c
		}
	}
	return nil
}

// AllExcluded reports whether all of cells are excluded by their dkms.conf.
func AllExcluded(cells []*Cell) bool {
	return !slices.ContainsFunc(cells, func(c *Cell) bool { return c.Conf.Excluded == nil })
}
