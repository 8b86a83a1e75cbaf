// SPDX-License-Identifier: MIT

package kbuild

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kernel"
)

// kernelBuild is newBuild for real headers, with dkms's default MAKE.
func kernelBuild(t *testing.T, files map[string]string) *Build {
	t.Helper()
	testkit.Tools(t, "make", "modinfo", "strip")
	kvers := testkit.Kernels(t)
	tree, err := kernel.Open("/lib/modules", kvers[len(kvers)-1], nil)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Tools(t, tree.Compiler.Command)
	b := newBuild(t, "", files)
	b.Tree = tree
	b.Jobs = 2
	b.Layout.Headers = Same(tree.BuildDir)
	b.Conf.Make = "make -C " + tree.BuildDir + " M=" + b.Layout.BuildDir().Build
	return b
}

// A module of two compilation units and one of assembly that embeds its path
// in __FILE__, exports a symbol, and has debug information.
var exporter = map[string]string{
	"Kbuild": "obj-m := foo.o\nfoo-y := main.o sub/part.o low.o\n",
	"main.c": `#include <linux/module.h>
#include "sub/part.h"
extern void gokms_low(void);
int gokms_value(void) { pr_info("%s\n", __FILE__); gokms_low(); return gokms_part(); }
EXPORT_SYMBOL_GPL(gokms_value);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("gokms test module");
`,
	"sub/part.c": "#include <linux/module.h>\n#include \"part.h\"\nint gokms_part(void) { WARN_ON(1); return 1; }\n",
	"sub/part.h": "int gokms_part(void);\n",
	"low.S": `#include <linux/linkage.h>
SYM_FUNC_START(gokms_low)
	RET
SYM_FUNC_END(gokms_low)
`,
}

var importer = map[string]string{
	"Kbuild": "obj-m := bar.o\n",
	"bar.c": `#include <linux/module.h>
int gokms_value(void);
static int __init start(void) { return gokms_value(); }
module_init(start);
MODULE_LICENSE("GPL");
`,
}

func modinfo(t *testing.T, field, path string) string {
	t.Helper()
	out, err := exec.Command("modinfo", "-F", field, path).Output()
	if err != nil {
		t.Fatalf("modinfo %s: %v", path, err)
	}
	return strings.TrimSpace(string(out))
}

func TestKernelBuild(t *testing.T) {
	b := kernelBuild(t, exporter)
	r := mustDo(t, b)
	if got := modinfo(t, "vermagic", r.Modules[0].Path); !strings.HasPrefix(got, b.Tree.Release+" ") {
		t.Errorf("vermagic = %q; want one of %s", got, b.Tree.Release)
	}
	if symvers := read(t, r.Symvers); !strings.Contains(symvers, "\tgokms_value\t/var/lib/dkms/foo/1.0/build/foo\tEXPORT_SYMBOL_GPL") {
		t.Errorf("Module.symvers = %q", symvers)
	}
}

// TestKernelSameBytes builds in two directories, with other jobs, umask and
// environment, where the build sees its own place and where it sees another.
func TestKernelSameBytes(t *testing.T) {
	one := kernelBuild(t, exporter)
	two := kernelBuild(t, exporter)
	two.Jobs = 1
	elsewhere := filepath.Join(t.TempDir(), "a", "much", "longer", "path", "to", "the", "tree")
	two.Layout.DKMSTree = Same(elsewhere)
	two.Conf.Make = "umask 077; export LC_ALL=C TZ=Asia/Tokyo; make -C " + two.Tree.BuildDir + " M=" + two.Layout.BuildDir().Build
	a, b := mustDo(t, one).Modules[0].Path, mustDo(t, two).Modules[0].Path
	if !bytes.Equal([]byte(read(t, a)), []byte(read(t, b))) {
		t.Errorf("two directories give different modules")
	}
	for _, trace := range []string{"prefix-map", one.Layout.BuildDir().Host, filepath.Dir(one.Out)} {
		if strings.Contains(read(t, a), trace) {
			t.Errorf("the module holds %q", trace)
		}
	}
	if !strings.Contains(read(t, a), "/var/lib/dkms/foo/1.0/build/main.c") {
		t.Errorf("the module does not hold the neutral path: is there anything to compare?")
	}
}

func TestKernelSibling(t *testing.T) {
	first := mustDo(t, kernelBuild(t, exporter))

	b := kernelBuild(t, importer)
	b.Conf.Modules = []dkms.Module{{BuiltName: "bar"}}
	alone := *b
	alone.Layout.DKMSTree = Same(t.TempDir())
	alone.Conf = &dkms.Conf{Name: "foo", Version: "1.0", Modules: b.Conf.Modules, Make: "make -C " + b.Tree.BuildDir + " M=" + alone.Layout.BuildDir().Build}
	e := mustFail(t, &alone, "MAKE")
	if want := `ERROR: modpost: "gokms_value" [` + alone.Layout.BuildDir().Host + "/bar.ko] undefined!"; e.Excerpt != want {
		t.Errorf("Excerpt = %q; want %q", e.Excerpt, want)
	}

	b.ExtraSymvers = []Symvers{{Name: "foo", Version: "0.9", Host: first.Symvers}}
	r := mustDo(t, b)
	if got := modinfo(t, "depends", r.Modules[0].Path); got != "foo" {
		t.Errorf("depends = %q; want foo", got)
	}
}

func TestKernelCompileError(t *testing.T) {
	b := kernelBuild(t, map[string]string{
		"Kbuild": "obj-m := foo.o\n",
		"foo.c":  "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\nint f(void)\n{\n\treturn gone(1);\n}\n",
	})
	e := mustFail(t, b, "MAKE")
	lines := strings.Split(e.Excerpt, "\n")
	if len(lines) < 2 || !strings.HasPrefix(lines[0], b.SourceHost+"/foo.c:5:16: error: ") || !strings.Contains(lines[1], "return gone(1);") {
		t.Errorf("Excerpt = %q", e.Excerpt)
	}
	if e.ExitCode != 2 {
		t.Errorf("ExitCode = %d; want 2", e.ExitCode)
	}
}

// TestKernelHiddenFailure has a MAKE whose failure a ";" hides.
func TestKernelHiddenFailure(t *testing.T) {
	b := kernelBuild(t, map[string]string{"Kbuild": "obj-m := other.o\n", "other.c": "#error gone\n"})
	b.Conf.Make += "; true"
	e := mustFail(t, b, "MAKE")
	var missing *MissingError
	if !errors.As(e, &missing) || missing.Error() != "expected foo.ko, found none" {
		t.Errorf("error %v; want a *MissingError for foo.ko", e)
	}
	if !strings.HasPrefix(e.Excerpt, b.SourceHost+"/other.c:1:2: error: #error gone") {
		t.Errorf("Excerpt = %q", e.Excerpt)
	}
}

// TestKernelReadOnlySource builds from a source that its user cannot write to.
func TestKernelReadOnlySource(t *testing.T) {
	b := kernelBuild(t, exporter)
	if out, err := exec.Command("chmod", "-R", "a-w", b.SourceHost).CombinedOutput(); err != nil {
		t.Fatalf("chmod: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("chmod", "-R", "u+w", b.SourceHost).Run() })
	before := treeMap(t, b.SourceHost)
	if _, err := b.Do(context.Background()); err != nil {
		t.Fatal(err)
	}
	if after := treeMap(t, b.SourceHost); len(after) != len(before) {
		t.Errorf("the source has %d entries after the build; want %d", len(after), len(before))
	}
	if err := os.RemoveAll(b.Layout.DKMSTree.Host); err != nil {
		t.Error(err)
	}
}
