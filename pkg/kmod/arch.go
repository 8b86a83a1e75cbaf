// SPDX-License-Identifier: MIT

package kmod

import (
	"debug/elf"
	"encoding/binary"
	"strings"
)

// arch is what the ELF headers of a kernel's modules say, and what their
// vermagic ends in.
type arch struct {
	machine  elf.Machine
	class    elf.Class
	order    binary.ByteOrder
	vermagic string
	// sections are those without which the loader refuses a module: where it
	// will put jumps to far functions (module_frob_arch_sections).
	sections []string
}

// archOf finds the architecture of a configuration.
func archOf(on func(option string) bool) (a arch, ok bool) {
	a.class, a.order = elf.ELFCLASS32, binary.LittleEndian
	if on("64BIT") || on("X86_64") || on("ARM64") || on("PPC64") {
		a.class = elf.ELFCLASS64
	}
	switch {
	case on("X86_64"):
		a.machine = elf.EM_X86_64
	case on("X86_32"):
		a.machine, a.vermagic = elf.EM_386, family(on, x86Families)
	case on("ARM64"):
		a.machine, a.vermagic, a.sections = elf.EM_AARCH64, "aarch64", []string{".plt", ".init.plt"}
	case on("ARM"):
		a.machine, a.vermagic = elf.EM_ARM, family(on, armVersions)+words(on, "THUMB2_KERNEL", "thumb2 ", "ARM_PATCH_PHYS_VIRT", "p2v8 ")
		if on("ARM_MODULE_PLTS") {
			a.sections = []string{".plt", ".init.plt"}
		}
	case on("PPC64"):
		a.machine, a.sections = elf.EM_PPC64, []string{".stubs"}
		a.vermagic = family(on, ppcTracing) + words(on, "RELOCATABLE", "relocatable ")
	case on("RISCV"):
		a.machine, a.vermagic = elf.EM_RISCV, "riscv"
		if on("MODULE_SECTIONS") {
			a.sections = []string{".plt", ".got", ".got.plt"}
		}
	case on("S390"):
		a.machine = elf.EM_S390
	case on("LOONGARCH"):
		a.machine, a.vermagic = elf.EM_LOONGARCH, "LOONGARCH "+words(on, "32BIT", "32BIT ", "64BIT", "64BIT ")
	case on("MIPS"):
		a.machine, a.vermagic = elf.EM_MIPS, family(on, mipsFamilies)+words(on, "32BIT", "32BIT ", "64BIT", "64BIT ")
	default:
		return arch{}, false
	}
	if on("CPU_BIG_ENDIAN") || on("S390") || on("PPC64") && !on("CPU_LITTLE_ENDIAN") {
		a.order = binary.BigEndian
	}
	return a, true
}

// vermagic is what include/linux/vermagic.h makes of a configuration. Linux
// says "preempt" for CONFIG_PREEMPT_BUILD, before 5.16 for CONFIG_PREEMPT, which
// today selects the former.
func vermagic(release string, on func(option string) bool, a arch) string {
	preempt := ""
	switch {
	case on("PREEMPT_BUILD"), on("PREEMPT"):
		preempt = "preempt "
	case on("PREEMPT_RT"):
		preempt = "preempt_rt "
	}
	return release + " " + words(on, "SMP", "SMP ") + preempt +
		words(on, "MODULE_UNLOAD", "mod_unload ", "MODVERSIONS", "modversions ") + a.vermagic
}

// words joins the words, each after its option, of the options that are set.
func words(on func(option string) bool, pairs ...string) string {
	var b strings.Builder
	for ; len(pairs) > 1; pairs = pairs[2:] {
		if on(pairs[0]) {
			b.WriteString(pairs[1])
		}
	}
	return b.String()
}

// family is the word of the first option that is set. table has lines of
// options and words, in the order of the kernel's header; the word is the
// option without its first letters where it is not given.
func family(on func(option string) bool, table string) string {
	for line := range strings.Lines(table) {
		if option, word, _ := strings.Cut(strings.TrimSpace(line), " "); option != "" && on(option) {
			return word + " "
		}
	}
	return ""
}

// x86Families are of arch/x86/include/asm/vermagic.h.
const x86Families = `M486SX 486SX
M486 486
M586 586
M586TSC 586TSC
M586MMX 586MMX
MCORE2 CORE2
MATOM ATOM
M686 686
MPENTIUMII PENTIUMII
MPENTIUMIII PENTIUMIII
MPENTIUMM PENTIUMM
MPENTIUM4 PENTIUM4
MK6 K6
MK7 K7
MK8 K8
MELAN ELAN
MCRUSOE CRUSOE
MEFFICEON EFFICEON
MWINCHIPC6 WINCHIPC6
MWINCHIP3D WINCHIP3D
MCYRIXIII CYRIXIII
MVIAC3_2 VIAC3-2
MVIAC7 VIAC7
MGEODEGX1 GEODEGX1
MGEODE_LX GEODE
`

// armVersions are the values that __LINUX_ARM_ARCH__ has in arch/arm/Makefile,
// where the newest that is set wins.
const armVersions = `CPU_32v7 ARMv7
CPU_32v6K ARMv6
CPU_32v6 ARMv6
CPU_32v5 ARMv5
CPU_32v4T ARMv4
CPU_32v4 ARMv4
`

// mipsFamilies are of arch/mips/include/asm/vermagic.h.
const mipsFamilies = `CPU_BMIPS BMIPS
CPU_MIPS32_R1 MIPS32_R1
CPU_MIPS32_R2 MIPS32_R2
CPU_MIPS32_R5 MIPS32_R5
CPU_MIPS32_R6 MIPS32_R6
CPU_MIPS64_R1 MIPS64_R1
CPU_MIPS64_R2 MIPS64_R2
CPU_MIPS64_R5 MIPS64_R5
CPU_MIPS64_R6 MIPS64_R6
CPU_R4X00 R4X00
CPU_LOONGSON32 LOONGSON32
CPU_LOONGSON2EF LOONGSON2EF
CPU_LOONGSON64 LOONGSON64
CPU_CAVIUM_OCTEON OCTEON
CPU_P5600 P5600
`

// ppcTracing are of arch/powerpc/include/asm/vermagic.h.
const ppcTracing = `ARCH_USING_PATCHABLE_FUNCTION_ENTRY patchable-function-entry
MPROFILE_KERNEL mprofile-kernel
`
