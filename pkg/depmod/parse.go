// SPDX-License-Identifier: MIT

package depmod

import (
	"bytes"
	"iter"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// logical is a line after its continuations were joined.
type logical struct {
	first, last int // numbers of physical lines
	text        string
}

// logicalLines splits a file as depmod does: a "\" is dropped, and the
// character after it loses its meaning. A line ends at a NUL byte for all who
// look at it.
func logicalLines(data []byte) iter.Seq[logical] {
	return func(yield func(logical) bool) {
		var text []byte
		first, last := 1, 1
		for i := 0; i < len(data); i++ {
			switch {
			case data[i] == '\n':
				if !yield(logical{first, last, cString(text)}) {
					return
				}
				last++
				text, first = nil, last
			case data[i] != '\\':
				text = append(text, data[i])
			case i+1 == len(data):
				text = append(text, endOfFile)
			default:
				i++
				if data[i] == '\n' {
					last++
				} else {
					text = append(text, data[i])
				}
			}
		}
		if len(text) > 0 {
			yield(logical{first, last, cString(text)})
		}
	}
}

// endOfFile is what kmod 30 takes for the character after a "\" that ends the
// file.
const endOfFile = 0xff

func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

func (c *Config) parse(s Source) {
	for line := range logicalLines(s.Data) {
		at := Origin{s.Path, line.first}
		words := strings.FieldsFunc(line.text, func(r rune) bool { return r == ' ' || r == '\t' })
		switch {
		case len(words) == 0:
		case line.text[0] == '#':
			if line.last > line.first {
				c.warnf(at, `the comment goes on to line %d, because of the \`, line.last)
			}
		default:
			if strings.HasSuffix(line.text, "\r") {
				c.warnf(at, "the carriage return at the end is part of the last word")
			}
			c.directive(at, words[0], words[1:])
		}
	}
}

func (c *Config) warnf(at Origin, format string, args ...any) {
	c.Warnings = append(c.Warnings, textfile.Errorf(at.File, at.Line, format, args...))
}

func (c *Config) directive(at Origin, name string, words []string) {
	switch {
	case name == "search":
		for _, dir := range words {
			c.warnSlash(at, dir)
			c.Searches = append(c.Searches, Search{dir, at})
		}
	case name == "exclude":
		for _, word := range words {
			if strings.Contains(word, "/") {
				c.warnf(at, "exclude takes the name of a directory, and %q is a path: it excludes nothing", word)
			}
			c.Excludes = append(c.Excludes, Exclude{word, at})
		}
	case name == "override" && len(words) >= 3:
		c.warnKernel(at, words[1])
		c.warnSlash(at, words[2])
		c.warnRest(at, words[3:])
		c.Overrides = append(c.Overrides, Override{words[0], words[1], words[2], at})
	case name == "external" && len(words) >= 2:
		c.warnKernel(at, words[0])
		c.warnRest(at, words[2:])
		if !strings.HasPrefix(words[1], "/") {
			c.warnf(at, "%q is not absolute: it depends on where depmod is started", words[1])
		}
		c.Externals = append(c.Externals, External{words[0], words[1], at})
	case name == "override":
		c.warnf(at, "depmod ignores an override without module, kernel and directory")
	case name == "external":
		c.warnf(at, "depmod ignores an external without kernel and directory")
	case name == "make_map_files" || name == "include":
		c.warnf(at, "depmod ignores %s", name)
	default:
		c.warnf(at, "depmod ignores lines that start with %q", name)
	}
}

// warnSlash tells of directories that cannot match: depmod compares up to the
// "/" behind them.
func (c *Config) warnSlash(at Origin, dir string) {
	if strings.HasSuffix(dir, "/") {
		c.warnf(at, "%q holds no file for depmod, because of the / at its end", dir)
	}
}

func (c *Config) warnRest(at Origin, words []string) {
	if len(words) > 0 {
		c.warnf(at, "depmod ignores what follows: %q", words)
	}
}

func (c *Config) warnKernel(at Origin, expr string) {
	if _, err := compileKernel(expr); err != nil {
		c.warnf(at, "no kernel matches: %w", err)
	}
}
