// SPDX-License-Identifier: MIT

// Package bmdeb says what a binary module package is: its name, fields,
// relations, files and maintainer scripts. It is pure: values in, a
// [debfile.Package] out; nothing is read or run.
//
// A package NAME-modules-KVER holds the compiled modules of one source for one
// kernel release and depends only on that kernel's image.
package bmdeb

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/version"
)

// The directories below modules/KVER that modules are installed to. The first
// is where dkms puts its own on Debian; depmod prefers updates/ to the
// kernel's own modules.
const (
	DefaultDestDir = "updates/dkms"
	CoexistDestDir = "updates/gokms"
)

// Module is one compiled module.
type Module struct {
	Name    string // without .ko
	Suffix  string // ".ko", ".ko.xz", ...
	Size    int64  // bytes
	Open    func() (io.ReadCloser, error)
	ModTime time.Time // zero: the package's
}

// Package describes one binary module package before it is packed.
type Package struct {
	Name    string // NAME, see [ModuleName]
	Version string // full Debian version, with the "+R" of Revision

	// Source and SourceVersion name the source package the modules are from.
	Source, SourceVersion string
	Maintainer, Homepage  string
	Description           string // the source's extended description, "" if it has none

	Kernel  *kernel.Tree
	Modules []Module
	DestDir string // below modules/KVER; "": DefaultDestDir, or CoexistDestDir with Coexist

	DKMSPackages []string // binary packages that would install the same through dkms
	Coexist      bool     // no Conflicts with DKMSPackages
	Siblings     []Sibling
	Provides     []string // more relations, as --provides gives them

	Changelog   []byte // debian/changelog text, newest entry first
	Copyright   []byte // nil: none is shipped
	ModTime     time.Time
	Compression debfile.Compression

	RemakeInitrd bool // dkms.conf demands the initramfs to be rebuilt

	// DepmodConf are lines of depmod.d(5) by which the modules win; nil: no file
	// of them is shipped.
	DepmodConf []byte
}

// Sibling is another module package for the same kernel that this one needs.
type Sibling struct{ Name, Version string }

// Binary is the name of the binary package.
func (p *Package) Binary() string { return PackageName(p.Name, p.Kernel.Release) }

// FileName is the .deb's name, without the epoch as dpkg has it.
func (p *Package) FileName() string {
	v := p.Version
	if _, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
	}
	return fmt.Sprintf("%s_%s_%s.deb", p.Binary(), v, p.Kernel.DebArch)
}

// Deb turns p into a package that can be written. p is not changed.
func (p *Package) Deb() (*debfile.Package, error) {
	filled := *p
	filled.DestDir = p.destDir()
	if err := filled.check(); err != nil {
		return nil, err
	}
	stanza, err := filled.Control()
	if err != nil {
		return nil, err
	}
	files, err := filled.files()
	if err != nil {
		return nil, err
	}
	return &debfile.Package{
		Control: stanza, Scripts: scripts(&filled), Files: files,
		ModTime: p.ModTime, Compression: p.Compression,
	}, nil
}

func (p *Package) destDir() string {
	switch {
	case p.DestDir != "":
		return p.DestDir
	case p.Coexist:
		return CoexistDestDir
	}
	return DefaultDestDir
}

// check refuses what no package can be made of.
func (p *Package) check() error {
	if err := CheckDestDir(p.DestDir); err != nil {
		return err
	}
	if len(p.Modules) == 0 {
		return fmt.Errorf("package %s: no modules", p.Binary())
	}
	seen := map[string]bool{}
	for _, m := range p.Modules {
		if seen[m.Name] {
			return fmt.Errorf("package %s: two modules named %s", p.Binary(), m.Name)
		}
		seen[m.Name] = true
	}
	return errors.Join(control.ValidPackageName(p.Binary()), version.Validate(p.Version))
}

// CheckDestDir refuses a directory that would leave modules/KVER, or hold
// what no path of a package should.
func CheckDestDir(dir string) error {
	bad := dir == "" || dir == "." || path.IsAbs(dir) || path.Clean(dir) != dir || dir == ".." || strings.HasPrefix(dir, "../")
	bad = bad || strings.ContainsFunc(dir, func(r rune) bool { return r <= ' ' || r == 0x7f })
	if bad {
		return fmt.Errorf("directory for modules %q: want a clean relative path such as %s", dir, DefaultDestDir)
	}
	return nil
}

// Control is the control stanza, without Installed-Size (deb-control(5)).
func (p *Package) Control() (control.Stanza, error) {
	var s control.Stanza
	set := func(name, value string) {
		if value != "" {
			s.Fields = append(s.Fields, control.Field{Name: name, Value: value})
		}
	}
	set("Package", p.Binary())
	set("Source", p.sourceField())
	set("Version", p.Version)
	set("Architecture", p.Kernel.DebArch)
	set("Maintainer", p.Maintainer)
	set("Depends", p.depends())
	set("Conflicts", strings.Join(p.rivals(), ", "))
	set("Replaces", strings.Join(p.rivals(), ", "))
	set("Provides", strings.Join(p.provides(), ", "))
	set("Built-Using", p.builtUsing())
	set("Section", "kernel")
	set("Priority", "optional")
	set("Homepage", p.Homepage)
	set("Description", p.description())
	for _, f := range s.Fields {
		if f.Name != "Depends" && f.Name != "Conflicts" && f.Name != "Replaces" && f.Name != "Provides" && f.Name != "Built-Using" {
			continue
		}
		if _, err := control.ParseRelations(f.Value); err != nil {
			return control.Stanza{}, fmt.Errorf("package %s: %s: %w", p.Binary(), f.Name, err)
		}
	}
	return s, nil
}

func (p *Package) sourceField() string {
	switch {
	case p.Source == "" || p.Source == p.Binary() && p.SourceVersion == p.Version:
		return ""
	case p.SourceVersion == "" || p.SourceVersion == p.Version:
		return p.Source
	}
	return fmt.Sprintf("%s (%s)", p.Source, p.SourceVersion)
}

func (p *Package) depends() string {
	all := control.Relations{control.AnyOf(p.Kernel.ImagePackages...)}
	for _, s := range p.Siblings {
		all = append(all, control.Exactly(PackageName(s.Name, p.Kernel.Release), s.Version))
	}
	return all.String()
}

// rivals are the -dkms packages to conflict with: dkms writes the same path
// outside dpkg's knowledge, and its removal would delete our file. With
// Conflicts and Replaces dkms has removed its copy before ours is unpacked.
func (p *Package) rivals() []string {
	if p.Coexist {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.DKMSPackages), func(rival string) bool {
		return slices.ContainsFunc(p.Provides, func(provided string) bool {
			name, _, _ := strings.Cut(provided, "(")
			return strings.TrimSpace(name) == rival
		})
	})
}

// CheckProvides accepts one package that another may provide: NAME, or NAME (=
// VERSION), which is all that dpkg takes there (Policy 7.5).
func CheckProvides(text string) error {
	relations, err := control.ParseRelations(text)
	if err != nil {
		return err
	}
	if len(relations) != 1 || len(relations[0]) != 1 || strings.Contains(text, ",") {
		return fmt.Errorf("%q: want one NAME, or NAME (= VERSION)", text)
	}
	r := relations[0][0]
	exact := r.Version == "" || r.Operator == "=" && version.Validate(r.Version) == nil
	plain := r.Qualifier == "" && len(r.Archs) == 0 && len(r.Profiles) == 0
	if !exact || !plain || control.ValidPackageName(r.Name) != nil {
		return fmt.Errorf("%q: want one NAME, or NAME (= VERSION)", text)
	}
	return nil
}

func (p *Package) provides() []string {
	return append([]string{control.Exactly(p.Name+"-modules", p.Version).String()}, p.Provides...)
}

// builtUsing names the source of the headers, which is what code from outside
// the module's own source ends up in it (Policy 7.8).
func (p *Package) builtUsing() string {
	h := p.Kernel.Header
	if h.Source == "" || h.SourceVersion == "" {
		return ""
	}
	return control.Exactly(h.Source, h.SourceVersion).String()
}

func (p *Package) description() string {
	synopsis := fmt.Sprintf("%s kernel module for Linux %s", p.Name, p.Kernel.Release)
	if len(synopsis) >= 80 {
		synopsis = fmt.Sprintf("kernel module for Linux %s", p.Kernel.Release)
	}
	var names []string
	for _, m := range p.Modules {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	what := "the kernel module " + names[0]
	if len(names) > 1 {
		what = "the kernel modules " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	}
	text := fmt.Sprintf("This package contains %s, compiled for Linux %s and ready to be loaded: neither dkms, nor a compiler, nor kernel headers are needed.", what, p.Kernel.Release)
	lines := append([]string{synopsis}, wrap(text, 78)...)
	if p.Description != "" {
		lines = append(lines, ".", p.origin()+", which it was built from, says of itself:", ".")
		lines = append(lines, strings.Split(p.Description, "\n")...)
	}
	return strings.Join(lines, "\n")
}

// origin is the package whose description is quoted.
func (p *Package) origin() string {
	if len(p.DKMSPackages) > 0 {
		return p.DKMSPackages[0]
	}
	return p.Source
}

// wrap breaks text at blanks into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// ModulePath is the path of m in the package.
func (p *Package) ModulePath(m Module) string {
	return path.Join(p.Kernel.ModulesDir, p.Kernel.Release, p.destDir(), m.Name+m.Suffix)
}

// DepmodConfPath is the path of DepmodConf. It names the kernel, since packages
// for several kernels are installed side by side. It is no conffile: the lines
// go when the modules go.
func (p *Package) DepmodConfPath() string {
	return path.Join("usr/lib/depmod.d", p.Binary()+".conf")
}

// files lists the modules, the changelog and the copyright. A native version
// has its changelog under upstream's name (Policy 12.7); it is the source that
// is native or not.
func (p *Package) files() ([]debfile.File, error) {
	var files []debfile.File
	for _, m := range p.Modules {
		files = append(files, debfile.File{
			Path: p.ModulePath(m), Mode: 0o644, Size: m.Size, ModTime: m.ModTime, Open: m.Open,
		})
	}
	if p.DepmodConf != nil {
		files = append(files, file(p.DepmodConfPath(), p.DepmodConf))
	}
	doc := path.Join("usr/share/doc", p.Binary())
	changelog, err := gzipped(p.Changelog)
	if err != nil {
		return nil, err
	}
	name := "changelog.Debian.gz"
	if version.Revision(cmp.Or(p.SourceVersion, p.Version)) == "" {
		name = "changelog.gz"
	}
	files = append(files, file(path.Join(doc, name), changelog))
	if p.Copyright != nil {
		files = append(files, file(path.Join(doc, "copyright"), p.Copyright))
	}
	return files, nil
}

func file(name string, content []byte) debfile.File {
	return debfile.File{
		Path: name, Mode: 0o644, Size: int64(len(content)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
	}
}

// gzipped compresses as gzip -9n does: no name, no time.
func gzipped(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
