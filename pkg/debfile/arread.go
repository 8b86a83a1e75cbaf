// SPDX-License-Identifier: MIT

package debfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
)

// part is where a member of the outer archive lies.
type part struct {
	name        string
	start, size int64
}

// arReader reads the headers of an ar archive of known size. Only what dpkg
// takes is read: no long names, no names of other tools.
type arReader struct {
	r         io.ReaderAt
	pos, size int64
}

func newArReader(r io.ReaderAt, size int64) (*arReader, error) {
	magic := make([]byte, len(arMagic))
	if _, err := readAt(r, magic, 0, size); err != nil {
		return nil, err
	}
	if string(magic) != arMagic {
		return nil, errors.New("not a Debian binary package: not an ar archive")
	}
	return &arReader{r: r, pos: int64(len(arMagic)), size: size}, nil
}

// next returns the next member, io.EOF behind the last one.
func (a *arReader) next() (part, error) {
	if a.pos >= a.size {
		return part{}, io.EOF
	}
	h := make([]byte, arHeaderSize)
	if _, err := readAt(a.r, h, a.pos, a.size); err != nil {
		return part{}, err
	}
	if string(h[58:]) != "`\n" {
		return part{}, fmt.Errorf("bad header of an archive member at byte %d", a.pos)
	}
	name := strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/")
	size, err := strconv.ParseUint(string(bytes.TrimRight(h[48:58], " ")), 10, 63)
	if err != nil {
		return part{}, fmt.Errorf("member %q: bad size %q", name, h[48:58])
	}
	p := part{name: name, start: a.pos + arHeaderSize, size: int64(size)}
	if p.size > a.size-p.start {
		return part{}, fmt.Errorf("member %q: truncated: %d of %d bytes", name, a.size-p.start, p.size)
	}
	a.pos = p.start + p.size + p.size%2
	return p, nil
}

// readAt fills buf; what lies behind size is a truncation.
func readAt(r io.ReaderAt, buf []byte, pos, size int64) (int, error) {
	if int64(len(buf)) > size-pos {
		return 0, fmt.Errorf("truncated at byte %d", size)
	}
	n, err := r.ReadAt(buf, pos)
	if n == len(buf) {
		err = nil
	}
	return n, err
}
