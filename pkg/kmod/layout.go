// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
)

// thisModule is the section that becomes the kernel's struct module.
const thisModule = ".gnu.linkonce.this_module"

// layout is what the kernel's loader looks at beside the contents.
type layout struct {
	name     string              // in the struct module; "" where there is none
	sections []elf.SectionHeader // without the first, which is void
	commons  []string            // symbols that the compiler left to the linker
	code     bool                // x86: has instructions
	endbr    bool                // x86: one of them at least is ENDBR64
	returns  bool                // x86: has returns that the kernel cannot patch
	// relocations are those that the loader does not know.
	relocations []relocation
	btf         []byte // .BTF; nil where there is none
	btfBase     []byte // .BTF.base, which replaces the kernel's
}

// count is how many sections of that name there are.
func (l *layout) count(name string) int {
	n := 0
	for i := range l.sections {
		if l.sections[i].Name == name {
			n++
		}
	}
	return n
}

// symtabs is the number of symbol tables.
func (l *layout) symtabs() int {
	n := 0
	for i := range l.sections {
		if l.sections[i].Type == elf.SHT_SYMTAB {
			n++
		}
	}
	return n
}

// isCode says whether a section holds instructions.
func isCode(h *elf.SectionHeader) bool {
	return h.Flags&elf.SHF_EXECINSTR != 0 && h.Type == elf.SHT_PROGBITS && h.Size > 0
}

// readCode tells from the instructions of an x86 module what it was compiled
// with: whether there is an ENDBR64, and a function that ends in a plain return
// though objtool listed none in .return_sites.
func (l *layout) readCode(e *elf.File) error {
	if e.Machine != elf.EM_X86_64 && e.Machine != elf.EM_386 {
		return nil
	}
	code := map[elf.SectionIndex][]byte{}
	for i, s := range e.Sections {
		if !isCode(&s.SectionHeader) {
			continue
		}
		data, err := sectionData(s)
		if err != nil {
			return err
		}
		code[elf.SectionIndex(i)] = data
		l.code = true
		l.endbr = l.endbr || bytes.Contains(data, []byte("\xf3\x0f\x1e\xfa"))
	}
	if e.Section(".return_sites") != nil {
		return nil
	}
	symbols, err := e.Symbols()
	if err != nil {
		return nil // readSymbols says so
	}
	l.returns = slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return returns(s, code[s.Section]) })
	return nil
}

// returns says whether function s ends in RET, which INT3 follows where the
// compiler guards it against straight-line speculation.
func returns(s elf.Symbol, code []byte) bool {
	end := s.Value + s.Size
	if elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Size == 0 || end < s.Value || end > uint64(len(code)) {
		return false
	}
	return bytes.HasSuffix(bytes.TrimSuffix(code[s.Value:end], []byte{0xcc}), []byte{0xc3})
}

// readLayout reads the section headers of a file of size bytes, and the sections
// that only the checks look at.
func (f *File) readLayout(e *elf.File, size int64) error {
	if err := f.layout.readSections(e, uint64(size)); err != nil {
		return err
	}
	var err error
	if f.layout.btf, err = section(e, ".BTF"); err != nil {
		return err
	}
	if f.layout.btfBase, err = section(e, ".BTF.base"); err != nil {
		return err
	}
	if err := f.layout.readCode(e); err != nil {
		return err
	}
	if err := f.layout.readRelocations(e); err != nil {
		return err
	}
	f.layout.name, err = structName(e)
	return err
}

// readSections wants sections that lie inside of a file of size bytes and beside
// each other: then all of them together take no more memory than the file.
func (l *layout) readSections(e *elf.File, size uint64) error {
	total := uint64(0)
	for i, s := range e.Sections {
		if i == 0 {
			continue
		}
		l.sections = append(l.sections, s.SectionHeader)
		if s.Type == elf.SHT_NULL || s.Type == elf.SHT_NOBITS {
			continue
		}
		if s.Offset > size || s.FileSize > size-s.Offset {
			return fmt.Errorf("section %s lies outside of the file, which is truncated", s.Name)
		}
		if total += s.FileSize; total > size {
			return fmt.Errorf("section %s overlaps others", s.Name)
		}
	}
	return nil
}

// structName is the module's name in its struct module. That begins with an
// enum and a list head (two pointers), and the name fills 64 bytes but for an
// unsigned long.
func structName(e *elf.File) (string, error) {
	data, err := section(e, thisModule)
	if err != nil {
		return "", err
	}
	long := 8
	if e.Class == elf.ELFCLASS32 {
		long = 4
	}
	begin, end := 3*long, 2*long+64
	if len(data) < end {
		return "", nil
	}
	name, _, _ := bytes.Cut(data[begin:end], []byte{0})
	return string(name), nil
}
