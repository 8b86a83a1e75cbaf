// SPDX-License-Identifier: MIT

// Package control reads and writes Debian control data: stanzas of fields as
// deb822(5) describes them, in debian/control (deb-src-control(5)), in the
// control file of a binary package (deb-control(5)) and in indexes of such;
// relations between packages (Debian Policy 7), substitution variables
// (deb-substvars(5)), architecture wildcards (Policy 11.1) and build profiles.
//
// It accepts what the tools of dpkg 1.21 accept and refuses what they refuse.
// Errors about a file are [*textfile.Error] with the line. OpenPGP signatures
// are not read. Nothing here runs a program or reads the environment; values
// may be read by several goroutines as long as none changes them.
package control

import "strings"

// Field is one field of a [Stanza]. Value is the text after the colon, without
// the white space around it; the lines of a multi-line value are joined by
// "\n", without the one space that begins each continuation line ("." lines
// stay). No line has white space at its end. A value that begins on the line
// after the name begins with "\n".
type Field struct {
	Name  string // spelled as in the file
	Value string
	Line  int // of the field's name, from 1; 0: made by a program
}

// Stanza is an ordered list of fields. The zero value is empty and ready.
type Stanza struct {
	Fields []Field
}

// Lookup returns the field called name, in whatever case.
func (s Stanza) Lookup(name string) (Field, bool) {
	if i := s.index(name); i >= 0 {
		return s.Fields[i], true
	}
	return Field{}, false
}

// Get returns the value of the field called name, "" if there is none.
func (s Stanza) Get(name string) string {
	f, _ := s.Lookup(name)
	return f.Value
}

// Set gives the field called name a value, in place if there is one, else at
// the end. [Format] will say whether it can be written.
func (s *Stanza) Set(name, value string) {
	if i := s.index(name); i >= 0 {
		s.Fields[i].Value = value
		return
	}
	s.Fields = append(s.Fields, Field{Name: name, Value: value})
}

// Del removes the field called name, if there is one.
func (s *Stanza) Del(name string) {
	if i := s.index(name); i >= 0 {
		s.Fields = append(s.Fields[:i:i], s.Fields[i+1:]...)
	}
}

func (s Stanza) index(name string) int {
	for i, f := range s.Fields {
		if strings.EqualFold(f.Name, name) {
			return i
		}
	}
	return -1
}

// Unfold returns the value of the field called name as one line: each line
// break, with the white space around it, becomes a blank.
func (s Stanza) Unfold(name string) string {
	return unfold(s.Get(name))
}

func unfold(value string) string {
	lines := strings.Split(value, "\n")
	for i := range lines {
		lines[i] = strings.Trim(lines[i], whiteSpace)
	}
	return strings.TrimSpace(strings.Join(lines, " "))
}

// Synopsis returns the first line of the Description field.
func (s Stanza) Synopsis() string {
	first, _, _ := strings.Cut(s.Get("Description"), "\n")
	return first
}

// ExtendedDescription returns the lines of the Description field after the
// first; the lone dots that stand for empty lines are gone.
func (s Stanza) ExtendedDescription() string {
	_, text, _ := strings.Cut(s.Get("Description"), "\n")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line == "." {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// Description is the opposite of [Stanza.Synopsis] and
// [Stanza.ExtendedDescription]: the value of a Description field.
func Description(synopsis, extended string) string {
	value := synopsis
	if extended = strings.Trim(extended, "\n"); extended == "" {
		return value
	}
	for line := range strings.SplitSeq(extended, "\n") {
		if line = strings.TrimRight(line, whiteSpace); line == "" {
			line = "."
		}
		value += "\n" + line
	}
	return value
}
