// SPDX-License-Identifier: MIT

package sandbox

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokms/gokms/pkg/proc"
)

// tools are the programs that make a sandbox.
type tools struct{ bwrap, prlimit, setpriv, unshare, env string }

// findTools looks for them where builds look for theirs. All but bubblewrap
// are essential in Debian.
func findTools() (tools, error) {
	var t tools
	for _, p := range []struct {
		name string
		path *string
	}{{"bwrap", &t.bwrap}, {"prlimit", &t.prlimit}, {"setpriv", &t.setpriv}, {"unshare", &t.unshare}, {"env", &t.env}} {
		var err error
		if *p.path, err = proc.LookPath(p.name, proc.SearchPath); err != nil {
			return t, missingTool(p.name)
		}
	}
	return t, nil
}

// wrapped is a command while it runs in the sandbox.
type wrapped struct {
	sandbox *Sandbox
	inner   []string // the command's arguments
	cmd     *exec.Cmd
	dir     string   // the command's
	marker  string   // in the environment of bubblewrap, not in that of commands
	status  *os.File // of bubblewrap, to be read
	report  *os.File // its other end
	options *os.File
	filter  *os.File // of system calls
}

func (w *wrapped) close() {
	for _, f := range []*os.File{w.status, w.report, w.options, w.filter} {
		_ = f.Close() // nil, or nothing was written to wait for
	}
}

// wrap makes bubblewrap's command of w.cmd.
func (w *wrapped) wrap() error {
	s, cmd := w.sandbox, w.cmd
	argv, err := s.innerArgv(cmd, w.inner)
	if err != nil {
		return err
	}
	w.dir = cmp.Or(cmd.Dir, "/")
	if w.options, err = argumentFile(s.options(w.dir)); err != nil {
		return err
	}
	if w.filter, err = filterFile(); err != nil {
		return err
	}
	if w.status, w.report, err = os.Pipe(); err != nil {
		return err
	}
	if cmd.ExtraFiles, err = onlyFiles(w.options, w.report, w.filter); err != nil {
		return err
	}
	w.marker = "GOKMS_SANDBOX=" + rand.Text()
	argv = append([]string{s.tools.bwrap, "--args", "3", "--json-status-fd", "4", "--seccomp", "5", "--"}, argv...)
	if s.user == superuser || s.nested() {
		argv = append(s.withProc(), argv...)
	}
	cmd.Path, cmd.Args = argv[0], argv
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + proc.SearchPath, "LC_ALL=C.UTF-8", w.marker}
	attr := new(syscall.SysProcAttr)
	if cmd.SysProcAttr != nil {
		*attr = *cmd.SysProcAttr
	}
	s.confine(attr)
	cmd.SysProcAttr = attr
	return nil
}

// confine makes the namespace that ends with bubblewrap, and lets bubblewrap
// end with its parent.
func (s *Sandbox) confine(attr *syscall.SysProcAttr) {
	attr.Pdeathsig = syscall.SIGKILL
	switch {
	case s.user == superuser:
		attr.Cloneflags |= syscall.CLONE_NEWPID
	case s.nested():
		nest(attr)
	}
}

// nest makes a PID namespace as an ordinary user can: the user is its root.
func nest(attr *syscall.SysProcAttr) {
	attr.Cloneflags |= syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
}

// withProc runs a command in a PID namespace with a /proc of that namespace:
// bubblewrap looks there for its children.
func (s *Sandbox) withProc() []string { return []string{s.tools.unshare, "--mount-proc", "--"} }

// tryNested finds out whether bubblewrap works in such a namespace.
func (s *Sandbox) tryNested() bool {
	argv := append(s.withProc(), s.tools.bwrap, "--unshare-user", "--uid", strconv.Itoa(nobody), "--gid", strconv.Itoa(nobody),
		"--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", s.tools.env)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.SysProcAttr = []string{}, new(syscall.SysProcAttr)
	nest(cmd.SysProcAttr)
	return cmd.Run() == nil
}

// innerArgv is what bubblewrap runs: the programs that set the limits, the user
// and the environment, and then become cmd.
func (s *Sandbox) innerArgv(cmd *exec.Cmd, args []string) ([]string, error) {
	limits, err := s.limits()
	if err != nil {
		return nil, err
	}
	argv := append([]string{s.tools.prlimit}, limits...)
	if s.user == superuser {
		argv = append(argv, s.tools.setpriv, "--reuid="+strconv.Itoa(nobody), "--regid="+strconv.Itoa(nobody), "--clear-groups",
			"--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--pdeathsig=keep")
	}
	argv = append(argv, s.tools.env, "-i")
	argv = append(argv, cmd.Env...)
	return append(append(argv, cmd.Path), args...), nil
}

// argumentFile makes a file in memory of arguments, as --args wants it.
func argumentFile(args []string) (*os.File, error) {
	for _, a := range args {
		if strings.ContainsRune(a, 0) {
			return nil, fmt.Errorf("argument %q: zero byte", a)
		}
	}
	return memfile("bwrap-args", []byte(strings.Join(args, "\x00")+"\x00"))
}

// memfile makes a file in memory, to be read from its start.
func memfile(name string, text []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(text)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// onlyFiles lists files for [exec.Cmd] with gaps, which are closed, up to the
// last file that our own caller has left open: what it opens onto is none of
// the command's business.
func onlyFiles(files ...*os.File) ([]*os.File, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		for len(files) < fd-2 {
			files = append(files, nil)
		}
	}
	return files, nil
}

// started tells whether bubblewrap got so far that the exit code is the
// command's, which it reports then.
func (w *wrapped) started() bool {
	_ = w.report.Close()                                      // our copy of the writing end
	_ = w.status.SetReadDeadline(time.Now().Add(time.Second)) // else it waits for an end that comes
	text, err := io.ReadAll(io.LimitReader(w.status, 4<<10))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	return strings.Contains(string(text), `"exit-code"`)
}

// sweep ends what a bubblewrap leaves that was killed in the middle of its
// work. In a PID namespace there is nothing left.
func (w *wrapped) sweep() {
	if w.cmd.SysProcAttr.Cloneflags&syscall.CLONE_NEWPID == 0 {
		proc.KillMarked(w.marker)
	}
}
