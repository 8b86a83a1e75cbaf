// SPDX-License-Identifier: MIT

package kernel

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// Arch is one Debian architecture that kernels are built for, under its names.
type Arch struct {
	Deb     string // Debian's: arm64
	Kernel  string // ARCH of the kernel's Makefile: arm64
	Machine string // uname -m of its kernels: aarch64
	GNUType string // the prefix of its cross tools without the dash: aarch64-linux-gnu
	// Tried says whether modules for it were built on a machine of another
	// architecture and loaded; for the others the names alone are known.
	Tried bool
}

// CrossPrefix is what stands before the names of the tools that make programs
// for a: "aarch64-linux-gnu-".
func (a Arch) CrossPrefix() string { return a.GNUType + "-" }

// archRow is an Arch, and how it is recognized.
type archRow struct {
	Arch
	goarch  string   // GOARCH of machines that it is the own architecture of
	options []string // that are y in the .config of its kernels
	// also are the architectures whose archives hold such kernels, too, and
	// whose own compiler makes modules for them.
	also []string
}

// arches is searched in order; the Debian and GNU names are those of dpkg's
// cputable and ostable, the machine names those of the kernel's UTS_MACHINE.
var arches = []archRow{
	{Arch{"amd64", "x86", "x86_64", "x86_64-linux-gnu", true}, "amd64", []string{"X86_64"}, []string{"i386", "x32"}},
	{Arch{"i386", "x86", "i686", "i686-linux-gnu", false}, "386", []string{"X86_32"}, nil},
	{Arch{"arm64", "arm64", "aarch64", "aarch64-linux-gnu", true}, "arm64", []string{"ARM64"}, nil},
	{Arch{"armhf", "arm", "armv7l", "arm-linux-gnueabihf", false}, "arm", []string{"ARM"}, nil},
	{Arch{"armel", "arm", "armv5tel", "arm-linux-gnueabi", false}, "", []string{"ARM"}, nil},
	{Arch{"ppc64el", "powerpc", "ppc64le", "powerpc64le-linux-gnu", false}, "ppc64le", []string{"PPC64", "CPU_LITTLE_ENDIAN"}, nil},
	{Arch{"riscv64", "riscv", "riscv64", "riscv64-linux-gnu", false}, "riscv64", []string{"RISCV", "64BIT"}, nil},
	{Arch{"s390x", "s390", "s390x", "s390x-linux-gnu", false}, "s390x", []string{"S390", "64BIT"}, nil},
	{Arch{"loong64", "loongarch", "loongarch64", "loongarch64-linux-gnu", false}, "loong64", []string{"LOONGARCH", "64BIT"}, nil},
	{Arch{"mips64el", "mips", "mips64", "mips64el-linux-gnuabi64", false}, "mips64le", []string{"MIPS", "64BIT", "CPU_LITTLE_ENDIAN"}, []string{"mipsel"}},
	{Arch{"mipsel", "mips", "mips", "mipsel-linux-gnu", false}, "mipsle", []string{"MIPS", "CPU_LITTLE_ENDIAN"}, nil},
}

// Arches lists the architectures that are known, those of more machines first.
func Arches() []Arch {
	var all []Arch
	for _, row := range arches {
		all = append(all, row.Arch)
	}
	return all
}

// ArchOf finds an architecture by its Debian name.
func ArchOf(deb string) (Arch, bool) {
	i := slices.IndexFunc(arches, func(row archRow) bool { return row.Deb == deb })
	if i < 0 {
		return Arch{}, false
	}
	return arches[i].Arch, true
}

// OwnArch is the Debian architecture that this program was built for, "" where
// none is known.
func OwnArch() string {
	for _, row := range arches {
		if row.goarch == runtime.GOARCH {
			return row.Deb
		}
	}
	return ""
}

// isFor says whether c is of a kernel of that architecture.
func (row archRow) isFor(c Config) bool {
	return !slices.ContainsFunc(row.options, func(o string) bool { return c["CONFIG_"+o] != "y" })
}

// serves says whether packages of the Debian architecture hold such kernels,
// and whether its machines compile for them without cross tools.
func (row archRow) serves(deb string) bool { return row.Deb == deb || slices.Contains(row.also, deb) }

// archOf finds the architecture that a configuration is for; where several
// are, that of the package, or the first if that is unknown ("").
func archOf(c Config, deb string) (row archRow, ok bool) {
	for _, a := range arches {
		if a.isFor(c) && (deb == "" || a.serves(deb)) {
			return a, true
		}
	}
	return archRow{}, false
}

// setArch fills the names of the architecture, and says what of it is foreign
// to the machine that builds. debArch is the header package's Architecture, ""
// where it is unknown or "all".
func (t *Tree) setArch(debArch, buildArch string) error {
	first, ok := archOf(t.Config, "")
	if !ok {
		return fmt.Errorf("%s: no architecture that this program knows (%s)", t.ConfigPath, knownArches())
	}
	if debArch == "all" {
		debArch = ""
	}
	a, ok := archOf(t.Config, debArch)
	if !ok {
		name := cmp.Or(t.Header.Name, "linux-headers-"+t.Release)
		return fmt.Errorf("%s: configured for %s, but package %s is for %s", t.ConfigPath, first.Deb, name, debArch)
	}
	t.DebArch, t.Machine, t.KArch, t.GNUType = cmp.Or(debArch, a.Deb), a.Machine, a.Kernel, a.GNUType
	t.BuildArch = cmp.Or(buildArch, OwnArch())
	if t.BuildArch == "" || a.serves(t.BuildArch) {
		return nil
	}
	t.CrossPrefix = a.CrossPrefix()
	if !a.Tried {
		t.warn("kernel %s: building for %s on %s has not been tried yet", t.Release, t.DebArch, t.BuildArch)
	}
	return nil
}

// CrossVariables are the make variables ("ARCH=arm64") that a build for
// another architecture needs on each command line; nil where the machine
// builds for itself. Debian's .kernelvariables read some, the kernel's own
// Makefile the others.
func (t *Tree) CrossVariables() []string {
	if t.CrossPrefix == "" {
		return nil
	}
	return []string{
		"ARCH=" + t.KArch,
		"CROSS_COMPILE=" + t.CrossPrefix,
		"DEB_BUILD_ARCH=" + t.BuildArch,
		"DEB_HOST_ARCH=" + t.DebArch,
		"DEB_HOST_GNU_TYPE=" + t.GNUType,
	}
}

func knownArches() string {
	var names []string
	for _, a := range arches {
		names = append(names, a.Deb)
	}
	return strings.Join(names, ", ")
}
