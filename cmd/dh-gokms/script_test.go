// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in the scripts")

func TestMain(m *testing.M) {
	confeval.MaybeChild()
	testscript.Main(m, map[string]func(){prog: main})
}

// source is the package that the scripts begin with, as far as they do not
// bring these files themselves.
var source = map[string]string{
	"debian/control": `Source: foo
Maintainer: Jane Doe <jane@example.org>
Build-Depends: debhelper-compat (= 13)

Package: foo-dkms
Architecture: all
Depends: ${misc:Depends}
Description: x
`,
	"debian/changelog": `foo (1.2-3) unstable; urgency=medium

  * x

 -- Jane Doe <jane@example.org>  Tue, 14 Nov 2023 22:13:20 +0000
`,
	"debian/foo-dkms.dkms": `PACKAGE_NAME="foo"
PACKAGE_VERSION="#MODULE_VERSION#"
DEST_MODULE_LOCATION[0]="/updates"
AUTOINSTALL="yes"
`,
	"src/Makefile": "obj-m := foo.o\n",
	"src/foo.c":    "int foo;\n",
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testkit.Tools(t, "bash", "dpkg-architecture", "dh_assistant")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("DH_AUTOSCRIPTDIR", filepath.Join(testkit.Root(), "debhelper/autoscripts"))
			for name, text := range source {
				path := filepath.Join(env.WorkDir, name)
				if _, err := os.Stat(path); err == nil {
					continue
				}
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					return err
				}
			}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"dh": dh, "files": files, "sub": testkit.Sub, "crlf": crlf,
		},
	})
}

// dh CODE ARGS... runs the command and wants that exit code.
func dh(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: dh CODE ARGS...")
	}
	testkit.WantExit(ts, args[0], prog, args[1:]...)
}

// files DIR... prints what is not a directory below the directories: mode,
// modification time (or the target of a link), path. One that is not there
// holds nothing.
func files(ts *testscript.TestScript, neg bool, args []string) {
	for _, dir := range args {
		root := ts.MkAbs(dir)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if target, linkErr := os.Readlink(path); linkErr == nil {
				fmt.Fprintf(ts.Stdout(), "%s -> %s\n", rel, target)
				return err
			}
			fmt.Fprintf(ts.Stdout(), "%04o %d %s\n", info.Mode().Perm(), info.ModTime().Unix(), rel)
			return err
		})
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		ts.Check(err)
	}
}

// crlf FILE ends its lines as on Windows.
func crlf(ts *testscript.TestScript, neg bool, args []string) {
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "\n", "\r\n")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}
