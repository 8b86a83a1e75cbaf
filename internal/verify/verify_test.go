// SPDX-License-Identifier: MIT

package verify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/kmod"
)

const release = "6.1.0-9-amd64"

// files makes a directory of files.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const symvers = "0x00000010\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n" +
	"0xdeadbeef\thelp\tdrivers/misc/helper\tEXPORT_SYMBOL_GPL\tHELP\n"

// tree is that of a kernel whose modules directory is dir.
func tree(dir string, config kernel.Config) *kernel.Tree {
	build := filepath.Join(dir, release, "build")
	return &kernel.Tree{Release: release, BuildDir: build, SourceDir: build, Symvers: filepath.Join(build, "Module.symvers"), Config: config}
}

func TestKernel(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{
		release + "/build/Module.symvers": symvers,
		release + "/build/vmlinux":        "x",
	})
	k, err := Kernel(tree(dir, kernel.Config{"CONFIG_MODULE_SIG_HASH": `"sha256"`}), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]kmod.Provided{
		"module_layout": {Export: kmod.Export{Name: "module_layout", CRC: 0x10, HasCRC: true}, Module: "vmlinux"},
		"help":          {Export: kmod.Export{Name: "help", CRC: 0xdeadbeef, HasCRC: true, GPL: true, Namespace: "HELP"}, Module: "drivers/misc/helper"},
	}
	if diff := cmp.Diff(want, k.Exports); diff != "" {
		t.Errorf("Exports (-want +got):\n%s", diff)
	}
	if k.Release != release || k.Config("CONFIG_MODULE_SIG_HASH") != "sha256" || k.Vmlinux != filepath.Join(dir, release, "build/vmlinux") || k.Vermagic != "" {
		t.Errorf("Kernel() = %+v", k)
	}
	if k.BuiltIn != nil || k.InTree != nil {
		t.Error("BuiltIn and InTree are known without an image")
	}
}

// TestBare is about a tree of which nothing more is known.
func TestBare(t *testing.T) {
	t.Parallel()
	k, err := Kernel(&kernel.Tree{Release: release, BuildDir: t.TempDir(), SourceDir: t.TempDir()}, nil)
	if err != nil || k.Exports != nil || k.Vmlinux != "" {
		t.Errorf("Kernel() = %+v, %v", k, err)
	}
	broken := tree(files(t, map[string]string{release + "/build/Module.symvers": "0x1\n"}), nil)
	if _, err := Kernel(broken, nil); err == nil || !strings.HasPrefix(err.Error(), broken.Symvers+":1: ") {
		t.Errorf("Kernel() of a broken Module.symvers: %v", err)
	}
}

func TestRandomized(t *testing.T) {
	t.Parallel()
	old := "#ifndef X\n#define RANDSTRUCT_HASHED_SEED \"0badf00d\"\n#define MODULE_RANDSTRUCT_PLUGIN \"RANDSTRUCT_PLUGIN_\" RANDSTRUCT_HASHED_SEED\n"
	for _, tt := range []struct {
		name, file, text string
		options          []string
		want             string
	}{
		{"none", "include/generated/randstruct_hash.h", old, nil, ""},
		{"new", "include/generated/randstruct_hash.h", "#define RANDSTRUCT_HASHED_SEED \"00ab\"\n",
			[]string{"CONFIG_RANDSTRUCT", "CONFIG_GCC_PLUGIN_RANDSTRUCT"}, release + " SMP RANDSTRUCT_00ab"},
		{"old", "include/generated/randomize_layout_hash.h", old,
			[]string{"CONFIG_GCC_PLUGIN_RANDSTRUCT"}, release + " SMP RANDSTRUCT_PLUGIN_0badf00d"},
		{"no header", "x", "", []string{"CONFIG_RANDSTRUCT"}, ""},
		{"no seed", "include/generated/randstruct_hash.h", "", []string{"CONFIG_RANDSTRUCT"}, "error"},
	} {
		config := kernel.Config{"CONFIG_X86_64": "y", "CONFIG_SMP": "y"}
		for _, o := range tt.options {
			config[o] = "y"
		}
		dir := files(t, map[string]string{release + "/build/Module.symvers": "", release + "/build/" + tt.file: tt.text})
		k, err := Kernel(tree(dir, config), nil)
		switch {
		case err != nil:
			if tt.want != "error" || !strings.HasSuffix(err.Error(), "randstruct_hash.h: has no RANDSTRUCT_HASHED_SEED") {
				t.Errorf("%s: %v", tt.name, err)
			}
		case k.Vermagic != tt.want:
			t.Errorf("%s: Vermagic %q; want %q", tt.name, k.Vermagic, tt.want)
		}
	}
}

func TestImage(t *testing.T) {
	t.Parallel()
	texts := map[string]string{
		"modules.builtin":          "kernel/lib/a-b.ko\n",
		"modules.order":            "kernel/net/c-d.ko\nkernel/net/e.ko\nkernel/net/gone.ko\n",
		"kernel/net/c-d.ko":        string(testkit.Module(release, "version=2.0")),
		"kernel/net/e.ko":          string(testkit.Module(release)),
		"build/Module.symvers":     symvers,
		"../image/modules.builtin": "",
	}
	installed := map[string]string{}
	for name, text := range texts {
		installed[filepath.Join(release, name)] = text
	}
	dir := files(t, installed)
	k, err := Kernel(tree(dir, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"a_b": true, "c_d": false} {
		if got := k.BuiltIn(name); got != want {
			t.Errorf("BuiltIn(%q) = %v", name, got)
		}
	}
	for name, want := range map[string][2]string{
		"c_d": {"kernel/net/c-d.ko", "2.0"}, "e": {"kernel/net/e.ko", ""}, "gone": {"kernel/net/gone.ko", ""}, "a_b": {},
	} {
		path, version, ok := k.InTree(name)
		if path != want[0] || version != want[1] || ok != (want[0] != "") {
			t.Errorf("InTree(%q) = %q, %q, %v; want %q", name, path, version, ok, want)
		}
	}
	other, err := Kernel(tree(dir, nil), &Options{ModulesDir: filepath.Join(dir, "image")})
	if err != nil || other.BuiltIn == nil || other.BuiltIn("a_b") || other.InTree != nil {
		t.Errorf("Kernel() with ModulesDir = %+v, %v", other, err)
	}
}

func TestKernelsOnce(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{release + "/build/Module.symvers": symvers})
	var all Kernels
	one := tree(dir, nil)
	first, err := all.Kernel(one)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(one.Symvers); err != nil {
		t.Fatal(err)
	}
	if again, err := all.Kernel(one); err != nil || again != first {
		t.Errorf("Kernel() for the second time = %p, %v; want %p", again, err, first)
	}
	if _, err := all.Kernel(tree(dir, nil)); err == nil {
		t.Error("Kernel() of another tree was not read")
	}
}

// BenchmarkProvided reads a real Module.symvers.
func BenchmarkProvided(b *testing.B) {
	file := filepath.Join("/lib/modules", testkit.Kernels(b)[0], "build/Module.symvers")
	for b.Loop() {
		if _, err := Provided(file); err != nil {
			b.Fatal(err)
		}
	}
}
