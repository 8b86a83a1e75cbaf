// SPDX-License-Identifier: MIT

package acceptance

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/internal/verify"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/kmod"
	"github.com/gokms/gokms/test/vm"
)

// todaysImage fetches and unpacks the kernel of a package.
func todaysImage(t *testing.T, arch, pkg string) (*vm.Store, *vm.Kernel) {
	t.Helper()
	testkit.Tools(t, "depmod")
	store := &vm.Store{Dir: filepath.Join(cacheDir(t), "vm")}
	image, err := store.Kernel(t.Context(), arch, pkg)
	must(t, err)
	return store, image
}

// factsOf are those of a kernel's headers, and of its image if it is given.
func factsOf(t *testing.T, store *vm.Store, arch, release string, image *vm.Kernel) *kmod.Kernel {
	t.Helper()
	headers, err := store.Package(t.Context(), arch, "linux-headers-"+release)
	must(t, err)
	tree, err := kernel.Open(filepath.Join(headers, "lib/modules"), release, &kernel.Options{Sysroot: headers})
	must(t, err)
	o := &verify.Options{}
	if image != nil {
		o.ModulesDir = modulesOf(image)
	}
	k, err := verify.Kernel(tree, o)
	must(t, err)
	return k
}

func modulesOf(k *vm.Kernel) string { return filepath.Join(k.Root, "lib/modules", k.Release) }

// openModules opens all modules below a directory, of which there are many.
func openModules(t *testing.T, dir string) []*kmod.File {
	t.Helper()
	var files []*kmod.File
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), ".ko") {
			return err
		}
		f, err := kmod.Open(path)
		files = append(files, f)
		return err
	}))
	if len(files) < 100 {
		t.Fatalf("only %d modules below %s", len(files), dir)
	}
	return files
}

// findings are those of all modules together, by check: what keeps a module from
// being loaded, and the rest.
func findings(t *testing.T, k *kmod.Kernel, files []*kmod.File) (errs, notes map[string][]kmod.Finding) {
	t.Helper()
	start := time.Now()
	errs, notes = map[string][]kmod.Finding{}, map[string][]kmod.Finding{}
	for _, f := range (&kmod.Verifier{Kernel: k}).Check(files) {
		if f.Severity == kmod.Error {
			errs[f.Check] = append(errs[f.Check], f)
		} else {
			notes[f.Check] = append(notes[f.Check], f)
		}
	}
	t.Logf("%d modules checked for %s in %v", len(files), k.Release, time.Since(start))
	for _, check := range slices.Sorted(maps.Keys(notes)) {
		t.Logf("%d notes of the check %s, the first: %v", len(notes[check]), check, notes[check][0])
	}
	return errs, notes
}

// paths are the modules that findings tell of.
func paths(findings []kmod.Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, f.Path)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestVerifyInTree holds the kernel's own modules, all of which load, against
// the headers of the same kernel.
func TestVerifyInTree(t *testing.T) {
	acceptance(t)
	for _, row := range vmKernels {
		t.Run(row.name, func(t *testing.T) {
			store, image := todaysImage(t, row.arch, row.pkg)
			k := factsOf(t, store, row.arch, image.Release, image)
			files := openModules(t, modulesOf(image))
			want := k.Vermagic
			if want == "" {
				want = k.DefaultVermagic()
			}
			for _, f := range files {
				if got := f.Info().Vermagic; got != want {
					t.Errorf("%s: vermagic %q; the headers say %q", f.Path, got, want)
				}
			}
			errs, notes := findings(t, k, files)
			for check, all := range errs {
				t.Errorf("%s: %d errors, the first: %v", check, len(all), all[0])
			}
			for _, check := range []string{"btf", "crc", "depends", "mitigations", "override", "symbols"} {
				if len(notes[check]) > 0 {
					t.Errorf("%s: %d notes, the first: %v", check, len(notes[check]), notes[check][0])
				}
			}
		})
	}
}

// TestVerifyOtherABI holds the modules of one kernel against the headers of the
// ABI before, and of another series: all have the wrong release, and each CRC
// that is another is found.
func TestVerifyOtherABI(t *testing.T) {
	acceptance(t)
	kernels := archiveKernels(t)
	store, image := todaysImage(t, arch(t), "linux-image-"+kernels[1])
	files := openModules(t, modulesOf(image))
	for _, release := range []string{kernels[0], kernels[2]} {
		k := factsOf(t, store, arch(t), release, nil)
		found, _ := findings(t, k, files)
		if n := len(paths(found["vermagic"])); n != len(files) {
			t.Errorf("%d of %d modules of %s fail the check vermagic of %s", n, len(files), image.Release, release)
		}
		crcs := otherCRCs(files, k)
		if len(found["crc"]) != crcs || crcs == 0 && release == kernels[2] {
			t.Errorf("%d findings of the check crc of %s; the symbol versions differ in %d places", len(found["crc"]), release, crcs)
		}
		t.Logf("%s on %s: %d CRCs differ", image.Release, release, crcs)
	}
}

// otherCRCs counts the entries of __versions that are not the kernel's.
func otherCRCs(files []*kmod.File, k *kmod.Kernel) (n int) {
	exports := map[string]uint32{}
	for name, p := range k.Exports {
		exports[name] = p.CRC
	}
	for _, f := range files {
		for _, e := range f.Exports {
			exports[e.Name] = e.CRC
		}
	}
	for _, f := range files {
		for _, v := range f.Versions {
			if crc, ok := exports[v.Name]; ok && crc != v.CRC {
				n++
			}
		}
	}
	return n
}

// TestVerifyOtherBTF holds the BTF of the network drivers of one kernel against
// the types of another flavour of it. Debian's kernels load a module without the
// BTF then, other kernels do not load it.
func TestVerifyOtherBTF(t *testing.T) {
	acceptance(t)
	store, image := todaysImage(t, "amd64", "linux-image-6.12-amd64")
	k := factsOf(t, store, "amd64", image.Release, image)
	other := strings.TrimSuffix(image.Release, "-amd64") + "-cloud-amd64"
	k.Vmlinux = factsOf(t, store, "amd64", other, nil).Vmlinux
	if _, err := os.Stat(k.Vmlinux); errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the headers of %s have no vmlinux", other)
	}
	files := openModules(t, filepath.Join(modulesOf(image), "kernel/drivers/net"))
	_, notes := findings(t, k, files)
	config := k.Config
	k.Config = func(option string) string {
		if option == "CONFIG_MODULE_ALLOW_BTF_MISMATCH" {
			return ""
		}
		return config(option)
	}
	errs, _ := findings(t, k, files)
	for severity, found := range map[kmod.Severity]map[string][]kmod.Finding{kmod.Note: notes, kmod.Error: errs} {
		if n := len(paths(found["btf"])); n != len(files) {
			t.Errorf("%d of %d modules of %s are found (%s) not to belong to %s", n, len(files), image.Release, severity, other)
		}
	}
}
