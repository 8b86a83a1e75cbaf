// SPDX-License-Identifier: MIT

package kmod_test

import (
	"bufio"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/kmod"
)

// images are unpacked packages: one directory for each linux-image and
// linux-headers package, as `dpkg-deb -x` leaves it.
func images(t testing.TB, pattern string) []string {
	t.Helper()
	root := os.Getenv("GOKMS_IMAGES")
	if root == "" {
		t.Skip("missing: unpacked linux-image and linux-headers packages (GOKMS_IMAGES)")
	}
	found, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skipf("missing: %s below GOKMS_IMAGES", pattern)
	}
	return found
}

// headers is the tree of release: unpacked, else the installed one; "" if there
// is none.
func headers(t testing.TB, release string) string {
	t.Helper()
	unpacked := filepath.Join(os.Getenv("GOKMS_IMAGES"), "linux-headers-"+release, "usr/src/linux-headers-"+release)
	for _, dir := range []string{unpacked, "/lib/modules/" + release + "/build"} {
		if _, err := os.Stat(filepath.Join(dir, "Module.symvers")); err == nil {
			return dir
		}
	}
	return ""
}

// kernelOf is what a header tree says.
func kernelOf(t testing.TB, dir, release string) *kmod.Kernel {
	t.Helper()
	r, err := os.Open(filepath.Join(dir, ".config"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	config, err := kernel.ParseConfig(r, r.Name())
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := kernel.ReadSymvers(filepath.Join(dir, "Module.symvers"))
	if err != nil {
		t.Fatal(err)
	}
	k := &kmod.Kernel{Release: release, Config: func(o string) string { return config[o] }, Exports: map[string]kmod.Provided{}}
	for _, s := range symbols {
		k.Exports[s.Name] = kmod.Provided{Module: s.Module,
			Export: kmod.Export{Name: s.Name, CRC: s.CRC, HasCRC: true, GPL: strings.HasSuffix(s.Export, "_GPL"), Namespace: s.Namespace}}
	}
	if _, err := os.Stat(filepath.Join(dir, "vmlinux")); err == nil {
		k.Vmlinux = filepath.Join(dir, "vmlinux")
	}
	return k
}

// builtIn reads modules.builtin.
func builtIn(t testing.TB, modules string) func(string) bool {
	t.Helper()
	r, err := os.Open(filepath.Join(modules, "modules.builtin"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	names := map[string]bool{}
	for sc := bufio.NewScanner(r); sc.Scan(); {
		names[strings.ReplaceAll(strings.TrimSuffix(filepath.Base(sc.Text()), ".ko"), "-", "_")] = true
	}
	return func(name string) bool { return names[name] }
}

// readModules opens all modules below dir.
func readModules(t testing.TB, dir string) []*kmod.File {
	t.Helper()
	var files []*kmod.File
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), ".ko") {
			return err
		}
		f, err := kmod.Open(path)
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestOracleInTree holds the kernel's own modules, all of which load, against
// the headers of the same kernel.
func TestOracleInTree(t *testing.T) {
	for _, image := range images(t, "linux-image-*") {
		release := strings.TrimPrefix(filepath.Base(image), "linux-image-")
		t.Run(release, func(t *testing.T) {
			dir := headers(t, release)
			if dir == "" {
				t.Skipf("missing: headers of %s", release)
			}
			modules := filepath.Join(image, "lib/modules", release)
			start := time.Now()
			files := readModules(t, modules)
			read := time.Since(start)
			start = time.Now()
			k := kernelOf(t, dir, release)
			k.BuiltIn = builtIn(t, modules)
			parsed := time.Since(start)
			start = time.Now()
			findings := (&kmod.Verifier{Kernel: k}).Check(files)
			t.Logf("%d modules read in %v, headers in %v, checked in %v", len(files), read, parsed, time.Since(start))
			if len(files) < 100 {
				t.Errorf("only %d modules below %s", len(files), modules)
			}
			report(t, findings)
		})
	}
}

// report fails for each error, and logs how many notes there are of each kind.
func report(t *testing.T, findings []kmod.Finding) {
	t.Helper()
	notes := map[string]int{}
	shown := 0
	for _, f := range findings {
		if f.Severity == kmod.Error {
			if shown++; shown < 20 {
				t.Error(f.Error())
			}
			continue
		}
		if notes[f.Check]++; notes[f.Check] < 4 {
			t.Log(f.Error())
		}
	}
	t.Logf("%d errors; notes: %v", len(findings)-sum(notes), notes)
}

func sum(m map[string]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}

// TestOracleBuilt holds modules that were built for an installed kernel against
// it: GOKMS_BUILT is a directory of module packages for it, unpacked or not.
func TestOracleBuilt(t *testing.T) {
	root := os.Getenv("GOKMS_BUILT")
	if root == "" {
		t.Skip("missing: module packages (GOKMS_BUILT)")
	}
	debs, err := filepath.Glob(filepath.Join(root, "*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	verifiers := map[string]*kmod.Verifier{}
	for _, deb := range debs {
		dir := t.TempDir()
		if out, err := exec.Command("dpkg-deb", "-x", deb, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		files := readModules(t, dir)
		if len(files) == 0 {
			t.Errorf("%s: no modules", deb)
			continue
		}
		info := files[0].Info()
		release := kmod.ParseVermagic(info.Vermagic).Release
		if headers(t, release) == "" {
			t.Errorf("%s: no headers of %q", deb, release)
			continue
		}
		if verifiers[release] == nil {
			verifiers[release] = &kmod.Verifier{Kernel: kernelOf(t, headers(t, release), release)}
		}
		start := time.Now()
		findings := verifiers[release].Check(files)
		t.Logf("%s: %d modules in %v", filepath.Base(deb), len(files), time.Since(start))
		report(t, findings)
	}
}

// TestOracleOtherABI holds the modules of other ABIs against the headers of one:
// all have the wrong release, and each CRC that changed is found.
func TestOracleOtherABI(t *testing.T) {
	const target = "6.1.0-56-amd64"
	dir := headers(t, target)
	if dir == "" {
		t.Skipf("missing: headers of %s", target)
	}
	k := kernelOf(t, dir, target)
	for _, image := range images(t, "linux-image-6.1.0-[0-9][0-9]-amd64") {
		if strings.HasSuffix(image, target) {
			continue
		}
		files := readModules(t, filepath.Join(image, "lib/modules"))
		crcs, refused := 0, map[string]int{}
		counts := map[string]int{}
		for _, f := range (&kmod.Verifier{Kernel: k}).Check(files) {
			if f.Severity == kmod.Error {
				if counts[f.Check]++; counts[f.Check] < 4 {
					t.Log(f.Error())
				}
			}
			switch f.Check {
			case "vermagic":
				refused[f.Path]++
			case "crc":
				crcs++
			}
		}
		if len(refused) != len(files) {
			t.Errorf("%d of %d modules of %s fail the check vermagic of %s", len(refused), len(files), image, target)
		}
		if want := countMismatches(files, k); crcs != want {
			t.Errorf("%d findings of the check crc; the symbol versions differ in %d places", crcs, want)
		}
		t.Logf("%s: %d modules, errors: %v", filepath.Base(image), len(files), counts)
	}
}

// countMismatches counts the entries of __versions that are not the kernel's.
func countMismatches(files []*kmod.File, k *kmod.Kernel) int {
	exports := map[string]uint32{}
	for name, p := range k.Exports {
		exports[name] = p.CRC
	}
	for _, f := range files {
		for _, e := range f.Exports {
			exports[e.Name] = e.CRC
		}
	}
	n := 0
	for _, f := range files {
		for _, v := range f.Versions {
			if crc, ok := exports[v.Name]; ok && crc != v.CRC {
				n++
			}
		}
	}
	return n
}

// TestOracleOtherBTF holds the BTF of one kernel's modules against another
// kernel's types.
func TestOracleOtherBTF(t *testing.T) {
	images := images(t, "linux-image-6.12*")
	release := strings.TrimPrefix(filepath.Base(images[0]), "linux-image-")
	dir := headers(t, release)
	if dir == "" {
		t.Skipf("missing: headers of %s", release)
	}
	k := kernelOf(t, dir, release)
	k.Vmlinux = ""
	for _, other := range images[1:] {
		if dir := headers(t, strings.TrimPrefix(filepath.Base(other), "linux-image-")); dir != "" {
			k.Vmlinux = filepath.Join(dir, "vmlinux")
		}
	}
	if k.Vmlinux == "" {
		t.Skip("missing: headers of two kernels with vmlinux (GOKMS_IMAGES)")
	}
	files := readModules(t, filepath.Join(images[0], "lib/modules", release, "kernel/drivers/net/ethernet"))
	found := 0
	for _, f := range (&kmod.Verifier{Kernel: k}).Check(files) {
		if f.Check == "btf" {
			if found++; found < 4 {
				t.Log(f.Error())
			}
		}
	}
	if found != len(files) {
		t.Errorf("%d of %d modules of %s are found not to belong to %s", found, len(files), release, k.Vmlinux)
	}
}
