// SPDX-License-Identifier: MIT

package sandbox

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// nobody is the user and the group that commands run as (Policy 9.2.2).
const nobody = 65534

// identity is who the caller is to the kernel; fakeroot changes nothing here.
type identity int

const (
	// ordinary users make a user namespace, in which they are nobody. A root
	// without a nobody, in a user namespace of one user, is ordinary, too.
	ordinary identity = iota
	// superuser becomes nobody.
	superuser
)

func currentIdentity() identity {
	if os.Geteuid() == 0 && mapsNobody("/proc/self/uid_map") && mapsNobody("/proc/self/gid_map") {
		return superuser
	}
	return ordinary
}

// mapsNobody tells whether nobody is a user in this user namespace. Without a
// map there is only the one namespace.
func mapsNobody(path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(fields[0], 10, 32)
		count, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 == nil && err2 == nil && first <= nobody && nobody < first+count {
			return true
		}
	}
	return false
}

// giveMounts makes nobody the owner of what is writable, each time, since the
// caller may have added files meanwhile. No command runs in it now.
func (s *Sandbox) giveMounts() error {
	if err := s.checkMounts(); err != nil {
		return err
	}
	if s.user != superuser {
		return nil
	}
	for _, m := range s.spec.Mounts {
		if !m.Writable {
			continue
		}
		if err := give(m.Host); err != nil {
			return fmt.Errorf("give %s to nobody: %w", m.Host, err)
		}
	}
	return nil
}

// TakeMounts makes the caller the owner of what is writable again, after the
// last command, so that no other process of nobody's can change it. Whatever is
// neither a directory nor a file with one name is an error: a caller who opens
// files there by name then follows no link and waits for no pipe.
func (s *Sandbox) TakeMounts() error {
	for _, m := range s.spec.Mounts {
		if !m.Writable {
			continue
		}
		if err := s.take(m.Host); err != nil {
			return fmt.Errorf("take %s back: %w", m.Host, err)
		}
	}
	return nil
}

// take is the reverse of give: no directory is looked into before it is the
// caller's.
func (s *Sandbox) take(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if s.user == superuser {
			if err := os.Lchown(path, os.Geteuid(), os.Getegid()); err != nil {
				return err
			}
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if !info.IsDir() && (!info.Mode().IsRegular() || info.Sys().(*syscall.Stat_t).Nlink > 1) {
			return fmt.Errorf("%s is no file of one name (%v)", path, info.Mode())
		}
		return nil
	})
}

// give changes the owner of all in dir, of links and not of what they lead to.
// A file with a second name may have it elsewhere, where root's file would
// become nobody's.
func give(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if st.Uid == nobody && st.Gid == nobody {
			return nil
		}
		if !d.IsDir() && st.Nlink > 1 {
			return fmt.Errorf("%s has %d hard links", path, st.Nlink)
		}
		return os.Lchown(path, nobody, nobody)
	})
}
