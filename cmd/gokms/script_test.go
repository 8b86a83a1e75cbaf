// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/record"
	"github.com/gokms/gokms/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in the scripts")

func TestMain(m *testing.M) {
	confeval.MaybeChild()
	testscript.Main(m, map[string]func(){prog: main, builderName: stubBuilder})
}

// TestScripts runs the command as a user does: real processes, with kernel
// trees that are made up. The scripts' commands are below.
func TestScripts(t *testing.T) {
	t.Parallel()
	testkit.Tools(t, "bash")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", "--modules-root=modules")
			env.Setenv("SOURCE_DATE_EPOCH", "1")      // not that of a record
			env.Setenv("GORACE", "atexit_sleep_ms=0") // one second for each process
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"run": runGokms, "kernel": kernelTree, "sub": testkit.Sub,
			"expand": expand, "sums": sums, "empty": empty, "module": makeModule, "deb": makeDeb,
			"key": makeKey, "signed": signModule,
			"plain": plainModule, "package": dpkgPackage, "initrd": initrd,
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

// stubBuilder stands for gokms-mkbmdeb. It writes what it is called with to
// builder.log, and "packs" the dkms.conf of its source.
func stubBuilder() {
	if slices.Equal(os.Args[1:], []string{"--version"}) {
		fmt.Println(builderName, "1.0")
		return
	}
	switch os.Getenv("STUB") {
	case "fail":
		os.Exit(1)
	case "input":
		fmt.Fprintln(os.Stderr, "gokms-mkbmdeb: error: told")
		os.Exit(2)
	}
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	work := os.Getenv("WORK")
	output := ""
	var lines []string
	for _, arg := range os.Args[1:] {
		if dir, ok := strings.CutPrefix(arg, "--output="); ok {
			output = dir
			if strings.HasPrefix(filepath.Base(dir), "gokms-rebuild-") {
				arg = "--output=TEMP"
			}
		}
		lines = append(lines, strings.ReplaceAll(arg, work, "$WORK"))
	}
	for _, name := range []string{"DEBEMAIL", "SOURCE_DATE_EPOCH"} {
		lines = append(lines, name+"="+os.Getenv(name))
	}
	check(os.WriteFile(filepath.Join(work, "builder.log"), []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	text, err := os.ReadFile(filepath.Join(os.Args[len(os.Args)-1], "dkms.conf"))
	check(err)
	if os.Getenv("STUB") == "clock" {
		text = append(text, time.Now().String()...)
	}
	if os.Getenv("STUB") == "log" {
		log := filepath.Join(output, "foo-modules_1_amd64.failed.log")
		check(errors.Join(os.WriteFile(log, nil, 0o644), os.WriteFile(filepath.Join(output, "other"), nil, 0o644)))
		check(fmt.Errorf("the log is %s", log))
	}
	if os.Getenv("STUB") != "none" {
		check(os.MkdirAll(output, 0o755))
		check(os.WriteFile(filepath.Join(output, "foo-modules_1_amd64.deb"), text, 0o644))
	}
}

// expand FILE... replaces $WORK in files.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	for _, file := range args {
		text := strings.ReplaceAll(ts.ReadFile(file), "$WORK", ts.Getenv("WORK"))
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}

// sums FILE replaces "SUM PATH" by the sum of the path, and "VERSION COMMAND"
// by what the command is here.
func sums(ts *testscript.TestScript, neg bool, args []string) {
	text := regexp.MustCompile(`SUM [^"]+`).ReplaceAllStringFunc(ts.ReadFile(args[0]), func(s string) string {
		sum, err := record.Sum(context.Background(), strings.TrimPrefix(s, "SUM "))
		ts.Check(err)
		return sum
	})
	text = regexp.MustCompile(`VERSION [^"]+`).ReplaceAllStringFunc(text, func(s string) string {
		return record.Asker{}.Tool(context.Background(), strings.TrimPrefix(s, "VERSION "), "").Version
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}

// empty DIR... wants directories without entries.
func empty(ts *testscript.TestScript, neg bool, args []string) {
	for _, dir := range args {
		entries, err := os.ReadDir(ts.MkAbs(dir))
		ts.Check(err)
		if len(entries) > 0 {
			ts.Fatalf("%s holds %v", dir, entries)
		}
	}
}
