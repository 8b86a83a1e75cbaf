// SPDX-License-Identifier: MIT

package testkit

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// ELF is an ELF file to be made. Its zero value is an empty x86_64 module.
type ELF struct {
	Class    elf.Class // ELFCLASS64 if zero
	Big      binary.ByteOrder
	Machine  elf.Machine // EM_X86_64 if zero
	Kind     elf.Type    // ET_REL if zero
	Sections []Section
	Symbols  []Symbol
}

// Section is one section of an ELF file.
type Section struct {
	Name string
	Data string
	Kind elf.SectionType // SHT_PROGBITS if zero
}

// Symbol is an entry of the symbol table, in the section of that name; ""
// is undefined, "ABS" absolute.
type Symbol struct {
	Name, Section string
	Value         uint64
	Bind          elf.SymBind
}

// Order is the byte order of the file.
func (f *ELF) Order() binary.ByteOrder {
	if f.Big != nil {
		return f.Big
	}
	return binary.LittleEndian
}

// Bytes lays the file out: header, contents, section headers. Fields that are
// zero get their defaults.
func (f *ELF) Bytes() []byte {
	if f.Class == 0 {
		f.Class = elf.ELFCLASS64
	}
	if f.Machine == 0 {
		f.Machine = elf.EM_X86_64
	}
	if f.Kind == 0 {
		f.Kind = elf.ET_REL
	}
	sections := append([]Section{{Kind: elf.SHT_NULL}}, f.Sections...)
	if f.Symbols != nil {
		symtab, strtab := f.symtab(sections)
		sections = append(sections, Section{".symtab", symtab, elf.SHT_SYMTAB}, Section{".strtab", strtab, elf.SHT_STRTAB})
	}
	names := "\x00"
	offsets := make([]uint32, len(sections)+1)
	sections = append(sections, Section{".shstrtab", "", elf.SHT_STRTAB})
	for i, s := range sections {
		offsets[i] = uint32(len(names))
		names += s.Name + "\x00"
	}
	sections[len(sections)-1].Data = names
	var body, headers bytes.Buffer
	for i, s := range sections {
		if s.Kind == 0 && i > 0 {
			s.Kind = elf.SHT_PROGBITS
		}
		f.write(&headers, f.sectionHeader(s, offsets[i], uint64(f.headerSize()+body.Len()), uint32(i+1)))
		body.WriteString(s.Data)
	}
	var out bytes.Buffer
	f.write(&out, f.header(uint64(f.headerSize()+body.Len()), uint16(len(sections))))
	out.Write(body.Bytes())
	out.Write(headers.Bytes())
	return out.Bytes()
}

func (f *ELF) write(w *bytes.Buffer, v any) {
	if err := binary.Write(w, f.Order(), v); err != nil {
		panic(err) // a buffer takes all
	}
}

func (f *ELF) headerSize() int {
	if f.Class == elf.ELFCLASS32 {
		return 52
	}
	return 64
}

func (f *ELF) header(shoff uint64, sections uint16) any {
	data := elf.ELFDATA2LSB
	if f.Order() == binary.BigEndian {
		data = elf.ELFDATA2MSB
	}
	ident := [16]byte{0x7f, 'E', 'L', 'F', byte(f.Class), byte(data), 1}
	if f.Class == elf.ELFCLASS32 {
		return elf.Header32{Ident: ident, Type: uint16(f.Kind), Machine: uint16(f.Machine), Version: 1, Shoff: uint32(shoff), Ehsize: 52, Shentsize: 40, Shnum: sections, Shstrndx: sections - 1}
	}
	return elf.Header64{Ident: ident, Type: uint16(f.Kind), Machine: uint16(f.Machine), Version: 1, Shoff: shoff, Ehsize: 64, Shentsize: 64, Shnum: sections, Shstrndx: sections - 1}
}

func (f *ELF) sectionHeader(s Section, name uint32, off uint64, next uint32) any {
	var link, entsize uint32
	if s.Kind == elf.SHT_SYMTAB {
		link, entsize = next, 24
		if f.Class == elf.ELFCLASS32 {
			entsize = 16
		}
	}
	if f.Class == elf.ELFCLASS32 {
		return elf.Section32{Name: name, Type: uint32(s.Kind), Off: uint32(off), Size: uint32(len(s.Data)), Link: link, Entsize: entsize}
	}
	return elf.Section64{Name: name, Type: uint32(s.Kind), Off: off, Size: uint64(len(s.Data)), Link: link, Entsize: uint64(entsize)}
}

// symtab makes the contents of .symtab and .strtab.
func (f *ELF) symtab(sections []Section) (symtab, strtab string) {
	var out bytes.Buffer
	strtab = "\x00"
	for _, s := range append([]Symbol{{}}, f.Symbols...) {
		index := uint16(elf.SHN_UNDEF)
		for i, sec := range sections {
			if s.Section != "" && sec.Name == s.Section {
				index = uint16(i)
			}
		}
		if s.Section == "ABS" {
			index = uint16(elf.SHN_ABS)
		}
		name := uint32(0)
		if s.Name != "" {
			name = uint32(len(strtab))
			strtab += s.Name + "\x00"
		}
		info := elf.ST_INFO(s.Bind, elf.STT_NOTYPE)
		if f.Class == elf.ELFCLASS32 {
			f.write(&out, elf.Sym32{Name: name, Info: info, Shndx: index, Value: uint32(s.Value)})
		} else {
			f.write(&out, elf.Sym64{Name: name, Info: info, Shndx: index, Value: s.Value})
		}
	}
	return out.String(), strtab
}
