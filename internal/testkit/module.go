// SPDX-License-Identifier: MIT

package testkit

import (
	"debug/elf"
	"encoding/binary"
	"slices"
	"strings"
)

// Module is a kernel module that was never compiled, which a kernel with
// CONFIG_SMP and CONFIG_MODULE_UNLOAD takes: see [Made].
func Module(release string, fields ...string) []byte {
	return Made{Release: release, Fields: fields}.Bytes()
}

// Made is a kernel module for x86_64 that was never compiled, as far as a
// kernel's loader looks at it.
type Made struct {
	Release string
	// Fields are those of .modinfo, KEY=VALUE. By default there are license=GPL,
	// the vermagic of the release and name=foo.
	Fields []string
	// Needs are the undefined symbols, with the CRCs that they were compiled
	// against.
	Needs map[string]uint32
	// Versions says that the kernel has CONFIG_MODVERSIONS.
	Versions bool
}

// field is the first value of key in .modinfo.
func (m Made) field(key string) (value string, ok bool) {
	for _, f := range m.Fields {
		if value, ok := strings.CutPrefix(f, key+"="); ok {
			return value, true
		}
	}
	return "", false
}

// info is .modinfo with what is there by default.
func (m Made) info() []string {
	vermagic := m.Release + " SMP mod_unload "
	if m.Versions {
		vermagic += "modversions "
	}
	var info []string
	for _, f := range [][2]string{{"license", "GPL"}, {"vermagic", vermagic}, {"name", "foo"}} {
		if _, ok := m.field(f[0]); !ok {
			info = append(info, f[0]+"="+f[1])
		}
	}
	return append(info, m.Fields...)
}

// Bytes is the module's file.
func (m Made) Bytes() []byte {
	name, ok := m.field("name")
	if !ok {
		name = "foo"
	}
	long := strings.Repeat("\x00", 8)
	f := ELF{
		Symbols: []Symbol{{Name: "init_module", Section: ".text", Bind: elf.STB_GLOBAL}}, // strip drops an empty table
		Sections: []Section{
			{Name: ".text", Data: "\x31\xc0\xc3"},
			{Name: ".modinfo", Data: strings.Join(m.info(), "\x00") + "\x00"},
			{Name: ".gnu.linkonce.this_module", Data: long + long + long + name + strings.Repeat("\x00", 200)}, // struct module
		},
	}
	var needs []string
	for need := range m.Needs {
		needs = append(needs, need)
	}
	slices.Sort(needs)
	versions := ""
	for _, need := range needs {
		if need != "module_layout" { // which no code uses
			f.Symbols = append(f.Symbols, Symbol{Name: need, Bind: elf.STB_GLOBAL})
		}
		crc := binary.LittleEndian.AppendUint64(nil, uint64(m.Needs[need])) // struct modversion_info
		versions += string(crc) + need + strings.Repeat("\x00", 56-len(need))
	}
	if m.Versions {
		f.Sections = append(f.Sections, Section{Name: "__versions", Data: versions})
	}
	return f.Bytes()
}
