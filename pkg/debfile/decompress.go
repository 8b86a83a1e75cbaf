// SPDX-License-Identifier: MIT

package debfile

import (
	"bufio"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow is the memory that a compressed stream may ask of its decoder: the
// most that zstd -22 --ultra and xz -9 need.
const maxWindow = 128 << 20

// decode returns the content of a member whose name ends with the extension
// ext. Close must be called; it waits for whatever runs.
func (o *ReadOptions) decode(r io.Reader, ext string) (io.ReadCloser, error) {
	switch ext {
	case "":
		return io.NopCloser(r), nil
	case ".gz":
		return gzip.NewReader(bufio.NewReader(r))
	case ".bz2":
		return io.NopCloser(bzip2.NewReader(bufio.NewReader(r))), nil
	case ".zst":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case ".xz", ".lzma":
		return o.startDecoder(r, "xz", "-dc", "--format="+ext[1:],
			fmt.Sprintf("--memlimit-decompress=%d", 2*maxWindow))
	}
	return nil, errUnknownCompression
}

var errUnknownCompression = errors.New("unknown compression")

// decoder is a running program that writes what is read from it.
type decoder struct {
	out    *os.File
	result chan error
}

func (o *ReadOptions) startDecoder(r io.Reader, argv ...string) (*decoder, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	d := &decoder{out: out, result: make(chan error, 1)}
	go func() {
		err := runProgram(o.Run, r, in, argv)
		in.Close()
		d.result <- err
	}()
	return d, nil
}

// Read reports the program's failure where its output ends.
func (d *decoder) Read(p []byte) (int, error) {
	n, err := d.out.Read(p)
	if err != io.EOF {
		return n, err
	}
	rerr := <-d.result
	d.result <- nil // for Close
	if rerr != nil {
		return n, rerr
	}
	return n, io.EOF
}

// Close stops the program if it still runs, and waits for it.
func (d *decoder) Close() error {
	err := d.out.Close() // it gets SIGPIPE
	<-d.result
	return err
}

// limitedReader fails when more than left bytes are read from r.
type limitedReader struct {
	r           io.Reader
	limit, left int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(int64(len(p)), l.left+1)])
	l.left -= int64(n)
	if l.left < 0 {
		return 0, fmt.Errorf("unpacks to more than the limit of %d bytes", l.limit)
	}
	return n, err
}
