// SPDX-License-Identifier: MIT

package status

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/depmod"
	"github.com/gokms/gokms/pkg/textfile"
)

// tree is one kernel while it is looked at.
type tree struct {
	*machine
	*Kernel
	files     []string // all of its modules, as depmod names them
	external  []string
	decisions map[string]*depmod.Decision
	dep       map[string]string // modules.dep: the file of each module; nil: there is none
	dkms      map[string]*DKMS  // by module: what dkms has installed, else built
	all       map[string]*Module
	warnings  []error
}

// readTree reads the names of a kernel's modules and decides which of them win.
func (m *machine) readTree(kver string) (*tree, error) {
	k := &Kernel{Release: kver, Modules: []*Module{}, Problems: []Problem{}}
	t := &tree{machine: m, Kernel: k, dkms: map[string]*DKMS{}, all: map[string]*Module{}}
	walked, err := m.config.Walk(string(m.root), kver)
	if err != nil {
		return nil, err
	}
	t.files, t.external, t.warnings = walked.Files, walked.External, walked.Warnings
	t.decisions = m.config.Decide(walked)
	if err := t.readImage(); err != nil {
		return nil, err
	}
	k.Package = m.packages.owners[kver][modulesOrder]
	if err := t.readDep(); err != nil {
		return nil, err
	}
	for _, d := range m.dkms {
		if d.Kernel != kver {
			continue
		}
		for _, name := range d.Modules {
			if old := t.dkms[name]; old == nil || old.State != Installed {
				t.dkms[name] = d
			}
		}
	}
	for name := range t.decisions {
		if mod := t.module(name); mod.foreign() {
			t.all[name] = mod
		}
	}
	t.addShipped()
	for name := range t.dkms {
		if t.all[name] == nil {
			t.all[name] = t.module(name)
		}
	}
	return t, nil
}

// maxDep is far above any modules.dep, in bytes.
const maxDep = 256 << 20

// readDep reads which file depmod found for each module when it last ran.
func (t *tree) readDep() error {
	text, err := textfile.ReadFile(t.path(path.Join(modules(t.Release), "modules.dep")), maxDep)
	if errors.Is(err, fs.ErrNotExist) {
		t.ModulesDep = Absent
		return nil
	}
	if err != nil {
		return err
	}
	t.ModulesDep = Current
	t.dep = map[string]string{}
	for line := range strings.Lines(string(text)) {
		if file, _, ok := strings.Cut(line, ":"); ok {
			t.dep[depmod.ModuleName(file)] = file
		}
	}
	return nil
}

// module is what is known of a module by the names of its files.
func (t *tree) module(name string) *Module {
	mod := &Module{Name: name, Files: t.filesOf(name), DKMS: t.dkms[name]}
	mod.settle(t)
	return mod
}

// filesOf are the files of a module, with what depmod makes of them.
func (t *tree) filesOf(name string) []File {
	files := []File{}
	d := t.decisions[name]
	if d == nil {
		return files
	}
	for _, w := range d.Winners {
		files = append(files, t.file(w, name, depmod.Loser{}))
	}
	for _, l := range d.Losers {
		files = append(files, t.file(l.File, name, l))
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.File, b.File) })
	return files
}

// file tells where a file comes from. A kernel that dpkg does not know owns
// what no package does below kernel/.
func (t *tree) file(name, module string, l depmod.Loser) File {
	f := File{File: name, Wins: l.File == ""}
	if !f.Wins {
		f.Why = l.String()
	}
	f.Package = t.packages.owners[t.Release][name]
	switch d := t.dkms[module]; {
	case t.packages.isKernels(t.Release, f.Package), f.Package == "" && inKernel(name) && t.Package == "":
		f.From = FromKernel
	case f.Package != "":
		f.From = FromPackage
	case d != nil && d.State == Installed:
		f.From = FromDKMS
	case inKernel(name):
		f.From = FromKernel // put there after the package, by hand
	default:
		f.From = FromOther
	}
	return f
}

// settle sets what follows from the files. Where chance decides, modules.dep
// tells what it came to.
func (mod *Module) settle(t *tree) {
	if mod.DKMS != nil {
		mod.DKMSSource, mod.DKMSState = mod.DKMS.Source(), mod.DKMS.State
	}
	mod.Problems = []Problem{}
	var winners []File
	for _, f := range mod.Files {
		if f.Wins {
			winners = append(winners, f)
		}
	}
	if len(winners) > 1 {
		winners = slices.DeleteFunc(winners, func(f File) bool { return t.dep[mod.Name] != f.File })
	}
	if len(winners) == 1 {
		mod.File, mod.From, mod.Package = winners[0].File, winners[0].From, winners[0].Package
	}
}

// foreign says whether a file of the module is not the kernel's own.
func (mod *Module) foreign() bool {
	return slices.ContainsFunc(mod.Files, func(f File) bool { return f.From != FromKernel })
}

// shipped are the modules of packages other than the kernel's, by file.
func (t *tree) shipped() map[string]string {
	files := map[string]string{}
	for file, pkg := range t.packages.owners[t.Release] {
		if isModule(file) && !t.packages.isKernels(t.Release, pkg) {
			files[file] = pkg
		}
	}
	return files
}

// addShipped finds files that a package ships and nobody finds.
func (t *tree) addShipped() {
	there := map[string]bool{}
	for _, f := range t.files {
		there[f] = true
	}
	shipped := t.shipped()
	for _, file := range slices.Sorted(maps.Keys(shipped)) {
		if there[file] {
			continue
		}
		name := depmod.ModuleName(file)
		if t.all[name] == nil {
			t.all[name] = t.module(name)
		}
		mod := t.all[name]
		mod.Problems = append(mod.Problems, problemf(Missing, "%s, which %s ships, is not there", file, shipped[file]))
		if mod.Package == "" && mod.File == "" {
			mod.From, mod.Package = FromPackage, shipped[file]
		}
	}
}

// findMissing adds to each kernel the modules that others have from outside.
// What is left of kernels that are gone does not count.
func (m *machine) findMissing() {
	who := map[string]*tree{} // the newest kernel that has it
	for _, t := range m.trees {
		for name, mod := range t.all {
			if t.Image && mod.foreign() {
				who[name] = t
			}
		}
	}
	for _, t := range m.trees {
		if !t.Image {
			continue
		}
		for name, other := range who {
			if mod := t.all[name]; mod != nil && (mod.foreign() || len(mod.Problems) > 0) {
				continue
			}
			if t.all[name] == nil {
				t.all[name] = t.module(name)
			}
			mod := t.all[name]
			mod.Problems = append(mod.Problems, problemf(Missing, "missing; %s has it from %s", other.Release, other.all[name].origin()))
		}
	}
}

// origin names where a module that is not the kernel's own comes from.
func (mod *Module) origin() string {
	for _, f := range mod.Files {
		switch f.From {
		case FromPackage:
			return "the package " + f.Package
		case FromDKMS:
			return "dkms"
		case FromOther:
			return f.File
		}
	}
	return "nowhere"
}

// labels are the names that a module may be asked for by.
func (mod *Module) labels(kver string) []string {
	labels := []string{mod.Name, mod.Package}
	for _, f := range mod.Files {
		labels = append(labels, packageLabels(f.Package, kver)...)
	}
	labels = append(labels, packageLabels(mod.Package, kver)...)
	if mod.DKMS != nil {
		labels = append(labels, mod.DKMS.labels()...)
	}
	return labels
}

// packageLabels are the name of a package, without -KVER, and without
// -modules-KVER.
func packageLabels(pkg, kver string) []string {
	short := Family(pkg, kver)
	return []string{pkg, short, strings.TrimSuffix(short, "-modules")}
}

// Family is the name that the packages of one source for all kernels have in
// common: that of the package without the release, NAME-modules for those that
// gokms makes.
func Family(pkg, kver string) string {
	return strings.TrimSuffix(pkg, "-"+strings.ReplaceAll(strings.ToLower(kver), "_", "-"))
}

func (d *DKMS) labels() []string { return []string{d.Name, d.Source(), d.Name + "-dkms"} }

// named says whether one of the labels is asked for.
func (m *machine) named(labels ...string) bool {
	return slices.ContainsFunc(m.opts.Names, func(name string) bool { return hasLabel(labels, name) })
}

// hasLabel compares as the kernel does, which takes - and _ for the same.
func hasLabel(labels []string, name string) bool {
	name = moduleOf(name)
	return name != "" && slices.ContainsFunc(labels, func(l string) bool { return strings.ReplaceAll(l, "-", "_") == name })
}

// moduleOf is a module's name where that of its file may stand as well.
func moduleOf(name string) string {
	if isModule(name) {
		return depmod.ModuleName(name)
	}
	return strings.ReplaceAll(name, "-", "_")
}

// choose sets the modules of each kernel that are told of: all that are not its
// own, or those that are asked for. A package or a source stands for the modules
// that it has in any kernel.
func (m *machine) choose(trees []*tree) error {
	wanted, found := map[string]bool{}, map[string]bool{}
	for _, name := range m.opts.Names {
		for _, t := range m.trees {
			for _, mod := range t.all {
				if hasLabel(mod.labels(t.Release), name) {
					wanted[mod.Name], found[name] = true, true
				}
			}
			if module := moduleOf(name); t.decisions[module] != nil {
				wanted[module], found[name] = true, true
			}
		}
		for _, d := range m.dkms {
			found[name] = found[name] || hasLabel(d.labels(), name)
		}
		if !found[name] {
			return &NotFoundError{What: fmt.Sprintf("module, module package or source of dkms is called %q", name)}
		}
	}
	for _, t := range trees {
		for name := range wanted {
			if t.all[name] == nil && t.decisions[name] != nil {
				t.all[name] = t.module(name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(t.all)) {
			if len(m.opts.Names) == 0 || wanted[name] {
				t.Modules = append(t.Modules, t.all[name])
			}
		}
	}
	return nil
}

// real is where a file of the tree is.
func (t *tree) real(file string) string {
	if strings.HasPrefix(file, "/") {
		return t.path(file)
	}
	return t.path(path.Join(modules(t.Release), file))
}

// read reads the file of a module.
func (t *tree) read(file string) ([]byte, error) {
	return textfile.ReadFile(t.real(file), maxModule)
}

// initrd finds the initramfs, by the names that Debian and dracut elsewhere give
// it.
func (t *tree) initrd() (string, error) {
	for _, name := range []string{"/boot/initrd.img-" + t.Release, "/boot/initramfs-" + t.Release + ".img"} {
		if _, err := os.Stat(t.path(name)); err == nil {
			return name, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", nil
}
