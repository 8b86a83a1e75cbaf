// SPDX-License-Identifier: MIT

package kmod_test

import (
	"bufio"
	"io/fs"
	"os"
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
