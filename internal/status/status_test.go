// SPDX-License-Identifier: MIT

package status

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
)

// newRoot writes files below a directory that a pattern or a shell would take
// for something else.
func newRoot(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "r[o*t 1")
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pipe makes a pipe that nobody writes to.
func pipe(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
}

const release = "6.1.0-1-amd64"

// oneModule is a root with a kernel and the module foo of a package.
func oneModule() map[string]string {
	const file = "lib/modules/" + release + "/updates/dkms/foo.ko"
	return map[string]string{
		file: string(testkit.Module(release)),
		"lib/modules/" + release + "/modules.order":                       "",
		"var/lib/dpkg/info/foo-modules-" + release + ".list":              "/.\n/" + file + "\n",
		"var/lib/dpkg/info/linux-image-" + release + ".list":              "/lib/modules/" + release + "/modules.order\n",
		"var/lib/dpkg/info/bash.list":                                     "/bin/bash\n",
		"var/lib/dpkg/status":                                             "Package: foo-modules-" + release + "\nVersion: 1-1\n\nPackage: other\nVersion: 2\n",
		"boot/initrd.img-" + release:                                      string(testkit.CPIO(testkit.CPIOFile{Name: "lib/modules/" + release + "/updates/dkms/foo.ko", Content: "old"})),
		"var/lib/dpkg/info/linux-image-" + release + ".md5sums":           "",
		"var/lib/dpkg/info/format":                                        "1\n",
		"lib/modules/" + release + "/kernel/drivers/net/unrelated.ko.txt": "",
	}
}

// readOne reads a root with one kernel and one module.
func readOne(t *testing.T, dir string) (*Report, *Module) {
	t.Helper()
	r, err := Read(t.Context(), Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Kernels) != 1 || len(r.Kernels[0].Modules) != 1 {
		t.Fatalf("Read(%s) = %+v; want one kernel with one module", dir, r)
	}
	return r, r.Kernels[0].Modules[0]
}

func TestRootWithMetacharacters(t *testing.T) {
	dir := newRoot(t, oneModule())
	r, m := readOne(t, dir)
	if m.Package != "foo-modules-"+release || m.PackageVersion != "1-1" || len(r.Warnings) != 0 {
		t.Errorf("module %+v, warnings %v; want it of foo-modules 1-1", m, r.Warnings)
	}
	want := []Problem{
		{OldDep, "there is no modules.dep: run depmod -b '" + dir + "' " + release},
		{OldInitrd, "the initramfs holds another updates/dkms/foo.ko: run chroot '" + dir + "' update-initramfs -u -k " + release},
	}
	if !slices.Equal(m.Problems, want) {
		t.Errorf("Problems = %q; want %q", m.Problems, want)
	}
}

// TestHostileLists has lists that cannot be read among those that can.
func TestHostileLists(t *testing.T) {
	dir := newRoot(t, oneModule())
	info := filepath.Join(dir, "var/lib/dpkg/info")
	pipe(t, filepath.Join(info, "pipe.list"))
	if err := os.Symlink("removed", filepath.Join(info, "gone.list")); err != nil { // as if after ReadDir
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(info, "folder.list"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, m := readOne(t, dir)
	text := errors.Join(r.Warnings...).Error()
	if len(r.Warnings) != 2 || !strings.Contains(text, "pipe.list: not a regular file") || !strings.Contains(text, "folder.list: not a") {
		t.Errorf("Warnings = %v; want those of pipe.list and folder.list", r.Warnings)
	}
	if m.PackageVersion != "1-1" {
		t.Errorf("module %+v; want it of foo-modules 1-1", m)
	}
}

func TestInitramfsIsPipe(t *testing.T) {
	files := oneModule()
	delete(files, "boot/initrd.img-"+release)
	dir := newRoot(t, files)
	pipe(t, filepath.Join(dir, "boot/initrd.img-"+release))
	r, m := readOne(t, dir)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Error(), "not a regular file") || m.Initramfs != Unknown {
		t.Errorf("Initramfs = %q, Warnings = %v", m.Initramfs, r.Warnings)
	}
}

// TestVersionAllocates asks a large database for many packages.
func TestVersionAllocates(t *testing.T) {
	files := oneModule()
	files["var/lib/dpkg/status"] += "\nPackage: large\nDescription: " + strings.Repeat("x", 1<<20) + "\n"
	p := root(newRoot(t, files)).readPackages()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		if v, err := p.version("other"); v != "2" || err != nil {
			t.Fatalf("version(other) = %q, %v", v, err)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("20 versions take %d bytes; the database has 1 MB", n)
	}
}

// TestParallel counts the programs that run at the same time.
func TestParallel(t *testing.T) {
	testkit.Tools(t, "xz")
	files := map[string]string{}
	for i := range 5 * runtime.GOMAXPROCS(0) {
		dir := fmt.Sprintf("lib/modules/6.1.0-%d-amd64/", i+1)
		files[dir+"modules.order"] = ""
		files[dir+"updates/foo.ko.xz"] = "\xfd7zXZ\x00"
	}
	var running, most, runs atomic.Int32
	_, err := Read(t.Context(), Options{Root: newRoot(t, files), Run: func(*exec.Cmd) error {
		n := running.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(5 * time.Millisecond)
		running.Add(-1)
		runs.Add(1)
		return errors.New("no program")
	}})
	if err != nil {
		t.Fatal(err)
	}
	if most := int(most.Load()); most > runtime.GOMAXPROCS(0) || int(runs.Load()) < len(files)/2 {
		t.Errorf("%d programs for %d kernels, %d at the same time; want at most %d", runs.Load(), len(files)/2, most, runtime.GOMAXPROCS(0))
	}
}
