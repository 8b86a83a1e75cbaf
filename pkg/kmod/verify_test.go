// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/google/go-cmp/cmp"
)

const (
	release = "6.1.0-56-amd64"
	magic   = release + " SMP preempt mod_unload modversions "
)

// made is a module to be made.
type made struct {
	testkit.ELF
	path     string
	name     string // in its struct module
	info     []string
	versions []Version
	needs    []Need // their CRCs go to versions unless HasCRC is false
	exports  []Export
	btf      string
	tweak    func(*File) // what ELF cannot make
}

// setInfo replaces the fields named key by one with that value; "" drops them.
func (m *made) setInfo(key, value string) {
	m.info = slices.DeleteFunc(m.info, func(f string) bool { return strings.HasPrefix(f, key+"=") })
	if value != "" {
		m.info = append(m.info, key+"="+value)
	}
}

func (m *made) need(name string, crc uint32) *Need {
	m.needs = append(m.needs, Need{Name: name, CRC: crc, HasCRC: true})
	return &m.needs[len(m.needs)-1]
}

func (m *made) file(t testing.TB) *File {
	t.Helper()
	f := m.ELF
	text, versions := "\x00", ""
	for _, v := range m.versions {
		versions += crcEntry(&f, v.Name, v.CRC)
	}
	for _, n := range m.needs {
		if n.HasCRC {
			versions += crcEntry(&f, n.Name, n.CRC)
		}
		bind := elf.STB_GLOBAL
		if n.Weak {
			bind = elf.STB_WEAK
		}
		f.Symbols = append(f.Symbols, testkit.Symbol{Name: n.Name, Bind: bind})
	}
	for _, e := range m.exports {
		table := "__ksymtab"
		if e.GPL {
			table = "__ksymtab_gpl"
		}
		f.Symbols = append(f.Symbols, testkit.Symbol{Name: "__ksymtab_" + e.Name, Section: table},
			testkit.Symbol{Name: "__kstrtabns_" + e.Name, Section: "__ksymtab_strings", Value: uint64(len(text))})
		text += e.Namespace + "\x00"
		if e.HasCRC {
			f.Symbols = append(f.Symbols, testkit.Symbol{Name: "__crc_" + e.Name, Section: "ABS", Value: uint64(e.CRC)})
		}
	}
	f.Sections = append(slices.Clone(f.Sections), testkit.Section{Name: ".modinfo", Data: strings.Join(m.info, "\x00") + "\x00"},
		testkit.Section{Name: "__ksymtab"}, testkit.Section{Name: "__ksymtab_gpl"}, testkit.Section{Name: "__ksymtab_strings", Data: text})
	if versions != "" {
		f.Sections = append(f.Sections, testkit.Section{Name: "__versions", Data: versions})
	}
	if m.btf != "" {
		f.Sections = append(f.Sections, testkit.Section{Name: ".BTF", Data: m.btf})
	}
	if m.name != "" {
		f.Sections = append(f.Sections, testkit.Section{Name: thisModule, Data: strings.Repeat("\x00", 24) + m.name + strings.Repeat("\x00", 200)})
	}
	file, err := read(f.Bytes(), m.path)
	if err != nil {
		t.Fatal(err)
	}
	if m.tweak != nil {
		m.tweak(file)
	}
	return file
}

// good returns a package of two modules and a kernel, with which all checks are
// content. b uses a, and a uses vmlinux and the kernel's module helper.
func good() (a, b *made, k *Kernel, config map[string]string) {
	module := func(name, depends string) *made {
		return &made{
			ELF: testkit.ELF{Symbols: []testkit.Symbol{}}, path: name + ".ko", name: name,
			info:     []string{"license=GPL", "vermagic=" + magic, "name=" + name, "depends=" + depends, "retpoline=Y", "version=1.0"},
			versions: []Version{{moduleLayout, 0x100}},
		}
	}
	a, b = module("a", "helper"), module("b", "a")
	a.need("kmalloc", 0x101)
	a.need("help", 0x102)
	a.setInfo("import_ns", "HELP")
	a.exports = []Export{{"a_free", 0x201, true, false, ""}, {"a_gpl", 0x202, true, true, ""}}
	b.need("a_gpl", 0x202)
	config = map[string]string{}
	for _, o := range []string{"X86_64", "64BIT", "SMP", "PREEMPT_BUILD", "MODULE_UNLOAD", "MODVERSIONS", "RETPOLINE", "RETHUNK",
		"X86_KERNEL_IBT", "LIVEPATCH", "STRICT_MODULE_RWX", "DEBUG_INFO_BTF_MODULES"} {
		config["CONFIG_"+o] = "y"
	}
	k = &Kernel{Release: release, Config: func(o string) string { return config[o] }, Exports: map[string]Provided{}}
	for _, p := range []Provided{
		{Export{moduleLayout, 0x100, true, false, ""}, "vmlinux"},
		{Export{"kmalloc", 0x101, true, false, ""}, "vmlinux"},
		{Export{"gpl_only", 0x103, true, true, ""}, "vmlinux"},
		{Export{"help", 0x102, true, false, "HELP"}, "drivers/misc/helper"},
		{Export{"other", 0x104, true, false, "module:a,x*"}, "drivers/misc/helper"},
	} {
		k.Exports[p.Name] = p
	}
	return a, b, k, config
}

// verdicts are findings as lines.
func verdicts(findings []Finding) []string {
	lines := []string{}
	for _, f := range findings {
		lines = append(lines, string(f.Severity)+": "+f.Error())
	}
	return lines
}

func TestCheckGood(t *testing.T) {
	a, b, k, _ := good()
	if got := verdicts((&Verifier{Kernel: k}).Check([]*File{a.file(t), b.file(t)})); len(got) != 0 {
		t.Errorf("Check() of good modules:\n%s", strings.Join(got, "\n"))
	}
}

// part is what a row changes: the modules and the kernel of good.
type part struct {
	a, b   *made
	k      *Kernel
	config map[string]string
	extra  map[string]Provided
}

func (p *part) export(name string, crc uint32, module string) {
	p.k.Exports[name] = Provided{Export{Name: name, CRC: crc, HasCRC: true}, module}
}

// checkRows has for each check what makes it find something. A row without want
// is one that comes near.
var checkRows = []struct {
	name   string
	change func(*part)
	want   []string
}{
	{"elf: machine", func(p *part) { p.a.Machine = elf.EM_AARCH64 },
		[]string{"error: a.ko: compiled for another machine: expected EM_X86_64 ELFCLASS64 LittleEndian, found EM_AARCH64 ELFCLASS64 LittleEndian [elf]"}},
	{"elf: order", func(p *part) { p.a.Big = binary.BigEndian },
		[]string{"error: a.ko: compiled for another machine: expected EM_X86_64 ELFCLASS64 LittleEndian, found EM_X86_64 ELFCLASS64 BigEndian [elf]"}},
	{"elf: unknown kernel", func(p *part) { p.config["CONFIG_X86_64"] = ""; p.k.Vermagic = magic },
		[]string{"error: a.ko: the kernel's configuration names no architecture that is known [elf]",
			"error: b.ko: the kernel's configuration names no architecture that is known [elf]"}},
	{"elf: no struct module", func(p *part) { p.a.name = "" },
		[]string{"error: a.ko: has 0 sections .gnu.linkonce.this_module, the kernel wants one [elf]"}},
	{"elf: two modinfos", func(p *part) { p.a.Sections = append(p.a.Sections, testkit.Section{Name: thisModule}) },
		[]string{"error: a.ko: has 2 sections .gnu.linkonce.this_module, the kernel wants one [elf]"}},
	{"elf: no symbol table", func(p *part) { p.b.needs, p.b.Symbols = nil, nil; p.b.setInfo("depends", "") },
		[]string{"error: b.ko: has 0 symbol tables, the kernel wants one: was it stripped of everything? [elf]"}},
	{"elf: common symbol", func(p *part) { p.a.tweak = func(f *File) { f.layout.commons = []string{"buffer"} } },
		[]string{"error: a.ko: symbol buffer: is a common symbol, which the kernel refuses: compile with -fno-common [elf]"}},
	{"elf: relocation", func(p *part) {
		p.a.tweak = func(f *File) { f.layout.relocations = []relocation{{".text", "R_X86_64_GOTPCREL (9)", "buffer"}} }
	}, []string{"error: a.ko: symbol buffer: section .text has a relocation R_X86_64_GOTPCREL (9), which the kernel's loader does not know [elf]"}},
	{"elf: writable code", func(p *part) { p.a.tweak = flags(elf.SHF_ALLOC | elf.SHF_WRITE | elf.SHF_EXECINSTR) },
		[]string{"error: a.ko: section .modinfo is writable and executable, which the kernel refuses [elf]"}},
	{"elf: writable code allowed", func(p *part) {
		p.a.tweak = flags(elf.SHF_ALLOC | elf.SHF_WRITE | elf.SHF_EXECINSTR)
		p.config["CONFIG_STRICT_MODULE_RWX"] = ""
	}, nil},
	{"elf: code", func(p *part) { p.a.tweak = flags(elf.SHF_ALLOC | elf.SHF_EXECINSTR) }, nil},

	{"vermagic: release", func(p *part) { p.a.setInfo("vermagic", strings.Replace(magic, "-56-", "-55-", 1)) },
		[]string{`error: a.ko: built for another kernel: expected "` + magic + `", found "6.1.0-55-amd64 SMP preempt mod_unload modversions " [vermagic]`}},
	{"vermagic: flags", func(p *part) { p.a.setInfo("vermagic", strings.Replace(magic, "preempt ", "", 1)) },
		[]string{`error: a.ko: vermagic differs: expected "` + magic + `", found "6.1.0-56-amd64 SMP mod_unload modversions " [vermagic]`}},
	{"vermagic: last blank", func(p *part) { p.a.setInfo("vermagic", strings.TrimSpace(magic)) },
		[]string{`error: a.ko: vermagic differs: expected "` + magic + `", found "` + strings.TrimSpace(magic) + `" [vermagic]`}},
	{"vermagic: none", func(p *part) { p.a.setInfo("vermagic", "") },
		[]string{`error: a.ko: has no vermagic: expected "` + magic + `", found "" [vermagic]`}},
	{"vermagic: given", func(p *part) {
		p.k.Vermagic = magic + "RANDSTRUCT_1"
		p.a.setInfo("vermagic", magic+"RANDSTRUCT_1")
		p.b.setInfo("vermagic", magic+"RANDSTRUCT_1")
	}, nil},

	{"name: two of one", func(p *part) { p.b.name = "a"; p.b.setInfo("name", "a"); p.b.needs = nil; p.b.setInfo("depends", "") },
		[]string{"error: b.ko: a.ko, which comes along, has the module name a as well: the kernel refuses the second [name]",
			"note: b.ko: the file has not the name by which the kernel will list the module, so modprobe does not see that it is loaded: expected a, found b [name]"}},
	{"name: of modinfo", func(p *part) { p.a.setInfo("name", "x") },
		[]string{"note: a.ko: .modinfo and struct module have different names: expected a, found x [name]"}},
	{"name: dashes", func(p *part) { p.b.path = "x/b-c.ko.xz"; p.b.name = "b_c"; p.b.setInfo("name", "b_c") }, nil},

	{"modinfo: two versions", func(p *part) { p.a.info = append(p.a.info, "version=0.9") },
		[]string{`note: a.ko: .modinfo has several fields version, ["0.9" "1.0"]; the kernel takes the first, "1.0" [modinfo]`}},
	{"modinfo: one version twice", func(p *part) { p.a.info = append(p.a.info, "version=1.0", "license=GPL v2") }, nil},
	{"modinfo: unprintable", func(p *part) { p.a.setInfo("version", "1\x1b[2J") },
		[]string{`note: a.ko: field version of .modinfo is not printable text: "1\x1b[2J" [modinfo]`}},
	{"modinfo: alias twice", func(p *part) { p.a.info = append(p.a.info, "alias=z", "alias=y", "alias=x", "alias=y") },
		[]string{`note: a.ko: has 1 aliases more than once, the first is "y" [modinfo]`}},
	{"modinfo: aliases", func(p *part) {
		for i := range manyAliases + 1 {
			p.a.info = append(p.a.info, "alias=pci:v"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26))
		}
		p.a.info = unique(p.a.info)
	}, []string{"note: a.ko: has 5001 aliases, all of which modprobe searches [modinfo]"}},
	{"modinfo: livepatch", func(p *part) { p.a.setInfo("livepatch", "Y"); p.config["CONFIG_LIVEPATCH"] = "" },
		[]string{"error: a.ko: is a livepatch, which the kernel was built without (CONFIG_LIVEPATCH) [modinfo]"}},
	{"modinfo: livepatch known", func(p *part) { p.a.setInfo("livepatch", "Y") }, nil},

	{"license: proprietary", func(p *part) { p.a.setInfo("license", "Proprietary"); p.b.needs = nil; p.b.setInfo("depends", "") },
		[]string{`note: a.ko: license "Proprietary" is none that the kernel knows as free: it will be tainted [license]`}},
	{"license: none", func(p *part) { p.b.setInfo("license", ""); p.b.needs[0] = Need{"a_free", 0x201, true, false} },
		[]string{"note: b.ko: has no license: the kernel takes it for proprietary [license]"}},
	{"license: GPL-only symbol", func(p *part) { p.b.setInfo("license", "BSD") },
		[]string{`note: b.ko: license "BSD" is none that the kernel knows as free: it will be tainted [license]`,
			`error: b.ko: symbol a_gpl: exported by a to GPL modules only, and used by a module whose license is "BSD" [license]`}},
	{"license: weak GPL-only symbol", func(p *part) { p.b.setInfo("license", "BSD"); p.b.needs[0].Weak = true },
		[]string{`note: b.ko: license "BSD" is none that the kernel knows as free: it will be tainted [license]`}},
	{"license: inherited", func(p *part) {
		p.a.setInfo("license", "BSD")
		p.b.needs[0] = Need{"a_free", 0x201, true, false}
		p.b.need("gpl_only", 0x103)
	}, []string{`note: a.ko: license "BSD" is none that the kernel knows as free: it will be tainted [license]`,
		`error: b.ko: symbol gpl_only: exported by vmlinux to GPL modules only, and used by a module which uses a_free of a, whose license is "BSD" [license]`}},

	{"symbols: unknown", func(p *part) { p.a.need("nobody", 1) },
		[]string{"error: a.ko: symbol nobody: exported by neither the kernel, this package nor those that it depends on [symbols]"}},
	{"symbols: weak", func(p *part) { p.a.need("nobody", 1).Weak = true }, nil},
	{"symbols: implicit", func(p *part) { p.a.needs = append(p.a.needs, Need{Name: "_GLOBAL_OFFSET_TABLE_"}) }, nil},
	{"symbols: of a replaced module", func(p *part) { p.export("gone", 7, "drivers/misc/a"); p.b.need("gone", 7) },
		[]string{"note: a.ko: replaces the kernel's own drivers/misc/a: version 1.0 in place of one without a version [override]",
			"note: a.ko: symbol gone: this and 0 more that the kernel's own module exports are not exported here, or with another CRC: modules that need them will not load [override]",
			"error: b.ko: symbol gone: exported by the kernel's own a only, in whose place this package or one that it depends on puts another [symbols]"}},
	{"symbols: of another package", func(p *part) {
		p.a.need("far", 8)
		p.a.setInfo("depends", "helper,far-mod")
		p.extra = map[string]Provided{"far": {Export{"far", 8, true, true, ""}, "/x/far-mod"}}
	}, nil},
	{"symbols: no Module.symvers", func(p *part) { p.k.Exports = nil },
		[]string{"error: a.ko: the kernel's headers have no Module.symvers to find its 2 undefined symbols in [symbols]",
			"error: b.ko: the kernel's headers have no Module.symvers to find its 1 undefined symbols in [symbols]"}},

	{"crc: kernel", func(p *part) { p.a.needs[0].CRC = 0xbad },
		[]string{"error: a.ko: symbol kmalloc: compiled against another CRC than the kernel's: expected 0x00000101, found 0x00000bad [crc]"}},
	{"crc: weak", func(p *part) { p.a.needs[0].CRC = 0xbad; p.a.needs[0].Weak = true },
		[]string{"error: a.ko: symbol kmalloc: compiled against another CRC than the kernel's: expected 0x00000101, found 0x00000bad [crc]"}},
	{"crc: sibling", func(p *part) { p.b.needs[0].CRC = 0xbad },
		[]string{"error: b.ko: symbol a_gpl: compiled against another CRC than that of module a: expected 0x00000202, found 0x00000bad [crc]"}},
	{"crc: another package", func(p *part) {
		p.a.needs[1].CRC = 0xbad
		p.extra = map[string]Provided{"help": {Export{"help", 8, true, false, ""}, "/x/helper"}}
	}, []string{"error: a.ko: symbol help: compiled against another CRC than that of module helper: expected 0x00000008, found 0x00000bad [crc]"}},
	{"crc: missing", func(p *part) { p.a.needs[0].HasCRC = false },
		[]string{"error: a.ko: symbol kmalloc: compiled without the CRC of the kernel's: expected 0x00000101, found nothing [crc]"}},
	{"crc: struct module", func(p *part) { p.a.versions[0].CRC = 0xbad },
		[]string{"error: a.ko: symbol module_layout: compiled against another CRC than the kernel's: expected 0x00000100, found 0x00000bad [crc]"}},
	{"crc: struct module missing", func(p *part) { p.a.versions = nil },
		[]string{"error: a.ko: symbol module_layout: compiled without the CRC of the kernel's: expected 0x00000100, found nothing [crc]"}},
	{"crc: none", func(p *part) { p.b.versions, p.b.needs = nil, nil; p.b.setInfo("depends", "") },
		[]string{"error: b.ko: has no symbol versions (section __versions), but the kernel was built with CONFIG_MODVERSIONS [crc]"}},
	{"crc: exported without", func(p *part) { p.a.exports[0].HasCRC = false },
		[]string{"error: a.ko: symbol a_free: exported without a CRC [crc]"}},
	{"crc: no MODVERSIONS", func(p *part) {
		p.config["CONFIG_MODVERSIONS"] = ""
		p.a.needs[0].CRC = 0xbad
		for _, m := range []*made{p.a, p.b} {
			m.setInfo("vermagic", strings.Replace(magic, "modversions ", "", 1))
		}
	}, nil},

	{"namespace", func(p *part) { p.a.setInfo("import_ns", "OTHER") },
		[]string{"error: a.ko: symbol help: in namespace HELP, which the module does not import: expected MODULE_IMPORT_NS(HELP), found OTHER [namespace]"}},
	{"namespace: allowed", func(p *part) {
		p.a.setInfo("import_ns", "")
		p.config["CONFIG_MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS"] = "y"
	}, []string{"note: a.ko: symbol help: in namespace HELP, which the module does not import: expected MODULE_IMPORT_NS(HELP), found nothing [namespace]"}},
	{"namespace: for this module", func(p *part) { p.a.need("other", 0x104) }, nil},
	{"namespace: for others", func(p *part) { p.b.need("other", 0x104); p.b.setInfo("depends", "a,helper") },
		[]string{"error: b.ko: symbol other: exported to other modules only: expected a,x*, found b [namespace]"}},

	{"exports: of vmlinux", func(p *part) { p.a.exports[0].Name = "kmalloc"; p.a.needs = p.a.needs[1:] },
		[]string{"error: a.ko: symbol kmalloc: exported by the kernel itself, which refuses a second one [exports]"}},
	{"exports: of a sibling", func(p *part) { p.b.exports = p.a.exports[:1] },
		[]string{"error: b.ko: symbol a_free: exported by a, which comes along, as well: the kernel refuses the second [exports]"}},
	{"exports: of a module in use", func(p *part) { p.export("a_free", 0x201, "drivers/misc/helper") },
		[]string{"error: a.ko: symbol a_free: exported by helper as well, which this module needs: the kernel refuses the second [exports]"}},
	{"exports: of any module", func(p *part) { p.export("a_free", 0x201, "drivers/misc/rival") },
		[]string{"note: a.ko: symbol a_free: exported by rival as well: only one of the two can be loaded [exports]"}},
	{"exports: of another package", func(p *part) {
		p.extra = map[string]Provided{"a_free": {Export{"a_free", 8, true, true, ""}, "far"}}
	}, []string{"note: a.ko: symbol a_free: exported by far as well: only one of the two can be loaded [exports]"}},

	{"depends: missing", func(p *part) { p.a.setInfo("depends", "") },
		[]string{"note: a.ko: the field depends names other modules than the symbols come from: expected helper, found nothing [depends]"}},
	{"depends: too many", func(p *part) { p.a.setInfo("depends", "helper,more") },
		[]string{"note: a.ko: the field depends names other modules than the symbols come from: expected helper, found helper,more [depends]"}},

	{"mitigations: retpoline", func(p *part) { p.a.setInfo("retpoline", "") },
		[]string{"note: a.ko: not compiled with retpolines, but the kernel is: Spectre V2 is not mitigated once it is loaded [mitigations]"}},
	{"mitigations: returns", func(p *part) { p.a.tweak = func(f *File) { f.layout.returns = true } },
		[]string{"note: a.ko: not compiled with return thunks (section .return_sites), but the kernel is: its returns are not mitigated [mitigations]"}},
	{"mitigations: branches", func(p *part) { p.a.tweak = func(f *File) { f.layout.code = true } },
		[]string{"note: a.ko: not compiled with indirect branch tracking (no ENDBR64), but the kernel is: it traps on processors that have it [mitigations]"}},
	{"mitigations: none", func(p *part) {
		p.a.tweak = func(f *File) { f.layout.code, f.layout.returns = true, true }
		p.a.setInfo("retpoline", "")
		for _, o := range []string{"RETPOLINE", "RETHUNK", "X86_KERNEL_IBT"} {
			p.config["CONFIG_"+o] = ""
		}
	}, nil},

	{"override: by symbols", func(p *part) { p.export("a_free", 0x201, "drivers/misc/a") },
		[]string{"note: a.ko: replaces the kernel's own drivers/misc/a: version 1.0 in place of one without a version [override]"}},
	{"override: by name", func(p *part) {
		p.k.InTree = func(name string) (string, string, bool) { return "kernel/drivers/b.ko", "0.3", name == "b" }
	}, []string{"note: b.ko: replaces the kernel's own kernel/drivers/b.ko: version 1.0 in place of version 0.3 [override]"}},
	{"override: itself", func(p *part) {
		p.k.InTree = func(name string) (string, string, bool) { return "kernel/drivers/b.ko", "0.3", name == "b" }
		p.b.setInfo("intree", "Y")
	}, nil},
	{"override: other CRC", func(p *part) { p.export("a_gpl", 0x999, "drivers/misc/a"); p.export("a_old", 1, "drivers/misc/a") },
		[]string{"note: a.ko: replaces the kernel's own drivers/misc/a: version 1.0 in place of one without a version [override]",
			"note: a.ko: symbol a_gpl: this and 1 more that the kernel's own module exports are not exported here, or with another CRC: modules that need them will not load [override]"}},
	{"override: built in", func(p *part) { p.k.BuiltIn = func(name string) bool { return name == "a" } },
		[]string{"error: a.ko: a module of this name is built into the kernel [override]"}},
}

// flags sets those of the first section.
func flags(fl elf.SectionFlag) func(*File) {
	return func(f *File) { f.layout.sections[0].Flags = fl }
}

func TestCheck(t *testing.T) {
	covered := map[string]bool{"btf": true} // TestCheckBTF
	for _, tt := range checkRows {
		p := &part{}
		p.a, p.b, p.k, p.config = good()
		tt.change(p)
		v := &Verifier{Kernel: p.k, Extra: p.extra}
		files := []*File{p.a.file(t), p.b.file(t)}
		findings := v.Check(files)
		if diff := cmp.Diff(append([]string{}, tt.want...), verdicts(findings)); diff != "" {
			t.Errorf("%s: Check() (-want +got):\n%s", tt.name, diff)
		}
		skip := &Verifier{Kernel: p.k, Extra: p.extra, Skip: Checks()}
		if left := skip.Check(files); len(left) != 0 {
			t.Errorf("%s: Check() without any check finds %v", tt.name, left)
		}
		for _, f := range findings {
			covered[f.Check] = true
			one := &Verifier{Kernel: p.k, Extra: p.extra, Skip: []string{f.Check}}
			want := slices.DeleteFunc(slices.Clone(findings), func(g Finding) bool { return g.Check == f.Check })
			if diff := cmp.Diff(verdicts(want), verdicts(one.Check(files))); diff != "" {
				t.Errorf("%s: Check() without %s (-want +got):\n%s", tt.name, f.Check, diff)
			}
		}
	}
	for _, name := range Checks() {
		if !covered[name] {
			t.Errorf("no row makes the check %s find anything", name)
		}
	}
}

func TestErrors(t *testing.T) {
	all := []Finding{{Check: "a", Severity: Note}, {Check: "b", Severity: Error}, {Check: "c", Severity: Note}}
	if got := Errors(all); len(got) != 1 || got[0].Check != "b" || all[0].Check != "a" || all[1].Check != "b" {
		t.Errorf("Errors() = %v, and leaves %v", got, all)
	}
}

// TestCheckOften runs one Verifier in several goroutines, with another order of
// the modules, and with none.
func TestCheckOften(t *testing.T) {
	a, b, k, _ := good()
	b.needs[0].CRC = 0xbad
	v := &Verifier{Kernel: k}
	files := []*File{b.file(t), a.file(t)}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := v.Check(files); len(got) != 1 || got[0].Check != "crc" || len(v.Check(nil)) != 0 {
				t.Errorf("Check() = %v", got)
			}
		})
	}
	wg.Wait()
}

func TestVermagic(t *testing.T) {
	common := "SMP MODULE_UNLOAD MODVERSIONS "
	for _, tt := range []struct{ options, want string }{
		{"X86_64 64BIT PREEMPT_BUILD " + common, "K SMP preempt mod_unload modversions "},
		{"X86_64 64BIT PREEMPT " + common, "K SMP preempt mod_unload modversions "},
		{"X86_64 64BIT PREEMPT_RT " + common, "K SMP preempt_rt mod_unload modversions "},
		{"X86_64 64BIT PREEMPT_RT PREEMPT_BUILD " + common, "K SMP preempt mod_unload modversions "},
		{"X86_64 64BIT", "K "},
		{"X86_32 M686 " + common, "K SMP mod_unload modversions 686 "},
		{"X86_32 MGEODE_LX", "K GEODE "},
		{"ARM64 64BIT " + common, "K SMP mod_unload modversions aarch64"},
		{"ARM CPU_32v6K CPU_32v7 ARM_PATCH_PHYS_VIRT THUMB2_KERNEL SMP", "K SMP ARMv7 thumb2 p2v8 "},
		{"ARM CPU_32v5", "K ARMv5 "},
		{"PPC64 MPROFILE_KERNEL RELOCATABLE SMP", "K SMP mprofile-kernel relocatable "},
		{"PPC64 ARCH_USING_PATCHABLE_FUNCTION_ENTRY MPROFILE_KERNEL", "K patchable-function-entry "},
		{"RISCV 64BIT SMP", "K SMP riscv"},
		{"S390 64BIT SMP", "K SMP "},
		{"LOONGARCH 64BIT SMP", "K SMP LOONGARCH 64BIT "},
		{"MIPS 64BIT CPU_MIPS64_R2 SMP", "K SMP MIPS64_R2 64BIT "},
		{"MIPS 32BIT CPU_MIPS32_R2", "K MIPS32_R2 32BIT "},
	} {
		on := func(o string) bool { return slices.Contains(strings.Fields(tt.options), o) }
		a, ok := archOf(on)
		if got := vermagic("K", on, a); got != tt.want || !ok {
			t.Errorf("vermagic(%s) = %q, %v; want %q", tt.options, got, ok, tt.want)
		}
	}
}

func TestArchOf(t *testing.T) {
	for _, tt := range []struct{ options, want string }{
		{"X86_64", "EM_X86_64 ELFCLASS64 LittleEndian"},
		{"X86_32", "EM_386 ELFCLASS32 LittleEndian"},
		{"ARM64 64BIT", "EM_AARCH64 ELFCLASS64 LittleEndian .plt .init.plt"},
		{"ARM64 64BIT CPU_BIG_ENDIAN", "EM_AARCH64 ELFCLASS64 BigEndian .plt .init.plt"},
		{"ARM ARM_MODULE_PLTS", "EM_ARM ELFCLASS32 LittleEndian .plt .init.plt"},
		{"ARM", "EM_ARM ELFCLASS32 LittleEndian"},
		{"PPC64 CPU_LITTLE_ENDIAN", "EM_PPC64 ELFCLASS64 LittleEndian .stubs"},
		{"PPC64", "EM_PPC64 ELFCLASS64 BigEndian .stubs"},
		{"RISCV 64BIT MODULE_SECTIONS", "EM_RISCV ELFCLASS64 LittleEndian .plt .got .got.plt"},
		{"S390 64BIT", "EM_S390 ELFCLASS64 BigEndian"},
		{"LOONGARCH 64BIT", "EM_LOONGARCH ELFCLASS64 LittleEndian"},
		{"MIPS 64BIT CPU_LITTLE_ENDIAN", "EM_MIPS ELFCLASS64 LittleEndian"},
		{"MIPS CPU_BIG_ENDIAN", "EM_MIPS ELFCLASS32 BigEndian"},
		{"SPARC", ""},
	} {
		a, ok := archOf(func(o string) bool { return slices.Contains(strings.Fields(tt.options), o) })
		got := ""
		if ok {
			got = strings.Join(append([]string{elfKind(a.machine, a.class, a.order)}, a.sections...), " ")
		}
		if got != tt.want {
			t.Errorf("archOf(%s) = %q; want %q", tt.options, got, tt.want)
		}
	}
}

// TestCheckPLT wants the sections of an architecture.
func TestCheckPLT(t *testing.T) {
	_, b, k, config := good()
	config["CONFIG_X86_64"], config["CONFIG_ARM64"] = "", "y"
	b.Machine = elf.EM_AARCH64
	b.needs = []Need{{Name: "_GLOBAL_OFFSET_TABLE_"}}
	b.info = []string{"license=GPL", "vermagic=" + strings.TrimSpace(magic) + " aarch64"}
	b.Sections = []testkit.Section{{Name: ".plt"}}
	want := []string{"error: b.ko: has no section .init.plt, which the kernel wants: linked without its module.lds [elf]",
		"error: b.ko: symbol _GLOBAL_OFFSET_TABLE_: exported by neither the kernel, this package nor those that it depends on [symbols]"}
	if diff := cmp.Diff(want, verdicts((&Verifier{Kernel: k}).Check([]*File{b.file(t)}))); diff != "" {
		t.Errorf("Check() (-want +got):\n%s", diff)
	}
}

// TestReadLayout reads what only the checks look at.
func TestReadLayout(t *testing.T) {
	a, _, _, _ := good()
	a.btf = "types"
	a.Sections = []testkit.Section{{Name: ".BTF.base", Data: "base"}, {Name: "bss", Kind: elf.SHT_NOBITS}}
	f := a.file(t)
	if f.layout.name != "a" || string(f.layout.btf) != "types" || string(f.layout.btfBase) != "base" || f.layout.symtabs() != 1 || f.layout.count("bss") != 1 {
		t.Errorf("layout = %+v", f.layout)
	}
	small := &made{ELF: testkit.ELF{Class: elf.ELFCLASS32, Machine: elf.EM_ARM, Sections: []testkit.Section{
		{Name: thisModule, Data: strings.Repeat("\x00", 12) + "on_arm" + strings.Repeat("\x00", 60)}}}, path: "x.ko"}
	if f := small.file(t); f.kernelName() != "on_arm" {
		t.Errorf("name in a struct module of 32 bits = %q", f.kernelName())
	}
	// A section up to the end, and one beyond, in a file whose headers are all there.
	data := (&testkit.ELF{Sections: []testkit.Section{minimal}}).Bytes()
	order := binary.LittleEndian
	header := data[order.Uint64(data[40:])+64:]
	order.PutUint64(header[24:], uint64(len(data)-10))
	order.PutUint64(header[32:], 10)
	if _, err := read(data, "m.ko"); err != nil {
		t.Errorf("Read(section up to the end) = %v", err)
	}
	order.PutUint64(header[32:], 11)
	if _, err := read(data, "m.ko"); err == nil || err.Error() != "m.ko: section .modinfo lies outside of the file, which is truncated" {
		t.Errorf("Read(section beyond the end) = %v", err)
	}
}

// TestReadOverlap wants no more memory than the file has, however many sections
// there are in it.
func TestReadOverlap(t *testing.T) {
	f := &testkit.ELF{Sections: []testkit.Section{minimal, {Name: ".text", Data: strings.Repeat("x", 3000)}, {Name: ".text2", Data: "x"}}}
	data, order := f.Bytes(), binary.LittleEndian
	headers := data[order.Uint64(data[40:]):]
	copy(headers[64*3+24:64*3+40], headers[64*2+24:64*2+40])
	if _, err := read(data, "m.ko"); err == nil || err.Error() != "m.ko: section .text2 overlaps others" {
		t.Errorf("Read(two sections in one place) = %v", err)
	}
}

func TestReturns(t *testing.T) {
	fn := elf.Symbol{Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Value: 1, Size: 3}
	for code, want := range map[string]bool{
		"\xc3\x90\x90\xc3":     true,
		"\x90\x90\xc3\xcc\x90": true,
		"\xc3\x90\xc3\x90\xc3": false,
		"\xc3\x90\x90":         false, // ends before the function does
		"":                     false,
	} {
		if got := returns(fn, []byte(code)); got != want {
			t.Errorf("returns(%q) = %v; want %v", code, got, want)
		}
	}
	fn.Info = elf.ST_INFO(elf.STB_GLOBAL, elf.STT_OBJECT)
	if returns(fn, []byte("\xc3\xc3\xc3\xc3")) {
		t.Error("returns() of an object = true")
	}
	fn = elf.Symbol{Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Value: 1<<64 - 1, Size: 2}
	if returns(fn, []byte("\xc3\xc3\xc3\xc3")) {
		t.Error("returns() of a function that wraps around = true")
	}
}

// btfData is BTF of these types and strings.
func btfData(types, text string) string {
	b := binary.LittleEndian.AppendUint16(nil, btfMagic)
	b = append(b, 1, 0)
	for _, n := range []int{24, 0, len(types), len(types), len(text)} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return string(b) + types + text
}

// le is numbers of 32 bits in a row.
func le(numbers ...uint32) string {
	var b []byte
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return string(b)
}

const btfInt, btfPtr, btfStruct = 1 << 24, 2 << 24, 4 << 24

var (
	// baseTypes are "int" and a pointer to it.
	baseTypes = btfData(le(1, btfInt, 4, 32)+le(0, btfPtr, 1), "\x00int\x00")
	// ownTypes are struct own { int *int; }, in split BTF.
	ownTypes = btfData(le(5, btfStruct|1, 8, 1, 2, 0), "own\x00")
)

func TestCheckBTF(t *testing.T) {
	vmlinux := filepath.Join(t.TempDir(), "vmlinux")
	image := &testkit.ELF{Kind: elf.ET_EXEC, Sections: []testkit.Section{{Name: ".BTF", Data: baseTypes}}}
	if err := os.WriteFile(vmlinux, image.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	const differs = "a.ko: BTF does not belong to this kernel: "
	for _, tt := range []struct{ name, btf, base, want string }{
		{"good", ownTypes, "", ""},
		{"none", "", "", "a.ko: has no BTF (section .BTF), but the kernel's modules do: its build needs pahole, of the package pahole, and debug information"},
		{"no BTF", "hello", "", differs + "is not BTF of version 1"},
		{"magic", strings.Replace(ownTypes, "\x9f", "\x9e", 1), "", differs + "is not BTF of version 1"},
		{"version", ownTypes[:2] + "\x02" + ownTypes[3:], "", differs + "is not BTF of version 1"},
		{"header", ownTypes[:4] + "\xff" + ownTypes[5:], "", differs + "BTF header is truncated"},
		{"truncated", ownTypes[:len(ownTypes)-1], "", differs + "BTF is truncated"},
		{"half a type", btfData(le(5, btfStruct|1), "own\x00"), "", differs + "BTF types are truncated"},
		{"half a member", btfData(le(5, btfStruct|1, 8, 1), "own\x00"), "", differs + "BTF types are truncated"},
		{"kind", btfData(le(0, 20<<24, 0), "own\x00"), "", differs + "BTF has a type of the unknown kind 20"},
		{"kind 0", btfData(le(0, 0, 0), "own\x00"), "", differs + "BTF has a type of the unknown kind 0"},
		{"type", btfData(le(5, btfPtr, 4), "own\x00"), "", differs + "1 types are beyond those of its base, the last is 4"},
		{"own type", btfData(le(5, btfPtr, 3), "own\x00"), "", ""},
		{"name in the base", btfData(le(2, btfPtr, 1), "own\x00"), "", differs + "1 names lie beside the strings of its base, the last at 2"},
		{"own name", btfData(le(6, btfPtr, 1), "own\x00"), "", differs + "1 names lie beside the strings of its base, the last at 6"},
		{"name beyond", btfData(le(9, btfPtr, 1), "own\x00"), "", differs + "1 names lie beside the strings of its base, the last at 9"},
		{"base of its own", btfData(le(1, btfPtr, 1), "own\x00"), btfData(le(0, btfInt, 4, 32), "\x00"), ""},
		{"too much for that", ownTypes, btfData(le(0, btfInt, 4, 32), "\x00"), differs + "1 names lie beside the strings of its base, the last at 5"},
		{"bad base", ownTypes, "x", differs + "is not BTF of version 1"},
		{"array", btfData(le(0, 3<<24, 0, 1, 4, 2), "own\x00"), "", differs + "1 types are beyond those of its base, the last is 4"},
		{"parameter", btfData(le(0, 13<<24|1, 0, 0, 4), "own\x00"), "", differs + "1 types are beyond those of its base, the last is 4"},
		{"variable of a section", btfData(le(0, 15<<24|1, 0, 4, 0, 0), "own\x00"), "", differs + "1 types are beyond those of its base, the last is 4"},
		{"enumerator", btfData(le(0, 6<<24|1, 4, 6, 0), "own\x00"), "", differs + "1 names lie beside the strings of its base, the last at 6"},
		{"long enumerator", btfData(le(0, 19<<24|1, 8, 6, 0, 0), "own\x00"), "", differs + "1 names lie beside the strings of its base, the last at 6"},
		{"function, variable, tag", btfData(le(0, 12<<24, 1)+le(0, 14<<24, 1, 0)+le(0, 17<<24, 1, 0)+le(0, 16<<24, 8)+le(0, 7<<24, 0), "own\x00"), "", ""},
	} {
		for _, allowed := range []string{"", "y"} {
			a, _, k, config := good()
			k.Vmlinux = vmlinux
			config["CONFIG_MODULE_ALLOW_BTF_MISMATCH"] = allowed
			a.btf = tt.btf
			if tt.base != "" {
				a.Sections = []testkit.Section{{Name: ".BTF.base", Data: tt.base}}
			}
			var want []string
			if tt.want != "" {
				want = []string{"error: " + tt.want + " [btf]"}
			}
			if allowed == "y" && strings.HasPrefix(tt.want, differs) {
				want[0] = "note: a.ko: BTF does not belong to this kernel, which will not use it: " + tt.want[len(differs):] + " [btf]"
			}
			got := verdicts((&Verifier{Kernel: k}).Check([]*File{a.file(t)}))
			if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
				t.Errorf("%s: Check() with mismatches allowed %q (-want +got):\n%s", tt.name, allowed, diff)
			}
		}
	}
}

func TestCheckBTFWithoutBase(t *testing.T) {
	a, _, k, _ := good()
	k.Vmlinux = filepath.Join(t.TempDir(), "vmlinux")
	a.btf = ownTypes
	got := verdicts((&Verifier{Kernel: k}).Check([]*File{a.file(t)}))
	if len(got) != 1 || !strings.HasPrefix(got[0], "error: a.ko: BTF does not belong to this kernel: "+k.Vmlinux+": ") && !strings.Contains(got[0], "no such file") {
		t.Errorf("Check() without vmlinux = %q", got)
	}
}

func FuzzBTF(f *testing.F) {
	f.Add([]byte(baseTypes), []byte(ownTypes))
	f.Add([]byte(ownTypes), []byte(btfData(le(0, 13<<24|1, 0, 0, 4), "own\x00")))
	f.Add([]byte(baseTypes), []byte(btfData(le(0, 3<<24, 0, 1, 4, 2), "")))
	f.Fuzz(func(t *testing.T, base, own []byte) {
		b := new(baseBTF)
		if b.set(base, binary.LittleEndian); b.err != nil {
			return
		}
		if b.fits(own, binary.LittleEndian) == nil && !bytes.HasPrefix(own, []byte{0x9f, 0xeb, 1}) {
			t.Errorf("fits(%q) = nil", own)
		}
	})
}

// patch makes the sections of a 64-bit file called .text* executable and its
// symbols, from the first on, functions of 2 bytes.
func patch(f *testkit.ELF) []byte {
	data, order := f.Bytes(), binary.LittleEndian
	headers := data[order.Uint64(data[40:]):]
	for i, s := range f.Sections {
		if strings.HasPrefix(s.Name, ".text") {
			order.PutUint64(headers[64*(i+1)+8:], uint64(elf.SHF_ALLOC|elf.SHF_EXECINSTR))
		}
	}
	symtab := data[order.Uint64(headers[64*(len(f.Sections)+1)+24:]):]
	for i := range f.Symbols {
		symtab[24*(i+1)+4] = elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC)
		order.PutUint64(symtab[24*(i+1)+16:], 2)
	}
	return data
}

func TestReadCode(t *testing.T) {
	const endbr = "\xf3\x0f\x1e\xfa"
	for _, tt := range []struct {
		name string
		f    testkit.ELF
		want layout
	}{
		{"none", testkit.ELF{Sections: []testkit.Section{{Name: "data", Data: endbr + "\x90\xc3"}}}, layout{}},
		{"empty", testkit.ELF{Sections: []testkit.Section{{Name: ".text"}}}, layout{}},
		{"return", testkit.ELF{Sections: []testkit.Section{{Name: ".text", Data: "\x90\xc3"}}}, layout{code: true, returns: true}},
		{"jump", testkit.ELF{Sections: []testkit.Section{{Name: ".text", Data: "\xeb\xfe"}}}, layout{code: true}},
		{"listed", testkit.ELF{Sections: []testkit.Section{{Name: ".text", Data: "\x90\xc3"}, {Name: ".return_sites"}}}, layout{code: true}},
		{"first of two", testkit.ELF{Sections: []testkit.Section{{Name: ".text", Data: "\xeb\xfe" + endbr}, {Name: ".text.x", Data: "\x90"}}},
			layout{code: true, endbr: true}},
		{"second of two", testkit.ELF{Sections: []testkit.Section{{Name: ".text", Data: "\xeb\xfe"}, {Name: ".text.x", Data: endbr}}},
			layout{code: true, endbr: true}},
		{"arm64", testkit.ELF{Machine: elf.EM_AARCH64, Sections: []testkit.Section{{Name: ".text", Data: "\x90\xc3"}}}, layout{}},
	} {
		tt.f.Sections = append([]testkit.Section{minimal}, tt.f.Sections...)
		tt.f.Symbols = []testkit.Symbol{{Name: "f", Section: ".text"}}
		m, err := read(patch(&tt.f), "m.ko")
		if err != nil {
			t.Fatal(err)
		}
		if got := (layout{code: m.layout.code, endbr: m.layout.endbr, returns: m.layout.returns}); !cmp.Equal(got, tt.want, cmp.AllowUnexported(layout{})) {
			t.Errorf("%s: code %v, endbr %v, returns %v; want %+v", tt.name, got.code, got.endbr, got.returns, tt.want)
		}
	}
}
