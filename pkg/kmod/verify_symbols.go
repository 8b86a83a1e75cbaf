// SPDX-License-Identifier: MIT

package kmod

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"
)

// gplCompatible are the licences that include/linux/license.h knows.
var gplCompatible = []string{"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}

// closedModules are the modules that may not use GPL-only symbols, each with
// the reason: their own licence, or that of a module of the package whose
// symbols they use (inherit_taint).
func (s *session) closedModules() map[*File]string {
	closed := map[*File]string{}
	for _, f := range s.modules {
		if license := f.info.License; !slices.Contains(gplCompatible, license) {
			closed[f] = fmt.Sprintf("whose license is %q", license)
		}
	}
	for again := true; again; {
		again = false
		for _, f := range s.modules {
			if closed[f] != "" {
				continue
			}
			for _, n := range f.Needs {
				p := s.exports[n.Name]
				if p != nil && p.file != f && closed[p.file] != "" {
					closed[f] = fmt.Sprintf("which uses %s of %s, %s", n.Name, p.Module, closed[p.file])
					again = true
					break
				}
			}
		}
	}
	return closed
}

// checkLicense tells of licences that the kernel does not call free, and
// refuses GPL-only symbols to their modules, as find_symbol does.
func (s *session) checkLicense(f *File) {
	switch license := f.info.License; {
	case license == "":
		s.notef(f, "has no license: the kernel takes it for proprietary")
	case !slices.Contains(gplCompatible, license):
		s.notef(f, "license %q is none that the kernel knows as free: it will be tainted", license)
	}
	why := s.closed[f]
	if why == "" {
		return
	}
	for _, n := range f.Needs {
		if p := s.resolve(n.Name); p != nil && p.GPL && !n.Weak {
			s.find(f, Finding{Severity: Error, Symbol: n.Name, Text: fmt.Sprintf("exported by %s to GPL modules only, and used by a module %s", p.Module, why)})
		}
	}
}

// ignored says whether the kernel does not look for an undefined symbol
// (ignore_undef_symbol; dedotify on powerpc).
func ignored(machine elf.Machine, name string) bool {
	switch machine {
	case elf.EM_X86_64, elf.EM_386:
		return name == "_GLOBAL_OFFSET_TABLE_"
	case elf.EM_PPC64:
		return name == ".TOC."
	}
	return false
}

// checkSymbols looks for an exporter of each undefined symbol.
func (s *session) checkSymbols(f *File) {
	if s.v.Kernel.Exports == nil {
		s.errorf(f, "the kernel's headers have no Module.symvers to find its %d undefined symbols in", len(f.Needs))
		return
	}
	for _, n := range f.Needs {
		if n.Weak || ignored(f.Machine, n.Name) || s.resolve(n.Name) != nil {
			continue
		}
		text := "exported by neither the kernel, this package nor those that it depends on"
		if p, ok := s.v.Kernel.Exports[n.Name]; ok {
			text = fmt.Sprintf("exported by the kernel's own %s only, in whose place this package or one that it depends on puts another", p.moduleName())
		}
		s.find(f, Finding{Severity: Error, Symbol: n.Name, Text: text})
	}
}

// moduleLayout is the symbol whose CRC stands for struct module.
const moduleLayout = "module_layout"

// checkCRCs compares the CRCs that the module was compiled against with those
// of the exporters (check_version). Linux lets a missing one pass with a warning
// (Debian's does not) and, with CONFIG_MODULE_FORCE_LOAD, a module without any:
// they do not pass here.
func (s *session) checkCRCs(f *File) {
	if !s.v.Kernel.on("MODVERSIONS") || s.v.Kernel.Exports == nil {
		return
	}
	for _, e := range f.Exports {
		if !e.HasCRC {
			s.find(f, Finding{Severity: Error, Symbol: e.Name, Text: "exported without a CRC"})
		}
	}
	if len(f.Versions) == 0 {
		s.errorf(f, "has no symbol versions (section __versions), but the kernel was built with CONFIG_MODVERSIONS")
		return
	}
	i := slices.IndexFunc(f.Versions, func(v Version) bool { return v.Name == moduleLayout })
	layout := Need{Name: moduleLayout}
	if i >= 0 {
		layout.CRC, layout.HasCRC = f.Versions[i].CRC, true
	}
	s.checkCRC(f, layout)
	for _, n := range f.Needs {
		s.checkCRC(f, n)
	}
}

func (s *session) checkCRC(f *File, n Need) {
	p := s.resolve(n.Name)
	if p == nil || !p.HasCRC || n.HasCRC && n.CRC == p.CRC {
		return
	}
	found := Finding{Severity: Error, Symbol: n.Name, Text: "compiled against another CRC than " + p.from(), Expected: fmt.Sprintf("0x%08x", p.CRC)}
	if n.HasCRC {
		found.Found = fmt.Sprintf("0x%08x", n.CRC)
	} else {
		found.Text = "compiled without the CRC of " + p.from()
	}
	s.find(f, found)
}

// from says whose symbol p is.
func (p *provider) from() string {
	if p.moduleName() == "" {
		return "the kernel's"
	}
	return "that of module " + p.moduleName()
}

// checkNamespaces wants a MODULE_IMPORT_NS for each namespace that symbols are
// exported to (verify_namespace_is_imported). A namespace "module:a,b*" is for
// modules of these names, and cannot be imported.
func (s *session) checkNamespaces(f *File) {
	severity := Error
	if s.v.Kernel.on("MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS") {
		severity = Note
	}
	for _, n := range f.Needs {
		p := s.resolve(n.Name)
		if p == nil || p.Namespace == "" {
			continue
		}
		if list, ok := strings.CutPrefix(p.Namespace, "module:"); ok {
			if !namesModule(list, f.kernelName()) {
				s.find(f, Finding{Severity: Error, Symbol: n.Name, Text: "exported to other modules only", Expected: list, Found: f.kernelName()})
			}
			continue
		}
		if !slices.Contains(f.info.ImportNS, p.Namespace) {
			s.find(f, Finding{Severity: severity, Symbol: n.Name, Text: fmt.Sprintf("in namespace %s, which the module does not import", p.Namespace),
				Expected: fmt.Sprintf("MODULE_IMPORT_NS(%s)", p.Namespace), Found: strings.Join(f.info.ImportNS, " ")})
		}
	}
}

// namesModule says whether a list of names, of which some end in *, has name.
func namesModule(list, name string) bool {
	for pattern := range strings.SplitSeq(list, ",") {
		if prefix, glob := strings.CutSuffix(pattern, "*"); glob && strings.HasPrefix(name, prefix) || pattern == name {
			return true
		}
	}
	return false
}

// checkExports refuses symbols that something else exports which will be loaded
// as well: vmlinux, another module of the package, or one that this module
// needs (verify_exported_symbols). A module of the same name is replaced.
func (s *session) checkExports(f *File) {
	for _, e := range f.Exports {
		if p := s.exports[e.Name]; p.file != f {
			s.find(f, Finding{Severity: Error, Symbol: e.Name, Text: fmt.Sprintf("exported by %s, which comes along, as well: the kernel refuses the second", p.Module)})
			continue
		}
		p, ok := s.v.Extra[e.Name]
		if !ok {
			p, ok = s.v.Kernel.Exports[e.Name]
		}
		name := p.moduleName()
		switch {
		case !ok, name == f.kernelName(), s.names[name] != nil:
		case name == "":
			s.find(f, Finding{Severity: Error, Symbol: e.Name, Text: "exported by the kernel itself, which refuses a second one"})
		case s.uses(f, name):
			s.find(f, Finding{Severity: Error, Symbol: e.Name, Text: fmt.Sprintf("exported by %s as well, which this module needs: the kernel refuses the second", name)})
		default:
			s.find(f, Finding{Severity: Note, Symbol: e.Name, Text: fmt.Sprintf("exported by %s as well: only one of the two can be loaded", name)})
		}
	}
}

// uses says whether f needs a symbol of the module called name, outside of the
// package.
func (s *session) uses(f *File, name string) bool {
	return slices.ContainsFunc(f.Needs, func(n Need) bool {
		p := s.resolve(n.Name)
		return p != nil && p.file == nil && p.moduleName() == name
	})
}
