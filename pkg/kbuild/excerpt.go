// SPDX-License-Identifier: MIT

package kbuild

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

const (
	maxLineShown = 400 // bytes of a log line in an excerpt
	maxContext   = 4   // lines that a compiler prints below an error
	tailLines    = 15
	maxSource    = 16 << 20 // bytes of a file that a line is shown of
)

// patterns tell what failed, the most telling rank first: a compiler's error
// with its place wins over an earlier complaint of some shell. Within a rank
// the first line of the log wins.
var patterns = []struct {
	rank int
	re   *regexp.Regexp
}{
	{1, regexp.MustCompile(`^(?P<file>[^\s:]+):(?P<line>\d+)(?::\d+)?: (?:fatal error|internal compiler error|error|Error): `)},
	{2, regexp.MustCompile(`^ERROR: (?:modpost: |"[^"]+" \[)`)},                            // since 5.8, before
	{2, regexp.MustCompile(`^\S+: (?:fatal error|internal compiler error|error|FATAL): `)}, // cc1, ld.lld, configure, depmod
	{2, regexp.MustCompile(`^error: `)},                                                    // rustc, objtool
	{2, regexp.MustCompile(`(?:undefined reference to|multiple definition of) `)},
	{2, regexp.MustCompile(`^(?:\S*/)?(?:\S+-)?ld(?:\.\w+)?: (?:cannot|unrecognized|.*\bfailed\b)`)},
	{2, regexp.MustCompile(`^\{standard input\}: Fatal error: `)}, // as
	{2, regexp.MustCompile(`: No space left on device$`)},
	{2, regexp.MustCompile(`^(?P<file>[^\s:]+):(?P<line>\d+): \*\*\* (?P<reason>.)`)}, // $(error ...), missing separator
	{2, regexp.MustCompile(`^FAILED: `)},                                              // resolve_btfids
	{3, regexp.MustCompile(`: (?:command not found|not found|No such file or directory|Permission denied)$`)},
	{3, regexp.MustCompile(`^make(?:\[\d+\])?: \*\*\* `)},
}

var (
	// gutter is what gcc prints below an error: "  12 |   text", "     |  ^".
	gutter   = regexp.MustCompile(`^\s*\d*\s*\|`)
	colour   = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)
	entering = regexp.MustCompile(`^make(?:\[\d+\])?: Entering directory '(.*)'$`)
)

// finding is the most telling line of a log.
type finding struct {
	rank    int // 0: none
	text    string
	context []string // lines printed below it
	file    string   // where it points to, as printed
	line    int
	dir     string // make's directory when it was printed
}

// find reads a log up to the first compiler error, or to its end.
func find(log io.Reader) (finding, error) {
	var best finding
	var dir string
	open := false // the lines below best are still of interest
	err := eachLine(log, func(line string) bool {
		if open && gutter.MatchString(line) && len(best.context) < maxContext {
			best.context = append(best.context, line)
			return true
		}
		open = false
		if best.rank == 1 {
			return false
		}
		if m := entering.FindStringSubmatch(line); m != nil {
			dir = m[1]
		}
		if f := classify(line); f.rank > 0 && (best.rank == 0 || f.rank < best.rank) {
			f.dir = dir
			best, open = f, true
		}
		return true
	})
	return best, err
}

// classify holds a line against the patterns.
func classify(line string) finding {
	for _, p := range patterns {
		m := p.re.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		f := finding{rank: p.rank, text: line}
		if i := p.re.SubexpIndex("file"); i >= 0 {
			f.file = m[i]
			f.line, _ = strconv.Atoi(m[p.re.SubexpIndex("line")])
		}
		return f
	}
	return finding{}
}

// eachLine calls do for the lines of log until it returns false. Lines that
// are longer than the buffer come in pieces; colours are left out.
func eachLine(log io.Reader, do func(string) bool) error {
	in := bufio.NewReaderSize(log, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 && !do(colour.ReplaceAllString(string(bytes.TrimRight(line, "\r\n")), "")) {
			return nil
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// findError looks through MAKE's output. What is found has the host's paths.
func (r *run) findError() finding {
	var f finding
	err := r.readLog(r.made, func(log io.Reader) (err error) {
		f, err = find(log)
		return err
	})
	if err != nil {
		return finding{}
	}
	f.text, f.file, f.dir = r.Layout.ToHost(f.text), r.Layout.ToHost(f.file), r.Layout.ToHost(f.dir)
	for i, line := range f.context {
		f.context[i] = r.Layout.ToHost(line)
	}
	return f
}

// loggedError is the excerpt for modules that are missing: whatever MAKE
// complained of, if anything.
func (r *run) loggedError() string {
	if f := r.findError(); f.rank > 0 {
		return r.render(f)
	}
	return ""
}

// firstError is the excerpt for a MAKE that failed: the first error of a tool,
// else the end of its output.
func (r *run) firstError() string {
	if f := r.findError(); f.rank == 1 || f.rank == 2 {
		return r.render(f)
	}
	return r.tail()
}

// tail is the end of the last command's output.
func (r *run) tail() string {
	var lines []string
	err := r.readLog(r.output, func(log io.Reader) error {
		return eachLine(log, func(line string) bool {
			if strings.HasPrefix(line, "== ") {
				return true
			}
			if len(lines) == tailLines {
				lines = lines[1:]
			}
			lines = append(lines, clean(r.Layout.ToHost(line)))
			return true
		})
	})
	if err != nil {
		return ""
	}
	return strings.Join(lines, "\n")
}

func (r *run) readLog(offset int64, read func(io.Reader) error) error {
	file, err := os.Open(r.LogPath)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	return read(file)
}

// render writes f with the path that the user knows and with the source line.
func (r *run) render(f finding) string {
	lines := append([]string{f.text}, f.context...)
	if f.file != "" {
		path := r.locate(f)
		lines[0] = r.original(path) + strings.TrimPrefix(f.text, f.file)
		if len(f.context) == 0 {
			lines = append(lines, r.sourceLine(path, f.line)...)
		}
	}
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return strings.Join(lines, "\n")
}

// locate makes the file of f absolute, if it can be found.
func (r *run) locate(f finding) string {
	if filepath.IsAbs(f.file) {
		return f.file
	}
	for _, dir := range []string{f.dir, r.Layout.BuildDir().Host, r.Layout.Headers.Host} {
		if dir == "" {
			continue
		}
		path := filepath.Join(dir, f.file)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return f.file
}

// original names the source's own file in place of its unchanged copy, which
// does not outlive the build.
func (r *run) original(path string) string {
	rel, err := filepath.Rel(r.Layout.BuildDir().Host, path)
	if err != nil || !filepath.IsLocal(rel) {
		return path
	}
	source := filepath.Join(r.SourceHost, rel)
	theirs, err1 := r.view.readFile(source, maxSource)
	ours, err2 := r.view.readFile(path, maxSource)
	if err1 != nil || err2 != nil || !bytes.Equal(theirs, ours) {
		return path
	}
	return source
}

// sourceLine is line n of a file in the form that gcc prints, or nothing. What
// the log names may be any file of the host, so only those of the build are
// shown.
func (r *run) sourceLine(path string, n int) []string {
	data, err := r.view.readFile(path, maxSource)
	if err != nil {
		return nil
	}
	var found []string
	at := 0
	err = eachLine(bytes.NewReader(data), func(line string) bool {
		at++
		if at == n {
			found = []string{fmt.Sprintf("%5d | %s", n, line)}
		}
		return at < n
	})
	if err != nil {
		return nil
	}
	return found
}

// clean makes a line fit for a terminal.
func clean(line string) string {
	if len(line) > maxLineShown {
		line = line[:maxLineShown] + "..."
	}
	return strings.Map(func(c rune) rune {
		if c == '\t' || unicode.IsPrint(c) {
			return c
		}
		return -1
	}, strings.ToValidUTF8(line, "?"))
}
