// SPDX-License-Identifier: MIT

package sandbox

import (
	"bytes"
	"context"
	"os"
	"os/exec"
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
	err = s.try(ctx, "/")
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// diagnose says why a sandbox could not be set up, by trying again.
func (s *Sandbox) diagnose(dir string) error {
	err := s.try(context.Background(), dir)
	if err == nil {
		return &UnavailableError{Reason: "bubblewrap failed, and did not when it was tried again"}
	}
	return err
}

// try runs a program that does nothing in the sandbox, in dir.
func (s *Sandbox) try(ctx context.Context, dir string) error {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, s.tools.env)
	cmd.Stderr, cmd.Dir = &stderr, dir
	w := &wrapped{sandbox: s, cmd: cmd}
	defer w.close()
	if err := w.wrap(); err != nil {
		return unavailable(err.Error())
	}
	run := s.spec.Run
	if run == nil {
		run = (*exec.Cmd).Run
	}
	if err := run(cmd); err != nil {
		return unavailable(strings.TrimSpace(stderr.String() + "\n" + err.Error()))
	}
	return nil
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

// unavailable explains what bubblewrap or the kernel said.
func unavailable(said string) error {
	first, _, _ := strings.Cut(said, "\n")
	e := &UnavailableError{Reason: first}
	for _, c := range causes {
		if containsAny(said, c.said) && (c.holds == nil || c.holds()) {
			e.Reason, e.Cure = c.reason+" ("+first+")", c.cure
			break
		}
	}
	return e
}

func containsAny(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return words == nil
}

// cause is a known reason why bubblewrap fails.
type cause struct {
	said   []string    // one of the texts that are heard then; nil: any
	holds  func() bool // a check, nil if the text is enough
	reason string
	cure   string
}

// denied are the ways in which bubblewrap, and Go for it, tell that namespaces
// were refused.
var denied = []string{"ermission", "perations", "not permitted", "No space left", "namespace", "uid map", "RTM_NEWADDR"}

// causes are looked at in order.
var causes = []cause{
	{[]string{"Unknown option"}, nil, "this bubblewrap is too old", "install bubblewrap 0.7 or later"},
	{nil, noProc, "/proc is not mounted", "mount it"},
	{[]string{"proc on", "/newroot/proc", "pivot_root", "Failed to make / slave"}, plainChroot, inChroot, ""},
	{denied, plainChroot, inChroot, ""},
	{
		[]string{"mount proc"}, nil, "a new /proc may not be mounted here, as in containers that hide parts of it",
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

const (
	forbidden = "user namespaces are forbidden here"
	inChroot  = "this is a plain chroot, where namespaces cannot be made"
)

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
