// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// TestScripts runs the command as a user does: real processes, with kernel
// trees that are made up. The scripts' commands are below.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", "--modules-root=modules")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // one second for each process
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"run": runGokms, "kernel": kernelTree, "sub": testkit.Sub,
		},
	})
}

// run CODE ARGS... runs the command and wants that exit code. Its output is
// in .stdout and .stderr, with $WORK for the script's directory.
func runGokms(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: run CODE ARGS...")
	}
	err := ts.Exec(prog, args[1:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	for _, name := range []string{"stdout", "stderr"} {
		text := strings.ReplaceAll(ts.ReadFile(name), ts.Getenv("WORK"), "$WORK")
		ts.Check(os.WriteFile(ts.MkAbs("."+name), []byte(text), 0o644))
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d; want %s", code, args[0])
	}
}

// kernelTree KVER COMPILER makes modules/KVER/build, compiled with COMPILER.
func kernelTree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: kernel KVER COMPILER")
	}
	build := filepath.Join(ts.MkAbs("modules"), args[0], "build")
	for name, text := range map[string]string{
		".config":                        fmt.Sprintf("CONFIG_X86_64=y\nCONFIG_CC_VERSION_TEXT=\"%s (made up) 1.2\"\n", args[1]),
		"Module.symvers":                 "0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n",
		"include/generated/utsrelease.h": fmt.Sprintf("#define UTS_RELEASE %q\n", args[0]),
	} {
		ts.Check(os.MkdirAll(filepath.Dir(filepath.Join(build, name)), 0o755))
		ts.Check(os.WriteFile(filepath.Join(build, name), []byte(text), 0o644))
	}
}
