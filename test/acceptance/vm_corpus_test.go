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

// unwilling are modules that do not load without their hardware or a parameter,
// and what modprobe or the kernel says then.
var unwilling = map[string]string{}

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
					all = append(all, packageFor(t, m, deb))
				}
			}
			testCorpus(t, m, all)
		})
	}
}

// testCorpus boots m with packages, the first of which is the source override
// of testdata.
func testCorpus(t *testing.T, m *vm.Machine, all []*built) {
	t.Helper()
	loadable := slices.DeleteFunc(slices.Clone(all), func(b *built) bool { return b.modules == nil })
	r := loadBuilt(t, m, loadable, vm.Shell("find /lib/modules -name 'dummy.ko*' | wc -l"))
	if got := r.Results[len(r.Results)-1].Output; got != "2\n" {
		t.Errorf("the guest has %s modules dummy, not the package's and the kernel's own", got)
	}
	if note := "replaces the kernel's own"; !strings.Contains(all[0].output, note) {
		t.Errorf("gokms-mkbmdeb does not say that dummy %s:\n%s", note, all[0].output)
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
	result := r.Result(vm.Modprobe(name).Name)
	said := strings.TrimSpace(result.Output + strings.Join(result.Dmesg, " / "))
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
