// SPDX-License-Identifier: MIT

package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLogForms(t *testing.T) {
	bad := errors.Join(errors.New("f:1: one"), WithHint(errors.New("f:2: two\nmore"), "do this"))
	for _, tt := range []struct {
		level Level
		want  string
	}{
		{Quiet, "p: error: f:1: one\np: error: f:2: two\n    more\np: hint: do this\n"},
		{Normal, "p: error: f:1: one\np: error: f:2: two\n    more\np: hint: do this\np: warning: w\np: built 3\n"},
		{Verbose, "p: error: f:1: one\np: error: f:2: two\n    more\np: hint: do this\np: warning: w\np: built 3\np: make\n"},
	} {
		var b bytes.Buffer
		l := NewLog(&b, "p", tt.level)
		l.Error(BadInput(bad))
		l.Warn(errors.New("w"))
		l.Infof("built %d", 3)
		l.Debugf("make")
		if b.String() != tt.want {
			t.Errorf("level %d: %q; want %q", tt.level, b.String(), tt.want)
		}
	}
}

func TestLogDisarmsTerminalControls(t *testing.T) {
	var b bytes.Buffer
	NewLog(&b, "p", Normal).Error(errors.New("a\x1b[2Jb\u009bc é"))
	if want := "p: error: a\uFFFD[2Jb\uFFFDc é\n"; b.String() != want {
		t.Errorf("got %q; want %q", b.String(), want)
	}
}

func TestExitCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{BadInput(errors.New("x")), 2},
		{fmt.Errorf("wrapped: %w", BadInput(errors.New("x"))), 2},
		{&ExitError{Code: ExitExcluded}, 77},
		{BadInput(nil), 0},
	} {
		if got := ExitCode(tt.err); got != tt.want {
			t.Errorf("ExitCode(%v) = %d; want %d", tt.err, got, tt.want)
		}
	}
}

func TestGetenvLastWins(t *testing.T) {
	e := &Env{Environ: []string{"A=1", "AB=2", "A=3"}}
	if got := e.Getenv("A"); got != "3" {
		t.Errorf("Getenv(A) = %q; want 3", got)
	}
}

func TestDistribution(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=12\n", "debian"},
		{"ID=ubuntu\nID_LIKE=debian\n", "ubuntu"},
		{"ID_LIKE=\"ubuntu debian\"\nID=linuxmint", "ubuntu debian"},
		{"ID='kali'\nID_LIKE=debian\n", "debian"},
		{"ID=x\nID_LIKE=\n", ""},
		{"# ID=y\nVERSION_ID=1\n", ""},
		{"", ""},
	} {
		if got := distribution(strings.NewReader(tt.text)); got != tt.want {
			t.Errorf("distribution(%q) = %q; want %q", tt.text, got, tt.want)
		}
	}
}

// TestMainEndsInOrder sends each signal to a process of this test that waits
// in Main for its context to end.
func TestMainEndsInOrder(t *testing.T) {
	const name = "CLI_TEST_MAIN"
	if os.Getenv(name) != "" {
		Main(func(ctx context.Context, env *Env) error {
			fmt.Fprintln(env.Stdout, "ready")
			select {
			case <-ctx.Done():
				fmt.Fprintln(env.Stdout, "cleaned up")
			case <-time.After(10 * time.Second):
			}
			return &ExitError{Code: 42}
		})
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestMainEndsInOrder$")
		cmd.Env = append(os.Environ(), name+"=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		if line, err := lines.ReadString('\n'); line != "ready\n" {
			t.Fatalf("%v: the process says %q, %v", sig, line, err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(lines)
		if err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 42 || string(rest) != "cleaned up\n" {
			t.Errorf("%v: exit code %d, %q; want 42, cleaned up", sig, code, rest)
		}
	}
}
