// SPDX-License-Identifier: MIT

package kmod

import (
	"path/filepath"
	"slices"
	"strings"
)

// Values are those of all fields named key, in file order.
func (i *Info) Values(key string) []string {
	var values []string
	for _, f := range i.Fields {
		if f.Key == key {
			values = append(values, f.Value)
		}
	}
	return values
}

// value is that of the first field named key, the one the kernel looks at.
func (i *Info) value(key string) string {
	for _, f := range i.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

// parseModinfo takes a .modinfo section apart: strings that end in NUL bytes,
// of which there may be several in a row. path names the module where no field
// does.
func parseModinfo(data []byte, path string) Info {
	var i Info
	for s := range strings.SplitSeq(string(data), "\x00") {
		if s != "" {
			key, value, _ := strings.Cut(s, "=")
			i.Fields = append(i.Fields, Field{key, value})
		}
	}
	i.Name = i.value("name")
	if i.Name == "" {
		i.Name = nameOf(path)
	}
	i.Version = i.value("version")
	i.SrcVersion = i.value("srcversion")
	i.Vermagic = i.value("vermagic")
	i.License = i.value("license")
	i.Description = i.value("description")
	i.Authors = i.Values("author")
	i.Aliases = i.Values("alias")
	i.Firmware = i.Values("firmware")
	i.ImportNS = i.Values("import_ns")
	i.Retpoline = i.value("retpoline") == "Y"
	i.Intree = i.value("intree") == "Y"
	for _, v := range i.Values("depends") {
		i.Depends = append(i.Depends, strings.FieldsFunc(v, func(r rune) bool { return r == ',' })...)
	}
	i.Params = params(i.Fields)
	return i
}

// params joins "parm=NAME:DESCRIPTION" with "parmtype=NAME:TYPE". The name
// that appears first comes last, as in modinfo's list: gcc emits the strings of
// a source file from its end to its beginning.
func params(fields []Field) []Param {
	var all []Param
	index := map[string]int{}
	for _, f := range fields {
		if f.Key != "parm" && f.Key != "parmtype" {
			continue
		}
		name, text, ok := strings.Cut(f.Value, ":")
		if !ok {
			continue
		}
		n, known := index[name]
		if !known {
			n = len(all)
			index[name] = n
			all = append(all, Param{Name: name})
		}
		if f.Key == "parm" {
			all[n].Description = text
		} else {
			all[n].Type = text
		}
	}
	slices.Reverse(all)
	return all
}

// nameOf is the module's name as the kernel derives it from the file's.
func nameOf(path string) string {
	name := filepath.Base(path)
	for _, c := range compressions {
		name = strings.TrimSuffix(name, c.Ext())
	}
	return strings.ReplaceAll(strings.TrimSuffix(name, ".ko"), "-", "_")
}

// Vermagic is what a module says about the kernel it was built for; a kernel
// with CONFIG_MODVERSIONS ignores the release but not the flags.
type Vermagic struct {
	Release string   // 6.1.0-56-amd64
	Flags   []string // SMP, preempt, mod_unload, modversions, ...
}

// ParseVermagic splits the value of a vermagic field.
func ParseVermagic(s string) Vermagic {
	words := strings.Fields(s)
	if len(words) == 0 {
		return Vermagic{}
	}
	return Vermagic{Release: words[0], Flags: words[1:]}
}
