// SPDX-License-Identifier: MIT

package kmod

import (
	"debug/elf"
	"fmt"
	"slices"
)

// relocations are the types that a kernel's loader knows, in ranges, by
// machine: what apply_relocate_add in arch/*/kernel/module.c has a case for,
// in Linux 6.1 and 6.12. These loaders take relocations with addends only.
var relocations = map[elf.Machine][][2]uint32{
	elf.EM_X86_64: {
		{uint32(elf.R_X86_64_NONE), uint32(elf.R_X86_64_PC32)}, // and 64
		{uint32(elf.R_X86_64_PLT32), uint32(elf.R_X86_64_PLT32)},
		{uint32(elf.R_X86_64_32), uint32(elf.R_X86_64_32S)},
		{uint32(elf.R_X86_64_PC64), uint32(elf.R_X86_64_PC64)},
	},
	elf.EM_AARCH64: {
		{0, 0}, // R_ARM_NONE
		{uint32(elf.R_AARCH64_NULL), uint32(elf.R_AARCH64_PREL16)},
		{uint32(elf.R_AARCH64_MOVW_UABS_G0), uint32(elf.R_AARCH64_ADR_PREL_PG_HI21_NC)}, // and MOVW_SABS, LD_PREL_LO19, ADR_PREL_LO21
		{uint32(elf.R_AARCH64_ADD_ABS_LO12_NC), uint32(elf.R_AARCH64_CONDBR19)},         // and LDST8, TSTBR14
		{uint32(elf.R_AARCH64_JUMP26), uint32(elf.R_AARCH64_LDST64_ABS_LO12_NC)},        // and CALL26, LDST16, LDST32
		{movwPrelG0, movwPrelG3},
		{uint32(elf.R_AARCH64_LDST128_ABS_LO12_NC), uint32(elf.R_AARCH64_LDST128_ABS_LO12_NC)},
	},
}

// The R_AARCH64_MOVW_PREL_* of the ELF ABI that debug/elf does not name.
const (
	movwPrelG0 = 287
	movwPrelG3 = 293
)

// relaSize is that of an Elf64_Rela.
const relaSize = 24

// relocation is one that the loader does not know.
type relocation struct {
	section string // that it is in
	kind    string
	symbol  string // that it is about; "" for those without a name
}

// readRelocations lists the types that the loader will not know, each with the
// first of its kind. Only sections that are loaded are relocated.
func (l *layout) readRelocations(e *elf.File) error {
	known, ok := relocations[e.Machine]
	if !ok || e.Class != elf.ELFCLASS64 {
		return nil
	}
	seen := map[uint32]bool{}
	for _, s := range e.Sections {
		if s.Type != elf.SHT_RELA && s.Type != elf.SHT_REL || uint64(s.Info) >= uint64(len(e.Sections)) {
			continue
		}
		target := e.Sections[s.Info]
		if target.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		if s.Type == elf.SHT_REL {
			l.relocations = append(l.relocations, relocation{section: target.Name, kind: "without an addend (SHT_REL)"})
			continue
		}
		data, err := sectionData(s)
		if err != nil {
			return err
		}
		for ; len(data) >= relaSize; data = data[relaSize:] {
			info := e.ByteOrder.Uint64(data[8:])
			if kind := uint32(info); !seen[kind] && !inRanges(known, kind) {
				seen[kind] = true
				l.relocations = append(l.relocations, relocation{target.Name, relocationName(e.Machine, kind), symbolName(e, info>>32)})
			}
		}
	}
	return nil
}

func inRanges(ranges [][2]uint32, n uint32) bool {
	return slices.ContainsFunc(ranges, func(r [2]uint32) bool { return r[0] <= n && n <= r[1] })
}

// relocationName is that of the ELF ABI, and the number that the kernel prints.
func relocationName(machine elf.Machine, kind uint32) string {
	name := elf.R_X86_64(kind).String()
	if machine == elf.EM_AARCH64 {
		name = elf.R_AARCH64(kind).String()
	}
	return fmt.Sprintf("%s (%d)", name, kind)
}

// symbolName is the name of symbol n, "" where it has none.
func symbolName(e *elf.File, n uint64) string {
	symbols, err := e.Symbols() // without the first, which is void
	if err != nil || n == 0 || n > uint64(len(symbols)) {
		return ""
	}
	return symbols[n-1].Name
}
