// SPDX-License-Identifier: MIT

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
