// SPDX-License-Identifier: MIT

package acceptance

import (
	"bytes"
	"encoding/hex"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/kmod"
	"github.com/gokms/gokms/test/vm"
)

// vmKernels are the packages of today's kernels.
var vmKernels = []struct{ name, arch, pkg string }{
	{"6.1", "amd64", "linux-image-amd64"},
	{"6.12", "amd64", "linux-image-6.12-amd64"},
	{"6.1-arm64", "arm64", "linux-image-arm64"},
}

// newVM is a machine of qemu with the kernel of a package.
func newVM(t *testing.T, arch, pkg string) *vm.Machine {
	t.Helper()
	qemu := map[string]string{"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}[arch]
	testkit.Tools(t, qemu, "go", "cpio", "depmod", "modprobe", "modinfo")
	store := &vm.Store{Dir: filepath.Join(cacheDir(t), "vm")}
	kernel, err := store.Kernel(t.Context(), arch, pkg)
	must(t, err)
	return &vm.Machine{Kernel: kernel, Store: store, Dir: scratchDir(t, "vm")}
}

// eachVM runs a test with each of today's kernels.
func eachVM(t *testing.T, test func(t *testing.T, m *vm.Machine)) {
	t.Helper()
	acceptance(t)
	for _, k := range vmKernels {
		t.Run(k.name, func(t *testing.T) { test(t, newVM(t, k.arch, k.pkg)) })
	}
}

// tryBoot runs a case.
func tryBoot(t *testing.T, m *vm.Machine, c vm.Case) *vm.Report {
	t.Helper()
	r, err := m.Boot(t.Context(), c)
	must(t, err)
	t.Logf("%s: %s; prepared in %.1f s, booted in %.1f s, ended after %.1f s", m.Kernel.Release, r.End,
		r.Prepared.Seconds(), r.Booted.Seconds(), r.Ran.Seconds())
	return r
}

// boot runs a case that the guest has to come to the end of without trouble.
func boot(t *testing.T, m *vm.Machine, c vm.Case) *vm.Report {
	t.Helper()
	r := tryBoot(t, m, c)
	if r.End != vm.Complete || len(r.Trouble) != 0 {
		t.Fatalf("the guest's end: %s\ntrouble: %s\nconsole:\n%s", r.End, strings.Join(r.Trouble, "\n"), r.Console)
	}
	return r
}

// inTree is one of the kernel's own modules, without its signature.
func inTree(t *testing.T, k *vm.Kernel, name string) []byte {
	t.Helper()
	file := hostOutput(t, "modinfo", "-b", k.Root, "-k", k.Release, "-n", name)
	data, err := vm.Unsigned(readModule(t, file))
	must(t, err)
	return data
}

// unload is a step that removes a module if it is loaded.
func unload(module string) vm.Step {
	return vm.Shell("! grep -q '^" + module + " ' /proc/modules || rmmod " + module)
}

// testKey is a key that lives as long as the test.
type testKey struct{ key, cert, der string }

func newTestKey(t *testing.T, name string) testKey {
	t.Helper()
	dir := t.TempDir()
	k := testKey{filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "cert.der")}
	hostOutput(t, "openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN="+name+"/",
		"-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=digitalSignature", "-keyout", k.key, "-out", k.cert)
	hostOutput(t, "openssl", "x509", "-in", k.cert, "-outform", "DER", "-out", k.der)
	return k
}

// sign signs a module with the kernel's own program.
func (k testKey) sign(t *testing.T, module []byte) []byte {
	t.Helper()
	programs, err := filepath.Glob("/usr/lib/linux-kbuild-*/scripts/sign-file")
	must(t, err)
	if len(programs) == 0 {
		t.Fatal("no sign-file of linux-kbuild is installed")
	}
	file := filepath.Join(t.TempDir(), "module.ko")
	must(t, os.WriteFile(file, module, 0o644))
	hostOutput(t, programs[0], "sha256", k.key, k.cert, file)
	data, err := os.ReadFile(file)
	must(t, err)
	return data
}

// Modules of the tests of signatures.
const (
	unsigned    = "unsigned"
	wrongKey    = "signed with a key that is unknown to all"
	ourKey      = "signed with our key"
	otherModule = "with our signature of another module"
	cutOff      = "with a signature without its end"
	onlyMark    = "with the mark of a signature alone"
	debians     = "signed by Debian"
)

// sayings are what the kernel says when it refuses them.
var sayings = map[string]string{
	unsigned:    "Loading of unsigned module is rejected",
	wrongKey:    "Loading of module with unavailable key is rejected",
	ourKey:      "Loading of module with unavailable key is rejected",
	otherModule: "", // insmod: Key was rejected by service
	cutOff:      "Loading of unsigned module is rejected",
	onlyMark:    "Loading of module with unsupported crypto is rejected",
}

// signatureCases are ways to boot, with the modules that the kernel then takes
// without a taint, and with E, "unsigned". All others are refused.
var signatureCases = []struct {
	name     string
	firmware func(t *testing.T, arch string, cert []byte) *vm.Firmware
	args     []string
	clean    []string
	tainted  []string
}{
	{"permissive", noFirmware, nil, []string{debians}, []string{unsigned, wrongKey, ourKey, otherModule, cutOff, onlyMark}},
	{"enforced", noFirmware, []string{vm.SigEnforce}, []string{debians}, nil},
	{"key in db, permissive", keyInDB, nil, []string{debians, ourKey}, []string{unsigned, wrongKey, cutOff, onlyMark}},
	{"key in db, enforced", keyInDB, []string{vm.SigEnforce}, []string{debians, ourKey}, nil},
	{"Secure Boot", secureBoot, nil, []string{debians, ourKey}, nil},
}

func noFirmware(*testing.T, string, []byte) *vm.Firmware { return nil }

func keyInDB(t *testing.T, arch string, cert []byte) *vm.Firmware {
	f, err := vm.OpenFirmware(arch, cert)
	must(t, err)
	return f
}

func secureBoot(t *testing.T, arch string, cert []byte) *vm.Firmware {
	f := keyInDB(t, arch, cert)
	must(t, f.EnableSecureBoot(cert))
	return f
}

// TestVMSignatures has kernels judge signatures. Debian's trust the keys of the
// firmware's db.
func TestVMSignatures(t *testing.T) {
	acceptance(t)
	testkit.Tools(t, "openssl")
	ours := newTestKey(t, "gokms: a key of db")
	cert, err := os.ReadFile(ours.der)
	must(t, err)
	eachVM(t, func(t *testing.T, m *vm.Machine) {
		module, other := inTree(t, m.Kernel, "dummy"), inTree(t, m.Kernel, "ums-cypress")
		signed := ours.sign(t, module)
		signature := ours.sign(t, other)[len(other):]
		c := newSignatureCase(t, map[string][]byte{
			unsigned:    module,
			wrongKey:    newTestKey(t, "gokms: a key of nobody").sign(t, module),
			ourKey:      signed,
			otherModule: append(bytes.Clone(module), signature...),
			cutOff:      signed[:len(signed)-1],
			onlyMark:    append(bytes.Clone(module), signed[len(signed)-28:]...),
		})
		for _, row := range signatureCases {
			if m.Kernel.Arch != "amd64" && row.firmware(t, "amd64", cert) != nil {
				continue // its firmware has no store that we can write
			}
			t.Run(row.name, func(t *testing.T) {
				m.Firmware = row.firmware(t, m.Kernel.Arch, cert)
				c.Append = row.args
				for _, got := range boot(t, m, c).Results {
					checkSignature(t, got, row.clean, row.tainted)
				}
			})
		}
	})
}

// newSignatureCase loads and unloads each module, and Debian's own.
func newSignatureCase(t *testing.T, modules map[string][]byte) vm.Case {
	t.Helper()
	c := vm.Case{Files: map[string][]byte{}}
	for i, name := range slices.Sorted(maps.Keys(modules)) {
		file := path.Join("/", string(rune('a'+i)), "dummy.ko")
		c.Files[file] = modules[name]
		c.Steps = append(c.Steps, vm.Step{Name: name, Argv: []string{"insmod", file}},
			unload("dummy"))
	}
	c.Steps = append(c.Steps, vm.Step{Name: debians, Argv: []string{"modprobe", "dummy"}})
	return c
}

func checkSignature(t *testing.T, got vm.Result, clean, tainted []string) {
	t.Helper()
	if strings.HasPrefix(got.Name, "sh: ") {
		return
	}
	module := got.Loaded("dummy")
	switch {
	case slices.Contains(clean, got.Name):
		if module == nil || module.Taint != "" {
			t.Errorf("%s: loaded: %+v (%s), the kernel says %q; want no taint", got.Name, module, got.Output, got.Dmesg)
		}
	case slices.Contains(tainted, got.Name):
		if module == nil || module.Taint != "E" {
			t.Errorf("%s: loaded: %+v (%s), the kernel says %q; want taint E", got.Name, module, got.Output, got.Dmesg)
		}
	case module != nil || !strings.Contains(got.Output, "Key was rejected by service") || !got.Said(sayings[got.Name]):
		t.Errorf("%s: loaded: %+v (%s), the kernel says %q; want it refused, with %q", got.Name, module, got.Output, got.Dmesg, sayings[got.Name])
	}
}

// loadBuilt boots a case that loads all modules of the packages with modprobe,
// in the order of their names.
func loadBuilt(t *testing.T, m *vm.Machine, all []*built, more ...vm.Step) *vm.Report {
	t.Helper()
	c := loadCase(t, all)
	c.Steps = append(c.Steps, more...)
	return boot(t, m, c)
}

func loadCase(t *testing.T, all []*built) vm.Case {
	t.Helper()
	c := vm.Case{}
	for _, b := range all {
		if b.modules == nil {
			t.Fatalf("%s: %s\n%s", b.source, b.verdict, b.output)
		}
		c.Debs = append(c.Debs, b.deb)
		for _, name := range slices.Sorted(maps.Keys(b.modules)) {
			c.Steps = append(c.Steps, load(name))
		}
	}
	return c
}

// checkLoaded wants a step to have loaded the file of a package.
func checkLoaded(t *testing.T, r *vm.Report, b *built, name string) {
	t.Helper()
	file, err := kmod.Open(filepath.Join(b.root, b.modules[name]))
	must(t, err)
	want := hex.EncodeToString(file.BuildID)
	result := r.Result(vm.Modprobe(name).Name)
	for _, result := range r.Results {
		if got := result.Loaded(name); got != nil {
			if got.BuildID != want {
				t.Errorf("%s: module %s: build-id %s was loaded, not the package's %s", b.source, name, got.BuildID, want)
			}
			return
		}
	}
	t.Errorf("%s: module %s was not loaded: %s; the kernel says %q", b.source, name, result.Output, result.Dmesg)
}

// TestVMPackages loads modules of packages that gokms-mkbmdeb made: one needs
// modules of the kernel's own, one takes the place of one of these, but does not
// find its hardware.
func TestVMPackages(t *testing.T) {
	acceptance(t)
	all := []*built{build(t, "v4l2loopback-dkms", ""), build(t, "vpoll-dkms", ""), build(t, "tp-smapi-dkms", "")}
	m := newVM(t, arch(t), imageMeta(t))
	r := loadBuilt(t, m, all, vm.Command("modprobe", "--show-depends", "hdaps"))
	checkLoaded(t, r, all[0], "v4l2loopback")
	checkLoaded(t, r, all[1], "vpoll")
	if videodev := r.Results[0].Loaded("videodev"); videodev == nil || videodev.Taint != "" {
		t.Errorf("v4l2loopback: the kernel's own videodev was not loaded: %+v", r.Results[0])
	}
	if got := r.Results[len(r.Results)-1].Output; !strings.Contains(got, "insmod "+all[2].modules["hdaps"]+" ") {
		t.Errorf("modprobe would load another hdaps: %s", got)
	}
	if got := r.Result(vm.Modprobe("hdaps").Name); !strings.Contains(got.Output, "No such device") {
		t.Errorf("modprobe hdaps: %s; the kernel says %q", got.Output, got.Dmesg)
	}

	t.Run("another kernel", func(t *testing.T) {
		other := newVM(t, "amd64", "linux-image-6.12-amd64")
		ko, err := os.ReadFile(filepath.Join(all[1].root, all[1].modules["vpoll"]))
		must(t, err)
		got := boot(t, other, vm.Case{Files: map[string][]byte{"/vpoll.ko": ko}, Steps: []vm.Step{vm.Insmod("/vpoll.ko")}}).Results[0]
		if got.Exit != 1 || !got.Said("section size must match the kernel's built struct module size") {
			t.Errorf("insmod of a module for %s: %+v", m.Kernel.Release, got)
		}
	})
}

// TestVMPrecedence puts another module of a name where module packages have
// theirs: it is loaded instead of the kernel's own.
func TestVMPrecedence(t *testing.T) {
	eachVM(t, func(t *testing.T, m *vm.Machine) {
		ours, err := vm.Patched(inTree(t, m.Kernel, "dummy"), vm.Modinfo("intree=Y", "outree=Y"))
		must(t, err)
		file := "/lib/modules/" + m.Kernel.Release + "/updates/dkms/dummy.ko"
		r := boot(t, m, vm.Case{
			Files: map[string][]byte{file: ours},
			Steps: []vm.Step{vm.Modprobe("dummy"), vm.Shell("find /lib/modules -name 'dummy.ko*' | wc -l")},
		})
		if got := r.Results[0].Loaded("dummy"); got == nil || got.Taint != "OE" {
			t.Errorf("modprobe dummy: %+v; want taint OE", r.Results[0])
		}
		if got := r.Results[1].Output; got != "2\n" {
			t.Errorf("the guest has %s modules of the name, not 2", got)
		}
	})
}

// TestVMTrouble has kernels oops, panic and hang: the others of these tests can
// only fail if that is seen.
func TestVMTrouble(t *testing.T) {
	acceptance(t)
	m := newVM(t, "amd64", "linux-image-amd64")
	const ud2 = "\x0f\x0b"
	oops, err := vm.Patched(inTree(t, m.Kernel, "dummy"), vm.Overwrite(".init.text", 5, ud2[0], ud2[1]))
	must(t, err)
	done := vm.Command("true")

	r := tryBoot(t, m, vm.Case{Files: map[string][]byte{"/oops.ko": oops}, Steps: []vm.Step{vm.Insmod("/oops.ko"), done}})
	if r.End != vm.Complete || !r.Oopsed || r.Results[0].Exit == 0 || r.Results[1].Exit != 0 {
		t.Errorf("oops: %s, %q, %+v", r.End, r.Trouble, r.Results)
	}
	r = tryBoot(t, m, vm.Case{Steps: []vm.Step{done, vm.Shell("echo c > /proc/sysrq-trigger"), done}})
	if r.End != vm.Panicked || r.Results[0].Exit != 0 || r.Results[1].Exit != -1 || r.Results[2].Exit != -1 {
		t.Errorf("panic: %s, %q, %+v", r.End, r.Trouble, r.Results)
	}
	m.Stall = 30 * time.Second
	r = tryBoot(t, m, vm.Case{Steps: []vm.Step{done, vm.Command("sleep", "600")}})
	if r.End != vm.Hung || r.Results[0].Exit != 0 || r.Results[1].Exit != -1 {
		t.Errorf("hang: %s, %q, %+v", r.End, r.Trouble, r.Results)
	}
}
