// SPDX-License-Identifier: MIT

package debfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// xzBlockSize is what xz(1) cuts its input into, one block a thread. It is
// written out so that the bytes do not depend on the number of CPUs. Half of
// the default of -6: on 60 MB of modules 0.8 % larger, with twice the threads
// at work. (bench/pack measures it.)
const xzBlockSize = "12MiB"

// maxThreads bounds xz's memory: some 130 MB a thread.
const maxThreads = 16

// compressor returns a writer that compresses to dst. Its Close finishes the
// stream, waits, and does not close dst.
func (o *Options) compressor(c Compression, dst *os.File) (io.WriteCloser, error) {
	switch c {
	case None:
		return nopCloser{dst}, nil
	case Gzip:
		return o.startFilter(dst, "gzip", "-9nc")
	case XZ:
		return o.startFilter(dst, "xz", "-zc6", "--check=crc64",
			"--block-size="+xzBlockSize, "--threads="+strconv.Itoa(o.threads()))
	case Zstd:
		// On modules 0.9 to 1.7 % larger than the level 3 of dpkg-deb, and
		// about as fast. The next level is 2 % smaller and takes 0.5 s of
		// CPU time more for 60 MB. Threads do not change the bytes.
		return zstd.NewWriter(dst, zstd.WithEncoderLevel(zstd.SpeedDefault),
			zstd.WithEncoderConcurrency(o.threads()))
	}
	return nil, fmt.Errorf("unknown compression %q", c)
}

// threads is never 1: xz(1) writes other bytes then, since it leaves its
// multi-threaded mode.
func (o *Options) threads() int {
	n := o.Jobs
	if n <= 0 {
		n = runtime.NumCPU()
	}
	return min(max(n, 2), maxThreads)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// filter is a running program that reads what is written to it.
type filter struct {
	*os.File // the pipe to its standard input
	result   chan error
}

func (o *Options) startFilter(dst *os.File, argv ...string) (*filter, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	f := &filter{File: out, result: make(chan error, 1)}
	go func() {
		err := runProgram(o.Run, in, dst, argv)
		in.Close() // a writer that still waits gets EPIPE
		f.result <- err
	}()
	return f, nil
}

// Close ends the program's input and returns what became of it.
func (f *filter) Close() error {
	err := f.File.Close()
	if rerr := <-f.result; rerr != nil {
		return rerr
	}
	return err
}

// runProgram runs a compressor. The environment is empty since XZ_OPT,
// XZ_DEFAULTS and GZIP would change what it does.
func runProgram(run func(*exec.Cmd) error, in io.Reader, out io.Writer, argv []string) error {
	if run == nil {
		run = (*exec.Cmd).Run
	}
	var stderr tail
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"LC_ALL=C.UTF-8"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &stderr
	err := run(cmd)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return &missingError{program: argv[0]}
	case stderr.buf.Len() > 0:
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, bytes.TrimSpace(stderr.buf.Bytes()))
	}
	return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
}

// tail keeps the last of what a program says.
type tail struct {
	buf bytes.Buffer // a field, not embedded: io.Copy would find its ReadFrom
}

const tailSize = 1 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p[max(0, len(p)-tailSize):])
	t.buf.Next(max(0, t.buf.Len()-tailSize))
	return len(p), nil
}

// missingError says that a compressor is not installed.
type missingError struct{ program string }

func (e *missingError) Error() string { return "program " + e.program + " not found" }

// Hint names the Debian package that holds the program.
func (e *missingError) Hint() string {
	pkg := e.program
	if pkg == "xz" {
		pkg = "xz-utils"
	}
	return "install the package " + pkg
}

// Unwrap makes errors.Is(err, exec.ErrNotFound) true.
func (e *missingError) Unwrap() error { return exec.ErrNotFound }
