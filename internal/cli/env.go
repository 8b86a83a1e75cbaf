// SPDX-License-Identifier: MIT

// Package cli holds what the gokms commands share: the world they run in, the
// form of their messages, and the meaning of their exit codes. Flags, options
// and run functions live in each command's own folder.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"mvdan.cc/sh/v3/syntax"
)

// Env is the world of a command. Nothing below main reads it from package os.
type Env struct {
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string // "NAME=VALUE"
	Dir            string   // working directory, absolute
	Now            func() time.Time
	Run            func(*exec.Cmd) error // nil: (*exec.Cmd).Run
}

// Getenv returns the last value of name in e.Environ, "" if there is none.
func (e *Env) Getenv(name string) string {
	value := ""
	for _, kv := range e.Environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

// Main runs a command in the real world and exits with its code. On SIGINT,
// SIGTERM, SIGHUP and SIGQUIT the context ends; a second signal kills.
func Main(run func(context.Context, *Env) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	context.AfterFunc(ctx, stop)
	dir, err := os.Getwd()
	if err != nil { // it was removed, and most programs that we start fail there
		err = WithHint(fmt.Errorf("working directory: %w", err), "change to a directory that exists")
		NewLog(os.Stderr, filepath.Base(os.Args[0]), Normal).Error(err)
		os.Exit(ExitInput)
	}
	os.Exit(ExitCode(run(ctx, &Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Environ: os.Environ(), Dir: dir, Now: time.Now,
	})))
}

// Interrupted is the error of a run that a signal ended.
func Interrupted(ctx context.Context) error {
	return fmt.Errorf("interrupted: %w", context.Cause(ctx))
}

// CommandLine is a program with its arguments as one would type it.
func CommandLine(args []string) string {
	var quoted []string
	for _, word := range args {
		if q, err := syntax.Quote(word, syntax.LangBash); err == nil {
			word = q
		}
		quoted = append(quoted, word)
	}
	return strings.Join(quoted, " ")
}

// Version is what --version prints: the release set at link time, else the
// module's version from the build information.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "(unknown)"
}

// version is set by -ldflags "-X ...cli.version=1.2".
var version string
