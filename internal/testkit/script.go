// SPDX-License-Identifier: MIT

package testkit

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// WantExit runs a program in a script and ends the script unless its exit code
// is code, a number in text.
func WantExit(ts *testscript.TestScript, code, program string, args ...string) {
	got := 0
	err := ts.Exec(program, args...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != code {
		ts.Fatalf("exit code %d; want %s", got, code)
	}
}

// Sub is the script command "sub FILE OLD NEW": it replaces text in a file, all
// of it if OLD is empty; "\n" stands for the end of a line.
func Sub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: sub FILE OLD NEW")
	}
	line := strings.NewReplacer(`\n`, "\n")
	text := line.Replace(args[2])
	if args[1] != "" {
		was := ts.ReadFile(args[0])
		if text = strings.ReplaceAll(was, line.Replace(args[1]), text); text == was {
			ts.Fatalf("%s holds no %q", args[0], args[1])
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}
