// SPDX-License-Identifier: MIT

package acceptance

import (
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/kmod"
	"github.com/gokms/gokms/test/vm"
)

// unbuilt are the packages of the corpus whose sources do not know Linux 6.1;
// west-chamber wants the source of another one.
var unbuilt = []string{"librem-ec-acpi-dkms", "lttng-modules-dkms", "openrazer-driver-dkms", "west-chamber-dkms"}

// sources612 are the packages of the corpus whose sources know Linux 6.12.
var sources612 = []string{"acpi-call-dkms", "bbswitch-dkms", "dpdk-kmods-dkms", "lime-forensics-dkms", "rtpengine-kernel-dkms"}

// parameters are what modules want to be loaded with: lime dumps the memory.
var parameters = map[string][]string{"lime": {"path=/dev/null", "format=raw"}}

// load is a step that loads a module with its parameters.
func load(name string) vm.Step { return vm.Modprobe(name, parameters[name]...) }

// unwilling are modules that do not load without their hardware,
// and what modprobe or the kernel says then.
var unwilling = map[string]string{
	"bbswitch":    "bbswitch: No discrete VGA device found",
	"hdaps":       "thinkpad_ec: no ThinkPad embedded controller!",
	"thinkpad_ec": "thinkpad_ec: no ThinkPad embedded controller!",
	"tp_smapi":    "thinkpad_ec: no ThinkPad embedded controller!",
	// Its initcall says that CONFIG_NF_NAT is not y, in a line without an end,
	// which dmesg does not show.
	"xt_DNETMAP": "Invalid argument",
	// Debian's kernels are built without CONFIG_ECHO.
	"dahdi_echocan_oslec": "Unknown symbol oslec_create",
}

// unverified are the checks that packages need to be built without: each has a
// module that no kernel of Debian loads.
var unverified = map[string]string{"dahdi-dkms": "symbols"}

// requested are modules of the kernel's own that those of the corpus request by
// themselves: gost-test tests the modes of its ciphers.
var requested = []string{"cmac", "ecb"}

// TestVMCorpus loads all modules of the corpus that build for today's kernels.
// Its log has a table of them.
func TestVMCorpus(t *testing.T) {
	acceptance(t)
	for _, k := range vmKernels {
		if k.arch != "amd64" {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			m := newVM(t, k.arch, k.pkg)
			all := []*built{packageFor(t, m, testSource("override"))}
			for _, deb := range testkit.Corpus(t) {
				name, _, _ := strings.Cut(filepath.Base(deb), "_")
				if k.name == "6.1" || slices.Contains(sources612, name) {
					all = append(all, packageFor(t, m, deb, noVerify(name)...))
				}
			}
			testCorpus(t, m, all)
		})
	}
}

// noVerify are the options without which a package is not built.
func noVerify(source string) []string {
	if check := unverified[source]; check != "" {
		return []string{"--no-verify", check}
	}
	return nil
}

// testCorpus boots m with packages, the first of which is the source override
// of testdata.
func testCorpus(t *testing.T, m *vm.Machine, all []*built) {
	t.Helper()
	loadable := slices.DeleteFunc(slices.Clone(all), func(b *built) bool { return b.modules == nil })
	c := loadCase(t, loadable)
	c.Modules = requested
	c.Steps = append(c.Steps, vm.Shell("find /lib/modules -name 'mii.ko*' | wc -l"))
	r := boot(t, m, c)
	if got := r.Results[len(r.Results)-1].Output; got != "2\n" {
		t.Errorf("the guest has %s modules mii, not the package's and the kernel's own", got)
	}
	if note := "replaces the kernel's own"; !strings.Contains(all[0].output, note) {
		t.Errorf("gokms-mkbmdeb does not say that mii %s:\n%s", note, all[0].output)
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PACKAGE\tBUILT\tMODULE\tKERNEL "+m.Kernel.Release)
	loaded, refused := 0, 0
	for _, pkg := range all {
		if (pkg.modules == nil) != slices.Contains(unbuilt, pkg.source) {
			t.Errorf("%s: %s\n%s", pkg.source, pkg.verdict, pkg.output)
		}
		if pkg.modules == nil {
			fmt.Fprintf(table, "%s\t%s\t\t\n", pkg.source, pkg.verdict)
		}
		for _, name := range slices.Sorted(maps.Keys(pkg.modules)) {
			says := corpusVerdict(t, r, pkg, name)
			if strings.HasPrefix(says, "loaded") {
				loaded++
			} else {
				refused++
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", pkg.source, pkg.verdict, name, says)
		}
	}
	must(t, table.Flush())
	t.Logf("%d modules loaded, %d not\n%s", loaded, refused, b.String())
}

// corpusVerdict is what became of a module, which is to be loaded, or to be
// refused for the reason that is known.
func corpusVerdict(t *testing.T, r *vm.Report, b *built, name string) string {
	t.Helper()
	file, err := kmod.Open(filepath.Join(b.root, b.modules[name]))
	must(t, err)
	want := hex.EncodeToString(file.BuildID)
	reason, known := unwilling[name]
	for _, result := range r.Results {
		got := result.Loaded(name)
		switch {
		case got == nil:
		case got.BuildID != want:
			t.Errorf("%s: module %s: build-id %s was loaded, not the package's %s", b.source, name, got.BuildID, want)
		case known:
			t.Errorf("%s: module %s was loaded", b.source, name)
		default:
			return "loaded, taint " + got.Taint
		}
	}
	result := r.Result(load(name).Name)
	said := strings.Join(append(strings.Split(strings.TrimSpace(result.Output), "\n"), result.Dmesg...), " / ")
	if !known || !strings.Contains(said, reason) {
		t.Errorf("%s: module %s was not loaded: %s; expected: %q", b.source, name, said, reason)
	}
	return said
}

// TestVMForeign loads modules that were compiled on a machine of another
// architecture: one source file, several in one module, and two modules.
func TestVMForeign(t *testing.T) {
	acceptance(t)
	m := newVM(t, "arm64", "linux-image-arm64")
	var all []*built
	for _, source := range []string{"v4l2loopback-dkms", "dm-writeboost-dkms", "nat-rtsp-dkms"} {
		all = append(all, packageFor(t, m, corpusDeb(t, source)))
	}
	r := loadBuilt(t, m, all)
	for _, b := range all {
		for name := range b.modules {
			checkLoaded(t, r, b, name)
		}
	}
}
