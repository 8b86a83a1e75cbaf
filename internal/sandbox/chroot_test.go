// SPDX-License-Identifier: MIT

package sandbox

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// chroot makes a small Debian with bubblewrap that knows no kernel, and a copy
// of this test in it.
func chroot(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("this is not root, or -short was given")
	}
	needsSandbox(t)
	testkit.Tools(t, "mmdebstrap")
	root := filepath.Join(t.TempDir(), "root")
	cmd := exec.CommandContext(t.Context(), "mmdebstrap", "--quiet", "--variant=essential", "--include=bubblewrap,gcc,make,libc6-dev,python3-minimal", codename(t), root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	text, err := os.ReadFile("/proc/self/exe")
	mustDo(t, err)
	mustDo(t, os.WriteFile(filepath.Join(root, "sandbox.test"), text, 0o755))
	for _, dir := range []string{filepath.Dir(root), filepath.Dir(filepath.Dir(root)), root} {
		mustDo(t, os.Chmod(dir, 0o755))
	}
	return root
}

// codename is the host's, whose packages it can get.
func codename(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/etc/os-release")
	mustDo(t, err)
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "VERSION_CODENAME="); ok {
			return strings.TrimSpace(name)
		}
	}
	t.Fatal("/etc/os-release without VERSION_CODENAME")
	return ""
}

// TestReason prints why there is no sandbox, for [TestChroot].
func TestReason(t *testing.T) {
	if os.Getenv("GOKMS_TEST_REASON") == "" {
		t.Skip("this is for TestChroot")
	}
	err := Probe(t.Context(), nil)
	if e, ok := errors.AsType[*UnavailableError](err); ok {
		t.Logf("%v; %s", e, e.Hint())
	} else {
		t.Logf("Probe() = %v", err)
	}
}

func TestChroot(t *testing.T) {
	root := chroot(t)
	users := map[string]*syscall.Credential{"root": nil, "nobody": {Uid: nobody, Gid: nobody}}
	try := func(t *testing.T, argv []string, attr *syscall.SysProcAttr) string {
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Env, cmd.Dir, cmd.SysProcAttr = []string{"PATH=" + testPath, "TMPDIR=/tmp", "GOKMS_TEST_REASON=1"}, "/", attr
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return string(out)
	}
	reason := []string{"/sandbox.test", "-test.run=TestReason", "-test.v"}
	for name, user := range users {
		t.Run("without proc as "+name, func(t *testing.T) {
			out := try(t, reason, &syscall.SysProcAttr{Chroot: root, Credential: user})
			if !strings.Contains(out, "no sandbox: /proc is not mounted, as in a plain chroot") || !strings.Contains(out, "--sandbox=off") {
				t.Error(out)
			}
		})
	}
	proc := filepath.Join(root, "proc")
	mustDo(t, syscall.Mount("proc", proc, "proc", 0, ""))
	t.Cleanup(func() { mustDo(t, syscall.Unmount(proc, 0)) })
	for name, user := range users {
		t.Run("with proc as "+name, func(t *testing.T) {
			out := try(t, reason, &syscall.SysProcAttr{Chroot: root, Credential: user})
			if !strings.Contains(out, "no sandbox: this is a plain chroot") || !strings.Contains(out, "--sandbox=off") {
				t.Error(out)
			}
		})
		// A container has a root of its own; this one knows no /lib/modules.
		t.Run("as a container as "+name, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(root, "usr/lib/modules")); err == nil {
				t.Error("the root has /usr/lib/modules")
			}
			argv := []string{"bwrap", "--bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chmod", "1777", "/tmp", "--",
				"/sandbox.test", "-test.run=TestWorks|TestCompilers|TestKilledEarly"}
			try(t, argv, &syscall.SysProcAttr{Credential: user})
		})
	}
}
