// SPDX-License-Identifier: MIT

package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// What commands must leave of a disk: this much, and no more than one part in
// reservePart of a small one.
const (
	reserveBytes = 64 << 20
	reserveFiles = 4096
	reservePart  = 20
)

// checkDisks is an error when one of the writable mounts lies on a disk that is
// full. Who filled it is not known; whoever did, the command would fail soon.
func (s *Sandbox) checkDisks() error {
	for _, m := range s.spec.Mounts {
		if !m.Writable {
			continue
		}
		var st unix.Statfs_t
		if err := s.statfs(m.Host, &st); err != nil {
			continue // the command sees it, too
		}
		if what := lacks(&st); what != "" {
			return &LimitError{fmt.Sprintf("filled the disk: fewer than %s are free in %s", what, m.Host)}
		}
	}
	return nil
}

// lacks says how much of what ought to be free; "": enough is.
func lacks(st *unix.Statfs_t) string {
	size := uint64(st.Frsize)
	reserve := min(reserveBytes, st.Blocks*size/reservePart)
	if st.Bavail*size < reserve {
		return fmt.Sprintf("%d MiB", max(1, reserve>>20))
	}
	// File systems without a table of files have 0 of them.
	if files := min(reserveFiles, st.Files/reservePart); st.Ffree < files {
		return fmt.Sprintf("%d files", files)
	}
	return ""
}
