// SPDX-License-Identifier: MIT

package cell

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/depmod"
)

// contest is who the package's modules meet on the machines that it is for, as
// far as can be known here.
type contest struct {
	config  *depmod.Config
	tree    *depmod.Tree
	files   []string        // the package's
	guessed map[string]bool // files that the kernel may have
}

// planDepmod finds out whether depmod will take the package's modules. Lines
// that make them win are added where they are wanted; with Coexist they always
// are, since dkms's directory is of equal rank and chance would decide.
func (c *Cell) planDepmod(p *bmdeb.Package) error {
	meet := c.contest(p)
	losing := meet.losing()
	if len(losing) == 0 {
		return nil
	}
	text, err := meet.config.Needed(meet.tree, "/"+p.DepmodConfPath(), meet.files...)
	if c.opts.DepmodOverride || c.opts.Coexist {
		if err != nil {
			return fmt.Errorf("%s: %s: %w", c.Title(), c.opts.depmodOption(), err)
		}
		p.DepmodConf = []byte(text)
		return nil
	}
	cure := ""
	if err == nil {
		cure = "--depmod-override ships a line for depmod that makes it win"
	}
	for _, e := range losing {
		c.Warnings = append(c.Warnings, &source.Error{Err: c.lost(e, meet), Cure: cure})
	}
	return nil
}

// depmodOption is the option by which a package ships lines for depmod.
func (o *Options) depmodOption() string {
	if o.DepmodOverride {
		return "--depmod-override"
	}
	return "--coexist"
}

// lost is the warning about one module.
func (c *Cell) lost(e *depmod.LosesError, meet *contest) error {
	verb, condition := "will", ""
	if e.Decision.Ambiguous() {
		verb = "may"
	}
	if slices.ContainsFunc(e.Decision.Winners, func(file string) bool { return meet.guessed[file] }) {
		condition = " if the kernel has one of that name"
	}
	return fmt.Errorf("%s: depmod %s not take the package's module%s: %s",
		c.Title(), verb, condition, strings.ReplaceAll(e.Error(), "\n", "; "))
}

// contest lists the files: the package's; the kernel's own of the same names,
// where its modules.order is beside the headers, else as if it had them; and
// those of dkms, if both are to be there.
func (c *Cell) contest(p *bmdeb.Package) *contest {
	m := &contest{config: c.opts.Depmod, tree: depmod.NewTree(p.Kernel.Release), guessed: map[string]bool{}}
	if m.config == nil {
		m.config = depmod.New()
	}
	var inTree func(string) (string, string, bool)
	if k, err := c.opts.kernels.Kernel(p.Kernel); err == nil { // an error ends the build
		inTree = k.InTree
	}
	dir := strings.TrimSuffix(p.ModulePath(bmdeb.Module{}), "/")
	dir = strings.TrimPrefix(dir, path.Join(p.Kernel.ModulesDir, p.Kernel.Release)+"/")
	for _, module := range c.built() {
		own, name := path.Join(dir, module.DestName+".ko"), depmod.ModuleName(module.DestName)
		m.files = append(m.files, own)
		if inTree == nil {
			file := "kernel/" + module.DestName + ".ko"
			m.guessed[file] = true
			m.tree.Files = append(m.tree.Files, file)
		} else if file, _, ok := inTree(name); ok {
			m.tree.Files = append(m.tree.Files, file)
		}
		if c.opts.Coexist {
			m.tree.Files = append(m.tree.Files, path.Join(bmdeb.DefaultDestDir, module.DestName+".ko"))
		}
	}
	m.tree.Files = append(m.tree.Files, m.files...)
	return m
}

// losing are the package's files that do not win for sure.
func (m *contest) losing() []*depmod.LosesError {
	decisions := m.config.Decide(m.tree)
	var losing []*depmod.LosesError
	for _, file := range slices.Sorted(slices.Values(m.files)) {
		if d := decisions[depmod.ModuleName(file)]; !d.Wins(file) {
			losing = append(losing, &depmod.LosesError{File: file, Decision: d})
		}
	}
	return losing
}
