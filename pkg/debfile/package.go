// SPDX-License-Identifier: MIT

package debfile

import (
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
	// Compression of the control and data members.
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
