// SPDX-License-Identifier: MIT

package status

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/gokms/gokms/internal/verify"
	"github.com/gokms/gokms/pkg/depmod"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/kmod"
)

// examine looks at the files of the modules that were chosen.
func (t *tree) examine(ctx context.Context) error {
	headers, err := t.headers()
	if err != nil {
		t.warnings = append(t.warnings, err)
	}
	t.Headers = headers != nil
	var read []*kmod.File
	byPath := map[string]*Module{}
	for _, mod := range t.Modules {
		if err := ctx.Err(); err != nil {
			return err
		}
		mod.judge(t)
		mod.judgePackages(t)
		f, err := t.open(mod)
		switch {
		case errors.Is(err, fs.ErrPermission):
			t.warnings = append(t.warnings, err)
		case err != nil:
			mod.Problems = append(mod.Problems, problemf(Unfit, "%v", err))
		}
		if err != nil {
			mod.Verified = NotKnown
		}
		if f != nil {
			read = append(read, f)
			byPath[f.Path] = mod
		}
	}
	if t.Package != "" && len(t.opts.Names) == 0 {
		t.Problems = append(t.Problems, t.judgePackage(t.Package)...)
	}
	if t.Image {
		t.judgeDep()
	} else {
		t.judgeImage()
	}
	if headers != nil {
		for _, mod := range t.untold() {
			if f, err := t.open(mod); err == nil && f != nil {
				read = append(read, f)
				byPath[f.Path] = mod
			}
		}
	}
	if err := t.verify(headers, read, byPath); err != nil {
		t.warnings = append(t.warnings, err)
	}
	return t.examineInitramfs(ctx)
}

// untold are the modules that are not the kernel's own and that nobody asked for:
// those that did may need them.
func (t *tree) untold() []*Module {
	var all []*Module
	for _, name := range slices.Sorted(maps.Keys(t.all)) {
		if mod := t.all[name]; mod.File != "" && !slices.Contains(t.Modules, mod) {
			all = append(all, mod)
		}
	}
	return all
}

// judge finds what is wrong with the choice of files. A file that is not the
// kernel's own and loses to the kernel's, or to chance, was not put there for
// that; that dkms's loses to a package's is as it should be.
func (mod *Module) judge(t *tree) {
	add := func(kind, format string, args ...any) {
		mod.Problems = append(mod.Problems, problemf(kind, format, args...))
	}
	d := t.decisions[mod.Name]
	if d == nil || !t.Image {
		return
	}
	if d.Ambiguous() {
		add(Uncertain, "%s: of equal rank, the order in which depmod happens to read directories decides", strings.Join(d.Winners, " or "))
	}
	for _, f := range mod.Files {
		if !f.Wins && f.From != FromKernel && (f.From == FromPackage || mod.From == FromKernel || mod.File == "") {
			add(Loses, "%s", f.Why)
		}
	}
	switch dep, ok := t.dep[mod.Name]; {
	case t.ModulesDep == Absent:
		add(OldDep, "there is no modules.dep: %s", t.runDepmod())
	case len(d.Winners) > 0 && !ok:
		add(OldDep, "modules.dep does not know it: %s", t.runDepmod())
	case len(d.Winners) > 0 && !slices.Contains(d.Winners, t.depName(dep)):
		add(OldDep, "modules.dep names %s, not %s: %s", dep, strings.Join(d.Winners, " or "), t.runDepmod())
	}
}

// judgePackages finds out whether dpkg has wholly installed the packages that the
// module is of.
func (mod *Module) judgePackages(t *tree) {
	if !t.Image {
		return
	}
	var packages []string
	if mod.From == FromPackage {
		packages = append(packages, mod.Package)
	}
	for _, f := range mod.Files {
		if f.From == FromPackage {
			packages = append(packages, f.Package)
		}
	}
	for _, pkg := range sorted(packages) {
		mod.Problems = append(mod.Problems, t.judgePackage(pkg)...)
	}
}

// depName is a file of modules.dep as decisions name it.
func (t *tree) depName(file string) string {
	return strings.TrimPrefix(strings.TrimPrefix(file, "/usr"), modules(t.Release)+"/")
}

// judgeDep finds files that modules.dep names and that are not there.
func (t *tree) judgeDep() {
	there := map[string]bool{}
	for _, f := range slices.Concat(t.files, t.external) {
		there[f] = true
	}
	var gone []string
	for _, file := range t.dep {
		if !there[t.depName(file)] {
			gone = append(gone, file)
		}
	}
	slices.Sort(gone)
	if len(gone) > 0 && len(t.opts.Names) == 0 {
		text := gone[0] + ", which is not there"
		if len(gone) > 1 {
			text = fmt.Sprintf("%s and %d more, which are not there", gone[0], len(gone)-1)
		}
		t.Problems = append(t.Problems, problemf(OldDep, "modules.dep names %s: %s", text, t.runDepmod()))
	}
	isDep := func(p Problem) bool { return p.Kind == OldDep }
	if t.ModulesDep == Current && (len(gone) > 0 || slices.ContainsFunc(t.Modules, func(mod *Module) bool { return slices.ContainsFunc(mod.Problems, isDep) })) {
		t.ModulesDep = Stale
	}
}

// open reads the module's file: what it says of itself, and whether it is what
// it was when it was installed. nil: there is no file.
func (t *tree) open(mod *Module) (*kmod.File, error) {
	if mod.Package != "" {
		var err error
		if mod.PackageVersion, err = t.packages.version(mod.Package); err != nil {
			t.warnings = append(t.warnings, err)
		}
	}
	t.compareDKMS(mod)
	if mod.File == "" {
		return nil, nil
	}
	content, err := t.read(mod.File)
	if err != nil {
		return nil, err
	}
	if mod.From == FromPackage && t.packages.changed(mod.Package, path.Join("lib/modules", t.Release, mod.File), content) {
		mod.Problems = append(mod.Problems, problemf(Changed, "%s is not the file that %s ships", mod.File, mod.Package))
	}
	o := &kmod.Options{Run: t.opts.run(), MaxSize: maxModule}
	plain, _, err := o.Unpack(bytes.NewReader(content), int64(len(content)), mod.File)
	if err != nil {
		return nil, err
	}
	mod.sum = sha256.Sum256(plain)
	f, err := o.Read(bytes.NewReader(plain), int64(len(plain)), mod.File)
	if err != nil {
		return nil, err
	}
	info := f.Info()
	mod.Version, mod.SrcVersion, mod.Vermagic = info.Version, info.SrcVersion, info.Vermagic
	_, sig, err := kmod.SplitSignature(plain)
	if err != nil || sig == nil {
		return f, err
	}
	p, err := kmod.ParsePKCS7(sig)
	if err != nil {
		return f, fmt.Errorf("%s: %w", f.Path, err)
	}
	if mod.Signer = p.Issuer; mod.Signer == "" {
		mod.Signer = p.Key()
	}
	return f, nil
}

// compareDKMS finds out whether what dkms built is what is installed.
func (t *tree) compareDKMS(mod *Module) {
	if mod.DKMS == nil || mod.DKMS.State != Installed {
		return
	}
	built, err := t.read(mod.DKMS.built[mod.Name])
	if err != nil {
		t.warnings = append(t.warnings, err)
		return
	}
	text := "dkms says that it has installed it, and it is not there"
	for _, f := range mod.Files {
		if f.From != FromDKMS {
			continue
		}
		text = f.File + " is not the file that dkms built"
		if there, err := t.read(f.File); err == nil && bytes.Equal(there, built) {
			return
		}
	}
	mod.Problems = append(mod.Problems, problemf(OfDKMS, "%s", text))
}

// headers are those of the kernel; nil if there are none.
func (t *tree) headers() (*kernel.Tree, error) {
	o := &kernel.Options{Header: &kernel.HeaderPackage{}, Sysroot: string(t.root)}
	tree, err := kernel.Open(string(t.root)+"/lib/modules", t.Release, o)
	if _, ok := errors.AsType[*kernel.NotFoundError](err); ok {
		return nil, nil
	}
	return tree, err
}

// verify finds out whether the modules would load: those of one package or one
// source of dkms are looked at together, as they were built, and find the symbols
// of the others. Without headers only the release that they name is compared.
func (t *tree) verify(headers *kernel.Tree, files []*kmod.File, byPath map[string]*Module) error {
	refuse := func(f string, err error) {
		byPath[f].Verified = Refused
		byPath[f].Problems = append(byPath[f].Problems, problemf(Unfit, "%v", err))
	}
	var k *kmod.Kernel
	var err error
	if headers != nil && len(files) > 0 {
		k, err = verify.Kernel(headers, nil)
	}
	if err != nil || k == nil || k.Exports == nil {
		for _, f := range files {
			byPath[f.Path].Verified = Release
			if err := f.CheckRelease(t.Release); err != nil {
				refuse(f.Path, err)
			}
		}
		return err
	}
	for _, f := range files {
		byPath[f.Path].Verified = Passed
	}
	v := &kmod.Verifier{Kernel: k, Extra: exports(files)}
	for _, together := range byOwner(files, byPath) {
		for _, found := range kmod.Errors(v.Check(together)) {
			refuse(found.Path, found)
		}
	}
	return nil
}

// exports are the symbols of all modules that were read.
func exports(files []*kmod.File) map[string]kmod.Provided {
	all := map[string]kmod.Provided{}
	for _, f := range files {
		for _, e := range f.Exports {
			all[e.Name] = kmod.Provided{Module: cmp.Or(f.Info().Name, depmod.ModuleName(f.Path)), Export: e}
		}
	}
	return all
}

// byOwner are the modules of each package and of each source of dkms. Those of
// nobody have nothing in common.
func byOwner(files []*kmod.File, byPath map[string]*Module) map[string][]*kmod.File {
	all := map[string][]*kmod.File{}
	for _, f := range files {
		mod := byPath[f.Path]
		owner := "file " + f.Path
		switch {
		case mod.Package != "":
			owner = "package " + mod.Package
		case mod.From == FromDKMS:
			owner = "dkms " + mod.DKMSSource
		}
		all[owner] = append(all[owner], f)
	}
	return all
}

// examineInitramfs compares the modules with those that the initramfs holds. It
// is read only where it may hold one of them, and by who may read it, and not
// for a kernel that is gone.
func (t *tree) examineInitramfs(ctx context.Context) error {
	file, err := t.initrd()
	if err != nil {
		t.warnings = append(t.warnings, err)
	}
	if t.Initramfs = file; file == "" || len(t.Modules) == 0 || !t.Image {
		return nil
	}
	wanted := map[string]bool{}
	for _, mod := range t.Modules {
		wanted[mod.Name] = true
	}
	found, err := t.opts.readInitramfs(ctx, t.path(file), t.Release, wanted)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		t.warnings = append(t.warnings, fmt.Errorf("initramfs: %w", err))
	}
	for _, mod := range t.Modules {
		mod.Initramfs = Unknown
		if err == nil && mod.Verified != NotKnown {
			mod.compareInitramfs(t, found[mod.Name])
		}
	}
	if err == nil && len(t.opts.Names) == 0 {
		t.findLeftovers(found)
	}
	return nil
}

// compareInitramfs compares contents, not names: dracut may unpack modules.
func (mod *Module) compareInitramfs(t *tree, files []packed) {
	mod.Initramfs = Absent
	for _, f := range files {
		mod.Initramfs = Current
		if mod.File == "" || f.digest != mod.sum {
			what := f.file
			if f.file == mod.File {
				what = "another " + what
			}
			mod.Initramfs = Stale
			mod.Problems = append(mod.Problems, problemf(OldInitrd, "the initramfs holds %s: %s", what, t.runInitramfs()))
			return
		}
	}
}

// findLeftovers finds modules in the initramfs that are not the kernel's own and
// are installed no more.
func (t *tree) findLeftovers(found contents) {
	for name, files := range found {
		for _, f := range files {
			if t.decisions[name] == nil && !strings.HasPrefix(f.file, "kernel/") && !t.told(name) {
				t.Problems = append(t.Problems, problemf(OldInitrd, "the initramfs holds %s, which is not installed: %s", f.file, t.runInitramfs()))
			}
		}
	}
	slices.SortFunc(t.Problems, func(a, b Problem) int { return strings.Compare(a.Kind+a.Text, b.Kind+b.Text) })
}

// told says whether the module is among those that are told of.
func (t *tree) told(name string) bool {
	return slices.ContainsFunc(t.Modules, func(mod *Module) bool { return mod.Name == depmod.ModuleName(name) })
}
