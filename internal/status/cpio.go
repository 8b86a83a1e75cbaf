// SPDX-License-Identifier: MIT

package status

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// newcHeader is the size of the header of an entry of cpio's format "newc"
// (Documentation/driver-api/early-userspace/buffer-format.rst): a magic number
// and 13 numbers of 8 hexadecimal digits.
const newcHeader = 110

// The bounds of what is read of an archive.
const (
	maxName    = 4096      // bytes of a name, its NUL included, as the kernel has it
	maxEntries = 1 << 20   // in one archive
	maxModule  = 256 << 20 // bytes of a module
)

// entry is a file of a cpio archive.
type entry struct {
	name  string
	mode  int64
	inode [3]int64 // number and device
	links int64
	size  int64
}

// regular says whether the entry is a plain file.
func (e *entry) regular() bool { return e.mode&0o170000 == 0o100000 }

// trailer is the name of the entry that ends an archive.
const trailer = "TRAILER!!!"

// cpioReader reads the entries of archives that stand one after another. Zero
// bytes may stand between them.
type cpioReader struct {
	r       *bufio.Reader
	left    int64 // of the content of the last entry, in bytes
	padding int64 // behind that content
	entries int
}

// errOther is what follows archives and is none.
var errOther = errors.New("no cpio archive")

// next is the next entry; what is left of the last one is skipped. At the end of
// all archives the error is io.EOF, before anything else errOther, of which
// nothing is consumed.
func (c *cpioReader) next() (*entry, error) {
	for {
		if err := c.skip(c.left + c.padding); err != nil {
			return nil, err
		}
		c.left, c.padding = 0, 0
		if err := c.start(); err != nil {
			return nil, err
		}
		e, err := c.entry()
		if err != nil {
			return nil, unexpected(err)
		}
		c.left, c.padding = e.size, -e.size&3
		if e.name != trailer {
			return e, nil
		}
	}
}

// start finds the magic number of an entry, behind the zero bytes that fill up
// a block.
func (c *cpioReader) start() error {
	for {
		head, err := c.r.Peek(6)
		switch {
		case string(head) == "070701" || string(head) == "070702":
			return nil
		case len(head) == 0:
			return err
		case head[0] != 0:
			return errOther
		}
		there, _ := c.r.Peek(c.r.Buffered())
		zeros := len(there) - len(bytes.TrimLeft(there, "\x00"))
		if _, err := c.r.Discard(zeros); err != nil {
			return err
		}
	}
}

// entry reads a header and the name, and what fills both up to a multiple of 4.
func (c *cpioReader) entry() (*entry, error) {
	if c.entries++; c.entries > maxEntries {
		return nil, fmt.Errorf("more than %d files", maxEntries)
	}
	var head [newcHeader]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	var f [13]int64
	for i := range f {
		digits := string(head[6+8*i:][:8])
		n, err := strconv.ParseUint(digits, 16, 32)
		if err != nil {
			return nil, fmt.Errorf("cpio header: %q is no number", digits)
		}
		f[i] = int64(n)
	}
	size := f[11]
	if size < 1 || size > maxName {
		return nil, fmt.Errorf("cpio header: a name of %d bytes", size)
	}
	name := make([]byte, size)
	if _, err := io.ReadFull(c.r, name); err != nil {
		return nil, err
	}
	name, _, _ = bytes.Cut(name, []byte{0})
	e := &entry{name: string(name), mode: f[1], links: f[4], size: f[6], inode: [3]int64{f[0], f[7], f[8]}}
	return e, c.skip(-(newcHeader + size) & 3)
}

// content reads that of the last entry.
func (c *cpioReader) content() ([]byte, error) {
	if c.left > maxModule {
		return nil, fmt.Errorf("a file of %d bytes", c.left)
	}
	var b bytes.Buffer
	n, err := io.CopyN(&b, c.r, c.left)
	c.left -= n
	return b.Bytes(), unexpected(err)
}

func (c *cpioReader) skip(n int64) error {
	_, err := c.r.Discard(int(n))
	return unexpected(err)
}

// unexpected is the end of the file where there should be more.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
