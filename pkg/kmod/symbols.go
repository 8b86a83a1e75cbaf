// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"strings"
)

// Version is the CRC of one symbol as the module was compiled against it.
// Besides the symbols that it needs there is module_layout, the CRC of struct
// module.
type Version struct {
	Name string
	CRC  uint32
}

// Need is a symbol that the kernel or another module must export.
type Need struct {
	Name   string
	CRC    uint32 // 0 unless HasCRC
	HasCRC bool
	Weak   bool // loads without it as well
}

// Export is a symbol that the module exports.
type Export struct {
	Name      string
	CRC       uint32 // 0 unless HasCRC
	HasCRC    bool
	GPL       bool   // EXPORT_SYMBOL_GPL
	Namespace string // "" for most
}

// versionSize is the size of struct modversion_info, in either class: an
// unsigned long, and the name in the rest.
const versionSize = 64

// readVersions reads __versions and, of names that do not fit there since
// Linux 6.14, __version_ext_crcs and __version_ext_names
// (CONFIG_EXTENDED_MODVERSIONS). A symbol in both is listed once.
func readVersions(e *elf.File) ([]Version, error) {
	data, err := section(e, "__versions")
	if err != nil {
		return nil, err
	}
	if len(data)%versionSize != 0 {
		return nil, errors.New("section __versions is not a table of 64-byte entries")
	}
	long := 8
	if e.Class == elf.ELFCLASS32 {
		long = 4
	}
	var versions []Version
	seen := map[string]bool{}
	for ; len(data) > 0; data = data[versionSize:] {
		name, _, _ := bytes.Cut(data[long:versionSize], []byte{0})
		crc := e.ByteOrder.Uint32(data)
		if long == 8 {
			crc = uint32(e.ByteOrder.Uint64(data))
		}
		versions = append(versions, Version{string(name), crc})
		seen[string(name)] = true
	}
	ext, err := readExtVersions(e)
	for _, v := range ext {
		if !seen[v.Name] {
			versions = append(versions, v)
		}
	}
	return versions, err
}

func readExtVersions(e *elf.File) ([]Version, error) {
	crcs, err := section(e, "__version_ext_crcs")
	if err != nil {
		return nil, err
	}
	names, err := section(e, "__version_ext_names")
	if err != nil {
		return nil, err
	}
	var versions []Version
	for ; len(crcs) >= 4; crcs = crcs[4:] {
		name, rest, ok := bytes.Cut(names, []byte{0})
		if !ok {
			return nil, errors.New("section __version_ext_names has fewer names than there are CRCs")
		}
		versions = append(versions, Version{string(name), e.ByteOrder.Uint32(crcs)})
		names = rest
	}
	if len(crcs) > 0 || len(bytes.Trim(names, "\x00")) > 0 {
		return nil, errors.New("sections __version_ext_crcs and __version_ext_names do not fit together")
	}
	return versions, nil
}

// readSymbols fills Needs and Exports from the symbol table.
func (f *File) readSymbols(e *elf.File) error {
	symbols, err := e.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		return nil
	}
	if err != nil {
		return err
	}
	crcs := make(map[string]uint32, len(f.Versions))
	for _, v := range f.Versions {
		crcs[v.Name] = v.CRC
	}
	x := &exportReader{e: e, data: map[elf.SectionIndex][]byte{}, helpers: map[string]elf.Symbol{}}
	for _, s := range symbols {
		switch {
		case s.Section == elf.SHN_UNDEF && s.Name != "":
			crc, ok := crcs[s.Name]
			f.Needs = append(f.Needs, Need{s.Name, crc, ok, elf.ST_BIND(s.Info) == elf.STB_WEAK})
		case s.Section == elf.SHN_COMMON:
			f.layout.commons = append(f.layout.commons, s.Name)
		case strings.HasPrefix(s.Name, "__crc_"), strings.HasPrefix(s.Name, "__kstrtabns_"):
			x.helpers[s.Name] = s
		}
	}
	for _, s := range symbols {
		name, ok := strings.CutPrefix(s.Name, "__ksymtab_")
		if !ok || s.Section == elf.SHN_UNDEF {
			continue
		}
		export, err := x.export(name, s)
		if err != nil {
			return fmt.Errorf("exported symbol %q: %w", name, err)
		}
		f.Exports = append(f.Exports, export)
	}
	return nil
}

// exportReader looks up what stands beside an exported symbol: EXPORT_SYMBOL
// makes __ksymtab_NAME in one of the sections __ksymtab and __ksymtab_gpl,
// __kstrtabns_NAME at the namespace's text and, with CONFIG_MODVERSIONS,
// __crc_NAME.
type exportReader struct {
	e       *elf.File
	data    map[elf.SectionIndex][]byte
	helpers map[string]elf.Symbol
}

func (x *exportReader) export(name string, ksymtab elf.Symbol) (Export, error) {
	export := Export{Name: name}
	if int(ksymtab.Section) < len(x.e.Sections) {
		export.GPL = strings.Contains(x.e.Sections[ksymtab.Section].Name, "ksymtab_gpl")
	}
	if s, ok := x.helpers["__kstrtabns_"+name]; ok {
		text, err := x.at(s)
		if err != nil {
			return export, err
		}
		ns, _, _ := bytes.Cut(text, []byte{0})
		export.Namespace = string(ns)
	}
	s, ok := x.helpers["__crc_"+name]
	switch {
	case !ok || s.Section == elf.SHN_UNDEF:
		return export, nil
	case s.Section == elf.SHN_ABS: // until Linux 5.18
		export.CRC, export.HasCRC = uint32(s.Value), true
		return export, nil
	}
	b, err := x.at(s)
	if err == nil && len(b) < 4 {
		err = errors.New("CRC lies outside of its section")
	}
	if err != nil {
		return export, err
	}
	export.CRC, export.HasCRC = x.e.ByteOrder.Uint32(b), true
	return export, nil
}

// at is the content of the section that s lies in, from s on.
func (x *exportReader) at(s elf.Symbol) ([]byte, error) {
	if int(s.Section) >= len(x.e.Sections) || s.Section == elf.SHN_UNDEF {
		return nil, fmt.Errorf("%s is in no section", s.Name)
	}
	data, ok := x.data[s.Section]
	if !ok {
		var err error
		if data, err = sectionData(x.e.Sections[s.Section]); err != nil {
			return nil, err
		}
		x.data[s.Section] = data
	}
	if s.Value > uint64(len(data)) {
		return nil, fmt.Errorf("%s lies outside of its section", s.Name)
	}
	return data[s.Value:], nil
}
