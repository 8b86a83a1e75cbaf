// SPDX-License-Identifier: MIT

package kbuild

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/proc"
)

// TestUname compares the build's uname with the machine's.
func TestUname(t *testing.T) {
	testkit.Tools(t, "uname")
	out, err := exec.Command("uname", "-r").Output()
	if err != nil {
		t.Fatal(err)
	}
	running := strings.TrimSpace(string(out))
	rows := []string{
		"-r", "--kernel-release", "--kernel-r", "-a", "--all", "-sr", "-rs", "-mr", "-s -r", "-rv", "-snrvmpio",
		"", "-s", "-n", "-v", "-m", "-p", "-o", "-sm", "--machine", "--kernel-version", "--help", "-x", "--bad", "operand", "-r operand",
	}
	script := `for args in "$@"; do echo "== $args"; uname $args 2>&1; echo "exit code $?"; done > `
	b := newBuild(t, "set -- "+command(rows)+"; "+script+"foo.ko", nil)
	shimmed := read(t, mustDo(t, b).Modules[0].Path)

	plain := filepath.Join(t.TempDir(), "plain")
	if out, err := exec.Command("sh", append([]string{"-c", "LC_ALL=C.UTF-8; export LC_ALL; " + script + plain, "sh"}, rows...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := strings.ReplaceAll(read(t, plain), running, fakeRelease); shimmed != want {
		t.Errorf("the build's uname answers\n%s\nwant\n%s", shimmed, want)
	}
	if !strings.Contains(shimmed, "== -r\n"+fakeRelease+"\nexit code 0\n") {
		t.Errorf("uname -r does not say %s:\n%s", fakeRelease, shimmed)
	}
}

// TestUnameShimInPlace has the shim where the real uname was, which lies
// elsewhere, and is looked for there first.
func TestUnameShimInPlace(t *testing.T) {
	testkit.Tools(t, "sh")
	if text := UnameShim("6.1.0-1"); !strings.Contains(text, "\nPATH=/run/gokms/real:/usr/local/sbin:") {
		t.Fatalf("UnameShim() searches elsewhere than in /run/gokms/real first:\n%s", text)
	}
	real, bin := t.TempDir(), t.TempDir()
	text := strings.NewReplacer(realPrograms, real, proc.SearchPath, bin).Replace(UnameShim("6.1.0-1"))
	for path, text := range map[string]string{
		filepath.Join(real, "uname"): "#!/bin/sh\ncase $1 in -r) echo 5.0 ;; *) echo Linux 5.0 x ;; esac\n", filepath.Join(bin, "uname"): text,
	} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(filepath.Join(bin, "uname"), "-a").CombinedOutput()
	if got := string(out); got != "Linux 6.1.0-1 x\n" || err != nil {
		t.Errorf("uname -a = %q, %v; want Linux 6.1.0-1 x", got, err)
	}
}

// TestKernelUname builds by a Makefile that looks for the headers of the
// running kernel.
func TestKernelUname(t *testing.T) {
	files := map[string]string{"Makefile": `obj-m := foo.o
KVER := $(shell uname -r)
all:
	$(MAKE) -C /lib/modules/$(KVER)/build M=$(CURDIR) modules
`,
		"foo.c": "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n"}
	b := kernelBuild(t, files)
	b.Conf.Make = "make all"
	asked := mustDo(t, b).Modules[0].Path
	if got := modinfo(t, "vermagic", asked); !strings.HasPrefix(got, b.Tree.Release+" ") {
		t.Errorf("vermagic = %q; want one of %s", got, b.Tree.Release)
	}
	named := kernelBuild(t, files)
	if read(t, mustDo(t, named).Modules[0].Path) != read(t, asked) {
		t.Error("a Makefile that asks uname gives another module")
	}
}
