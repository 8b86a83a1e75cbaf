// SPDX-License-Identifier: MIT

// Package debfile writes and reads binary packages in the format of deb(5).
//
// Writing is deterministic: the bytes depend on the [Package] value and the
// versions of the compressors alone, not on the builder's clock, umask, user
// or number of CPUs. The rules that dpkg-deb(1) and debhelper follow are kept:
// order of the members and entries, owners, md5sums, Installed-Size.
//
// Reading distrusts its input. What dpkg(1) refuses is refused, and more of
// what a package of sources or modules has no use for: device nodes, paths
// and links that lead out of the tree, members that unpack without bound.
//
// Limits: format 2.x only, no dpkg-split parts, no hard links when writing.
package debfile

import (
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/gokms/gokms/pkg/control"
)

// Package is a binary package as a value.
type Package struct {
	// Control is the control stanza without Installed-Size, which Write adds.
	Control control.Stanza
	// Scripts are the maintainer scripts and other control members by name
	// (preinst, postinst, prerm, postrm, triggers, conffiles, ...); scripts
	// get mode 0755, the others 0644. md5sums and control are made by Write.
	Scripts map[string]string
	// Files are the package's files and links; parent directories are added.
	Files []File
	// ModTime is the one clock value: of all made entries; files' times are
	// clamped to it.
	ModTime time.Time
	// Compression of the control and data members; empty: [XZ].
	Compression Compression
}

// File is one entry of the data member.
type File struct {
	Path    string      // relative and clean, e.g. lib/modules/K/updates/dkms/x.ko
	Mode    fs.FileMode // type and permission bits; regular, directory or symlink
	Size    int64       // bytes; must match what Open yields
	ModTime time.Time   // zero: the package's
	Target  string      // of a symlink
	Open    func() (io.ReadCloser, error)
}

// Compression names the compressor of the .deb's members.
type Compression string

// The compressions that dpkg 1.21.22 reads and gokms writes.
const (
	XZ   Compression = "xz"
	Zstd Compression = "zstd"
	Gzip Compression = "gzip"
	None Compression = "none"
)

// ParseCompression returns the compression of that name; "" is [XZ].
func ParseCompression(name string) (Compression, error) {
	switch c := Compression(name); c {
	case "":
		return XZ, nil
	case XZ, Zstd, Gzip, None:
		return c, nil
	}
	return "", fmt.Errorf("unknown compression %q: want xz, zstd, gzip or none", name)
}

// extension is what the compression appends to a member's name.
func (c Compression) extension() string {
	switch c {
	case XZ:
		return ".xz"
	case Zstd:
		return ".zst"
	case Gzip:
		return ".gz"
	}
	return ""
}
