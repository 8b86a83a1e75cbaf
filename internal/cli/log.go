// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/sirupsen/logrus"
)

// Level says how much a command tells.
type Level int

// The levels, from -q to -v.
const (
	Quiet   Level = iota - 1 // errors only
	Normal                   // and warnings, and a line for each result
	Verbose                  // and each command that is run
)

// Log writes a command's messages in debhelper's form, "PROG: error: ...".
// It is safe for concurrent use. This file is the only one that knows logrus.
type Log struct {
	l *logrus.Logger
}

// NewLog returns a Log for the command prog that writes to w.
func NewLog(w io.Writer, prog string, level Level) *Log {
	l := logrus.New()
	l.SetOutput(w)
	l.SetFormatter(format(prog))
	l.SetLevel(map[Level]logrus.Level{
		Quiet: logrus.ErrorLevel, Normal: logrus.InfoLevel, Verbose: logrus.DebugLevel,
	}[level])
	return &Log{l: l}
}

// Error writes each of the errors that err joins on a line, each with its hint
// on a line below.
func (l *Log) Error(err error) {
	for _, e := range split(err) {
		l.l.Error(e.Error())
		if h := hint(e); h != "" {
			l.l.WithField("hint", true).Error(h)
		}
	}
}

// Warn writes a warning, with its hint.
func (l *Log) Warn(err error) {
	for _, e := range split(err) {
		l.l.Warn(e.Error())
		if h := hint(e); h != "" {
			l.l.WithField("hint", true).Warn(h)
		}
	}
}

// Infof writes a plain line; -q silences it.
func (l *Log) Infof(format string, args ...any) { l.l.Infof(format, args...) }

// Debugf writes a line that only -v shows.
func (l *Log) Debugf(format string, args ...any) { l.l.Debugf(format, args...) }

// format is the name of the command that begins each line.
type format string

// Format implements logrus.Formatter. The lines of a longer message after the
// first are indented: they belong to it.
func (f format) Format(e *logrus.Entry) ([]byte, error) {
	kind := ""
	switch {
	case e.Data["hint"] != nil:
		kind = "hint: "
	case e.Level == logrus.ErrorLevel:
		kind = "error: "
	case e.Level == logrus.WarnLevel:
		kind = "warning: "
	}
	var b bytes.Buffer
	text := strings.ReplaceAll(printable(strings.TrimRight(e.Message, "\n")), "\n", "\n    ")
	fmt.Fprintf(&b, "%s: %s%s\n", string(f), kind, text)
	return b.Bytes(), nil
}

// printable replaces what could drive a terminal: the texts quote files that
// others wrote.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= 0x20 && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return '\uFFFD'
	}, s)
}
