// SPDX-License-Identifier: MIT

// Package kernel describes one tree of kernel headers on disk: what kernel it
// is for, what modules for it must be compiled with, and which Debian packages
// it came from and its modules depend on.
//
// It follows the layout that the kernel's own "make modules_prepare" leaves
// (.config, Module.symvers, include/config, include/generated) and what Debian
// and Ubuntu add to it (.kernelvariables, CONFIG_VERSION_SIGNATURE). The
// modules root and the release are inputs: nothing here asks for the running
// kernel. No value of this package is changed after it is returned, so all of
// them may be shared by goroutines.
package kernel

// Tree is one installed or unpacked tree of kernel headers.
type Tree struct {
	Release string // e.g. 6.1.0-56-amd64
	Flavour string // e.g. amd64, rt-amd64, cloud-amd64; "" where the release names none
	DebArch string // Debian architecture: amd64
	Machine string // as uname -m says it: x86_64
	KArch   string // the kernel's ARCH: x86
	GNUType string // the prefix of cross tools without its dash: x86_64-linux-gnu

	// BuildArch is the Debian architecture of the machine that builds, and
	// CrossPrefix what its tools for this kernel begin with:
	// "aarch64-linux-gnu-"; "" where it builds for itself.
	BuildArch   string
	CrossPrefix string

	// BuildDir and SourceDir are places of the host: MODULESROOT/RELEASE/build,
	// not resolved, or the directory given to [OpenDir]; and what that resolves
	// to, below [Options.Sysroot]. Of a tree with a Sysroot only SourceDir can
	// be opened.
	BuildDir  string
	SourceDir string
	// BuildLink is what MODULESROOT/RELEASE/build points to as a build sees it,
	// all links followed: /usr/src/linux-headers-6.1.0-56-amd64. It enters debug
	// information. "" where build is the tree itself; of [OpenDir] what such a
	// link would have to point to.
	BuildLink string
	// CommonDir is the directory that the tree's Makefile includes, as a build
	// sees it: /usr/src/linux-headers-6.1.0-56-common. It may not be there. ""
	// where the tree is whole, and where its Makefile is in another package.
	CommonDir string

	Config     Config // .config
	ConfigPath string // include/config/auto.conf if it is there, else .config (what dkms calls $kernel_config)
	Symvers    string // Module.symvers; "" where there is none

	Compiler Compiler
	// Pahole says that kbuild runs pahole(1) on modules of this tree, which
	// gives them BTF: the kernel wants that (CONFIG_DEBUG_INFO_BTF_MODULES), and
	// vmlinux is there. Debian's headers have one since Linux 6.12.
	Pahole bool
	Header HeaderPackage // zero where the package is not known

	// ImagePackages are the alternatives that the module package depends on,
	// e.g. linux-image-6.1.0-56-amd64, linux-image-6.1.0-56-amd64-unsigned.
	ImagePackages []string
	// ModulesDir is where modules of this kernel go in a package:
	// lib/modules, or usr/lib/modules where the header package's own
	// modules/RELEASE/build link lies there.
	ModulesDir string

	// Warnings are what is odd about the tree without being an obstacle.
	Warnings []error

	sysroot sysroot
}

// Compiler is what the tree was, and modules must be, compiled with.
type Compiler struct {
	Command string // e.g. gcc-12
	Text    string // CONFIG_CC_VERSION_TEXT, unquoted
	Package string // the Debian package that ships Command; "" where that is unknown
	Clang   bool
	Major   string // the compiler's major version as .config has it: "12"; "" where it does not say
	LLVM    string // make's LLVM= for a clang kernel: "1", or "-14" for versioned tools; "" for gcc
	Linker  string // "ld.lld" (or ld.lld-14) where the kernel was linked by lld, else ""
}

// HeaderPackage is what is known of a tree's package.
type HeaderPackage struct {
	Name          string // linux-headers-6.1.0-56-amd64
	Version       string // 6.1.192-2
	Source        string // linux
	SourceVersion string // 6.1.192-2
}
