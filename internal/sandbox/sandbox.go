// SPDX-License-Identifier: MIT

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Mount is a file or directory of the host, and where commands see it.
type Mount struct {
	Host string // absolute; it need not exist before a command runs
	Path string // absolute; what is above it need not exist
	// Writable directories are given to the user that commands run as. What
	// commands write there is bounded as the package documentation says.
	Writable bool
}

// Link is a symbolic link that commands see.
type Link struct {
	Path   string // absolute
	Target string
}

// File is a read-only file of a given text. The host's program that one below
// /usr/bin hides is found in [RealDir].
type File struct {
	Path string // absolute; may lie in the host's /usr if it is there, or in /proc
	Text string
	Mode fs.FileMode
}

// RealDir holds, in the sandbox, the host's programs that Files hide.
const RealDir = "/run/gokms/real"

// Spec says what commands see besides the host's programs.
type Spec struct {
	Mounts []Mount
	Links  []Link
	Files  []File
	// StateDir is an existing directory of the caller's, for what the sandbox
	// itself needs (the texts of Files). Commands do not see it.
	StateDir string
	// Memory limits what all processes of a command use together, in bytes;
	// 0: no limit. They are ended by a [*LimitError] some 0.2 s after they use
	// more, and none may have much more address space: at least 2 GiB, without
	// which programs in Go do not start.
	Memory int64
	// Run starts bubblewrap; nil: (*exec.Cmd).Run.
	Run func(*exec.Cmd) error
}

// Sandbox runs commands as a Spec says, one after the other or at once.
type Sandbox struct {
	spec  Spec
	user  identity
	tools tools
	view  view // of the host's programs
	files []bind
	// maxTasks is how many threads commands may have besides the user's others.
	maxTasks uint64
	// statfs asks how much of a disk is free.
	statfs func(path string, st *unix.Statfs_t) error
	// nested tells whether bubblewrap can be put into a PID namespace.
	nested func() bool
}

// New checks spec and writes the texts of its files to its StateDir.
func New(spec Spec) (*Sandbox, error) {
	s := &Sandbox{spec: spec, user: currentIdentity(), maxTasks: maxTasks, statfs: unix.Statfs}
	s.nested = sync.OnceValue(s.tryNested)
	var err error
	if s.tools, err = findTools(); err != nil {
		return nil, err
	}
	if s.view, err = hostView(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if err := s.place(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return s, nil
}

// place finds out where what the Spec names has to be mounted.
func (s *Sandbox) place() error {
	for _, place := range []func() error{s.placeMounts, s.placeLinks, s.placeFiles, s.checkPlaces} {
		if err := place(); err != nil {
			return err
		}
	}
	return nil
}

// Run runs cmd in the sandbox: its paths, Dir and Env are those that the
// command sees; a nil Env is empty. cmd itself is changed and run, so that it
// can be killed, by SIGKILL only. Exit codes pass; death by signal N is exit
// code 128+N. Errors of the sandbox itself are not of type [*exec.ExitError].
func (s *Sandbox) Run(cmd *exec.Cmd) error {
	if cmd.Err != nil {
		return cmd.Err
	}
	if len(cmd.ExtraFiles) > 0 || strings.Contains(cmd.Path, "=") {
		return fmt.Errorf("sandbox: %s: extra files and a program with = in its name cannot be passed", cmd.Path)
	}
	if err := s.giveMounts(); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	w := &wrapped{sandbox: s, inner: cmd.Args[1:], cmd: cmd}
	defer w.close()
	if err := w.wrap(); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return w.run()
}

// run runs the wrapped command and finds out what its end means.
func (w *wrapped) run() error {
	stop := w.watch()
	ended := make(chan error)
	go func() {
		// The thread ends with the goroutine and not before the command, whose
		// death signal is sent when it does. Keys are not for commands, either;
		// where there are none to be had, none are lost.
		runtime.LockOSThread()
		_, _ = unix.KeyctlJoinSessionKeyring("")
		run := w.sandbox.spec.Run
		if run == nil {
			run = (*exec.Cmd).Run
		}
		ended <- run(w.cmd)
	}()
	err := <-ended
	if limit := stop(); limit != nil {
		return limit
	}
	w.sweep()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || !exit.Exited() || w.started() {
		return err
	}
	return w.sandbox.diagnose(w.dir)
}

// placeMounts, placeLinks and placeFiles bring the Spec's paths into the form
// that bubblewrap can work with, in copies of the caller's slices.
func (s *Sandbox) placeMounts() error {
	mounts := make([]Mount, 0, len(s.spec.Mounts))
	for _, m := range s.spec.Mounts {
		if !filepath.IsAbs(m.Host) || !filepath.IsAbs(m.Path) {
			return fmt.Errorf("mount of %q at %q: not absolute", m.Host, m.Path)
		}
		m.Host, m.Path = filepath.Clean(m.Host), s.view.resolve(m.Path)
		mounts = append(mounts, m)
	}
	s.spec.Mounts = byPath(mounts, func(m Mount) string { return m.Path })
	return nil
}

func (s *Sandbox) placeLinks() error {
	links := make([]Link, 0, len(s.spec.Links))
	for _, l := range s.spec.Links {
		if !filepath.IsAbs(l.Path) || l.Target == "" {
			return fmt.Errorf("link %q to %q: not absolute, or without a target", l.Path, l.Target)
		}
		links = append(links, Link{s.view.resolve(l.Path), l.Target})
	}
	s.spec.Links = byPath(links, func(l Link) string { return l.Path })
	return nil
}

func (s *Sandbox) placeFiles() error {
	files := s.spec.Files
	if s.spec.StateDir != "" {
		files = append(etcFiles(), files...)
	} else if len(files) > 0 {
		return errors.New("files without a StateDir for their texts")
	}
	dir := ""
	if len(files) > 0 {
		var err error
		if dir, err = os.MkdirTemp(s.spec.StateDir, "sandbox-"); err != nil {
			return err
		}
	}
	for i, f := range files {
		if !filepath.IsAbs(f.Path) {
			return fmt.Errorf("file %q: not absolute", f.Path)
		}
		text := filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(f.Path)))
		if err := writeFile(text, f); err != nil {
			return err
		}
		path, err := s.view.filePlace(f.Path)
		if err != nil {
			return err
		}
		s.files = append(s.files, bind{text, path})
		if filepath.Dir(s.view.resolve(f.Path)) == "/usr/bin" && s.view.covers(path) {
			s.files = append(s.files, bind{path, filepath.Join(RealDir, filepath.Base(f.Path))})
		}
	}
	return nil
}

// writeFile writes the text of f with its mode, whatever the umask.
func writeFile(path string, f File) error {
	if err := os.WriteFile(path, []byte(f.Text), 0o600); err != nil {
		return err
	}
	return os.Chmod(path, f.Mode.Perm())
}

// etcFiles are the files of /etc that have to say who commands are.
func etcFiles() []File {
	return []File{
		{"/etc/passwd", "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n", 0o644},
		{"/etc/group", "root:x:0:\nnogroup:x:65534:\n", 0o644},
		{"/etc/hosts", "127.0.0.1 localhost " + hostname + "\n::1 localhost\n", 0o644},
		{"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n", 0o644},
	}
}
