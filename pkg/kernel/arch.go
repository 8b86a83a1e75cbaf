// SPDX-License-Identifier: MIT

package kernel

import (
	"fmt"
	"slices"
	"strings"
)

// arch is one architecture that kernels are built for.
type arch struct {
	debs    []string // Debian names; the first unless the header package says another
	machine string   // uname -m
	kernel  string   // ARCH of the kernel's Makefile
	gnu     string   // of debs[0]
	options []string // that are y in its .config
}

// arches is searched in order; the Debian and GNU names are those of
// dpkg's cputable, the machine names those of the kernel's UTS_MACHINE. mipsel
// and armel kernels share the options of the names that stand before them.
var arches = []arch{
	{[]string{"amd64", "i386", "x32"}, "x86_64", "x86", "x86_64-linux-gnu", []string{"X86_64"}},
	{[]string{"i386"}, "i686", "x86", "i686-linux-gnu", []string{"X86_32"}},
	{[]string{"arm64"}, "aarch64", "arm64", "aarch64-linux-gnu", []string{"ARM64"}},
	{[]string{"armhf", "armel"}, "armv7l", "arm", "arm-linux-gnueabihf", []string{"ARM"}},
	{[]string{"ppc64el"}, "ppc64le", "powerpc", "powerpc64le-linux-gnu", []string{"PPC64", "CPU_LITTLE_ENDIAN"}},
	{[]string{"riscv64"}, "riscv64", "riscv", "riscv64-linux-gnu", []string{"RISCV", "64BIT"}},
	{[]string{"s390x"}, "s390x", "s390", "s390x-linux-gnu", []string{"S390", "64BIT"}},
	{[]string{"loong64"}, "loongarch64", "loongarch", "loongarch64-linux-gnu", []string{"LOONGARCH", "64BIT"}},
	{[]string{"mips64el", "mipsel"}, "mips64", "mips", "mips64el-linux-gnuabi64", []string{"MIPS", "64BIT", "CPU_LITTLE_ENDIAN"}},
}

// archOf finds the architecture that a configuration is for.
func archOf(c Config) (arch, bool) {
	for _, a := range arches {
		if !slices.ContainsFunc(a.options, func(o string) bool { return c["CONFIG_"+o] != "y" }) {
			return a, true
		}
	}
	return arch{}, false
}

// setArch fills the four names. debArch is the header package's Architecture,
// "" where it is unknown or "all".
func (t *Tree) setArch(debArch string) error {
	a, ok := archOf(t.Config)
	if !ok {
		return fmt.Errorf("%s: no architecture that this program knows (%s)", t.ConfigPath, knownArches())
	}
	if debArch == "" || debArch == "all" {
		debArch = a.debs[0]
	}
	if !slices.Contains(a.debs, debArch) {
		return fmt.Errorf("%s: configured for %s, but package %s is for %s", t.ConfigPath, a.debs[0], t.Header.Name, debArch)
	}
	t.DebArch, t.Machine, t.KArch, t.GNUType = debArch, a.machine, a.kernel, a.gnu
	return nil
}

func knownArches() string {
	var names []string
	for _, a := range arches {
		names = append(names, a.debs[0])
	}
	return strings.Join(names, ", ")
}
