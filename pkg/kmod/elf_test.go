// SPDX-License-Identifier: MIT

package kmod

import (
	"debug/elf"

	"github.com/gokms/gokms/internal/testkit"
)

// u32 is n in the file's byte order.
func u32(f *testkit.ELF, n uint32) string {
	b := make([]byte, 4)
	f.Order().PutUint32(b, n)
	return string(b)
}

// crcEntry is one entry of __versions.
func crcEntry(f *testkit.ELF, name string, crc uint32) string {
	b := make([]byte, versionSize)
	if f.Class == elf.ELFCLASS32 {
		f.Order().PutUint32(b, crc)
		copy(b[4:], name)
	} else {
		f.Order().PutUint64(b, uint64(crc))
		copy(b[8:], name)
	}
	return string(b)
}
