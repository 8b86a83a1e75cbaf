// SPDX-License-Identifier: MIT

package cli

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Progress tells how far something that takes long is: on a terminal by a line
// that changes, elsewhere and under -v by one line for each thing. It is safe
// for concurrent use. Until [Progress.End] nothing else may be written to the
// terminal.
type Progress struct {
	w     io.Writer
	prog  string
	log   *Log
	width func() int // columns of the terminal; nil: not on one
	quiet bool

	mu   sync.Mutex
	told map[string]bool // plain lines
	now  string          // the line that is open on the terminal
	last string          // how it will stay
}

// NewProgress returns a Progress of the command prog. Plain lines go to log.
func NewProgress(env *Env, prog string, log *Log, level Level) *Progress {
	p := &Progress{w: env.Stderr, prog: prog, log: log, quiet: level <= Quiet, told: map[string]bool{}}
	if f, ok := env.Stderr.(*os.File); ok && level == Normal && env.Getenv("TERM") != "dumb" {
		p.width = terminalWidth(f)
	}
	return p
}

// terminalWidth is nil if f is no terminal.
func terminalWidth(f *os.File) func() int {
	columns := func() int {
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil {
			return 0
		}
		if size.Col == 0 { // a terminal that does not know
			return 80
		}
		return int(size.Col)
	}
	if columns() == 0 {
		return nil
	}
	return columns
}

// Tell says that done of total bytes of what are behind us; a total of 0 is
// unknown.
func (p *Progress) Tell(what string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.quiet:
	case p.width != nil:
		p.draw(what, done, total)
	case !p.told[what]:
		p.told[what] = true
		p.log.Infof("%s%s", what, inParentheses(total))
	}
}

// draw writes the line that changes.
func (p *Progress) draw(what string, done, total int64) {
	if p.now != what {
		p.finish()
	}
	p.now, p.last = what, what+inParentheses(total)
	text := p.last
	if done < total {
		p.last = fmt.Sprintf("%s: %s of %s", what, Size(done), Size(total))
		text = fmt.Sprintf("%s: %d%% of %s", what, 100*done/total, Size(total))
	}
	line := []rune(p.prog + ": " + printable(text))
	line = line[:min(len(line), p.width()-1)]
	fmt.Fprintf(p.w, "\r%s\x1b[K", string(line))
}

// finish lets the open line stay.
func (p *Progress) finish() {
	if p.now != "" {
		fmt.Fprintf(p.w, "\r%s: %s\x1b[K\n", p.prog, printable(p.last))
		p.now = ""
	}
}

// End closes the line that is open, if any: other messages may follow.
func (p *Progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
}

func inParentheses(size int64) string {
	if size <= 0 {
		return ""
	}
	return " (" + Size(size) + ")"
}

// Size writes a number of bytes as apt does: 10.2 MB.
func Size(bytes int64) string {
	const unit = 1000
	value, units := float64(bytes), []string{"B", "kB", "MB", "GB"}
	for value >= unit && len(units) > 1 {
		value, units = value/unit, units[1:]
	}
	if units[0] == "B" {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", value, units[0])
}
