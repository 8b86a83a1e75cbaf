// SPDX-License-Identifier: MIT

package kbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// ErrLogLimit is what a build fails with that prints more than [Build.MaxLog].
var ErrLogLimit = errors.New("output is larger than the limit of the log")

// maxPending is how much of a line is kept back to map its paths.
const maxPending = 64 << 10

// logFile is the log of one build: lines of our own, marked by "== ", and the
// output of commands. Its paths are those of [Layout.ToLog].
type logFile struct {
	mu      sync.Mutex
	file    *os.File
	renames []rename
	left    int64 // bytes that may still be written
	size    int64
	pending []byte // the begin of a line that is not complete yet
	stop    context.CancelCauseFunc
	err     error // the first one met while writing
}

// createLog starts the log of b. When the log is full or cannot be written,
// stop ends the build.
func createLog(b *Build, stop context.CancelCauseFunc) (*logFile, error) {
	file, err := os.Create(b.LogPath)
	if err != nil {
		return nil, err
	}
	limit := b.MaxLog
	if limit == 0 {
		limit = DefaultMaxLog
	}
	renames := append(b.Layout.logged(), rename{b.SourceHost, b.Layout.neutral().SourceDir().Build})
	return &logFile{file: file, renames: renames, left: limit, stop: stop}, nil
}

func (l *logFile) header(b *Build) {
	l.say("module:   %s %s", b.Layout.Name, b.Layout.Version)
	l.say("kernel:   %s (%s)", b.Tree.Release, b.Tree.Machine)
	if h := b.Tree.Header; h.Name != "" {
		l.say("headers:  %s (%s %s)", b.Layout.Headers.Build, h.Name, h.Version)
	} else {
		l.say("headers:  %s", b.Layout.Headers.Build)
	}
	l.say("compiler: %s (%s)", b.Tree.Compiler.Command, b.Tree.Compiler.Text)
	for _, kv := range b.environ() {
		name, value, _ := strings.Cut(kv, "=")
		l.say("env:      %s=%s", name, quote(value))
	}
}

// say writes a line of our own, beside the limit: these are few.
func (l *logFile) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put([]byte("== " + replacePaths(fmt.Sprintf(format, args...), l.renames) + "\n"))
}

func (l *logFile) begin(p program) { l.say("%s: %s", p.name, p.show) }

func (l *logFile) end(s Step, err error) {
	seconds := s.Elapsed.Seconds()
	if s.ExitCode < 0 {
		l.say("%s: ended after %.2f s: %v", s.Name, seconds, err)
		return
	}
	l.say("%s: exit code %d after %.2f s", s.Name, s.ExitCode, seconds)
}

// Write takes a command's output. It never fails: a command whose output is
// not read would hang, so the build is stopped instead.
func (l *logFile) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(data)
	if int64(n) > l.left {
		data = data[:l.left]
		l.stop(ErrLogLimit)
	}
	l.left -= int64(len(data))
	l.pending = append(l.pending, data...)
	if end := bytes.LastIndexByte(l.pending, '\n') + 1; end > 0 {
		l.putMapped(end)
	}
	if len(l.pending) > maxPending {
		l.putMapped(len(l.pending))
	}
	return n, nil
}

// flush writes what a command left without a newline, and adds that newline.
func (l *logFile) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) > 0 {
		l.pending = append(l.pending, '\n')
		l.putMapped(len(l.pending))
	}
}

// putMapped writes the first n bytes of what is pending.
func (l *logFile) putMapped(n int) {
	l.put([]byte(replacePaths(string(l.pending[:n]), l.renames)))
	l.pending = append(l.pending[:0], l.pending[n:]...)
}

func (l *logFile) put(data []byte) {
	if l.err != nil {
		return
	}
	n, err := l.file.Write(data)
	l.size += int64(n)
	if err != nil {
		l.err = err
		l.stop(err)
	}
}

// offset is where the next line will stand.
func (l *logFile) offset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Close returns the first error met while writing, if the disk is full for
// instance.
func (l *logFile) Close() error {
	err := l.file.Close()
	if l.err != nil {
		return l.err
	}
	return err
}
