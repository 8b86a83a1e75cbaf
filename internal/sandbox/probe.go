// SPDX-License-Identifier: MIT

package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Probe finds out whether sandboxes can be made here, by making one. The error
// is an [*UnavailableError], or that of ctx. run starts bubblewrap; nil:
// (*exec.Cmd).Run. The answer stays the same for a process.
func Probe(ctx context.Context, run func(*exec.Cmd) error) error {
	s, err := New(Spec{Run: run})
	if err != nil {
		return err
	}
	said := s.try(ctx, "/")
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case said == "":
		return nil
	}
	if e := explain(said); e != nil {
		return e
	}
	return &UnavailableError{Reason: firstLine(said)}
}

// diagnose says why a sandbox could not be set up, by trying again.
func (s *Sandbox) diagnose(dir string) error {
	said := s.try(context.Background(), dir)
	if e := explain(said); e != nil {
		return e
	}
	if said == "" {
		said = "bubblewrap failed, and did not when it was tried again"
	}
	return fmt.Errorf("sandbox: %s", firstLine(said))
}

// try runs a program that does nothing in the sandbox, in dir. The result is
// what was said if it failed, else "".
func (s *Sandbox) try(ctx context.Context, dir string) string {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, s.tools.env)
	cmd.Stderr, cmd.Dir = &stderr, dir
	w := &wrapped{sandbox: s, cmd: cmd}
	defer w.close()
	if err := w.wrap(); err != nil {
		return err.Error()
	}
	run := s.spec.Run
	if run == nil {
		run = (*exec.Cmd).Run
	}
	if err := run(cmd); err != nil {
		return strings.TrimSpace(stderr.String() + "\n" + err.Error())
	}
	return ""
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// UnavailableError says why no sandbox can be made.
type UnavailableError struct {
	Reason string
	Cure   string // what to enable, where that is known
}

// Error returns the reason.
func (e *UnavailableError) Error() string { return "no sandbox: " + e.Reason }

// Hint returns what the user can do.
func (e *UnavailableError) Hint() string {
	const off = "give --sandbox=off to build without a sandbox"
	if e.Cure == "" {
		return off
	}
	return e.Cure + ", or " + off
}

// missingTool is the error for a program that is not there.
func missingTool(name string) error {
	pkg := map[string]string{"bwrap": "bubblewrap", "env": "coreutils"}[name]
	if pkg == "" {
		pkg = "util-linux"
	}
	return &UnavailableError{Reason: name + " is not installed", Cure: "install the package " + pkg}
}

// explain knows some of what bubblewrap says, and why. nil: it does not.
func explain(said string) *UnavailableError {
	for _, c := range causes {
		if c.heard(said) && (c.holds == nil || c.holds()) {
			return &UnavailableError{Reason: c.reason + " (" + firstLine(said) + ")", Cure: c.cure}
		}
	}
	return nil
}

// cause is a known reason why bubblewrap fails.
type cause struct {
	said   []string    // one of the texts that are heard then
	holds  func() bool // a check, nil if the text is enough
	reason string
	cure   string
}

func (c *cause) heard(said string) bool {
	return slices.ContainsFunc(c.said, func(text string) bool { return strings.Contains(said, text) })
}

// denied are the ways in which bubblewrap, and Go for it, tell that namespaces
// were refused or are of no use.
var denied = []string{
	"new namespace", "uid map", "gid map", "loopback", "unshare", "fork/exec", "Failed to make / slave", "Failed to mount tmpfs", "pivot_root",
}

// causes are looked at in order.
var causes = []cause{
	{[]string{"Unknown option"}, nil, "this bubblewrap is too old", "install bubblewrap 0.7 or later"},
	{[]string{"PR_SET_SECCOMP"}, nil, "the kernel or the container takes no filter of system calls", "use a kernel with CONFIG_SECCOMP_FILTER"},
	{[]string{"/proc"}, noProc, "/proc is not mounted, as in a plain chroot", ""},
	{denied, plainChroot, "this is a plain chroot, where namespaces cannot be made", ""},
	{
		[]string{"mount proc on", "mount /proc failed"}, nil, "a new /proc may not be mounted here, as in containers that hide parts of it",
		"start the container with all of /proc (podman: --security-opt unmask=ALL, docker: --security-opt systempaths=unconfined)",
	},
	{denied, setting("kernel/unprivileged_userns_clone", "0"), forbidden, "run sysctl kernel.unprivileged_userns_clone=1 as root"},
	{denied, setting("user/max_user_namespaces", "0"), forbidden, "run sysctl user.max_user_namespaces=10000 as root"},
	{
		denied, setting("kernel/apparmor_restrict_unprivileged_userns", "1"), "AppArmor forbids user namespaces",
		"load an AppArmor profile for bwrap (bwrap-userns-restrict of apparmor-profiles), or run sysctl kernel.apparmor_restrict_unprivileged_userns=0 as root",
	},
	{
		denied, isRoot, "root may not make namespaces here, as in most containers",
		"start the container with the capability CAP_SYS_ADMIN (--cap-add SYS_ADMIN, or --privileged)",
	},
	{denied, nil, forbidden, "allow them, in a container with --privileged"},
}

const forbidden = "user namespaces are forbidden here"

func noProc() bool {
	_, err := os.Stat("/proc/self")
	return err != nil
}

func isRoot() bool { return os.Geteuid() == 0 }

// plainChroot tells whether the root directory is not that of a mount.
func plainChroot() bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" {
			return false
		}
	}
	return true
}

// setting tells whether a setting of the kernel has a value.
func setting(name, value string) func() bool {
	return func() bool {
		text, err := os.ReadFile("/proc/sys/" + name)
		return err == nil && strings.TrimSpace(string(text)) == value
	}
}
