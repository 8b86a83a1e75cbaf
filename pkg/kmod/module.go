// SPDX-License-Identifier: MIT

// Package kmod reads one compiled Linux kernel module: what modinfo(8) shows
// of it, the symbols it needs and exports with their CRCs, whether it carries a
// signature, debug information or BTF. It also strips one.
//
// A module is a relocatable ELF file for one of Debian's kernel architectures
// (include/linux/module.h and elf(5)), plain or compressed by gzip, xz or zstd.
// What is read may come from anywhere: broken files give errors, sizes are
// bounded. A [File] is not changed after it is returned and holds nothing open.
package kmod

// Info is the .modinfo section of a module, as modinfo(8) shows it.
type Info struct {
	Name        string // from the "name=" field, else the file's name
	Version     string
	SrcVersion  string
	Vermagic    string
	License     string
	Description string
	Authors     []string
	Depends     []string
	Aliases     []string
	Firmware    []string
	Params      []Param
	ImportNS    []string
	Retpoline   bool
	Intree      bool
	Fields      []Field // all of them, in file order
}

// Field is one "key=value" of .modinfo.
type Field struct{ Key, Value string }

// Param is one module parameter.
type Param struct{ Name, Type, Description string }
