// SPDX-License-Identifier: MIT

package kmod

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Kernel is what the checks know of the kernel that modules are for: the facts
// of its headers and, where it is at hand, of its image package. It is not
// changed by them.
type Kernel struct {
	Release string // 6.1.0-56-amd64
	// Config is the value of an option in the kernel's .config: "y" for
	// "CONFIG_SMP", "" where it is not set.
	Config func(option string) string
	// Vermagic is the kernel's own; "": what Release and Config make of it.
	// It is needed for kernels with a randomized struct layout only.
	Vermagic string
	// Exports is Module.symvers by symbol: what vmlinux and the modules of the
	// kernel export. nil: there is no such file, and no symbol can be checked.
	Exports map[string]Provided
	// Vmlinux is an ELF file with the kernel's BTF, as the headers of some
	// kernels ship it; "": there is none, and modules have none either.
	Vmlinux string
	// BuiltIn says whether a module of that name is part of vmlinux
	// (modules.builtin); nil: unknown.
	BuiltIn func(name string) bool
	// InTree is the kernel's own module of that name: its file and version, ""
	// where it has none. nil: only those that export symbols are known.
	InTree func(name string) (path, version string, ok bool)
}

// Provided is a symbol that a module may use, and who exports it.
type Provided struct {
	Export
	Module string // "vmlinux", or a module's name or path, as in Module.symvers
}

// Severity says what becomes of a module with a finding.
type Severity string

// The severities.
const (
	// Error: the kernel refuses the module, or gokms does on purpose.
	Error Severity = "error"
	// Note: the module loads; somebody may want to know.
	Note Severity = "note"
)

// Finding is one thing that a check found wrong, and an error.
type Finding struct {
	Check    string   `json:"check"` // one of [Checks]
	Severity Severity `json:"severity"`
	Module   string   `json:"module"`             // as the kernel calls it
	Path     string   `json:"path"`               // its file
	Symbol   string   `json:"symbol,omitempty"`   // that it is about, if it is
	Text     string   `json:"text"`               // what is wrong
	Expected string   `json:"expected,omitempty"` // where two values are compared
	Found    string   `json:"found,omitempty"`
}

// Error is the finding in one line.
func (f Finding) Error() string {
	var b strings.Builder
	b.WriteString(f.Path)
	if f.Path == "" {
		b.WriteString(f.Module)
	}
	if f.Symbol != "" {
		fmt.Fprintf(&b, ": symbol %s", f.Symbol)
	}
	fmt.Fprintf(&b, ": %s", f.Text)
	if f.Expected != "" || f.Found != "" {
		fmt.Fprintf(&b, ": expected %s, found %s", orNothing(f.Expected), orNothing(f.Found))
	}
	fmt.Fprintf(&b, " [%s]", f.Check)
	return b.String()
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// Verifier checks whether modules would load into a kernel. It may be used by
// several goroutines; its fields are not to be changed once it is in use.
type Verifier struct {
	Kernel *Kernel
	// Extra are the symbols that modules of other packages export, by name:
	// those of BUILD_DEPENDS.
	Extra map[string]Provided
	// Skip names checks of [Checks] that find nothing: neither errors nor notes.
	// The other checks do not depend on them.
	Skip []string

	once  sync.Once
	facts facts
	base  baseBTF
}

// facts are what all checks of one kernel look up, made from it once.
type facts struct {
	arch      arch
	known     bool // the arch is
	vermagic  string
	byModule  map[string][]Provided // the kernel's exports, by module name
	extraMods map[string]bool       // names of the modules of Extra
}

// check is one row of the table of checks.
type check struct {
	name string
	run  func(*session, *File)
}

// checks are in the order in which they run; the documentation of [Checks] has
// what each looks at.
var checks = []check{
	{"elf", (*session).checkELF},
	{"vermagic", (*session).checkVermagic},
	{"name", (*session).checkName},
	{"modinfo", (*session).checkModinfo},
	{"license", (*session).checkLicense},
	{"symbols", (*session).checkSymbols},
	{"crc", (*session).checkCRCs},
	{"namespace", (*session).checkNamespaces},
	{"exports", (*session).checkExports},
	{"depends", (*session).checkDepends},
	{"btf", (*session).checkBTF},
	{"mitigations", (*session).checkMitigations},
	{"override", (*session).checkOverride},
}

// Checks are the names of all checks, in the order in which they run. They are
// stable: packages record which were left out. What each one refuses, and where
// the kernel does; "note" are the findings that stop nothing, "ours" what Debian's
// kernels let pass and this package does not.
//
//	elf          another machine, class (ours) or byte order than the kernel's; .modinfo, .gnu.linkonce.this_module
//	             or symbol table missing or twice; no sections for far jumps; common symbols; writable code; on amd64 and
//	             arm64 relocations that the loader does not know, as of a weak symbol by way of a GOT
//	             (kernel/module/main.c: elf_validity_cache_copy, simplify_symbols; strict_rwx.c; arch/*/kernel/module*.c)
//	vermagic     another vermagic than the kernel's, in any part; the release (ours, with MODVERSIONS) and a missing
//	             one (ours, with MODULE_FORCE_LOAD) included (include/linux/vermagic.h, check_modinfo, same_magic)
//	name         two modules of one name in the package (add_unformed_module); note: the file or .modinfo has another
//	             name than struct module
//	modinfo      a livepatch for a kernel without (check_modinfo_livepatch); note: fields twice, aliases twice or too
//	             many, text that cannot be printed
//	license      GPL-only symbols used without a GPL licence, or beside a module without (find_symbol, inherit_taint);
//	             note: no licence, or one that include/linux/license.h does not list
//	symbols      an undefined symbol that nobody exports, unless it is weak (simplify_symbols)
//	crc          a symbol, or struct module, compiled against another CRC than its exporter's, or without one; no CRCs
//	             at all and exports without (ours, with MODULE_FORCE_LOAD) (version.c: check_version,
//	             check_modstruct_version, check_export_symbol_versions)
//	namespace    a symbol of a namespace that is not imported (verify_namespace_is_imported); note:
//	             with MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS
//	exports      a symbol exported that vmlinux, another module of the package or one in use exports as well
//	             (verify_exported_symbols); note: that any other module of the kernel exports
//	depends      note: depends= names other modules than the symbols come from
//	btf          no BTF where the kernel's headers ship theirs (ours); BTF that belongs to another kernel (btf.c:
//	             btf_parse_module); the latter a note with MODULE_ALLOW_BTF_MISMATCH
//	mitigations  note: compiled without the kernel's retpolines, return thunks or branch tracking
//	             (check_modinfo_retpoline; arch/x86/kernel/alternative.c, cet.c)
//	override     the name of a module that is built in (ours, in part: mod_sysfs_init); note: the module replaces one of
//	             the kernel's own, and what others miss in it then
func Checks() []string {
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = c.name
	}
	return names
}

// Errors are the findings for which a module must not be published.
func Errors(findings []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Severity != Error })
}

// Check looks at the modules of one package, which are installed together. The
// findings come in the order of the modules, for each in that of [Checks].
func (v *Verifier) Check(modules []*File) []Finding {
	v.once.Do(v.lookUp)
	s := newSession(v, modules)
	for _, f := range modules {
		for _, c := range checks {
			if slices.Contains(v.Skip, c.name) {
				continue
			}
			s.check = c.name
			c.run(s, f)
		}
	}
	return s.findings
}

func (v *Verifier) lookUp() {
	f := facts{byModule: map[string][]Provided{}, extraMods: map[string]bool{}}
	f.arch, f.known = archOf(v.Kernel.on)
	f.vermagic = v.Kernel.Vermagic
	if f.vermagic == "" {
		f.vermagic = v.Kernel.DefaultVermagic()
	}
	for _, p := range v.Kernel.Exports {
		if m := p.moduleName(); m != "" {
			f.byModule[m] = append(f.byModule[m], p)
		}
	}
	for _, p := range v.Extra {
		f.extraMods[p.moduleName()] = true
	}
	v.facts = f
}

// DefaultVermagic is the vermagic that Release and Config make: the kernel's
// own, unless its struct layout is randomized.
func (k *Kernel) DefaultVermagic() string {
	a, _ := archOf(k.on)
	return vermagic(k.Release, k.on, a)
}

// on says whether option, without its CONFIG_, is y.
func (k *Kernel) on(option string) bool { return k.Config("CONFIG_"+option) == "y" }

// moduleName is the name of the module that exports p; "" for vmlinux.
func (p *Provided) moduleName() string {
	if p.Module == "vmlinux" {
		return ""
	}
	return nameOf(p.Module)
}

// session is one run over the modules of a package.
type session struct {
	v        *Verifier
	facts    *facts
	modules  []*File
	names    map[string]*File     // the first module of each name
	exports  map[string]*provider // what they export
	closed   map[*File]string     // modules that may not use GPL-only symbols, and why
	check    string
	findings []Finding
}

// provider is a symbol and, where a module of this package exports it, that.
type provider struct {
	Provided
	file *File
}

func newSession(v *Verifier, modules []*File) *session {
	s := &session{v: v, facts: &v.facts, modules: modules, names: map[string]*File{}, exports: map[string]*provider{}}
	for _, f := range modules {
		if s.names[f.kernelName()] == nil {
			s.names[f.kernelName()] = f
		}
		for _, e := range f.Exports {
			if s.exports[e.Name] == nil {
				s.exports[e.Name] = &provider{Provided{e, f.kernelName()}, f}
			}
		}
	}
	s.closed = s.closedModules()
	return s
}

// resolve finds who will provide a symbol to the modules of this package once
// it is installed: they themselves, the packages that it depends on, or the
// kernel, but for what its modules of the same names exported.
func (s *session) resolve(name string) *provider {
	if p := s.exports[name]; p != nil {
		return p
	}
	if p, ok := s.v.Extra[name]; ok {
		return &provider{Provided: p}
	}
	p, ok := s.v.Kernel.Exports[name]
	if m := p.moduleName(); !ok || s.names[m] != nil || s.facts.extraMods[m] {
		return nil
	}
	return &provider{Provided: p}
}

// kernelName is what the kernel calls the module: the name in its struct
// module; of a file without one, what .modinfo or the file's name say.
func (f *File) kernelName() string {
	if f.layout.name != "" {
		return f.layout.name
	}
	return f.info.Name
}

func (s *session) find(f *File, found Finding) {
	found.Check, found.Module, found.Path = s.check, f.kernelName(), f.Path
	s.findings = append(s.findings, found)
}

func (s *session) errorf(f *File, format string, args ...any) {
	s.find(f, Finding{Severity: Error, Text: fmt.Sprintf(format, args...)})
}

func (s *session) notef(f *File, format string, args ...any) {
	s.find(f, Finding{Severity: Note, Text: fmt.Sprintf(format, args...)})
}
