// SPDX-License-Identifier: MIT

package kmod

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// checkELF holds the file against elf_validity_cache_copy, simplify_symbols,
// module_frob_arch_sections and apply_relocate_add of the kernel.
func (s *session) checkELF(f *File) {
	if !s.facts.known {
		s.errorf(f, "the kernel's configuration names no architecture that is known")
		return
	}
	want, found := elfKind(s.facts.arch.machine, s.facts.arch.class, s.facts.arch.order), elfKind(f.Machine, f.Class, f.Order)
	if want != found {
		s.find(f, Finding{Severity: Error, Text: "compiled for another machine", Expected: want, Found: found})
		return // what follows is about this machine
	}
	for _, name := range []string{".modinfo", thisModule} {
		if n := f.layout.count(name); n != 1 {
			s.errorf(f, "has %d sections %s, the kernel wants one", n, name)
		}
	}
	for _, name := range s.facts.arch.sections {
		if f.layout.count(name) == 0 {
			s.errorf(f, "has no section %s, which the kernel wants: linked without its module.lds", name)
		}
	}
	if n := f.layout.symtabs(); n != 1 {
		s.errorf(f, "has %d symbol tables, the kernel wants one: was it stripped of everything?", n)
	}
	for _, name := range f.layout.commons {
		s.find(f, Finding{Severity: Error, Symbol: name, Text: "is a common symbol, which the kernel refuses: compile with -fno-common"})
	}
	for _, r := range f.layout.relocations {
		s.find(f, Finding{Severity: Error, Symbol: r.symbol, Text: fmt.Sprintf("section %s has a relocation %s, which the kernel's loader does not know", r.section, r.kind)})
	}
	if !s.v.Kernel.on("STRICT_MODULE_RWX") {
		return
	}
	for _, h := range f.layout.sections {
		if h.Flags&(elf.SHF_WRITE|elf.SHF_EXECINSTR) == elf.SHF_WRITE|elf.SHF_EXECINSTR {
			s.errorf(f, "section %s is writable and executable, which the kernel refuses", h.Name)
		}
	}
}

func elfKind(machine elf.Machine, class elf.Class, order binary.ByteOrder) string {
	return fmt.Sprintf("%v %v %v", machine, class, order)
}

// checkVermagic holds the module's vermagic against the kernel's, every word of
// it. The kernel itself (same_magic) leaves out the release where the module has
// symbol versions.
func (s *session) checkVermagic(f *File) {
	found := f.info.Vermagic
	if found == s.facts.vermagic {
		return
	}
	text := "vermagic differs"
	if ParseVermagic(found).Release != s.v.Kernel.Release {
		text = "built for another kernel"
	}
	if found == "" {
		text = "has no vermagic"
	}
	s.find(f, Finding{Severity: Error, Text: text, Expected: fmt.Sprintf("%q", s.facts.vermagic), Found: fmt.Sprintf("%q", found)})
}

// checkMitigations tells what the module's compiler left out of what the
// kernel's put in. No kernel refuses such a module (check_modinfo_retpoline
// warns); it makes the machine vulnerable.
func (s *session) checkMitigations(f *File) {
	k := s.v.Kernel
	if !s.facts.known || s.facts.arch.machine != elf.EM_X86_64 && s.facts.arch.machine != elf.EM_386 {
		return
	}
	if (k.on("MITIGATION_RETPOLINE") || k.on("RETPOLINE")) && !f.info.Retpoline {
		s.notef(f, "not compiled with retpolines, but the kernel is: Spectre V2 is not mitigated once it is loaded")
	}
	if (k.on("MITIGATION_RETHUNK") || k.on("RETHUNK")) && f.layout.returns {
		s.notef(f, "not compiled with return thunks (section .return_sites), but the kernel is: its returns are not mitigated")
	}
	if k.on("X86_KERNEL_IBT") && f.layout.code && !f.layout.endbr {
		s.notef(f, "not compiled with indirect branch tracking (no ENDBR64), but the kernel is: it traps on processors that have it")
	}
}
