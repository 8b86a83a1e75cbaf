// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/klauspost/compress/zstd"
)

// Compression is how a module file is compressed.
type Compression string

// The compressions that the kernel and kmod know.
const (
	None Compression = ""
	Gzip Compression = "gzip"
	XZ   Compression = "xz"
	Zstd Compression = "zstd"
)

var compressions = []Compression{Gzip, XZ, Zstd}

// Ext is what follows ".ko" in the names of such files: ".xz".
func (c Compression) Ext() string {
	switch c {
	case Gzip:
		return ".gz"
	case XZ:
		return ".xz"
	case Zstd:
		return ".zst"
	}
	return ""
}

// compressionOf tells from a file's first bytes.
func compressionOf(head []byte) Compression {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return Gzip
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return XZ
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return Zstd
	}
	return None
}

// errTooLarge is what a file gives that unpacks to more than the limit.
var errTooLarge = errors.New("unpacks to more than a module can be")

// limitedBuffer refuses to grow over limit bytes.
type limitedBuffer struct {
	bytes.Buffer
	limit int64
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if int64(b.Len()+len(p)) > b.limit {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}

// ReadFrom is overridden because the buffer's own knows no limit.
func (b *limitedBuffer) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}

// unpack returns the uncompressed content of r.
func (o *Options) unpack(r io.Reader, c Compression) ([]byte, error) {
	b := &limitedBuffer{limit: o.maxSize()}
	var err error
	switch c {
	case Gzip:
		var z *gzip.Reader
		if z, err = gzip.NewReader(r); err == nil {
			_, err = b.ReadFrom(z)
		}
	case Zstd:
		var z *zstd.Decoder
		// zstd --ultra -22 has a window of 128 MB.
		if z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20)); err == nil {
			_, err = b.ReadFrom(z)
			z.Close()
		}
	case XZ:
		err = o.unxz(r, b)
	default:
		_, err = b.ReadFrom(r)
	}
	if err != nil && c != None {
		err = fmt.Errorf("unpack %s: %w", c, err)
	}
	return b.Bytes(), err
}

// unxz runs xz(1).
func (o *Options) unxz(r io.Reader, w io.Writer) error {
	return o.run(context.Background(), tool{"xz", "xz-utils"}, func(cmd *exec.Cmd) { cmd.Stdin, cmd.Stdout = r, w }, "-dc", "--memlimit-decompress=1GiB")
}
