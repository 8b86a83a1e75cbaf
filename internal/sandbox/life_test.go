// SPDX-License-Identifier: MIT

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
)

// forever starts processes that do not end by themselves, in a session of
// their own, too.
const forever = "setsid -f sleep MARK; (trap '' TERM HUP INT; sleep MARK) & echo ready; sleep MARK"

// runForever is the caller of [TestCallerDies].
func runForever(dir, mark string) error {
	s, err := New(Spec{Mounts: []Mount{{Host: dir, Path: buildPath, Writable: true}}})
	if err != nil {
		return err
	}
	if os.Getenv("GOKMS_TEST_FLAT") != "" {
		s.nested = func() bool { return false }
	}
	cmd := shell(context.Background(), strings.ReplaceAll(forever, "MARK", mark))
	cmd.Stdout = os.Stdout
	return s.Run(cmd)
}

// expectGone waits a moment for the last process to go.
func expectGone(t *testing.T, mark string, within time.Duration) {
	t.Helper()
	var left []string
	for end := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		if left = withArgument(mark); len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	t.Errorf("processes left: %v", left)
}

func newMark() string { return fmt.Sprintf("%d.%d", 1000+os.Getpid(), time.Now().UnixNano()) }

// TestKilled kills the process group, as kbuild does. When Run returns nothing
// may be left.
func TestKilled(t *testing.T) {
	b := newBox(t, nil)
	for range 5 {
		mark := newMark()
		ctx, cancel := context.WithCancel(t.Context())
		cmd := shell(ctx, strings.ReplaceAll(forever, "MARK", mark))
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.Stdout = writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
		if err := b.Run(cmd); !errors.Is(err, context.Canceled) {
			if _, exit := errors.AsType[*exec.ExitError](err); !exit {
				t.Errorf("Run() = %v", err)
			}
		}
		cancel()
		expectGone(t, mark, 0)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestKilledEarly kills it at any moment of its start.
func TestKilledEarly(t *testing.T) {
	b := newBox(t, nil)
	for range 40 {
		mark := newMark()
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(15000))*time.Microsecond)
		_ = b.Run(shell(ctx, strings.ReplaceAll(forever, "MARK", mark)))
		cancel()
		expectGone(t, mark, 0)
	}
}

// TestCallerDies kills the caller by SIGKILL, after the start and at any moment
// of it.
func TestCallerDies(t *testing.T) {
	needsSandbox(t)
	dir := closedDir(t)
	for i := range 30 {
		mark := newMark()
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "GOKMS_TEST_CALLER="+dir, "GOKMS_TEST_MARK="+mark)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		mustDo(t, err)
		mustDo(t, cmd.Start())
		if i < 3 {
			text := make([]byte, 100)
			if n, _ := stdout.Read(text); string(text[:n]) != "ready\n" {
				t.Errorf("caller: %s%s", text[:n], stderr.String())
			}
		} else {
			time.Sleep(time.Duration(rand.IntN(30000)) * time.Microsecond)
		}
		mustDo(t, cmd.Process.Kill())
		_ = cmd.Wait()
		expectGone(t, mark, time.Second)
	}
}

// TestOrdinaryUser runs the tests of this package again as nobody, without and
// with fakeroot, as the root of a user namespace with one user, and among as few
// processes as in a container.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("this is an ordinary user, or -short was given")
	}
	needsSandbox(t)
	for _, tt := range []struct {
		name string
		argv []string
		user *syscall.Credential
	}{
		{"nobody", nil, &syscall.Credential{Uid: nobody, Gid: nobody}},
		{"nobody under fakeroot", []string{"fakeroot"}, &syscall.Credential{Uid: nobody, Gid: nobody}},
		{"root under fakeroot", []string{"fakeroot"}, nil},
		{"root in a container", []string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc"}, nil},
		{"root of one user", []string{"unshare", "-Ur"}, &syscall.Credential{Uid: nobody, Gid: nobody}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			argv := append(tt.argv, readableCopy(t), "-test.run", "^Test[^OC]|TestCompilers|TestCallerDies")
			testkit.Tools(t, argv[0])
			cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
			cmd.Env, cmd.Dir = append(os.Environ(), "TMPDIR=/tmp"), "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: tt.user}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// readableCopy copies the binary of this test to where anybody can run it.
func readableCopy(t *testing.T) string {
	t.Helper()
	dir := closedDir(t)
	mustDo(t, os.Chmod(dir, 0o755))
	text, err := os.ReadFile("/proc/self/exe")
	mustDo(t, err)
	path := filepath.Join(dir, "sandbox.test")
	mustDo(t, os.WriteFile(path, text, 0o755))
	return path
}
