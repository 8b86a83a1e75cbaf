// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/testkit"
)

func TestMain(m *testing.M) {
	confeval.MaybeChild()
	testscript.Main(m, map[string]func(){prog: main})
}

// source is the package that the scripts begin with. The header package is one
// that no system has.
var source = map[string]string{
	"debian/control": `Source: foo
Maintainer: Jane Doe <jane@example.org>
Build-Depends: debhelper-compat (= 13)
Build-Depends-Arch: linux-headers-gokms [any], linux-headers-hurd [s390x]

Package: foo-dkms
Architecture: all
Description: x

Package: foo-modules
Architecture: any
Depends: ${gokms:Depends}
Description: x
`,
	"debian/changelog": `foo (1.2-3) unstable; urgency=medium

  * x

 -- Jane Doe <jane@example.org>  Tue, 14 Nov 2023 22:13:20 +0000
`,
	"debian/foo-dkms.dkms": `PACKAGE_NAME="foo"
PACKAGE_VERSION="#MODULE_VERSION#"
DEST_MODULE_LOCATION[0]="/updates"
`,
	"debian/foo-modules.gokms-modules": "Kernels: linux-headers-gokms\n",
	"src/Makefile":                     "obj-m := foo.o\n",
	"src/foo.c":                        "int foo;\n",
}

// TestScripts has what needs no kernel; dhmodules and the tests with dpkg's
// own tools have the rest.
func TestScripts(t *testing.T) {
	t.Parallel()
	testkit.Tools(t, "bash", "dpkg-architecture", "dpkg-query")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for name, text := range source {
				path := filepath.Join(env.WorkDir, "foo-1.2", name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					return err
				}
			}
			env.Cd = filepath.Join(env.WorkDir, "foo-1.2")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"dh": dh, "sub": testkit.Sub},
	})
}

// dh CODE ARGS... runs the command and wants that exit code.
func dh(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: dh CODE ARGS...")
	}
	testkit.WantExit(ts, args[0], prog, args[1:]...)
}

// TestPromise builds both commands as they are shipped, stripped, and reads
// them as dh does: line by line, up to the first promise. One that is
// linked out of the binary, or that a longer line swallows, would not be seen.
func TestPromise(t *testing.T) {
	t.Parallel()
	const mark = "PROMISE: DH NOOP WITHOUT "
	for dir, want := range map[string]string{".": "gokms-modules cli-options()", "../dh-gokms": ""} {
		binary := filepath.Join(t.TempDir(), "command")
		if out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, dir).CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		data, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for line := range bytes.Lines(data) {
			if _, after, ok := bytes.Cut(line, []byte(mark)); ok {
				got = strings.TrimRight(string(after), "\n")
				break
			}
		}
		if got != want {
			t.Errorf("%s promises %q; want %q", dir, got, want)
		}
	}
}
