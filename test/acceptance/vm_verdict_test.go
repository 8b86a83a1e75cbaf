// SPDX-License-Identifier: MIT

package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/gokms/gokms/internal/verify"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/kmod"
	"github.com/gokms/gokms/test/vm"
)

// module is one that was built, and patched: the kernel's own if its name
// begins with linux/, else of testdata's sources probe and override.
type module struct {
	name    string
	patches []vm.Patch
}

// stricter is why verification refuses on purpose what Debian's kernels load.
type stricter string

// All the reasons that there are.
const (
	otherRelease  stricter = "another release, right CRCs"
	noVermagic    stricter = "no vermagic" // is forced
	noVersions    stricter = "no CRCs"     // is forced
	exportNoCRC   stricter = "export without CRC"
	noBTF         stricter = "no BTF"
	elfClass      stricter = "ELF class" // the kernel does not look at it
	siblingsApart stricter = "siblings never loaded together"
	builtInName   stricter = "name of a built-in module" // refused only if that is in sysfs
)

var deliberate = []stricter{otherRelease, noVermagic, noVersions, exportNoCRC, noBTF, elfClass, siblingsApart, builtInName}

// What releases contain that rows are limited to.
const (
	amd64Only = "-amd64"
	arm64Only = "-arm64"
	only61    = "6.1."
	only612   = "6.12."
)

// verdictRow is a module that is verified, and that a kernel is given. The two
// agree, but for what verification refuses on purpose.
type verdictRow struct {
	check  string // that the row is about; "all": nothing is found
	name   string
	module module
	beside []module // in the same package, loaded before
	apart  bool     // those are unloaded again
	needs  string   // the kernel's own module that is loaded before
	kernel string   // what the release has to contain
	found  kmod.Severity
	taint  string // the letters that the kernel gives the module; "": it refuses it
	dmesg  string // what it says, K is its release
	ours   stricter
}

const (
	dummy   = "linux/dummy"
	cypress = "linux/ums-cypress"
)

// patched is a module with patches.
func patched(name string, patches ...vm.Patch) module { return module{name, patches} }

// exporter is what probe_use needs.
var exporter = []module{patched("probe_export")}

// otherWord puts a release into vermagic that no kernel has.
var otherWord = vm.Modinfo("vermagic=6.1", "vermagic=6.0")

// verdicts are in the order of kmod.Checks. The modules that pass come first in
// each; those before the first check pass all of them.
var verdicts = []verdictRow{
	{check: "all", name: "Linux's own", module: patched(dummy), taint: "E", dmesg: "module verification failed: signature and/or required key missing - tainting kernel"},
	{check: "all", name: "exports symbols", module: patched("probe_export"), taint: "OE", dmesg: "probe_export: loading out-of-tree module taints kernel."},
	{check: "all", name: "of a package of two", module: patched("probe_use"), beside: exporter, taint: "OE"},
	{check: "all", name: "needs Linux's own", module: patched("probe_mii"), needs: "mii", taint: "OE"},
	{check: "all", name: "imports a namespace", module: patched(cypress), needs: "usb-storage", taint: "E"},

	{check: "elf", name: "machine", module: patched(dummy, vm.Foreign), found: kmod.Error, dmesg: "Invalid architecture in ELF header"},
	{check: "elf", name: "type", module: patched(dummy, vm.Header(16, 3)), found: kmod.Error, dmesg: "Invalid ELF header type: 3 != 1"},
	{check: "elf", name: "class", module: patched(dummy, vm.Header(4, 1)), found: kmod.Error, taint: "E", ours: elfClass},
	{check: "elf", name: "truncated", module: patched(dummy, vm.Truncated), found: kmod.Error, dmesg: "Invalid ELF section header overflow"},
	{check: "elf", name: "no struct module", module: patched(dummy, vm.Without(".gnu.linkonce.this_module")), found: kmod.Error},
	{check: "elf", name: "no symbol table", module: patched(dummy, vm.Unsymbolized), found: kmod.Error, dmesg: "dummy: module has no symbols (stripped?)"},
	{check: "elf", name: "common symbol", module: patched("probe_use", vm.Common("gokms_probe_nowhere")), beside: exporter, found: kmod.Error, dmesg: "please compile with -fno-common"},
	{check: "elf", name: "writable code", module: patched(dummy, vm.Writable(".text")), found: kmod.Error, dmesg: "has invalid WRITE|EXEC flags"},
	{check: "elf", name: "no section .plt", module: patched(dummy, vm.Without(".plt")), kernel: arm64Only, found: kmod.Error, dmesg: "module PLT section(s) missing"},

	{check: "vermagic", name: "flags", module: patched(dummy, vm.Modinfo("mod_unload ", "")), found: kmod.Error, dmesg: "dummy: version magic 'K"},
	{check: "vermagic", name: "release", module: patched(dummy, otherWord), found: kmod.Error, taint: "E", ours: otherRelease},
	{check: "vermagic", name: "none", module: patched(dummy, vm.Modinfo("vermagic=", "vermagyc=")), found: kmod.Error, taint: "FE", dmesg: "dummy: bad vermagic: kernel tainted.", ours: noVermagic},

	{check: "name", name: "of a sibling", module: patched("probe_mii", vm.Named("probe_mii", "probe_use")), beside: append(exporter, patched("probe_use")), needs: "mii", found: kmod.Error},
	{check: "name", name: "other than the file's", module: patched(dummy, vm.Named("dummy", "dummi")), found: kmod.Note, taint: "E"},

	{check: "modinfo", name: "two names", module: patched("probe_mii", vm.Modinfo("description=", "name=")), needs: "mii", found: kmod.Note, taint: "OE"},
	{check: "modinfo", name: "alias twice", module: patched("probe_use", vm.Modinfo("alias=gokms-probe-b", "alias=gokms-probe-a")), beside: exporter, found: kmod.Note, taint: "OE"},
	{check: "modinfo", name: "livepatch", module: patched("probe_mii", vm.Modinfo("description=", "livepatch=")), needs: "mii", kernel: arm64Only, found: kmod.Error}, // says so in a line without an end, which dmesg does not show,

	{check: "license", name: "free enough", module: patched("probe_export", vm.Modinfo("license=Dual BSD/GPL", "license=GPL v2")), taint: "OE"},
	{check: "license", name: "closed, without GPL-only symbols", module: patched("probe_export", vm.Modinfo("license=Dual BSD/GPL", "license=BSD")), found: kmod.Note, taint: "POE"},
	{check: "license", name: "closed", module: patched(dummy, vm.Modinfo("license=GPL", "license=BSD")), found: kmod.Error, dmesg: "dummy: Unknown symbol __rtnl_link_register (err -2)"},
	{check: "license", name: "none", module: patched(dummy, vm.Modinfo("license=GPL", "lycense=GPL")), found: kmod.Error, dmesg: "dummy: Unknown symbol __rtnl_link_register (err -2)"},
	{check: "license", name: "sibling's", module: patched("probe_use"), beside: []module{patched("probe_export", vm.Modinfo("license=Dual BSD/GPL", "license=BSD"))}, found: kmod.Error},

	{check: "symbols", name: "weak, nowhere", module: patched("probe_use"), beside: exporter, taint: "OE"},
	{check: "symbols", name: "nowhere", module: patched(dummy, vm.Rename("free_netdev", "free_nutdev")), found: kmod.Error, dmesg: "dummy: Unknown symbol free_nutdev (err -2)"},
	{check: "symbols", name: "sibling missing", module: patched("probe_use"), found: kmod.Error, dmesg: "Unknown symbol gokms_probe_one"},

	{check: "crc", name: "a symbol's", module: patched(dummy, vm.CRC("free_netdev")), found: kmod.Error, dmesg: "dummy: disagrees about version of symbol free_netdev"},
	{check: "crc", name: "a sibling's", module: patched("probe_use", vm.CRC("gokms_probe_one")), beside: exporter, found: kmod.Error, dmesg: "probe_use: disagrees about version of symbol gokms_probe_one"},
	{check: "crc", name: "of struct module", module: patched(dummy, vm.CRC("module_layout")), found: kmod.Error, dmesg: "dummy: disagrees about version of symbol module_layout"},
	{check: "crc", name: "missing", module: patched(dummy, vm.Unversioned("free_netdev")), found: kmod.Error, dmesg: "dummy: no symbol version for free_netdev"},
	{check: "crc", name: "all missing", module: patched(dummy, vm.Without("__versions")), found: kmod.Error, taint: "FE", ours: noVersions},
	{check: "crc", name: "all missing, another release", module: patched(dummy, vm.Without("__versions"), otherWord), found: kmod.Error, dmesg: "' should be 'K"},
	{check: "crc", name: "exported without", module: patched("probe_export", vm.Without("__kcrctab"), vm.Respelled("__crc_gokms_", "__cry_gokms_")), kernel: only61, found: kmod.Error, taint: "FOE", ours: exportNoCRC},

	{check: "namespace", name: "not imported", module: patched(cypress, vm.Modinfo("import_ns=", "ymport_ns=")), needs: "usb-storage", found: kmod.Error,
		dmesg: "ums_cypress: module uses symbol (usb_stor_resume) from namespace USB_STORAGE, but does not import it."},
	{check: "namespace", name: "sibling's not imported", module: patched("probe_use", vm.Modinfo("import_ns=", "ymport_ns=")), beside: exporter, found: kmod.Error,
		dmesg: "probe_use: module uses symbol (gokms_probe_two) from namespace GOKMS_PROBE, but does not import it."},

	{check: "exports", name: "of vmlinux", module: patched("probe_export", vm.Respelled("gokms_probe_one", "kmem_cache_free")), found: kmod.Error, dmesg: "exports duplicate symbol kmem_cache_free (owned by kernel)"},
	{check: "exports", name: "of a module in use", module: patched("probe_mii", vm.Respelled("gokms_probe_mii", "mii_check_media")), needs: "mii", found: kmod.Error, dmesg: "exports duplicate symbol mii_check_media (owned by mii)"},
	{check: "exports", name: "of a module not in use", module: patched("probe_export", vm.Respelled("gokms_probe_one", "mii_check_media")), found: kmod.Note, taint: "OE"},
	{check: "exports", name: "of a sibling", module: patched("probe_export", vm.Respelled("probe_export", "probe_expert")), beside: exporter, found: kmod.Error, dmesg: "probe_expert: exports duplicate symbol gokms_probe_"},
	{check: "exports", name: "of a sibling unloaded before", module: patched("probe_export", vm.Respelled("probe_export", "probe_expert")), beside: exporter, apart: true, found: kmod.Error, taint: "OE", ours: siblingsApart},

	{check: "depends", name: "none", module: patched("probe_mii", vm.Modinfo("depends=mii", "depends=")), needs: "mii", found: kmod.Note, taint: "OE"},

	{check: "btf", name: "none", module: patched("probe_export", vm.Without(".BTF")), kernel: only612, found: kmod.Error, taint: "OE", ours: noBTF},
	{check: "btf", name: "damaged", module: patched(dummy, vm.Overwrite(".BTF", 0, 0)), kernel: only612, found: kmod.Note, taint: "E", dmesg: "BPF: Invalid magic"},

	{check: "mitigations", name: "no retpolines", module: patched("probe_export", vm.Modinfo("retpoline=Y", "retpolyne=Y")), kernel: amd64Only, found: kmod.Note, taint: "OE", dmesg: "loading module not compiled with retpoline compiler."},
	{check: "mitigations", name: "no return thunks", module: patched("probe_plain"), kernel: amd64Only, found: kmod.Note, taint: "OE"},

	{check: "override", name: "Linux's own", module: patched("mii"), found: kmod.Note, taint: "OE"},
	{check: "override", name: "built in", module: patched("probe_export", vm.Named("probe_export", "tcp_cubic")), found: kmod.Error, dmesg: "tcp_cubic: module is already loaded"},
	{check: "override", name: "built in, not in sysfs", module: patched("probe_export", vm.Named("probe_export", "crc_ccitt")), found: kmod.Error, taint: "OE", ours: builtInName},
}

// TestVMVerdicts holds what verification says of modules against what kernels
// do with them. Its log has the tables.
func TestVMVerdicts(t *testing.T) {
	seen := map[stricter]bool{}
	eachVM(t, func(t *testing.T, m *vm.Machine) {
		s := newVerdicts(t, m)
		var c vm.Case
		c.Files = map[string][]byte{}
		for _, row := range s.rows {
			s.add(t, &c, row)
		}
		r := boot(t, m, c)
		var b strings.Builder
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "CHECK\tMODULE\tVERIFICATION\tKERNEL "+m.Kernel.Release+"\tSTRICTER ON PURPOSE")
		for _, row := range s.rows {
			findings := s.verify(t, row)
			kernels := r.Result(row.title())
			row.judge(t, m.Kernel.Release, findings, kernels)
			seen[row.ours] = true
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", row.check, row.name, verdictOf(findings), kernelVerdict(kernels), row.ours)
		}
		must(t, table.Flush())
		t.Logf("%d modules\n%s", len(s.rows), b.String())
	})
	for _, reason := range deliberate {
		if !seen[reason] {
			t.Errorf("no module shows that verification is stricter: %s", reason)
		}
	}
	for _, check := range kmod.Checks() {
		if !slices.ContainsFunc(verdicts, func(row verdictRow) bool { return row.check == check && row.found != "" }) {
			t.Errorf("no module is made to fail the check %s", check)
		}
	}
}

// verdictCase is what rows are judged with for one kernel.
type verdictCase struct {
	m        *vm.Machine
	rows     []verdictRow
	packages []*built
	verifier *kmod.Verifier
	dir      string
}

func newVerdicts(t *testing.T, m *vm.Machine) *verdictCase {
	t.Helper()
	headers, err := m.Store.Package(t.Context(), m.Kernel.Arch, "linux-headers-"+m.Kernel.Release)
	must(t, err)
	tree, err := kernel.Open(filepath.Join(headers, "lib/modules"), m.Kernel.Release, &kernel.Options{Sysroot: headers})
	must(t, err)
	k, err := verify.Kernel(tree, &verify.Options{ModulesDir: filepath.Join(m.Kernel.Root, "lib/modules", m.Kernel.Release)})
	must(t, err)
	s := &verdictCase{m: m, verifier: &kmod.Verifier{Kernel: k}, dir: t.TempDir()}
	for _, row := range verdicts {
		if strings.Contains(m.Kernel.Release, row.kernel) {
			s.rows = append(s.rows, row)
		}
	}
	for _, source := range []string{"probe", "override"} {
		b := packageFor(t, m, testSource(source))
		if b.modules == nil {
			t.Fatalf("%s: %s\n%s", source, b.verdict, b.output)
		}
		s.packages = append(s.packages, b)
	}
	return s
}

// title is the name of a row's step.
func (row *verdictRow) title() string { return row.check + ": " + row.name }

// modules are those of the row's package, in the order in which they are
// loaded: the names that the files have in the guest, and their contents.
func (s *verdictCase) modules(t *testing.T, row verdictRow) (files []string, data [][]byte) {
	t.Helper()
	for i, mod := range append(slices.Clone(row.beside), row.module) {
		text, err := vm.Patched(s.read(t, mod.name), mod.patches...)
		if err != nil {
			t.Fatalf("%s: %v", row.title(), err)
		}
		files = append(files, fmt.Sprintf("/%s/%d/%s.ko", strings.Map(pathRune, row.title()), i, filepath.Base(mod.name)))
		data = append(data, text)
	}
	return files, data
}

func pathRune(r rune) rune {
	if strings.ContainsRune(" :,'/", r) {
		return '-'
	}
	return r
}

// read is a module without patches and signature.
func (s *verdictCase) read(t *testing.T, name string) []byte {
	t.Helper()
	if own, ok := strings.CutPrefix(name, "linux/"); ok {
		return inTree(t, s.m.Kernel, own)
	}
	for _, b := range s.packages {
		if file := b.modules[name]; file != "" {
			return readModule(t, filepath.Join(b.root, file))
		}
	}
	t.Fatalf("no module %s", name)
	return nil
}

// add has the guest load the modules of a row, and unload them.
func (s *verdictCase) add(t *testing.T, c *vm.Case, row verdictRow) {
	t.Helper()
	files, data := s.modules(t, row)
	if row.needs != "" {
		c.Steps = append(c.Steps, vm.Modprobe(row.needs))
	}
	for i, file := range files {
		c.Files[file] = data[i]
		step := vm.Insmod(file)
		if i == len(files)-1 {
			step.Name = row.title()
			if row.apart {
				c.Steps = append(c.Steps, unloadAll)
			}
		}
		c.Steps = append(c.Steps, step)
	}
	c.Steps = append(c.Steps, unloadAll)
}

// unloadAll removes all modules that nothing uses; /proc/modules has the newest
// first.
var unloadAll = vm.Shell(`for m in $(awk '{print $1}' /proc/modules); do rmmod $m || true; done`)

// verify is what verification finds wrong with the last module of a row. A file
// that cannot be read fails the first check.
func (s *verdictCase) verify(t *testing.T, row verdictRow) []kmod.Finding {
	t.Helper()
	names, data := s.modules(t, row)
	var files []*kmod.File
	for i, name := range names {
		path := filepath.Join(s.dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, data[i], 0o644))
		f, err := kmod.Open(path)
		if err != nil {
			return []kmod.Finding{{Check: kmod.Checks()[0], Severity: kmod.Error, Path: path, Text: err.Error()}}
		}
		files = append(files, f)
	}
	last := files[len(files)-1]
	return slices.DeleteFunc(s.verifier.Check(files), func(f kmod.Finding) bool { return f.Path != last.Path })
}

// judge compares what verification and the kernel say with the row, and with
// each other.
func (row *verdictRow) judge(t *testing.T, release string, findings []kmod.Finding, got *vm.Result) {
	t.Helper()
	taint := ""
	if len(got.New) == 1 {
		taint = got.New[0].Taint
	}
	if want := strings.ReplaceAll(row.dmesg, "'K", "'"+release); taint != row.taint || (got.Exit == 0) != (row.taint != "") || !got.Said(want) {
		t.Errorf("%s: loaded: %+v (exit %d, %s), the kernel says %q; want taint %q, %q", row.title(), got.New, got.Exit, got.Output, got.Dmesg, row.taint, want)
	}
	errors := kmod.Errors(findings)
	ofCheck := slices.ContainsFunc(findings, func(f kmod.Finding) bool { return f.Check == row.check && f.Severity == row.found })
	switch {
	case ofCheck != (row.found != ""), (len(errors) > 0) != (row.found == kmod.Error), row.check == "all" && len(findings) > 0:
		t.Errorf("%s: verification finds %q; want %q", row.title(), findings, row.found)
	case len(errors) == 0 && got.Exit != 0:
		t.Errorf("%s: verification lets pass what the kernel refuses: %q", row.title(), got.Dmesg)
	case (len(errors) > 0 && got.Exit == 0) != (row.ours != ""):
		t.Errorf("%s: verification finds %q, the kernel's exit code is %d; it is stricter on purpose: %q", row.title(), errors, got.Exit, row.ours)
	}
}

// verdictOf is the outcome in a few words.
func verdictOf(findings []kmod.Finding) string {
	checks := map[kmod.Severity][]string{}
	for _, f := range findings {
		if !slices.Contains(checks[f.Severity], f.Check) {
			checks[f.Severity] = append(checks[f.Severity], f.Check)
		}
	}
	switch {
	case len(checks[kmod.Error]) > 0:
		return "refused: " + strings.Join(checks[kmod.Error], ", ")
	case len(checks[kmod.Note]) > 0:
		return "passes, note: " + strings.Join(checks[kmod.Note], ", ")
	}
	return "passes"
}

func kernelVerdict(got *vm.Result) string {
	if len(got.New) > 0 {
		return "loads, taint " + got.New[0].Taint
	}
	said := got.Output
	if len(got.Dmesg) > 0 {
		said = got.Dmesg[len(got.Dmesg)-1]
	}
	return "refuses: " + strings.TrimSpace(said)
}
