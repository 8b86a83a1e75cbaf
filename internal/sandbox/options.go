// SPDX-License-Identifier: MIT

package sandbox

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
)

// hostname is that of the machine that commands see.
const hostname = "gokms"

// shmSize bounds /dev/shm, in bytes.
const shmSize = 64 << 20

// options are bubblewrap's, all but the command.
func (s *Sandbox) options(dir string) []string {
	args := []string{
		"--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
		"--hostname", hostname, "--die-with-parent", "--new-session", "--cap-drop", "ALL",
	}
	if s.user == superuser { // for setpriv, and to enter directories of nobody's
		args = append(args, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP",
			"--cap-add", "CAP_DAC_READ_SEARCH")
	} else {
		args = append(args, "--unshare-user", "--uid", strconv.Itoa(nobody), "--gid", strconv.Itoa(nobody))
	}
	args = append(args, "--proc", "/proc", "--dev", "/dev")
	args = append(args, tmpfs("/dev/shm", shmSize)...)
	args = append(args, "--remount-ro", "/dev")
	if !s.mounted("/tmp") {
		args = append(args, tmpfs("/tmp", s.spec.Memory)...)
	}
	for _, dir := range s.ownDirs() {
		args = append(args, "--dir", dir)
	}
	for _, b := range s.view.binds {
		args = append(args, "--ro-bind", b.host, b.path)
	}
	for _, l := range s.view.links {
		args = append(args, "--symlink", l.Target, l.Path)
	}
	args = append(args, s.mountOptions()...)
	return append(args, "--remount-ro", "/proc", "--remount-ro", "/", "--chdir", dir)
}

// ownDirs are the directories that are neither the host's nor mounted, sorted.
// Those that bubblewrap makes unasked are closed to others than root.
func (s *Sandbox) ownDirs() []string {
	dirs := map[string]bool{}
	for _, dir := range []string{"/home", "/opt", "/root", "/run", "/srv", "/usr/src", "/var", s.view.resolve("/lib/modules")} {
		dirs[dir] = true
	}
	above := func(path string) {
		for dir := filepath.Dir(path); dir != "/" && !s.mounted(dir); dir = filepath.Dir(dir) {
			dirs[dir] = true
		}
	}
	for _, b := range slices.Concat(s.files, s.view.binds) {
		above(b.path)
	}
	for _, l := range slices.Concat(s.spec.Links, s.view.links) {
		above(l.Path)
	}
	for _, m := range s.spec.Mounts {
		above(m.Path)
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(dirs)), s.mounted)
}

// mounted tells whether dir is something else than a directory of our own.
func (s *Sandbox) mounted(dir string) bool {
	for _, own := range []string{"/proc", "/dev"} {
		if dir == own || below(dir, own) {
			return true
		}
	}
	inMount := func(m Mount) bool { return dir == m.Path || below(dir, m.Path) }
	return s.view.covers(dir) || slices.ContainsFunc(s.spec.Mounts, inMount)
}

// mountOptions show what the Spec names.
func (s *Sandbox) mountOptions() []string {
	var args []string
	for _, m := range s.spec.Mounts {
		option := "--ro-bind"
		if m.Writable {
			option = "--bind"
		}
		args = append(args, option, m.Host, m.Path)
	}
	for _, f := range s.files {
		args = append(args, "--ro-bind", f.host, f.path)
	}
	for _, l := range s.spec.Links {
		args = append(args, "--symlink", l.Target, l.Path)
	}
	return args
}

// tmpfs makes a directory in memory that all may write to; size 0 stands for
// the kernel's own limit, half of the memory.
func tmpfs(path string, size int64) []string {
	args := []string{"--perms", "1777"}
	if size > 0 {
		args = append(args, "--size", strconv.FormatInt(size, 10))
	}
	return append(args, "--tmpfs", path)
}
