// SPDX-License-Identifier: MIT

package confeval

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/sandbox"
	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/dkms"
)

// newSandbox is one that shows dir as /usr/src/a-1.
func newSandbox(t testing.TB, dir string) *sandbox.Sandbox {
	t.Helper()
	testkit.Tools(t, "bwrap", "setpriv", "prlimit")
	box, err := sandbox.New(sandbox.Spec{
		Mounts: []sandbox.Mount{ChildMount(), {Host: dir, Path: "/usr/src/a-1"}}, StateDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// TestSandbox evaluates files that look around or do harm.
func TestSandbox(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"part": "PART=there\n", "../secret": "secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	box := newSandbox(t, dir)
	for _, tt := range []struct{ name, text, want string }{
		{"sources a part", ". /usr/src/a-1/part; MAKE=$PART", "there"},
		{"relative part", ". ./part; MAKE=$PART", "there"},
		{"reads a secret", fmt.Sprintf("MAKE=x$(cat %s/secret /etc/shadow 2>/dev/null)", filepath.Dir(dir)), "x"},
		{"reads a secret in the shell", fmt.Sprintf("MAKE=x$(<%s/secret)", filepath.Dir(dir)), ""},
		{"globs homes", "set -- /root/.[a-z]* /home/*; MAKE=x$*", "x/root/.[a-z]* /home/*"},
		{"writes", fmt.Sprintf("( : >%s/new; : >/usr/src/a-1/new; : >/etc/new ) 2>/dev/null; MAKE=x", dir), "x"},
		{"network", "MAKE=x$(ls /sys/class/net 2>/dev/null)", "x"},
		{"user", "MAKE=$(id -un)", "nobody"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := input("PACKAGE_NAME=a\nPACKAGE_VERSION=1\n" + tt.text + "\n")
			in.Env.Dir = "/usr/src/a-1"
			v, err := EvalIn(t.Context(), in, box.Run)
			if err != nil {
				t.Error(err)
			} else if got := v.Get("MAKE"); got != tt.want {
				t.Errorf("MAKE=%q; want %q", got, tt.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("the source was written to")
	}
}

// TestSandboxLimits has one of each kind of those that end by force.
func TestSandboxLimits(t *testing.T) {
	needsTime(t)
	box := newSandbox(t, t.TempDir())
	evaluator := &Evaluator{Limits: Limits{Wall: 2 * time.Second, CPU: 1, Processes: 64, Memory: 256 << 20}, Sandbox: box.Run}
	for _, tt := range []struct{ name, text, want string }{
		{"endless program", "sleep 1000", "ran for more than 2s"},
		{"doubling", "x=0123456789abcdef; while :; do x=$x$x; done", ""},
		{"fork bomb of bash", "bash -c 'f() { f | f & }; f; sleep 1000'", ""},
		{"computing shell", "while ((1)); do ((x++)); done", ""},
		{"endless output", "x=$(yes)", ""},
		{"daemon", "setsid -f sleep 1000 >/dev/null 2>&1", "left a process running"},
		{"job of a program", "sh -c 'sleep 1000 >/dev/null 2>&1 &'", "left a process running"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mark := fmt.Sprintf("GOKMS_TEST_MARKER=%d", time.Now().UnixNano())
			_, err := evaluator.Eval(t.Context(), input("export "+mark+"\n"+tt.text+"\nPACKAGE_NAME=a\nPACKAGE_VERSION=1\n"))
			if e, ok := errors.AsType[*dkms.LimitError](err); !ok || !strings.Contains(e.What, tt.want) || !strings.HasPrefix(err.Error(), "dkms.conf") {
				t.Errorf("Eval() = %v; want a limit, %q", err, tt.want)
			}
			expectGone(t, mark)
		})
	}
}

// TestSandboxError passes what is wrong with the sandbox itself.
func TestSandboxError(t *testing.T) {
	broken := &sandbox.UnavailableError{Reason: "tests want so"}
	_, err := EvalIn(t.Context(), input("PACKAGE_NAME=a\n"), func(*exec.Cmd) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("EvalIn() = %v; want %v", err, broken)
	}
}

func BenchmarkSandbox(b *testing.B) {
	box := newSandbox(b, b.TempDir())
	for b.Loop() {
		if _, err := EvalIn(b.Context(), input("PACKAGE_NAME=a\nPACKAGE_VERSION=1\n"), box.Run); err != nil {
			b.Fatal(err)
		}
	}
}
