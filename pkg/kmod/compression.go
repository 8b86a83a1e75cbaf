// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

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
	cmd := exec.Command("xz", "-dc", "--memlimit-decompress=1GiB")
	cmd.Stdin, cmd.Stdout = r, w
	return o.run(cmd, "xz-utils")
}

// run runs cmd with the messages of no locale, and puts what it said on stderr
// into the error. pkg is the Debian package to name where it is not there.
func (o *Options) run(cmd *exec.Cmd, pkg string) error {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8")
	run := (*exec.Cmd).Run
	if o != nil && o.Run != nil {
		run = o.Run
	}
	err := run(cmd)
	switch text := tail(stderr.String()); {
	case errors.Is(err, exec.ErrNotFound):
		return &ToolError{Tool: cmd.Args[0], Package: pkg, Err: err}
	case err != nil && text != "":
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, text)
	case err != nil:
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}

// tail is the end of what a program said.
func tail(s string) string {
	const most = 1000
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-most):]
}

// ToolError says that a program is not installed.
type ToolError struct {
	Tool    string
	Package string // the Debian package that ships it
	Err     error
}

func (e *ToolError) Error() string { return e.Tool + " is not installed" }

// Unwrap returns the error of the search.
func (e *ToolError) Unwrap() error { return e.Err }

// Hint names the package to install.
func (e *ToolError) Hint() string { return "install the package " + e.Package }
