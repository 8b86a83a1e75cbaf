// SPDX-License-Identifier: MIT

package acceptance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// container is a chroot that has the network of this machine, and an ordinary
// user.
type container struct{ *chroot }

// ordinary is the user of every container.
const ordinary = "builder"

// newContainer unpacks a base system. The test's end removes it.
func newContainer(t *testing.T, b base) *container {
	t.Helper()
	return newChroot(t, b).container(t)
}

// container adds to c what a container has.
func (c *chroot) container(t *testing.T) *container {
	t.Helper()
	for _, file := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		if _, err := os.Stat(file); err == nil {
			c.Copy(t, "/etc", file)
		}
	}
	c.Run(t, "useradd", "--create-home", ordinary)
	return &container{c}
}

// As runs lines of shell as a user, up to the first that fails; args are $1
// and so on. The user's environment is as after a login.
func (c *container) As(t *testing.T, user, script string, args ...string) string {
	t.Helper()
	code, out := c.TryAs(t, user, script, args...)
	if code != 0 {
		t.Fatalf("%s: exit %d\n%s", script, code, out)
	}
	return out
}

// TryAs is As for a script that may fail; it returns the exit code as well.
func (c *container) TryAs(t *testing.T, user, script string, args ...string) (int, string) {
	t.Helper()
	home := map[bool]string{true: "/root", false: "/home/" + user}[user == "root"]
	argv := append([]string{
		"setpriv", "--reuid=" + user, "--regid=" + user, "--init-groups", "--inh-caps=-all", "--reset-env",
		"sh", "-euc", "cd; umask 022\n" + script, "sh"}, args...)
	if user == "root" {
		argv = argv[6:]
	}
	env := []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home, "USER=" + user, "LC_ALL=C.UTF-8"}
	return c.enter(t, 0, env, argv)
}

// enter runs a program in c and in namespaces of its own: flags are those
// besides the ones that are always wanted.
func (c *chroot) enter(t *testing.T, flags uintptr, env, argv []string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = append([]string{enterName, c.dir}, argv...)
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: flags | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC, Pdeathsig: syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), strings.TrimSpace(string(out))
}

// enterName is argv[0] of the process that enters a container.
const enterName = "gokms-enter"

// enter is that process: os.Args are its name, the container's directory, and
// the command to run there. It never returns.
func enter() {
	dir, argv := os.Args[1], os.Args[2:]
	mount := func(source, target, kind string, flags uintptr) error {
		if err := unix.Mount(source, target, kind, flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
		return nil
	}
	err := errors.Join(
		mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC),
		mount(dir, dir, "", unix.MS_BIND),
		mount("proc", filepath.Join(dir, "proc"), "proc", 0),
		mount("/dev", filepath.Join(dir, "dev"), "", unix.MS_BIND|unix.MS_REC),
		os.Chdir(dir),
		unix.PivotRoot(".", "."), // the old root lies on the new one
		unix.Unmount(".", unix.MNT_DETACH),
		os.Chdir("/"),
	)
	if err == nil {
		argv[0], err = exec.LookPath(argv[0])
	}
	if err == nil {
		err = unix.Exec(argv[0], argv, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "enter", dir+":", err)
	os.Exit(126)
}
