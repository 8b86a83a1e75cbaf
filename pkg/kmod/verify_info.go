// SPDX-License-Identifier: MIT

package kmod

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// single are the fields of which the kernel and modprobe look at the first.
// Each file of a module may say its license.
var single = []string{"name", "vermagic", "version", "srcversion", "depends", "intree", "retpoline"}

// manyAliases is more than any module of Linux has: modprobe reads them all.
const manyAliases = 5000

// checkModinfo wants fields of .modinfo that make sense. Only a livepatch, and
// only where the kernel knows none, is refused by it (check_modinfo_livepatch).
func (s *session) checkModinfo(f *File) {
	if len(f.info.Values("livepatch")) > 0 && !s.v.Kernel.on("LIVEPATCH") {
		s.errorf(f, "is a livepatch, which the kernel was built without (CONFIG_LIVEPATCH)")
	}
	for _, key := range single {
		if values := unique(f.info.Values(key)); len(values) > 1 {
			s.notef(f, ".modinfo has several fields %s, %q; the kernel takes the first, %q", key, values, f.info.value(key))
		}
	}
	for _, key := range []string{"name", "version", "srcversion", "license"} {
		if v := f.info.value(key); !printable(v) {
			s.notef(f, "field %s of .modinfo is not printable text: %q", key, v)
		}
	}
	aliases := slices.Sorted(slices.Values(f.info.Aliases))
	if once := slices.Compact(slices.Clone(aliases)); len(once) < len(aliases) {
		i := slices.IndexFunc(once, func(a string) bool {
			i, _ := slices.BinarySearch(aliases, a)
			return i+1 < len(aliases) && aliases[i+1] == a
		})
		s.notef(f, "has %d aliases more than once, the first is %q", len(aliases)-len(once), once[i])
	}
	if len(aliases) > manyAliases {
		s.notef(f, "has %d aliases, all of which modprobe searches", len(aliases))
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// checkName wants one name for one module: depmod and modprobe know the file's,
// the kernel that in struct module, and it refuses a second module of a name.
func (s *session) checkName(f *File) {
	name := f.kernelName()
	if other := s.names[name]; other != f {
		s.errorf(f, "%s, which comes along, has the module name %s as well: the kernel refuses the second", other.Path, name)
	}
	if info := f.info.value("name"); info != "" && info != name {
		s.find(f, Finding{Severity: Note, Text: ".modinfo and struct module have different names", Expected: name, Found: info})
	}
	if file := nameOf(f.Path); file != name {
		s.find(f, Finding{Severity: Note, Text: "the file has not the name by which the kernel will list the module, so modprobe does not see that it is loaded",
			Expected: name, Found: file})
	}
}

// checkDepends compares the field depends, which only people read, with the
// modules that the symbols come from, which depmod will find.
func (s *session) checkDepends(f *File) {
	if s.v.Kernel.Exports == nil {
		return
	}
	var want, found []string
	for _, n := range f.Needs {
		if p := s.resolve(n.Name); p != nil && p.moduleName() != "" && p.file != f {
			want = append(want, p.moduleName())
		}
	}
	for _, d := range f.info.Depends {
		found = append(found, nameOf(d))
	}
	want, found = unique(want), unique(found)
	if !slices.Equal(want, found) {
		s.find(f, Finding{Severity: Note, Text: "the field depends names other modules than the symbols come from",
			Expected: strings.Join(want, ","), Found: strings.Join(found, ",")})
	}
}

// unique sorts names and drops those that come twice.
func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// checkOverride tells of a module of the kernel's own that this one replaces,
// and of what others find no more in it. One that is part of vmlinux cannot be
// replaced: its name is taken (mod_sysfs_init), or its driver's.
func (s *session) checkOverride(f *File) {
	k, name := s.v.Kernel, f.kernelName()
	if f.info.Intree {
		return
	}
	if k.BuiltIn != nil && k.BuiltIn(name) {
		s.errorf(f, "a module of this name is built into the kernel")
	}
	exports := s.facts.byModule[name]
	path, version, ok := "", "", false
	if k.InTree != nil {
		path, version, ok = k.InTree(name)
	} else if ok = len(exports) > 0; ok {
		path = exports[0].Module
	}
	if !ok {
		return
	}
	s.notef(f, "replaces the kernel's own %s: %s in place of %s", path, versionText(f.info.Version), versionText(version))
	lost := slices.DeleteFunc(slices.Clone(exports), func(p Provided) bool {
		return slices.ContainsFunc(f.Exports, func(e Export) bool { return e.Name == p.Name && e.CRC == p.CRC })
	})
	if len(lost) == 0 {
		return
	}
	slices.SortFunc(lost, func(a, b Provided) int { return strings.Compare(a.Name, b.Name) })
	s.find(f, Finding{Severity: Note, Symbol: lost[0].Name,
		Text: fmt.Sprintf("this and %d more that the kernel's own module exports are not exported here, or with another CRC: modules that need them will not load", len(lost)-1)})
}

func versionText(v string) string {
	if v == "" {
		return "one without a version"
	}
	return "version " + v
}
