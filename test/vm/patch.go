// SPDX-License-Identifier: MIT

package vm

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"strings"
)

// Patch makes another module of one, for cases in which the kernel is to refuse
// it. What it gets is not changed.
type Patch func(module []byte) ([]byte, error)

// Patched applies patches one after the other.
func Patched(module []byte, patches ...Patch) ([]byte, error) {
	for _, patch := range patches {
		var err error
		if module, err = patch(module); err != nil {
			return nil, err
		}
	}
	return module, nil
}

// signatureMark ends a signed module; before it are 12 bytes, of which the last
// 4 are the signature's length, and the signature.
const signatureMark = "~Module signature appended~\n"

// Unsigned takes the signature away, if there is one. A module that was patched
// under its signature is refused for that alone.
func Unsigned(module []byte) ([]byte, error) {
	body, signed := bytes.CutSuffix(module, []byte(signatureMark))
	if !signed {
		return module, nil
	}
	if len(body) < 12 {
		return nil, fmt.Errorf("signed module of %d bytes", len(module))
	}
	n := body[len(body)-4:]
	size := int(n[0])<<24 | int(n[1])<<16 | int(n[2])<<8 | int(n[3])
	if size > len(body)-12 {
		return nil, fmt.Errorf("signature of %d bytes in a module of %d", size, len(module))
	}
	return slices.Clone(body[:len(body)-12-size]), nil
}

// Modinfo replaces text in the fields "KEY=VALUE" of .modinfo, which cannot
// become longer by it.
func Modinfo(old, text string) Patch {
	return inSection(".modinfo", func(data []byte) error {
		if len(text) > len(old) {
			return fmt.Errorf("%q is longer than %q", text, old)
		}
		fields := bytes.Split(data, []byte{0})
		found := false
		for _, field := range fields {
			if i := bytes.Index(field, []byte(old)); i >= 0 {
				found = true
				n := copy(field[i:], text+string(field[i+len(old):]))
				clear(field[i+n:])
			}
		}
		if !found {
			return fmt.Errorf("no field has %q", old)
		}
		return nil
	})
}

// CRC makes the module want another version of a symbol.
func CRC(symbol string) Patch {
	return inVersion(symbol, func(entry []byte) { entry[0] ^= 0xff })
}

// Unversioned lets the module not say which version of a symbol it wants.
func Unversioned(symbol string) Patch {
	return inVersion(symbol, func(entry []byte) { entry[8] ^= 0x20 })
}

// inVersion has edit change a symbol's entry in __versions: its CRC, then its
// name.
func inVersion(symbol string, edit func(entry []byte)) Patch {
	return inSection("__versions", func(data []byte) error {
		for ; len(data) >= versionSize; data = data[versionSize:] {
			if cString(data[8:versionSize]) == symbol {
				edit(data[:versionSize])
				return nil
			}
		}
		return fmt.Errorf("no version of symbol %s", symbol)
	})
}

// versionSize is that of struct modversion_info on 64-bit machines: the CRC in
// an unsigned long, then the name.
const versionSize = 64

// Rename gives an undefined symbol another name of the same length, with its
// version.
func Rename(old, text string) Patch {
	swap := func(data []byte) error {
		if len(old) != len(text) {
			return fmt.Errorf("%q is not as long as %q", text, old)
		}
		found := false
		for i := 0; i+len(old) < len(data); i++ {
			if (i == 0 || data[i-1] == 0 || i%versionSize == 8) && cString(data[i:]) == old {
				copy(data[i:], text)
				found = true
			}
		}
		if !found {
			return fmt.Errorf("no symbol %s", old)
		}
		return nil
	}
	return func(module []byte) ([]byte, error) {
		return Patched(module, inSection(".strtab", swap), inSection("__versions", swap))
	}
}

// Overwrite puts other bytes into a section.
func Overwrite(section string, at int, with ...byte) Patch {
	return inSection(section, func(data []byte) error {
		if at+len(with) > len(data) {
			return fmt.Errorf("%d bytes", len(data))
		}
		copy(data[at:], with)
		return nil
	})
}

// Foreign says that the module is for another machine.
func Foreign(module []byte) ([]byte, error) {
	if len(module) < 20 {
		return nil, fmt.Errorf("module of %d bytes", len(module))
	}
	return Header(18, module[18]^0xff)(module) // e_machine
}

// Header puts other bytes into the header of the ELF file (elf(5)): the class
// is at 4, the type at 16.
func Header(at int, with ...byte) Patch {
	return func(module []byte) ([]byte, error) {
		if len(module) < at+len(with) {
			return nil, fmt.Errorf("module of %d bytes", len(module))
		}
		module = slices.Clone(module)
		copy(module[at:], with)
		return module, nil
	}
}

// Respelled replaces a text wherever it is in the module by another one of the
// same length: a name in all the tables that have it.
func Respelled(old, text string) Patch {
	return func(module []byte) ([]byte, error) {
		if len(old) != len(text) || !bytes.Contains(module, []byte(old)) {
			return nil, fmt.Errorf("%q is not as long as %q, or not in the module", text, old)
		}
		return bytes.ReplaceAll(module, []byte(old), []byte(text)), nil
	}
}

// Named gives the module another name: in struct module, at the offset that it
// has on 64-bit machines, and in .modinfo, where the new one cannot be longer.
func Named(old, name string) Patch {
	return func(module []byte) ([]byte, error) {
		field := append([]byte(name), make([]byte, max(1, 1+len(old)-len(name)))...)
		return Patched(module, Overwrite(thisModule, nameOffset, field...), Modinfo("name="+old, "name="+name))
	}
}

// thisModule holds struct module; its name is behind its state and its place in
// the list of modules.
const (
	thisModule = ".gnu.linkonce.this_module"
	nameOffset = 24
)

// Truncated cuts the second half off.
func Truncated(module []byte) ([]byte, error) { return slices.Clone(module[:len(module)/2]), nil }

// inSection has edit change the bytes of a section.
func inSection(name string, edit func(data []byte) error) Patch {
	return func(module []byte) ([]byte, error) {
		f, err := elf.NewFile(bytes.NewReader(module))
		if err != nil {
			return nil, err
		}
		s := f.Section(name)
		if s == nil || s.Type == elf.SHT_NOBITS || s.Size == 0 {
			return nil, fmt.Errorf("module has no section %s", name)
		}
		if s.Offset+s.Size > uint64(len(module)) {
			return nil, fmt.Errorf("section %s ends after the module", name)
		}
		module = slices.Clone(module)
		if err := edit(module[s.Offset : s.Offset+s.Size]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return module, nil
	}
}

func cString(b []byte) string {
	text, _, _ := strings.Cut(string(b), "\x00")
	return text
}

// Without takes a section's name away, so that nobody finds it.
func Without(section string) Patch {
	return inHeaders(func(s *elf.Section) bool { return s.Name == section }, 0, 0)
}

// Unsymbolized says that the symbol table is none.
func Unsymbolized(module []byte) ([]byte, error) {
	return inHeaders(func(s *elf.Section) bool { return s.Type == elf.SHT_SYMTAB }, 4, uint32(elf.SHT_PROGBITS))(module)
}

// Writable lets a section be written, and executed.
func Writable(section string) Patch {
	const all = elf.SHF_WRITE | elf.SHF_ALLOC | elf.SHF_EXECINSTR
	return inHeaders(func(s *elf.Section) bool { return s.Name == section }, 8, uint32(all))
}

// Common makes an undefined symbol a common one, which the linker would have
// given a place.
func Common(symbol string) Patch {
	return func(module []byte) ([]byte, error) {
		f, err := elf.NewFile(bytes.NewReader(module))
		if err != nil {
			return nil, err
		}
		symbols, err := f.Symbols()
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == symbol && s.Section == elf.SHN_UNDEF })
		if i < 0 || f.Class != elf.ELFCLASS64 {
			return nil, fmt.Errorf("module has no undefined symbol %s", symbol)
		}
		var index [2]byte
		f.ByteOrder.PutUint16(index[:], uint16(elf.SHN_COMMON))
		return Overwrite(".symtab", 24*(i+1)+6, index[:]...)(module) // st_shndx
	}
}

// inHeaders sets a word of the headers of those sections that which wants.
func inHeaders(which func(*elf.Section) bool, at int, word uint32) Patch {
	return func(module []byte) ([]byte, error) {
		f, err := elf.NewFile(bytes.NewReader(module))
		if err != nil {
			return nil, err
		}
		if f.Class != elf.ELFCLASS64 {
			return nil, fmt.Errorf("not a module for a 64-bit machine")
		}
		module = slices.Clone(module)
		headers := module[f.ByteOrder.Uint64(module[0x28:]):] // e_shoff
		found := false
		for i, s := range f.Sections {
			if which(s) {
				found = true
				f.ByteOrder.PutUint32(headers[i*64+at:], word)
			}
		}
		if !found {
			return nil, fmt.Errorf("module has no such section")
		}
		return module, nil
	}
}
