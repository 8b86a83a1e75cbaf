// SPDX-License-Identifier: MIT

// Package textfile reads line-oriented text with positions. All text formats
// of gokms (debian/changelog, deb822 stanzas, dkms.conf) report what is wrong
// with the [Error] of this package, so that every message begins with
// "FILE:LINE: ".
package textfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// MaxLine is the longest line, in bytes, that a [Scanner] accepts.
const MaxLine = 1 << 20

// ErrLineTooLong is what [Scanner.Err] wraps for a line over [MaxLine] bytes.
var ErrLineTooLong = errors.New("line too long")

// Error is a problem at one place of a text file.
type Error struct {
	File string // as the user named it; may be empty
	Line int    // counted from 1; 0: the file as a whole
	Err  error
}

// Errorf returns an [*Error] whose Err is made by [fmt.Errorf].
func Errorf(file string, line int, format string, args ...any) *Error {
	return &Error{File: file, Line: line, Err: fmt.Errorf(format, args...)}
}

// Error formats as "FILE:LINE: what", without the parts that are unknown.
func (e *Error) Error() string {
	switch {
	case e.File == "" && e.Line == 0:
		return e.Err.Error()
	case e.File == "":
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	case e.Line == 0:
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Scanner yields the lines of a file with their numbers. It is not safe for
// concurrent use.
type Scanner struct {
	sc   *bufio.Scanner
	file string
	line int
}

// NewScanner reads from r; file is the name that errors carry.
func NewScanner(r io.Reader, file string) *Scanner {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), MaxLine)
	sc.Split(splitLF)
	return &Scanner{sc: sc, file: file}
}

// splitLF cuts at "\n" alone: unlike bufio.ScanLines it keeps a "\r", which
// the formats judge differently.
func splitLF(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// Scan advances to the next line; false at the end or on an error.
func (s *Scanner) Scan() bool {
	if !s.sc.Scan() {
		return false
	}
	s.line++
	return true
}

// Text is the current line without its "\n".
func (s *Scanner) Text() string { return s.sc.Text() }

// Line is the number of the current line, from 1.
func (s *Scanner) Line() int { return s.line }

// Err is the first error that was not the end of the file, with its position.
func (s *Scanner) Err() error {
	err := s.sc.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = ErrLineTooLong
	}
	if err == nil {
		return nil
	}
	return &Error{File: s.file, Line: s.line + 1, Err: err}
}

// Errorf returns an [*Error] at the current line.
func (s *Scanner) Errorf(format string, args ...any) *Error {
	return Errorf(s.file, s.line, format, args...)
}

// ReadFile reads a whole regular file of at most limit bytes: a device or a
// pipe, which might never end, is an error, like a file that is too large.
func ReadFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{File: path, Err: errors.New("not a regular file")}
	}
	if info.Size() > limit {
		return nil, &Error{File: path, Err: fmt.Errorf("%d bytes, and %d are the most", info.Size(), limit)}
	}
	return os.ReadFile(path)
}
