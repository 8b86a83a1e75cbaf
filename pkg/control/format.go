// SPDX-License-Identifier: MIT

package control

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Format writes stanzas, with an empty line between them. [Parse] reads back
// what was given, line numbers apart; a value of which that would not be true
// is an error, and so are an empty value and control characters, which dpkg
// does not take everywhere. Nothing is reshaped: an empty line within a value
// has to be a "." already ([Description] does that).
func Format(stanzas ...Stanza) ([]byte, error) {
	var b bytes.Buffer
	for i, s := range stanzas {
		if len(s.Fields) == 0 {
			return nil, errors.New("format control data: stanza without fields")
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		seen := map[string]bool{}
		for _, f := range s.Fields {
			lower := strings.ToLower(f.Name)
			if seen[lower] {
				return nil, fmt.Errorf("format control data: duplicate field %s", f.Name)
			}
			seen[lower] = true
			if err := f.check(); err != nil {
				return nil, fmt.Errorf("format control data: %w", err)
			}
			f.write(&b)
		}
	}
	return b.Bytes(), nil
}

func (f Field) write(b *bytes.Buffer) {
	first, rest, more := strings.Cut(f.Value, "\n")
	b.WriteString(f.Name + ":")
	if first != "" {
		b.WriteString(" " + first)
	}
	b.WriteByte('\n')
	if !more {
		return
	}
	for line := range strings.SplitSeq(rest, "\n") {
		b.WriteString(" " + line + "\n")
	}
}

func (f Field) check() error {
	if err := checkFieldName(f.Name); err != nil {
		return err
	}
	if f.Value == "" {
		return fmt.Errorf("field %s: empty value", f.Name)
	}
	for i, line := range strings.Split(f.Value, "\n") {
		switch {
		case strings.ContainsFunc(line, isControl):
			return fmt.Errorf("field %s: control character in %q", f.Name, line)
		case line != strings.TrimRight(line, whiteSpace):
			return fmt.Errorf("field %s: white space at the end of line %q", f.Name, line)
		case i == 0 && line != strings.TrimLeft(line, whiteSpace):
			return fmt.Errorf("field %s: white space before value %q", f.Name, line)
		case i > 0 && line == "":
			return fmt.Errorf("field %s: empty line in value %q", f.Name, f.Value)
		}
	}
	return nil
}

// checkFieldName holds deb822(5): printable ASCII but the colon, no "#" or
// hyphen first.
func checkFieldName(name string) error {
	if name == "" || name[0] == '#' || name[0] == '-' {
		return fmt.Errorf("bad field name %q", name)
	}
	for _, r := range name {
		if r <= ' ' || r >= 0x7f || r == ':' {
			return fmt.Errorf("character %q in field name %q", r, name)
		}
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
