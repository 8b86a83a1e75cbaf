// SPDX-License-Identifier: MIT

package kernel

// Tree is one installed or unpacked tree of kernel headers.
type Tree struct {
	Release   string // e.g. 6.1.0-56-amd64
	Flavour   string // e.g. amd64, rt-amd64, cloud-amd64; "" where the release names none
	DebArch   string // Debian architecture: amd64
	Machine   string // as uname -m says it: x86_64
	KArch     string // the kernel's ARCH: x86
	BuildDir  string // MODULESROOT/RELEASE/build, not resolved
	SourceDir string // what BuildDir resolves to

	Config     Config // .config
	ConfigPath string // include/config/auto.conf if it is there, else .config (what dkms calls $kernel_config)
	Symvers    string // Module.symvers; "" where there is none

	Compiler Compiler
	Header   HeaderPackage // zero where no dpkg package holds the tree

	// ImagePackages are the alternatives that the module package depends on,
	// e.g. linux-image-6.1.0-56-amd64, linux-image-6.1.0-56-amd64-unsigned.
	ImagePackages []string
	// ModulesDir is where modules of this kernel go in a package:
	// lib/modules, or usr/lib/modules where the header package's own
	// modules/RELEASE/build link lies there.
	ModulesDir string
}

// Config is a kernel .config: CONFIG_X to its value as written ("y", "m",
// "\"text\""); unset ones are absent.
type Config map[string]string

// Compiler is what the tree was, and modules must be, compiled with.
type Compiler struct {
	Command string // e.g. gcc-12
	Text    string // CONFIG_CC_VERSION_TEXT, unquoted
	Package string // the Debian package that ships Command
	Clang   bool
}

// HeaderPackage is what dpkg knows of a tree's package.
type HeaderPackage struct {
	Name          string // linux-headers-6.1.0-56-amd64
	Version       string // 6.1.192-2
	Source        string // linux
	SourceVersion string // 6.1.192-2
}
