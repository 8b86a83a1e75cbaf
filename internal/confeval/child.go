// SPDX-License-Identifier: MIT

package confeval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/textfile"
)

// childName is argv[0] of the child.
const childName = "gokms-confeval"

// MaybeChild takes over and never returns if this process is the child.
func MaybeChild() {
	if len(os.Args) != 1 || os.Args[0] != childName && os.Args[0] != childPath {
		return
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child evaluates one request. Its own errors are no answer.
func child() error {
	var req request
	if err := json.NewDecoder(os.Stdin).Decode(&req); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if err := limit(req.Limits, req.Tasks); err != nil {
		return err
	}
	if dir := req.Input.Env.Dir; dir != "" {
		if err := os.Chdir(dir); err != nil {
			return err
		}
	}
	// Programs whose parent has ended become children of this process.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	req.Input.Run = runUnprivileged
	req.Input.Env.Environ = append(req.Input.Env.Environ, markerName+"="+os.Getenv(markerName))
	var answer response
	values, err := dkms.Eval(context.Background(), req.Input)
	if err == nil {
		err = leftover(req.Input.Files[0].Path)
	}
	if os.Getpid() != 1 { // else what is left ends with us
		killBelow(ownPid())
	}
	if err != nil {
		answer.Error = wire(err)
	} else {
		answer.Values = values
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// runUnprivileged runs a program that gains no rights by a set-user-ID bit.
func runUnprivileged(cmd *exec.Cmd) error {
	runtime.LockOSThread() // the attribute is the thread's, and so the program's
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		err = cmd.Start()
	}
	runtime.UnlockOSThread()
	if err != nil {
		return err
	}
	return cmd.Wait()
}

// leftover is an error if the evaluation left a process behind.
func leftover(file string) error {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR || err == nil && pid > 0:
		case err != nil: // there are no children
			return nil
		default:
			return &textfile.Error{File: file, Err: &dkms.LimitError{What: leftRunning(descendants(ownPid()))}}
		}
	}
}

// limit bounds this process and those it starts; its user has at least so many
// tasks.
func limit(l Limits, tasks uint64) error {
	debug.SetMemoryLimit(int64(min(l.Memory/2, math.MaxInt64)))
	memory, value := unix.RLIMIT_AS, l.Memory
	switch size, err := addressSpace(); {
	case err == nil:
		value += size
	case errors.Is(err, os.ErrNotExist): // nothing tells the size
		memory = unix.RLIMIT_DATA
	default:
		return err
	}
	seen, err := tasksOf(os.Getuid())
	if err != nil {
		return err
	}
	for _, r := range []struct {
		resource int
		value    uint64
	}{
		{memory, value},
		{unix.RLIMIT_CPU, l.CPU},
		{unix.RLIMIT_FSIZE, uint64(l.Output)},
		{unix.RLIMIT_NPROC, max(tasks, seen) + l.Processes},
		{unix.RLIMIT_CORE, 0},
	} {
		// Go restores a soft RLIMIT_NOFILE of its own only; the others pass on.
		limit := unix.Rlimit{Cur: r.value, Max: r.value}
		var now unix.Rlimit
		if err := unix.Getrlimit(r.resource, &now); err == nil && now.Max < r.value {
			limit.Cur, limit.Max = now.Max, now.Max
		}
		if err := unix.Setrlimit(r.resource, &limit); err != nil {
			return fmt.Errorf("set limit %d: %w", r.resource, err)
		}
	}
	return nil
}

// addressSpace is what this process has mapped already, in bytes: the Go
// runtime reserves some, and the race detector terabytes.
func addressSpace() (uint64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	pages, _, _ := strings.Cut(string(text), " ")
	n, err := strconv.ParseUint(pages, 10, 64)
	return n * uint64(os.Getpagesize()), err
}

// uncounted is how many threads a user is taken to have where nothing tells.
const uncounted = 4096

// tasksOf counts the threads that a user has, here and elsewhere: RLIMIT_NPROC
// counts them all.
func tasksOf(uid int) (uint64, error) {
	procs, err := os.ReadDir("/proc")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	if len(procs) == 0 { // it is not mounted
		return uncounted, nil
	}
	var n uint64
	for _, p := range procs {
		if p.Name()[0] < '0' || p.Name()[0] > '9' {
			continue
		}
		var st syscall.Stat_t
		if syscall.Stat("/proc/"+p.Name(), &st) != nil || int(st.Uid) != uid {
			continue
		}
		if threads, err := os.ReadDir("/proc/" + p.Name() + "/task"); err == nil {
			n += uint64(len(threads))
		}
	}
	return n, nil
}

// hasCapability tells whether this process has a capability(7) in effect.
func hasCapability(c uint) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return false
	}
	return sets[c/32].Effective&(1<<(c%32)) != 0
}
