// SPDX-License-Identifier: MIT

package confeval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/textfile"
)

func TestMain(m *testing.M) {
	MaybeChild()
	os.Exit(m.Run())
}

func input(text string) dkms.Input {
	return dkms.Input{
		Files: []dkms.File{{Path: "dkms.conf", Text: []byte(text)}},
		Env:   dkms.Env{KernelVersion: "6.1.0-0-none", Arch: "x86_64", Dir: "/"},
	}
}

func TestRun(t *testing.T) {
	v, err := Eval(t.Context(), input("PACKAGE_NAME=a\nPACKAGE_VERSION=$(echo 1.$kernelver)\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Get("PACKAGE_NAME") + "/" + v.Get("PACKAGE_VERSION"); got != "a/1.6.1.0-0-none" {
		t.Errorf("name/version = %s", got)
	}
}

func TestErrorsKeepTheirPlace(t *testing.T) {
	_, err := Eval(t.Context(), input("PACKAGE_NAME=a\nif\n"))
	e, ok := errors.AsType[*textfile.Error](err)
	if !ok || e.File != "dkms.conf" || e.Line < 2 {
		t.Errorf("Eval() = %v; want an error at dkms.conf:2 or below", err)
	}
}

// needsTime is for tests that wait for limits to be reached.
func needsTime(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes many seconds; -short was given")
	}
}

// TestHostile evaluates files that never end or never have enough. Each must
// end in a limit that names the file, soon, and leave no process.
func TestHostile(t *testing.T) {
	needsTime(t)
	evaluator := &Evaluator{Limits: Limits{Wall: 2 * time.Second, CPU: 2, Processes: 64, Memory: 256 << 20}}
	for _, tt := range []struct{ name, text string }{
		{"endless loop", "while :; do :; done"},
		{"endless program", "sleep 1000"},
		{"doubling", "x=0123456789abcdef; while :; do x=$x$x; done"},
		{"recursion", "f() { f; }; f"},
		{"fork bomb of the shell", "f() { f | f; }; f"},
		{"fork bomb of bash", "bash -c 'f() { f | f & }; f; sleep 1000'"},
		{"endless output", "x=$(yes)"},
		{"computing program", "awk 'BEGIN { while (1) x++ }'"},
		{"computing shell", "while ((1)); do ((x++)); done"},
		{"endless messages", "yes >&2"},
		{"endless file", "cat /dev/zero"},
		{"endless file in the shell", "x=$(</dev/zero); while [ -z \"$x\" ]; do :; done"},
		{"classic", "bash -c ':(){ :|:& };:'"},
		{"job of the shell", "sleep 1000 &"},
		{"job of a program", "sh -c 'sleep 1000 >/dev/null 2>&1 &'"},
		{"loop in a job of the shell", "while :; do :; done &"},
		{"jobs of the shell without bound", "f() { f & f & }; f"},
		{"pipes of the shell without bound", "f() { f|f& }; f"},
		{"daemon", "setsid -f sleep 1000 >/dev/null 2>&1"},
		{"daemon of a daemon", "sh -c 'setsid sh -c \"setsid sleep 1000 & sleep 1000\" </dev/null >/dev/null 2>&1 &'"},
		{"sourcing itself", ". $BASH_SOURCE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			mark := fmt.Sprintf("GOKMS_TEST_MARKER=%d", start.UnixNano())
			in := input("export " + mark + "\n" + tt.text + "\nPACKAGE_NAME=a\nPACKAGE_VERSION=1\n")
			in.Files[0].Source = selfSourcing(t, string(in.Files[0].Text))
			_, err := evaluator.Eval(t.Context(), in)
			e, ok := errors.AsType[*dkms.LimitError](err)
			if !ok || !strings.HasPrefix(err.Error(), "dkms.conf") {
				t.Errorf("Eval() = %v; want a limit that names dkms.conf", err)
			} else {
				t.Logf("%.1f s: %s", time.Since(start).Seconds(), e.What)
			}
			expectGone(t, mark)
		})
	}
}

// selfSourcing puts the text of a conf where it can source itself.
func selfSourcing(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dkms.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// manyJobs starts more processes than are allowed, but not without bound: it
// is run in ways that confine less.
const manyJobs = "bash -c 'for i in {1..200}; do setsid sleep 1000 & done; sleep 1000'"

// TestWaysToStart goes through the ways of starting the child that an ordinary
// user and a container without namespaces have. A daemon ends in all of them.
func TestWaysToStart(t *testing.T) {
	needsTime(t)
	for i, attr := range attrs() {
		for _, text := range []string{"setsid -f sleep 1000 >/dev/null 2>&1", "setsid sleep 1000", manyJobs} {
			mark := fmt.Sprintf("GOKMS_TEST_MARKER=%d", time.Now().UnixNano())
			limits := Limits{Wall: 2 * time.Second, Processes: 64}.withDefaults()
			in := input("export " + mark + "\n" + text + "\nPACKAGE_NAME=a\nPACKAGE_VERSION=1\n")
			in.Limits.Time = limits.Wall
			request, err := json.Marshal(request{Input: in, Limits: limits})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), limits.Wall+500*time.Millisecond)
			cmd := exec.CommandContext(ctx, "/proc/self/exe")
			cmd.Args, cmd.Dir, cmd.Env, cmd.SysProcAttr = []string{childName}, "/", []string{marker()}, attr
			cmd.Stdin = bytes.NewReader(request)
			answer, err := talk(cmd, limits)
			cancel()
			if _, start := errors.AsType[*startError](err); start {
				t.Logf("way %d is not allowed here: %v", i, err)
				break
			}
			if err == nil && (answer.Error == nil || answer.Error.Limit == "") {
				t.Errorf("way %d, %s: %+v; want a limit", i, text, answer)
			}
			expectGone(t, mark)
		}
	}
}

// TestAsOrdinaryUser runs tests of this file again as nobody.
func TestAsOrdinaryUser(t *testing.T) {
	needsTime(t)
	if os.Geteuid() != 0 {
		t.Skip("this is an ordinary user already")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^(TestRun|TestErrorsKeepTheirPlace|TestWaysToStart)$", "-test.v")
	cmd.Env = append(os.Environ(), "TMPDIR=/tmp")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
}

// expectGone fails if a process has marker in its environment.
func expectGone(t *testing.T, marker string) {
	t.Helper()
	var left []string
	for range 50 {
		left = nil
		files, err := filepath.Glob("/proc/[0-9]*/environ")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && strings.Contains(string(text), marker) {
				left = append(left, f)
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("processes left: %v", left)
}

func TestRootIsNobodyButReadsAll(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has power to drop")
	}
	dir := t.TempDir()
	secret, target := filepath.Join(dir, "secret"), filepath.Join(dir, "target")
	if err := os.WriteFile(secret, []byte("42"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("PACKAGE_NAME=a\nPACKAGE_VERSION=$(cat %s)\n( : > %s ) 2>/dev/null\nMAKE=$(id -u)\n", secret, target)
	v, err := Eval(t.Context(), input(text))
	if err != nil {
		t.Fatal(err)
	}
	if v.Get("PACKAGE_VERSION") != "42" || v.Get("MAKE") != "65534" {
		t.Errorf("version %q, user %q; want 42, 65534", v.Get("PACKAGE_VERSION"), v.Get("MAKE"))
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("a dkms.conf could write a file of root's")
	}
}

func TestChildNameAloneDoesNotServe(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Args = []string{childName}
	cmd.Stdin = strings.NewReader("not JSON")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "read request") {
		t.Errorf("child on garbage: %v: %s", err, out)
	}
}

func TestLeftRunning(t *testing.T) {
	for _, tt := range []struct{ names, want string }{
		{"", "left a process running"},
		{"sh", "left a process running: sh"},
		{",sh,,sh,a", "left a process running: sh, a"},
		{"a,b,c,d", "left a process running: a, b, c"},
	} {
		var processes []process
		for name := range strings.SplitSeq(tt.names, ",") {
			processes = append(processes, process{name: name})
		}
		if got := leftRunning(processes); got != tt.want {
			t.Errorf("leftRunning(%q) = %q; want %q", tt.names, got, tt.want)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		if _, err := Eval(b.Context(), input("PACKAGE_NAME=a\nPACKAGE_VERSION=1\n")); err != nil {
			b.Fatal(err)
		}
	}
}

// TestWithoutProc runs tests of this file again where /proc is not mounted, as
// in a plain chroot.
func TestWithoutProc(t *testing.T) {
	testkit.Tools(t, "unshare", "mount", "sh")
	if raceDetector {
		t.Skip("what the race detector maps is more than any limit, and without /proc not to be seen")
	}
	dir := t.TempDir() // where nobody can get to
	exe := filepath.Join(dir, "confeval.test")
	text, err := os.ReadFile("/proc/self/exe")
	if err = errors.Join(err, os.WriteFile(exe, text, 0o755), os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	share := []string{"--mount", "sh", "-c", `mount -t tmpfs none /proc && exec "$@"`, "sh"}
	if os.Geteuid() != 0 {
		share = append([]string{"--map-root-user"}, share...)
	}
	if exec.Command("unshare", append(share, "true")...).Run() != nil {
		t.Skip("mounts cannot be made here")
	}
	const tests = "^(TestRun|TestErrorsKeepTheirPlace|TestRootIsNobodyButReadsAll)$|" +
		"^TestHostile$/^(doubling|computing_program|job_of_the_shell)$"
	for _, users := range [][]string{nil, {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}} {
		if users != nil && os.Geteuid() != 0 {
			continue
		}
		argv := slices.Concat(share, users, []string{exe, "-test.run=" + tests, "-test.v", fmt.Sprintf("-test.short=%v", testing.Short())})
		cmd := exec.CommandContext(t.Context(), "unshare", argv...)
		cmd.Env = append(os.Environ(), "TMPDIR=/tmp")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestRun") {
			t.Errorf("%q: %v\n%s", users, err, out)
		} else {
			t.Logf("%s", out)
		}
	}
}
