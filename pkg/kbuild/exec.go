// SPDX-License-Identifier: MIT

package kbuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// lingering is how long output is waited for after a command has ended, if
// something that it started still holds the log.
const lingering = 2 * time.Second

// The shell programs in front of every command. The umask belongs to the
// process, so a library cannot set it otherwise without touching its caller's.
// Where our own process is killed the shell alone gets a TERM (Pdeathsig) and
// takes the others with it; it hears of that because it waits for a job.
const (
	prelude    = "umask 022; trap 'kill -KILL 0' TERM\n"
	runProgram = prelude + `"$@" & wait $!`

	// runCommand evaluates $1 as dkms evaluates MAKE, with those of dkms's
	// variables that the command may refer to but that are not exported.
	runCommand = prelude + `dkms_tree=$2 source_tree=$3 kernel_source_dir=$4 parallel_jobs=$5
eval "$1" & wait $!`
)

// shell is the argv that runs one of the programs above with arguments.
func shell(program string, args ...string) []string {
	return append([]string{"bash", "-O", "extglob", "-c", program, "bash"}, args...)
}

// program is one command of a build, as the build sees it. It runs in the
// build directory.
type program struct {
	name string   // of its Step
	show string   // what the log and errors show of it
	argv []string // argv[0] is looked up in the build's PATH
}

// exec runs p to its end, with its output in the log, and records the step.
// An error is an [*Error] without an excerpt.
func (r *run) exec(ctx context.Context, p program) error {
	r.log.begin(p)
	r.output = r.log.offset()
	start := r.now()
	code, err := r.wait(ctx, p)
	step := Step{Name: p.name, Command: p.show, ExitCode: code, Elapsed: r.now().Sub(start)}
	r.result.Steps = append(r.result.Steps, step)
	r.log.end(step, err)
	if err == nil {
		return nil
	}
	return &Error{Build: r.label(), Step: p.name, Command: p.show, ExitCode: code, LogPath: r.LogPath, Err: err}
}

// wait starts p and waits for it and for all that it left in its process
// group, which is killed. Interruptions come back as their cause.
func (r *run) wait(ctx context.Context, p program) (exitCode int, err error) {
	cmd := r.command(ctx, p)
	err = r.start(cmd)
	if cmd.Process != nil {
		_ = killGroup(cmd)
	}
	r.log.flush()
	if cause := context.Cause(ctx); cause != nil {
		return -1, cause
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, exec.ErrWaitDelay):
		r.warn("%s left processes behind; they were killed", p.name)
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode(), fmt.Errorf("exit status %d", exit.ExitCode())
	}
	return -1, err
}

func (r *run) command(ctx context.Context, p program) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Path, cmd.Err = LookPath(p.argv[0])
	cmd.Dir = r.Layout.BuildDir().Build
	cmd.Env = r.env
	cmd.Stdout, cmd.Stderr = r.log, r.log
	cmd.WaitDelay = lingering
	cmd.Cancel = func() error { return killGroup(cmd) }
	// A session of its own: a group to kill, and no terminal to ask on
	// (patch(1) asks on /dev/tty).
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	return cmd
}

// start runs cmd through the seam. Pdeathsig follows the thread that forked,
// not the process, so the thread must stay for as long as the command runs.
func (r *run) start(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if r.Run != nil {
		return r.Run(cmd)
	}
	return cmd.Run()
}

// killGroup kills what is left of the session that cmd leads.
func killGroup(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// quote writes word so that a shell reads it back as one word.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=+:,@%", r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
