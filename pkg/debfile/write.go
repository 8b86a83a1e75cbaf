// SPDX-License-Identifier: MIT

package debfile

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// Options say how [Write] works; none of them changes the bytes. The zero
// value and a nil pointer are ready to use.
type Options struct {
	// Run runs xz(1) and gzip(1). Default: (*exec.Cmd).Run.
	Run func(*exec.Cmd) error
	// TempDir is where the data member is kept until the package is
	// written, in a file without a name. Default: [os.TempDir].
	TempDir string
	// Jobs is the number of threads that a compressor may use. Default:
	// the number of CPUs.
	Jobs int
}

// Write writes p to w. The content of the files is read once. On an error
// what w got is not a package.
func Write(w io.Writer, p *Package, o *Options) error {
	if o == nil {
		o = new(Options)
	}
	if err := write(w, p, o); err != nil {
		return fmt.Errorf("write package %s: %w", packageName(p), err)
	}
	return nil
}

func write(w io.Writer, p *Package, o *Options) error {
	compression, err := ParseCompression(string(p.Compression))
	if err != nil {
		return err
	}
	entries, err := layout(p)
	if err != nil {
		return err
	}
	text, err := controlText(p, entries)
	if err != nil {
		return err
	}
	if err := checkScripts(p.Scripts); err != nil {
		return err
	}
	conffiles, err := checkConffiles(p.Scripts["conffiles"], entries)
	if err != nil {
		return err
	}
	sums := make(map[string]hash.Hash)
	data, err := o.spool(compression, func(w io.Writer) error { return writeData(w, entries, sums) })
	if err != nil {
		return err
	}
	defer data.file.Close()
	parts := controlParts(p.Scripts, text, md5sums(sums, conffiles))
	admin, err := o.spool(compression, func(w io.Writer) error { return writeControl(w, parts, p) })
	if err != nil {
		return err
	}
	defer admin.file.Close()
	ext := compression.extension()
	return writeArchive(w, p.ModTime, []member{
		{"debian-binary", int64(len(formatVersion)), strings.NewReader(formatVersion)},
		{"control.tar" + ext, admin.size, admin.file},
		{"data.tar" + ext, data.size, data.file},
	})
}

// formatVersion is the content of the member debian-binary.
const formatVersion = "2.0\n"

// spooled is a compressed member in a file that has no name any more.
type spooled struct {
	file *os.File // at its beginning
	size int64
}

// spool compresses what fill writes into a temporary file.
func (o *Options) spool(c Compression, fill func(io.Writer) error) (s *spooled, err error) {
	f, err := os.CreateTemp(o.TempDir, "gokms-deb-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	if err := o.fill(c, f, fill); err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return &spooled{f, size}, nil
}

func (o *Options) fill(c Compression, f *os.File, fill func(io.Writer) error) error {
	cw, err := o.compressor(c, f)
	if err != nil {
		return err
	}
	bw := bufio.NewWriterSize(cw, 256<<10)
	err = fill(bw)
	if err == nil {
		err = bw.Flush()
	}
	cerr := cw.Close()
	if cerr != nil && (err == nil || errors.Is(err, syscall.EPIPE)) {
		return cerr // why the compressor stopped reading
	}
	return err
}

// writeData writes the data member and fills sums with the MD5 of each file.
func writeData(w io.Writer, entries []entry, sums map[string]hash.Hash) error {
	tw := tar.NewWriter(w)
	for _, e := range entries {
		if err := tw.WriteHeader(e.header); err != nil {
			return fmt.Errorf("%q: %w", e.file.Path, err)
		}
		if !e.file.Mode.IsRegular() {
			continue
		}
		sum := md5.New()
		if err := copyFile(io.MultiWriter(tw, sum), e.file); err != nil {
			return fmt.Errorf("%q: %w", e.file.Path, err)
		}
		sums[e.file.Path] = sum
	}
	return tw.Close()
}

// copyFile writes the content of f, which must be as long as f says.
func copyFile(w io.Writer, f *File) (err error) {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	n, err := io.Copy(w, io.LimitReader(r, f.Size))
	if err != nil {
		return err
	}
	if n < f.Size {
		return fmt.Errorf("size is %d, not %d as stated", n, f.Size)
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n > 0 {
		return fmt.Errorf("size is more than the %d stated", f.Size)
	} else if err != io.EOF {
		return err
	}
	return nil
}

// md5sums is the control member of that name: as dh_md5sums(1) writes it,
// without the conffiles, which users may change.
func md5sums(sums map[string]hash.Hash, conffiles []string) string {
	var names []string
	for name := range sums {
		if !slices.Contains(conffiles, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var buf bytes.Buffer
	for _, name := range names {
		fmt.Fprintf(&buf, "%x  %s\n", sums[name].Sum(nil), name)
	}
	return buf.String()
}
