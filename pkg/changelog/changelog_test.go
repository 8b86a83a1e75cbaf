// SPDX-License-Identifier: MIT

package changelog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gokms/gokms/pkg/textfile"
)

const (
	heading = "foo (1.0-1) unstable; urgency=low\n"
	trailer = " -- A B <a@b.c>  Mon, 01 Jan 2024 10:00:00 +0100\n"
	body    = "\n  * x\n\n"
	whole   = heading + body + trailer
	// wholeIs is how whole is rendered below.
	wholeIs = `foo|1.0-1|unstable|low|A B <a@b.c>|1704099600|"  * x"`
)

// parseTests is also given to dpkg-parsechangelog, see oracle_test.go.
var parseTests = []struct {
	name    string
	in      string
	want    []string // entries, as rendered by render
	warn    []int    // lines with warnings
	wantErr string
	differs string // why dpkg's answer is another one
}{
	{name: "plain", in: whole, want: []string{wholeIs}},
	{name: "two", in: whole + "\n" + strings.Replace(whole, "1.0-1", "1.0-0", 1), want: []string{wholeIs, strings.Replace(wholeIs, "1.0-1", "1.0-0", 1)}},
	{name: "no blank lines", in: heading + "  * x\n" + trailer, want: []string{wholeIs}},
	{name: "no final newline", in: strings.TrimSuffix(whole, "\n"), want: []string{wholeIs}},
	{name: "no trailer", in: heading + body, want: []string{`foo|1.0-1|unstable|low|||"  * x"`}, warn: []int{4}},
	{name: "no trailer, no newline", in: heading + "\n  * x", want: []string{`foo|1.0-1|unstable|low|||"  * x"`}, warn: []int{3}},
	{name: "no trailer before next", in: heading + body + whole, want: []string{`foo|1.0-1|unstable|low|||"  * x"`, wholeIs}, warn: []int{5}},
	{name: "no changes", in: heading + "\n" + trailer, want: []string{`foo|1.0-1|unstable|low|A B <a@b.c>|1704099600|""`}, warn: []int{3}},
	{name: "second trailer wins", in: whole + strings.Replace(trailer, "A B", "C D", 1), want: []string{strings.Replace(wholeIs, "A B", "C D", 1)}, warn: []int{6}},
	{name: "lost heading", in: whole + "\n  * y\n\n" + trailer, want: []string{wholeIs, `||||A B <a@b.c>|1704099600|"  * y"`}, warn: []int{7}},
	{name: "only changes", in: "\n  * y\n", want: []string{`||||||"\n  * y"`}, warn: []int{1, 2}},
	{name: "only a trailer", in: trailer, want: []string{`||||A B <a@b.c>|1704099600|""`}, warn: []int{1}},
	{name: "blank lines first", in: "\n \n" + whole, want: []string{wholeIs}, warn: []int{1, 2}},
	{name: "blank lines within", in: heading + "\n\n  * x\n \n\t\n  * y\n\n\n" + trailer, want: []string{strings.Replace(wholeIs, "* x", `* x\n\n\n  * y`, 1)}},
	{name: "CRLF", in: strings.ReplaceAll(whole, "\n", "\r\n"), want: []string{wholeIs}},
	{name: "CRLF in changes", in: heading + "\r\n  * x\r\n    y\t\r\n\r\n" + trailer, want: []string{strings.Replace(wholeIs, "* x", `* x\n    y`, 1)}},
	{name: "vertical tab is a blank", in: strings.Replace(whole, ") unst", ")\vunst", 1), want: []string{wholeIs}},
	{name: "tab before change", in: heading + "\n\t* y\n" + body + trailer, want: []string{wholeIs}, warn: []int{3}},
	{name: "one blank before change", in: heading + "\n  * x\n * y\n" + trailer, want: []string{wholeIs}, warn: []int{4}},
	{name: "one blank after trailer", in: whole + " y\n", want: []string{strings.Replace(wholeIs, "* x", `* x\n y`, 1)}, warn: []int{6}},
	{name: "several distributions", in: strings.Replace(whole, "unstable", "stable  oldstable-security", 1), want: []string{strings.Replace(wholeIs, "unstable", "stable oldstable-security", 1)}},
	{name: "urgency in capitals with comment", in: strings.Replace(whole, "=low", "= LOW (for all)", 1), want: []string{wholeIs}},
	{name: "no urgency", in: strings.Replace(whole, " urgency=low", "", 1), want: []string{strings.Replace(wholeIs, "low", "", 1)}},
	{name: "empty key value", in: strings.Replace(whole, "; ", "; ,", 1), want: []string{wholeIs}, warn: []int{1}},
	{name: "commas at the end", in: strings.Replace(whole, "=low", "=low ,, ,", 1), want: []string{wholeIs}},
	{name: "repeated urgency", in: strings.Replace(whole, "=low", "=low, Urgency=high", 1), want: []string{wholeIs}, warn: []int{1}},
	{name: "bad urgency", in: strings.Replace(whole, "=low", "=low!", 1), want: []string{strings.Replace(wholeIs, "low", "low!", 1)}, warn: []int{1}},
	{name: "metadata", in: strings.Replace(whole, "=low", "=low, binary-only=yes,XS-Foo=a b", 1), want: []string{wholeIs}},
	{name: "bad binary-only", in: strings.Replace(whole, "=low", "=low, binary-only=no", 1), want: []string{wholeIs}, warn: []int{1}},
	{name: "unknown key", in: strings.Replace(whole, "=low", "=low, foo=bar", 1), want: []string{wholeIs}, warn: []int{1}},
	{name: "invalid version", in: strings.Replace(whole, "1.0-1", "v1.0", 1), want: []string{strings.Replace(wholeIs, "1.0-1", "", 1)}, warn: []int{1}},
	{name: "epoch", in: strings.Replace(whole, "1.0-1", "2:1.0-1", 1), want: []string{strings.Replace(wholeIs, "1.0-1", "2:1.0-1", 1)}},
	{
		name: "colon in revision", in: strings.Replace(whole, "1.0-1", "1:1-1:2", 1),
		want: []string{strings.Replace(wholeIs, "1.0-1", "", 1)}, warn: []int{1},
		differs: "dpkg-parsechangelog knows fewer rules than dpkg-deb, which refuses the version",
	},
	{
		name: "signed epoch", in: strings.Replace(whole, "1.0-1", "+1:1", 1),
		want:    []string{strings.Replace(wholeIs, "1.0-1", "+1:1", 1)},
		differs: "dpkg-parsechangelog refuses what dpkg --validate-version accepts; we have one rule for both",
	},
	{name: "upper case source", in: strings.Replace(whole, "foo", "Foo.x+Y", 1), want: []string{strings.Replace(wholeIs, "foo", "Foo.x+Y", 1)}},
	{name: "foreign letter in source", in: strings.Replace(whole, "foo", "fóo", 1), want: []string{`||||A B <a@b.c>|1704099600|"\n  * x"`}, warn: []int{1, 2, 3}},
	{name: "no name in trailer", in: strings.Replace(whole, "A B", "", 1), want: []string{strings.Replace(wholeIs, "A B", "", 1)}},
	{name: "angle brackets in name", in: strings.Replace(whole, "A B", "A <x> B", 1), want: []string{strings.Replace(wholeIs, "A B", "A <x> B", 1)}},
	{name: "one blank before date", in: strings.Replace(whole, "  Mon", " Mon", 1), want: []string{wholeIs}, warn: []int{5}},
	{name: "three blanks before date", in: strings.Replace(whole, "  Mon", "   Mon", 1), want: []string{`foo|1.0-1|unstable|low|||"  * x"`}, warn: []int{5}},
	{name: "one-digit day and hour", in: strings.Replace(whole, "01 Jan 2024 10", "1 Jan 2024 9", 1), want: []string{strings.Replace(wholeIs, "1704099600", "1704096000", 1)}},
	{name: "no day of week", in: strings.Replace(whole, "Mon, ", "", 1), want: []string{wholeIs}},
	{name: "wrong day of week", in: strings.Replace(whole, "Mon, ", "Tue, ", 1), want: []string{wholeIs}},
	{name: "bad day of week", in: strings.Replace(whole, "Mon, ", "Mo, ", 1), want: []string{wholeIs}, warn: []int{5}},
	{name: "month in capitals", in: strings.Replace(whole, "Jan", "JAN", 1), want: []string{wholeIs}},
	{name: "full month", in: strings.Replace(whole, "Jan", "January", 1), want: []string{strings.Replace(wholeIs, "1704099600", "", 1)}, warn: []int{5}},
	{name: "day 31 of February", in: strings.Replace(whole, "01 Jan 2024", "31 Feb 2024", 1), want: []string{strings.Replace(wholeIs, "1704099600", "1709370000", 1)}},
	{name: "day 0", in: strings.Replace(whole, "01 Jan 2024", "0 Jan 2024", 1), want: []string{wholeIs}},
	{name: "day 32", in: strings.Replace(whole, "01 Jan 2024", "32 Jan 2024", 1), want: []string{strings.Replace(wholeIs, "1704099600", "", 1)}, warn: []int{5}},
	{name: "hour 24", in: strings.Replace(whole, "10:00:00", "24:00:00", 1), want: []string{strings.Replace(wholeIs, "1704099600", "", 1)}, warn: []int{5}},
	{name: "second 60", in: strings.Replace(whole, "10:00:00", "10:00:60", 1), want: []string{strings.Replace(wholeIs, "1704099600", "", 1)}, warn: []int{5}},
	{name: "year 1899", in: strings.Replace(whole, "2024", "1899", 1), want: []string{strings.Replace(wholeIs, "1704099600", "", 1)}, warn: []int{5}},
	{name: "year 1900", in: strings.Replace(whole, "2024", "1900", 1), want: []string{strings.Replace(wholeIs, "1704099600", "-2208956400", 1)}},
	{name: "odd zone", in: strings.Replace(whole, "+0100", "-9999", 1), want: []string{strings.Replace(wholeIs, "1704099600", "1704465540", 1)}},
	{name: "old date", in: strings.Replace(whole, "Mon, 01 Jan 2024 10:00:00 +0100", "Mon Jan 1 10:00:00 2024", 1), want: []string{`foo|1.0-1|unstable|low|||"  * x"`}, warn: []int{5}},
	{name: "comments", in: heading + "# c\n$Id: x$\n/* c */\n" + body + trailer + "# c\n", want: []string{wholeIs}},
	{name: "comment without blank", in: heading + "#c\n" + body + trailer, want: []string{wholeIs}, warn: []int{2}},
	{name: "vim modeline", in: whole + "vim: ts=2\nfoo\n", want: []string{wholeIs}},
	{name: "vim modeline in an entry", in: heading + "\n  * x\nVIM: ts=2\n" + trailer, want: []string{`foo|1.0-1|unstable|low|||"  * x"`}, warn: []int{5}},
	{name: "emacs variables", in: whole + "\n;; Local variables:\n  junk\n" + whole, want: []string{wholeIs}},
	{name: "emacs variables in capitals", in: whole + "\nLOCAL VARIABLES:\n", want: []string{wholeIs}},
	{name: "old changelog", in: whole + "\nOld Changelog:\nblah\n  blah\n", want: []string{wholeIs}},
	{name: "changes for", in: whole + "\nChanges for foo-1:\nblah blah\n", want: []string{wholeIs}},
	{name: "changes from", in: whole + "\nchanges from version 1 to 2: x\nblah blah\n", want: []string{wholeIs}},
	{name: "old heading", in: whole + "\nfoo-0.9 Debian 2\nblah blah\n", want: []string{wholeIs}},
	{name: "old GNU heading", in: whole + "\nMon Jan  1 10:00:00 MET DST 1996  A B  <a@b>\n\n\t* x\n", want: []string{wholeIs}},
	{name: "old GNU heading without time", in: whole + "\nMon Jan  1, 1996  A B  (a@b)\n\n\t* x\n", want: []string{wholeIs}},
	{name: "version alone", in: whole + "\n1:2.0~a:\nblah blah\n", want: []string{wholeIs}},
	{name: "two words", in: whole + "\nblah blah\n", want: []string{wholeIs}, warn: []int{7}},
	{name: "format debian", in: whole + " changelog-format: debian \n", want: []string{strings.Replace(wholeIs, "* x", `* x\n changelog-format: debian`, 1)}, warn: []int{6}},
	{name: "format debian in capitals", in: whole + "vim:\n changelog-format: DEBIAN \n", want: []string{wholeIs}},
	{name: "format without end", in: whole + "vim:\n changelog-format: foo", want: []string{wholeIs}},
	{name: "format far from the end", in: "# changelog-format: foo\n" + whole + "vim:\n" + strings.Repeat("x", 4096), want: []string{wholeIs}},
	{name: "hash heading", in: "# c\n" + whole, want: []string{wholeIs}},
	{name: "NUL", in: strings.Replace(whole, "* x", "* \x00x", 1), want: []string{strings.Replace(wholeIs, "* x", `* \x00x`, 1)}},
	{name: "not UTF-8", in: strings.ReplaceAll(strings.Replace(whole, "* x", "* \xe9x", 1), "A B", "\xc9"), want: []string{strings.NewReplacer("* x", `* \xe9x`, "A B", "\xc9").Replace(wholeIs)}},

	{name: "empty", wantErr: "f: no changelog entry found"},
	{name: "blank", in: "\n\n", wantErr: "f: no changelog entry found"},
	{name: "a word", in: "foo\n", wantErr: "f: no changelog entry found"},
	{name: "binary", in: "\x7fELF\x01\x02\n\x00", wantErr: "f: no changelog entry found"},
	{name: "missing semicolon", in: strings.Replace(whole, ";", "", 1) + whole, wantErr: "f: no changelog entry found"},
	{name: "missing distribution", in: strings.Replace(whole, " unstable", "", 1), wantErr: "f: no changelog entry found"},
	{name: "other format", in: whole + "vim:\n changelog-format: foo \n", wantErr: `f: unknown changelog-format "foo"`},
	{name: "last format counts", in: whole + "vim:\n changelog-format: debian\n changelog-format: foo2\n", wantErr: `f: unknown changelog-format "foo2"`},
}

// render shows an entry in one line; trailing white space of changes, which
// dpkg drops, is not shown.
func render(e Entry) string {
	var maintainer, date string
	if e.DateText != "" {
		maintainer = e.Maintainer + " <" + e.Email + ">"
	}
	if !e.Date.IsZero() {
		date = fmt.Sprint(e.Date.Unix())
	}
	var changes []string
	for _, line := range e.Changes {
		changes = append(changes, strings.TrimRight(line, whiteSpace))
	}
	return fmt.Sprintf("%s|%s|%s|%s|%s|%s|%q", e.Source, e.Version, strings.Join(e.Distributions, " "),
		e.Urgency, maintainer, date, strings.Join(changes, "\n"))
}

// warningLines returns the lines of warnings, each once.
func warningLines(t *testing.T, warnings []error) []int {
	t.Helper()
	var lines []int
	for _, w := range warnings {
		var at *textfile.Error
		if !errors.As(w, &at) {
			t.Fatalf("warning %v has no position", w)
		}
		lines = append(lines, at.Line)
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func TestParse(t *testing.T) {
	for _, tt := range parseTests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(tt.in), "f")
			if tt.wantErr != "" {
				if err == nil || err.Error() != tt.wantErr || got != nil {
					t.Fatalf("Parse(%q) = %v, %v; want error %q", tt.in, got, err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.in, err)
			}
			var entries []string
			for _, e := range got.Entries {
				entries = append(entries, render(e))
			}
			if diff := cmp.Diff(tt.want, entries); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.in, diff)
			}
			if lines := warningLines(t, got.Warnings); !slices.Equal(lines, tt.warn) {
				t.Errorf("Parse(%q) warns at %v: %v; want %v", tt.in, lines, got.Warnings, tt.warn)
			}
		})
	}
}

func TestParseWholeEntry(t *testing.T) {
	in := "\r\n# c\nfoo (1.0-1) a b; urgency=Low (x), Binary-Only=yes, XS-a=b c\n\n  * x \r\n\n    y\n\n" + trailer
	got, err := Parse(strings.NewReader(in), "debian/changelog")
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{{
		Source: "foo", Version: "1.0-1", Distributions: []string{"a", "b"}, Urgency: "low",
		Metadata: []KeyValue{{"Binary-Only", "yes"}, {"XS-a", "b c"}},
		Changes:  []string{"  * x ", "", "    y"}, Maintainer: "A B", Email: "a@b.c",
		Date: time.Date(2024, 1, 1, 9, 0, 0, 0, time.UTC), DateText: "Mon, 01 Jan 2024 10:00:00 +0100", Line: 3,
	}}
	if diff := cmp.Diff(want, got.Entries); diff != "" {
		t.Errorf("Parse(%q) (-want +got):\n%s", in, diff)
	}
	if w := fmt.Sprint(got.Warnings); w != "[debian/changelog:1: blank line where a heading was expected]" {
		t.Errorf("warnings = %s", w)
	}
}

func TestNewest(t *testing.T) {
	for _, tt := range []struct{ name, in, wantErr string }{
		{"complete", whole, ""},
		{"no heading", "\n  * x\n" + trailer, "f:2: newest entry names no source package; f:2: newest entry has no valid version; "},
		{"bad version", "# c\n" + strings.Replace(whole, "1.0-1", "v1", 1), "f:2: newest entry has no valid version; "},
		{"no trailer", heading + body, "f:1: newest entry has no date; "},
		{"bad date", strings.Replace(whole, "Jan", "Foo", 1), `f:1: newest entry has the unreadable date "Mon, 01 Foo 2024 10:00:00 +0100"; `},
	} {
		c, err := Parse(strings.NewReader(tt.in), "f")
		if err != nil {
			t.Fatal(err)
		}
		_, errSource := c.Source()
		_, errVersion := c.Version()
		_, errDate := c.Date()
		var got string
		for _, err := range []error{errSource, errVersion, errDate} {
			if err != nil {
				got += err.Error() + "; "
			}
		}
		if got != tt.wantErr {
			t.Errorf("%s: errors %q; want %q", tt.name, got, tt.wantErr)
		}
	}
	if _, err := new(Changelog).Version(); err == nil {
		t.Error("Version() of an empty Changelog = nil error")
	}
}

func TestParseFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "changelog")
	if _, err := ParseFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ParseFile of nothing = %v", err)
	}
	if err := os.WriteFile(path, []byte(whole), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := ParseFile(path); err != nil || c.File != path || len(c.Entries) != 1 {
		t.Errorf("ParseFile = %v, %v", c, err)
	}
}

func TestParseReadError(t *testing.T) {
	boom := errors.New("boom")
	for _, text := range []string{"", heading, whole + "vim:\n"} {
		r := iotest.TimeoutReader(strings.NewReader(text + strings.Repeat("x y\n", 5000)))
		if c, err := Parse(r, "f"); !errors.Is(err, iotest.ErrTimeout) || c != nil {
			t.Errorf("Parse(%q, then an error) = %v, %v", text, c, err)
		}
	}
	if _, err := Parse(iotest.ErrReader(boom), "f"); !errors.Is(err, boom) {
		t.Errorf("Parse(broken) = %v", err)
	}
	if _, err := Parse(strings.NewReader(whole+strings.Repeat("x", textfile.MaxLine+1)), "f"); !errors.Is(err, textfile.ErrLineTooLong) {
		t.Errorf("Parse(long line) = %v", err)
	}
}

// example is an entry that can be written.
func example() Entry {
	return Entry{
		Source: "foo", Version: "1.0-1", Distributions: []string{"unstable"}, Urgency: "low",
		Changes: []string{"  * x"}, Maintainer: "A B", Email: "a@b.c",
		Date: time.Date(2024, 1, 1, 10, 0, 0, 0, time.FixedZone("", 3600)),
	}
}

func TestFormat(t *testing.T) {
	second := example()
	second.Urgency, second.Metadata = "", []KeyValue{{"binary-only", "yes"}}
	second.DateText = "1 Jan 2024 10:00:00 +0100"
	got, err := Format(example(), second)
	want := whole + "\n" + strings.NewReplacer("urgency=low", "binary-only=yes", "Mon, 01", "1").Replace(whole)
	if err != nil || string(got) != want {
		t.Errorf("Format = %q, %v; want %q", got, err, want)
	}
}

func TestFormatRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Entry)
		want   string
	}{
		{"no source", func(e *Entry) { e.Source = "" }, "no source package"},
		{"source with blank", func(e *Entry) { e.Source = "f oo" }, "its source"},
		{"bad version", func(e *Entry) { e.Version = "v1" }, `version "v1": upstream version does not start with a digit`},
		{"blank around version", func(e *Entry) { e.Version = " 1" }, "its source"},
		{"no distribution", func(e *Entry) { e.Distributions = nil }, "no distribution"},
		{"two distributions in one", func(e *Entry) { e.Distributions = []string{"a b"} }, "its distributions"},
		{"urgency in capitals", func(e *Entry) { e.Urgency = "LOW" }, "its urgency"},
		{"forged key", func(e *Entry) { e.Urgency = "low, binary-only=yes" }, "its urgency"},
		{"urgency twice", func(e *Entry) { e.Metadata = []KeyValue{{"urgency", "high"}} }, "its metadata"},
		{"forged heading", func(e *Entry) { e.Urgency = "low\n\n  * y" }, "its urgency"},
		{"no changes", func(e *Entry) { e.Changes = nil }, "no changes"},
		{"change in first column", func(e *Entry) { e.Changes = []string{"* x"} }, `change "* x" does not begin with two blanks`},
		{"two lines in one", func(e *Entry) { e.Changes = []string{"  * x\n  * y"} }, "its changes"},
		{"forged entry", func(e *Entry) { e.Changes = []string{"  * x\n\n" + trailer + "\n" + heading + "\n  * y"} }, "1 entries would be read back as 2"},
		{"blank line last", func(e *Entry) { e.Changes = []string{"  * x", ""} }, "its changes"},
		{"blank line first", func(e *Entry) { e.Changes = []string{"", "  * x"} }, "its changes"},
		{"CR", func(e *Entry) { e.Changes = []string{"  * x\r"} }, "its changes"},
		{"newline in name", func(e *Entry) { e.Maintainer = "A\nB" }, "its maintainer"},
		{"no date", func(e *Entry) { e.Date = time.Time{} }, "no date"},
		{"fractional date", func(e *Entry) { e.Date = e.Date.Add(time.Millisecond) }, "its date"},
		{"date and text disagree", func(e *Entry) { e.DateText = "Mon, 01 Jan 2024 10:00:01 +0100" }, "its date"},
		{"unreadable date text", func(e *Entry) { e.DateText = "today" }, "its maintainer"},
	} {
		e := example()
		tt.change(&e)
		if got, err := Format(e); err == nil || !strings.Contains(err.Error(), tt.want) || got != nil {
			t.Errorf("%s: Format = %q, %v; want error with %q", tt.name, got, err, tt.want)
		}
	}
}

// sameAgain holds the law Parse(Format(v)) == v wherever Format succeeds, and
// reports whether it did.
func sameAgain(t *testing.T, entries []Entry) bool {
	t.Helper()
	text, err := Format(entries...)
	if err != nil {
		return false
	}
	again, err := Parse(bytes.NewReader(text), "f")
	if err != nil {
		t.Fatalf("Parse(Format(%+v)): %v", entries, err)
	}
	if diff := cmp.Diff(entries, again.Entries, cmpopts.IgnoreFields(Entry{}, "Line")); diff != "" {
		t.Errorf("Parse(Format(v)) (-v +got):\n%s", diff)
	}
	return true
}

func TestFormatParsed(t *testing.T) {
	for _, tt := range parseTests {
		c, err := Parse(strings.NewReader(tt.in), "f")
		if err != nil {
			continue
		}
		if !sameAgain(t, c.Entries) && len(tt.warn) == 0 {
			t.Errorf("%s: parsed without a warning, but cannot be written", tt.name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range parseTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		c, err := Parse(strings.NewReader(in), "f")
		if err != nil {
			if c != nil {
				t.Error("result beside an error")
			}
			return
		}
		if len(c.Entries) == 0 {
			t.Error("no entry and no error")
		}
		sameAgain(t, c.Entries)
	})
}
