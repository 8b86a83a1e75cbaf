// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"
)

// testELF is an ELF file to be made. Its zero value is an empty x86_64 module.
type testELF struct {
	class    elf.Class // ELFCLASS64 if zero
	big      binary.ByteOrder
	machine  elf.Machine // EM_X86_64 if zero
	kind     elf.Type    // ET_REL if zero
	sections []testSection
	symbols  []testSymbol
}

type testSection struct {
	name string
	data string
	kind elf.SectionType // SHT_PROGBITS if zero
}

// testSymbol lies in the section of that name; "" is undefined, "ABS" absolute.
type testSymbol struct {
	name, section string
	value         uint64
	bind          elf.SymBind
}

func (f *testELF) order() binary.ByteOrder {
	if f.big != nil {
		return f.big
	}
	return binary.LittleEndian
}

// bytes lays the file out: header, contents, section headers.
func (f *testELF) bytes(t testing.TB) []byte {
	t.Helper()
	if f.class == 0 {
		f.class = elf.ELFCLASS64
	}
	if f.machine == 0 {
		f.machine = elf.EM_X86_64
	}
	if f.kind == 0 {
		f.kind = elf.ET_REL
	}
	sections := append([]testSection{{kind: elf.SHT_NULL}}, f.sections...)
	if f.symbols != nil {
		symtab, strtab := f.symtab(t, sections)
		sections = append(sections, testSection{".symtab", symtab, elf.SHT_SYMTAB}, testSection{".strtab", strtab, elf.SHT_STRTAB})
	}
	names := "\x00"
	offsets := make([]uint32, len(sections)+1)
	sections = append(sections, testSection{".shstrtab", "", elf.SHT_STRTAB})
	for i, s := range sections {
		offsets[i] = uint32(len(names))
		names += s.name + "\x00"
	}
	sections[len(sections)-1].data = names
	var body, headers bytes.Buffer
	for i, s := range sections {
		if s.kind == 0 && i > 0 {
			s.kind = elf.SHT_PROGBITS
		}
		f.write(t, &headers, f.sectionHeader(s, offsets[i], uint64(f.headerSize()+body.Len()), uint32(i+1)))
		body.WriteString(s.data)
	}
	var out bytes.Buffer
	f.write(t, &out, f.header(uint64(f.headerSize()+body.Len()), uint16(len(sections))))
	out.Write(body.Bytes())
	out.Write(headers.Bytes())
	return out.Bytes()
}

func (f *testELF) write(t testing.TB, w *bytes.Buffer, v any) {
	t.Helper()
	if err := binary.Write(w, f.order(), v); err != nil {
		t.Fatal(err)
	}
}

func (f *testELF) headerSize() int {
	if f.class == elf.ELFCLASS32 {
		return 52
	}
	return 64
}

func (f *testELF) header(shoff uint64, sections uint16) any {
	data := elf.ELFDATA2LSB
	if f.order() == binary.BigEndian {
		data = elf.ELFDATA2MSB
	}
	ident := [16]byte{0x7f, 'E', 'L', 'F', byte(f.class), byte(data), 1}
	if f.class == elf.ELFCLASS32 {
		return elf.Header32{Ident: ident, Type: uint16(f.kind), Machine: uint16(f.machine), Version: 1, Shoff: uint32(shoff), Ehsize: 52, Shentsize: 40, Shnum: sections, Shstrndx: sections - 1}
	}
	return elf.Header64{Ident: ident, Type: uint16(f.kind), Machine: uint16(f.machine), Version: 1, Shoff: shoff, Ehsize: 64, Shentsize: 64, Shnum: sections, Shstrndx: sections - 1}
}

func (f *testELF) sectionHeader(s testSection, name uint32, off uint64, next uint32) any {
	var link, entsize uint32
	if s.kind == elf.SHT_SYMTAB {
		link, entsize = next, 24
		if f.class == elf.ELFCLASS32 {
			entsize = 16
		}
	}
	if f.class == elf.ELFCLASS32 {
		return elf.Section32{Name: name, Type: uint32(s.kind), Off: uint32(off), Size: uint32(len(s.data)), Link: link, Entsize: entsize}
	}
	return elf.Section64{Name: name, Type: uint32(s.kind), Off: off, Size: uint64(len(s.data)), Link: link, Entsize: uint64(entsize)}
}

// symtab makes the contents of .symtab and .strtab.
func (f *testELF) symtab(t testing.TB, sections []testSection) (symtab, strtab string) {
	t.Helper()
	var out bytes.Buffer
	strtab = "\x00"
	for _, s := range append([]testSymbol{{}}, f.symbols...) {
		index := uint16(elf.SHN_UNDEF)
		for i, sec := range sections {
			if s.section != "" && sec.name == s.section {
				index = uint16(i)
			}
		}
		if s.section == "ABS" {
			index = uint16(elf.SHN_ABS)
		}
		name := uint32(0)
		if s.name != "" {
			name = uint32(len(strtab))
			strtab += s.name + "\x00"
		}
		info := elf.ST_INFO(s.bind, elf.STT_NOTYPE)
		if f.class == elf.ELFCLASS32 {
			f.write(t, &out, elf.Sym32{Name: name, Info: info, Shndx: index, Value: uint32(s.value)})
		} else {
			f.write(t, &out, elf.Sym64{Name: name, Info: info, Shndx: index, Value: s.value})
		}
	}
	return out.String(), strtab
}

// u32 is n in the file's byte order.
func (f *testELF) u32(n uint32) string {
	b := make([]byte, 4)
	f.order().PutUint32(b, n)
	return string(b)
}

// version is one entry of __versions.
func (f *testELF) version(name string, crc uint32) string {
	b := make([]byte, versionSize)
	if f.class == elf.ELFCLASS32 {
		f.order().PutUint32(b, crc)
		copy(b[4:], name)
	} else {
		f.order().PutUint64(b, uint64(crc))
		copy(b[8:], name)
	}
	return string(b)
}
