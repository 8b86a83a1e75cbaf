// SPDX-License-Identifier: MIT

// Package confeval evaluates a dkms.conf in a limited child process. A
// dkms.conf is a program; in the child it can use only so much memory, time
// and processes, and where the caller is root it runs as nobody, able to read
// what root can read but to write nothing of root's. Whatever it started is
// gone when [Eval] returns.
//
// The child is the running binary itself under another name: main, and
// TestMain of tests that evaluate, call [MaybeChild] first.
//
// Where namespaces are allowed, what the evaluation starts lives in a PID
// namespace of its own and ends with it. Elsewhere the child is a subreaper, so
// that all of it stays below the child and is found in /proc, and should the
// child itself crash, by a variable in the environment. A file that leaves a
// process running is an error either way. Where /proc is not mounted, as in a
// plain chroot, a process that left its group may live on, the data of processes is
// bounded and not their address space, and their number less tightly. The network and all that may be read
// are open to a dkms.conf: to close them takes an [Evaluator] with a sandbox.
package confeval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gokms/gokms/internal/sandbox"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/proc"
	"github.com/gokms/gokms/pkg/textfile"
)

// Limits bound the child. A field that is 0 has its default. What one process
// does is bounded by [dkms.Limits] as well.
type Limits struct {
	Wall      time.Duration // default 10 s
	Memory    uint64        // address space in bytes, default 1 GiB
	CPU       uint64        // seconds, of each process; default 10
	Processes uint64        // at a time, default 256
	Output    int64         // largest file and answer in bytes, default 16 MiB
}

func (l Limits) withDefaults() Limits {
	def := func(v *uint64, d uint64) {
		if *v == 0 {
			*v = d
		}
	}
	if l.Wall == 0 {
		l.Wall = 10 * time.Second
	}
	if l.Output == 0 {
		l.Output = 16 << 20
	}
	def(&l.Memory, 1<<30)
	def(&l.CPU, 10)
	def(&l.Processes, 256)
	return l
}

// Evaluator evaluates in children of its own kind. Its zero value is [Eval].
type Evaluator struct {
	Limits Limits
	// Sandbox runs the child's command in a sandbox that has the [ChildMount]
	// and a /proc of its own. Paths in the input are those that the sandbox shows. What
	// the child may do is the sandbox's choice, and what it leaves behind ends
	// with the sandbox; errors that are no exit codes are returned. nil: the
	// child runs as the package documentation says.
	Sandbox func(*exec.Cmd) error
}

// childPath is where a sandbox shows the running binary.
const childPath = "/run/gokms/" + childName

// ChildMount shows the child's program in a sandbox.
func ChildMount() sandbox.Mount {
	exe, err := os.Executable()
	if err != nil { // there is no /proc, and so no sandbox
		exe = kernelsOwn
	}
	return sandbox.Mount{Host: exe, Path: childPath}
}

// request is what the child reads from its standard input.
type request struct {
	Input  dkms.Input
	Limits Limits
	// Tasks is how many threads the child's user has, if they cannot all be
	// seen by the child.
	Tasks uint64
}

// response is what it writes to its standard output.
type response struct {
	Values *dkms.Values
	Error  *wireError
}

// wireError is an error as it crosses the border.
type wireError struct {
	File  string
	Line  int
	Text  string
	Cure  string
	Limit string // of a dkms.LimitError
}

// Eval is [Evaluator.Eval] with the default limits and without a sandbox.
func Eval(ctx context.Context, in dkms.Input) (*dkms.Values, error) {
	return new(Evaluator).Eval(ctx, in)
}

// EvalIn is [Evaluator.Eval] with the default limits, in a sandbox unless run
// is nil.
func EvalIn(ctx context.Context, in dkms.Input, run func(*exec.Cmd) error) (*dkms.Values, error) {
	return (&Evaluator{Sandbox: run}).Eval(ctx, in)
}

// Eval evaluates in in a child. Errors are those of [dkms.Eval], or a
// [*textfile.Error] that names the first file and wraps a [*dkms.LimitError]
// where the child was ended by force.
func (e *Evaluator) Eval(ctx context.Context, in dkms.Input) (*dkms.Values, error) {
	if len(in.Files) == 0 {
		return nil, errors.New("no dkms.conf to evaluate")
	}
	limits := e.Limits.withDefaults()
	in.Limits.Time = limits.Wall
	text, err := e.request(in)
	if err != nil {
		return nil, err
	}
	// The inner limit speaks first, the outer one cannot be dodged.
	deadline, cancel := context.WithTimeoutCause(ctx, limits.Wall+500*time.Millisecond,
		&dkms.LimitError{What: "ran for more than " + limits.Wall.String()})
	defer cancel()
	run := run
	if e.Sandbox != nil {
		run = e.runInSandbox
	}
	answer, err := run(deadline, text, limits)
	if cause := context.Cause(deadline); cause != nil {
		err = cause
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &textfile.Error{File: in.Files[0].Path, Err: err}
	}
	if answer.Error != nil {
		return nil, answer.Error.unwire()
	}
	return answer.Values, nil
}

func (e *Evaluator) request(in dkms.Input) ([]byte, error) {
	r := request{Input: in, Limits: e.Limits.withDefaults()}
	if e.Sandbox != nil {
		uid := os.Geteuid()
		if realRoot() {
			uid = nobody
		}
		var err error
		if r.Tasks, err = tasksOf(uid); err != nil {
			return nil, err
		}
	}
	return json.Marshal(r)
}

// runInSandbox runs the child in the sandbox, which ends it whole.
func (e *Evaluator) runInSandbox(ctx context.Context, request []byte, limits Limits) (*response, error) {
	cmd := exec.CommandContext(ctx, childPath)
	cmd.Env = []string{marker(), "GORACE=atexit_sleep_ms=0"}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(request)
	cmd.WaitDelay = time.Second
	out := outputOf(cmd, limits)
	return out.answer(e.Sandbox(cmd))
}

// run starts the child with as little power as the caller may give it: what
// the caller may not do to it is left out.
func run(ctx context.Context, request []byte, limits Limits) (*response, error) {
	program, err := ownProgram()
	if err != nil {
		return nil, fmt.Errorf("start evaluation: %w", err)
	}
	for _, attr := range attrs() {
		cmd := exec.CommandContext(ctx, program)
		cmd.Args = []string{childName}
		cmd.Env = []string{marker(), "GORACE=atexit_sleep_ms=0"} // else tests with the race detector wait a second
		cmd.Dir = "/"
		cmd.Stdin = bytes.NewReader(request)
		cmd.SysProcAttr = attr
		var answer *response
		if answer, err = talk(cmd, limits); err == nil || !cannotStart(err) {
			return answer, err
		}
	}
	if program != kernelsOwn {
		err = &Error{Text: err.Error(), Cure: mountProc}
	}
	return nil, err
}

const (
	kernelsOwn = "/proc/self/exe"
	mountProc  = "mount /proc"
)

// ownProgram is the file that this process runs: as the kernel has it, and
// where /proc is not mounted, by the name that it was called by.
func ownProgram() (string, error) {
	if _, err := os.Stat(kernelsOwn); err == nil {
		return kernelsOwn, nil
	}
	if calledAs.err != nil {
		return "", &Error{Text: calledAs.err.Error(), Cure: mountProc}
	}
	return calledAs.path, nil
}

// calledAs is this program, looked up before anything changes directory.
var calledAs = func() (c struct {
	path string
	err  error
}) {
	if c.path, c.err = exec.LookPath(os.Args[0]); c.err == nil {
		c.path, c.err = filepath.Abs(c.path)
	}
	return c
}()

// startError is an error of the start of the child.
type startError struct{ error }

func (e *startError) Unwrap() error { return e.error }

// cannotStart tells whether another way of starting the child may work. What is
// not there is /proc, through which user namespaces get their users.
func cannotStart(err error) bool {
	_, start := errors.AsType[*startError](err)
	return start && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) ||
		errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EUSERS))
}

// talk runs the child and reads its answer.
func talk(cmd *exec.Cmd, limits Limits) (*response, error) {
	// The death signal of the parent's is that of its thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out := outputOf(cmd, limits)
	cmd.Cancel = func() error { return killTree(cmd.Process.Pid) }
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, &startError{fmt.Errorf("start evaluation: %w", err)}
	}
	err := cmd.Wait()
	if cmd.SysProcAttr.Cloneflags&syscall.CLONE_NEWPID == 0 {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // there may be no one left
		proc.KillMarked(cmd.Env[0])
	}
	return out.answer(err)
}

// output is what a child says.
type output struct {
	stdout, stderr bounded
	limits         Limits
}

func outputOf(cmd *exec.Cmd, limits Limits) *output {
	out := &output{stdout: bounded{max: limits.Output}, stderr: bounded{max: 64 << 10}, limits: limits}
	cmd.Stdout, cmd.Stderr = &out.stdout, &out.stderr
	return out
}

// answer is the child's, if it gave one before it ended with err.
func (o *output) answer(err error) (*response, error) {
	var answer response
	if json.Unmarshal(o.stdout.Bytes(), &answer) == nil && (answer.Values != nil || answer.Error != nil) {
		return &answer, nil
	}
	return nil, died(err, o.stderr.String(), o.limits)
}

// died explains a child that gave no answer.
func died(err error, stderr string, limits Limits) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err != nil && !ok && !errors.Is(err, exec.ErrWaitDelay):
		return err
	case noMemory(stderr):
		return &dkms.LimitError{What: fmt.Sprintf("used more than %d MiB of memory", limits.Memory>>20)}
	case ok && (exit.Sys().(syscall.WaitStatus).Signaled() || exit.ExitCode() == 128+int(syscall.SIGKILL)):
		// RLIMIT_CPU kills at once: Go does not mind SIGXCPU, so the hard limit counts.
		return &dkms.LimitError{What: fmt.Sprintf("computed for more than %d seconds, or the system ran out of memory", limits.CPU)}
	case strings.Contains(stderr, "newosproc") || strings.Contains(stderr, "pthread_create"):
		return &dkms.LimitError{What: fmt.Sprintf("ran more than %d processes", limits.Processes)}
	case ok:
		line, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
		return fmt.Errorf("evaluation ended without an answer: %w: %s", err, line)
	case err != nil:
		return err
	}
	return errors.New("evaluation ended without an answer")
}

// noMemory knows the last words of the Go runtime and, under -race, of its race
// detector.
func noMemory(stderr string) bool {
	for _, words := range []string{
		"out of memory", "cannot allocate memory", "ThreadSanitizer failed to allocate", "address space collisions",
	} {
		if strings.Contains(stderr, words) {
			return true
		}
	}
	return false
}

// bounded is a buffer that takes so much and drops the rest.
type bounded struct {
	bytes.Buffer
	max int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.max - int64(b.Len()); room > 0 {
		b.Buffer.Write(p[:min(int64(len(p)), room)])
	}
	return len(p), nil
}

// ReadFrom hides that of bytes.Buffer, which has no bound.
func (b *bounded) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}

// wire makes err plain data.
func wire(err error) *wireError {
	w := &wireError{Text: err.Error()}
	if e, ok := errors.AsType[*textfile.Error](err); ok {
		w.File, w.Line, w.Text = e.File, e.Line, e.Err.Error()
	}
	if e, ok := errors.AsType[*dkms.LimitError](err); ok {
		w.Limit = e.What
	}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		w.Cure = h.Hint()
	}
	return w
}

// unwire is the error again, with its type and position.
func (w *wireError) unwire() error {
	var err error = &Error{Text: w.Text, Cure: w.Cure}
	if w.Limit != "" {
		err = &dkms.LimitError{What: w.Limit}
	}
	return &textfile.Error{File: w.File, Line: w.Line, Err: err}
}

// Error is an error of the evaluation, as the child told it.
type Error struct{ Text, Cure string }

// Error returns Text.
func (e *Error) Error() string { return e.Text }

// Hint returns the cure, "" if there is none.
func (e *Error) Hint() string { return e.Cure }

// attrs are the ways to start the child, the tightest first. The real root has
// to become nobody: a fork bomb of root's takes the machine down, since its
// processes are not limited.
func attrs() []*syscall.SysProcAttr {
	base := func() *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	}
	var all []*syscall.SysProcAttr
	if os.Geteuid() != 0 {
		isolated := base()
		isolated.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID
		isolated.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		isolated.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		return append(all, isolated, base())
	}
	for _, flags := range []uintptr{syscall.CLONE_NEWPID, 0} {
		dropped := base()
		dropped.Cloneflags = flags
		dropped.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if hasCapability(capDACReadSearch) {
			dropped.AmbientCaps = []uintptr{capDACReadSearch}
		}
		all = append(all, dropped)
	}
	if !realRoot() {
		all = append(all, base())
	}
	return all
}

// RootsGroup is the group that root's evaluations run as, nogroup. Where root
// may not read everything, as in many containers, it needs access.
const RootsGroup = nobody

const (
	nobody           = 65534 // Policy 9.2.2
	capDACReadSearch = 2     // capabilities(7)
)
