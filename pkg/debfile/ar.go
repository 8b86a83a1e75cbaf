// SPDX-License-Identifier: MIT

package debfile

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/blakesmith/ar"
)

// member is one member of the outer archive, ready to be written.
type member struct {
	name    string
	size    int64
	content io.Reader
}

// What the fields of an ar header hold.
const (
	maxMemberName = 16
	maxMemberSize = 1e10 - 1
)

// writeArchive writes the members as an ar archive.
func writeArchive(w io.Writer, clock time.Time, members []member) error {
	out := &stickyWriter{w: w}
	aw := ar.NewWriter(out)
	if err := aw.WriteGlobalHeader(); err != nil {
		return err
	}
	for _, m := range members {
		if err := writeMember(aw, clock, m); err != nil {
			return fmt.Errorf("member %s: %w", m.name, err)
		}
	}
	return out.err
}

func writeMember(aw *ar.Writer, clock time.Time, m member) error {
	if len(m.name) > maxMemberName {
		return fmt.Errorf("name longer than %d bytes", maxMemberName)
	}
	if m.size < 0 || m.size > maxMemberSize {
		return fmt.Errorf("size of %d bytes does not fit into an ar archive", m.size)
	}
	h := &ar.Header{Name: m.name, ModTime: clock, Mode: 0o644, Size: m.size}
	if err := aw.WriteHeader(h); err != nil {
		return err
	}
	n, err := copyEven(aw, m.content)
	if err == nil && n != m.size {
		err = fmt.Errorf("size is %d, not %d", n, m.size)
	}
	return err
}

// copyEven copies in chunks of even length: [ar.Writer] pads each Write of odd
// length, where only a member's end may be padded.
func copyEven(aw *ar.Writer, r io.Reader) (int64, error) {
	buf := make([]byte, 256<<10)
	for total := int64(0); ; {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if _, err := aw.Write(buf[:n]); err != nil {
				return total, err
			}
			total += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

// stickyWriter remembers the first error of w and repeats it: [ar.Writer]
// drops the one of its padding byte.
type stickyWriter struct {
	w   io.Writer
	err error
}

func (s *stickyWriter) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	s.err = err
	return n, err
}
