// SPDX-License-Identifier: MIT

package dkms

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits bound one evaluation. A field that is 0 has its default.
type Limits struct {
	Time       time.Duration // wall clock, default 10 s
	Calls      int           // functions and builtins called, default 1,000,000
	Commands   int           // programs run in total, default 2,000
	Concurrent int           // programs running at a time, default 64
	Output     int           // bytes of output taken in by the shell, default 8 MB
}

func (l Limits) withDefaults() Limits {
	def := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	if l.Time == 0 {
		l.Time = 10 * time.Second
	}
	def(&l.Calls, 1_000_000)
	def(&l.Commands, 2_000)
	def(&l.Concurrent, 64)
	def(&l.Output, 8<<20)
	return l
}

const (
	// maxFrames is the deepest Go stack that is allowed: about 6,000 nested
	// shell functions, where bash overflows its own stack near 10,000.
	maxFrames = 60_000
	// maxGoroutines bounds pipes and background jobs inside the shell.
	maxGoroutines = 1_000
	// maxMessages is how much of standard error is kept.
	maxMessages = 64 << 10
)

// guard counts what an evaluation does and ends it when it is too much. Its
// methods may be called by several goroutines.
type guard struct {
	limits Limits
	cancel context.CancelCauseFunc
	run    func(*exec.Cmd) error
	base   int // goroutines there were before

	mu       sync.Mutex
	calls    int
	commands int
	running  []string
	output   int
	messages []byte
}

func newGuard(ctx context.Context, in *Input) (context.Context, *guard) {
	g := &guard{limits: in.Limits.withDefaults(), run: in.Run, base: runtime.NumGoroutine()}
	if g.run == nil {
		g.run = (*exec.Cmd).Run
	}
	ctx, stop := context.WithTimeoutCause(ctx, g.limits.Time,
		&LimitError{"ran for more than " + g.limits.Time.String()})
	ctx, cancel := context.WithCancelCause(ctx)
	g.cancel = func(err error) { cancel(err); stop() }
	return ctx, g
}

// over ends the evaluation and returns the reason.
func (g *guard) over(format string, args ...any) error {
	err := &LimitError{fmt.Sprintf(format, args...)}
	g.cancel(err)
	return err
}

// call counts one call of a function, builtin or program.
func (g *guard) call() error {
	g.mu.Lock()
	g.calls++
	n := g.calls
	g.mu.Unlock()
	if n > g.limits.Calls {
		return g.over("ran more than %d commands", g.limits.Calls)
	}
	if n%64 == 0 && runtime.NumGoroutine() > g.base+maxGoroutines {
		return g.over("has more than %d pipes and jobs at a time", maxGoroutines)
	}
	var pc [1]uintptr
	if n%1024 == 0 && runtime.Callers(maxFrames, pc[:]) > 0 { // which walks the stack
		return g.over("calls itself without end")
	}
	return nil
}

// start counts a program in; the caller calls done with the same name.
func (g *guard) start(name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.commands++
	if g.commands > g.limits.Commands {
		return g.over("ran more than %d programs", g.limits.Commands)
	}
	if len(g.running) >= g.limits.Concurrent {
		return g.over("runs more than %d programs at a time", g.limits.Concurrent)
	}
	g.running = append(g.running, name)
	return nil
}

func (g *guard) done(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, s := range g.running {
		if s == name {
			g.running = append(g.running[:i], g.running[i+1:]...)
			return
		}
	}
}

// leftover names a program that still runs, "" if none does.
func (g *guard) leftover() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.running) == 0 {
		return ""
	}
	return g.running[0]
}

// labelKey marks the goroutines of one evaluation: each that is started from
// a marked one has the mark, too.
const labelKey = "gokms dkms.conf"

func (g *guard) label() pprof.LabelSet { return pprof.Labels(labelKey, g.name()) }

func (g *guard) name() string { return fmt.Sprintf("%p", g) }

// jobs counts the goroutines of the evaluation, but for the one that asks. The
// runtime tells of labels in the text of a profile alone: "N @ ADDRESS...",
// with "# labels: {...}" in the next line.
func (g *guard) jobs() int {
	var text bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		return 0 // a buffer takes everything
	}
	mark := fmt.Sprintf("%q:%q", labelKey, g.name())
	count, found := 0, -1
	for line := range strings.Lines(text.String()) {
		labels, ok := strings.CutPrefix(line, "# labels: ")
		if ok && strings.Contains(labels, mark) {
			found += count
		}
		if n, _, ok := strings.Cut(line, " @ "); ok {
			count, _ = strconv.Atoi(n)
		}
	}
	return max(0, found)
}

// took counts n bytes of output.
func (g *guard) took(n int) error {
	g.mu.Lock()
	g.output += n
	tooMuch := g.output > g.limits.Output
	g.mu.Unlock()
	if tooMuch {
		return g.over("wrote more than %d bytes", g.limits.Output)
	}
	return nil
}

// counted is w with its bytes counted.
type counted struct {
	g *guard
	w io.Writer
}

func (c counted) Write(p []byte) (int, error) {
	if err := c.g.took(len(p)); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// stderr keeps the head of what is written to standard error.
type stderr struct{ g *guard }

func (s stderr) Write(p []byte) (int, error) {
	if err := s.g.took(len(p)); err != nil {
		return 0, err
	}
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	room := max(0, maxMessages-len(s.g.messages))
	s.g.messages = append(s.g.messages, p[:min(room, len(p))]...)
	return len(p), nil
}

func (g *guard) messagesText() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return string(g.messages)
}
