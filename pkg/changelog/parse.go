// SPDX-License-Identifier: MIT

package changelog

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// ParseFile reads the changelog at path.
func ParseFile(path string) (*Changelog, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Parse(f, path)
}

// Parse reads a changelog; name is how messages call it. A file without any
// entry is an error.
func Parse(r io.Reader, name string) (*Changelog, error) {
	var end tail
	r = io.TeeReader(r, &end)
	p := parser{sc: textfile.NewScanner(r, name), log: &Changelog{File: name}}
	for p.sc.Scan() {
		if !p.line(p.sc.Text()) {
			p.sc.Scan() // dpkg counts the rest as one line
			break
		}
	}
	if p.expect != nextHeading {
		p.warn("file ends where %s was expected", p.expect)
	}
	p.finish()
	if err := p.sc.Err(); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, textfile.Errorf(name, 0, "%w", err)
	}
	if format := end.format(); format != "debian" {
		return nil, textfile.Errorf(name, 0, "unknown changelog-format %q", format)
	}
	if len(p.log.Entries) == 0 {
		return nil, &textfile.Error{File: name, Err: errors.New("no changelog entry found")}
	}
	return p.log, nil
}

// expectation is what may come next without a warning.
type expectation int

const (
	firstHeading expectation = iota
	startOfChanges
	changesOrTrailer
	nextHeading
)

func (e expectation) String() string {
	return [...]string{"a heading", "a change", "a change or a trailer", "the next heading"}[e]
}

// compile compiles expr with dpkg's idea of white space: RE2's \s lacks the
// vertical tab.
func compile(expr string) *regexp.Regexp {
	return regexp.MustCompile(strings.NewReplacer(`\s`, `[\s\v]`, `\S`, `[^\s\v]`).Replace(expr))
}

var (
	editorLine = compile(`(?i)^(?:(?:;;\s*)?Local variables:|vim:)`)
	ignored    = compile(`^(?:\$\w+:.*\$|# |/\*.*\*/)`)
	trailerish = compile(`^ --`)
	changeLine = compile(`^\s{2,}\S`)
	indented   = compile(`^\s`)
	blankLine  = compile(`^\s*$`)
)

// oldFormats match the headings of changelogs from before the present format;
// dpkg does not look at anything from the first such line on.
var oldFormats = []*regexp.Regexp{
	// Mon Jan  1 10:00:00 MET 1996  Name <mail>
	compile(`^\w+\s+\w+\s+\d{1,2} \d{1,2}:\d{1,2}:\d{1,2}\s+(?:\w|\s)*\d{4}\s+.*\s+[<(].*[)>]`),
	// Mon Jan  1, 1996  Name <mail>
	compile(`^\w+\s+\w+\s+\d{1,2},?\s*\d{4}\s+.*\s+[<(].*[)>]`),
	// foo (1.0), with nothing or something else than "distribution;" behind it
	compile(`^\w[-+.0-9A-Za-z]* \([^() \t]+\)`),
	// foo-1.0 Debian 2
	compile(`^[\w.+-]+[- ]\S+ (?i:Debian) \S+`),
	compile(`(?i)^Changes from version .* to .*:`),
	compile(`^(?i:Changes for) [\w.+-]+-[\w.+-]+:?\s*$`),
	compile(`^(?i:Old Changelog):\s*$`),
	// a lone word, such as a version
	compile(`^(?:\d+:)?\w[\w.+~-]*:?\s*$`),
}

func inOldFormat(line string) bool {
	for _, re := range oldFormats {
		if re.MatchString(line) {
			return true
		}
	}
	return false
}

// parser is the state between lines. The order in which a line is tried
// against the kinds of line is dpkg's, and matters.
type parser struct {
	sc      *textfile.Scanner
	log     *Changelog
	expect  expectation
	entry   Entry
	started bool     // entry holds something
	blanks  []string // blank lines that belong to Changes if a change follows
}

func (p *parser) warn(format string, args ...any) {
	p.log.Warnings = append(p.log.Warnings, p.sc.Errorf(format, args...))
}

// line takes one line; false ends the file.
func (p *parser) line(text string) bool {
	text = cutCR(text)
	switch {
	case headingLine.MatchString(text):
		p.heading(text)
	case editorLine.MatchString(text):
		return false
	case ignored.MatchString(text):
	case inOldFormat(text):
		return false
	case blankLine.MatchString(text):
		p.blank(text)
	case !indented.MatchString(text):
		p.warn("bad heading %q", text)
	case trailerLine.MatchString(text):
		p.trailer(text)
	case trailerish.MatchString(text):
		p.warn("bad trailer %q", text)
	case changeLine.MatchString(text):
		p.change(text)
	default:
		p.unknown(text)
	}
	return true
}

func (p *parser) begin() {
	if !p.started {
		p.started, p.entry.Line = true, p.sc.Line()
	}
}

func (p *parser) finish() {
	if p.started {
		p.log.Entries = append(p.log.Entries, p.entry)
	}
	p.entry, p.started = Entry{}, false
}

func (p *parser) heading(text string) {
	if p.expect != firstHeading && p.expect != nextHeading {
		p.warn("heading where %s was expected", p.expect)
	}
	p.finish()
	p.begin()
	p.parseHeading(text)
	p.expect, p.blanks = startOfChanges, nil
}

func (p *parser) trailer(text string) {
	if p.expect != changesOrTrailer {
		p.warn("trailer where %s was expected", p.expect)
	}
	p.begin()
	p.parseTrailer(text)
	p.expect, p.blanks = nextHeading, nil
}

func (p *parser) change(text string) {
	if p.expect != startOfChanges && p.expect != changesOrTrailer {
		p.warn("change where %s was expected", p.expect)
		if p.expect == nextHeading { // the heading must have been lost
			p.finish()
		}
	}
	p.addChange(text)
}

func (p *parser) addChange(text string) {
	p.begin()
	p.entry.Changes = append(append(p.entry.Changes, p.blanks...), text)
	p.expect, p.blanks = changesOrTrailer, nil
}

func (p *parser) blank(text string) {
	switch p.expect {
	case startOfChanges, nextHeading:
		return
	case firstHeading:
		p.warn("blank line where %s was expected", p.expect)
	}
	p.blanks = append(p.blanks, text)
}

// unknown takes a line indented by one blank, or by a tab. dpkg keeps it only
// where no change can stand, and that we do as well.
func (p *parser) unknown(text string) {
	p.warn("unrecognized line %q", text)
	if p.expect != startOfChanges && p.expect != changesOrTrailer {
		p.addChange(text)
	}
}

func cutCR(s string) string {
	if n := len(s); n > 0 && s[n-1] == '\r' {
		return s[:n-1]
	}
	return s
}

// tail keeps the last bytes of a file, where dpkg looks for the line that
// names another changelog format than its own.
type tail struct{ buf []byte }

const tailSize = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - tailSize; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

var formatLine = compile(`\schangelog-format:\s+([0-9a-z]+)[^0-9A-Za-z_]`)

// format returns what the last format line says, "debian" without one.
func (t *tail) format() string {
	all := formatLine.FindAllSubmatch(t.buf, -1)
	if len(all) == 0 {
		return "debian"
	}
	return string(all[len(all)-1][1])
}
