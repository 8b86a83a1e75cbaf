// SPDX-License-Identifier: MIT

package testkit

import (
	"bytes"
	"fmt"
)

// CPIOFile is a file of an archive to be made. Its zero value is an empty plain
// file.
type CPIOFile struct {
	Name, Content string
	Mode          uint32 // 0o100644 if zero
	Inode, Links  uint32
}

// CPIO is an archive in cpio's format newc, with its trailer.
func CPIO(files ...CPIOFile) []byte {
	var b bytes.Buffer
	for _, f := range append(files, CPIOFile{Name: "TRAILER!!!"}) {
		if f.Mode == 0 {
			f.Mode = 0o100644
		}
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			f.Inode, f.Mode, 0, 0, max(f.Links, 1), 0, len(f.Content), 0, 0, 0, 0, len(f.Name)+1, 0, f.Name)
		b.Write(make([]byte, -b.Len()&3))
		b.WriteString(f.Content)
		b.Write(make([]byte, -b.Len()&3))
	}
	return b.Bytes()
}
