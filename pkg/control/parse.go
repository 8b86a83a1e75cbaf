// SPDX-License-Identifier: MIT

package control

import (
	"bytes"
	"io"
	"os"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// whiteSpace is what dpkg takes for white space.
const whiteSpace = " \t\n\v\f\r"

// ParseFile reads the stanzas of the file at path as [Parse] does.
func ParseFile(path string) ([]Stanza, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Parse(f, path)
}

// Parse reads any number of stanzas, as dpkg's tools read debian/control and
// indexes: lines of white space separate stanzas, lines that begin with "#"
// are comments wherever they stand. name is how messages call the input.
func Parse(r io.Reader, name string) ([]Stanza, error) {
	p := parser{sc: textfile.NewScanner(r, name)}
	for p.sc.Scan() {
		if err := p.line(p.sc.Text()); err != nil {
			return nil, err
		}
	}
	if err := p.sc.Err(); err != nil {
		return nil, err
	}
	p.end()
	return p.stanzas, nil
}

type parser struct {
	sc      *textfile.Scanner
	stanzas []Stanza
	fields  []Field        // of the present stanza
	lines   map[string]int // of its fields, by lower-case name
	value   []string       // lines of the present field
}

func (p *parser) line(text string) error {
	text = strings.TrimRight(text, whiteSpace)
	switch {
	case text == "":
		p.end()
		return nil
	case text[0] == '#':
		return nil
	case strings.IndexByte(whiteSpace, text[0]) >= 0:
		if len(p.fields) == 0 {
			return p.sc.Errorf("continuation line %q outside of a field", text)
		}
		p.value = append(p.value, text[1:])
		return nil
	}
	name, value, ok := strings.Cut(text, ":")
	name = strings.TrimRight(name, whiteSpace)
	switch {
	case !ok || name == "" || strings.ContainsAny(name, whiteSpace):
		return p.sc.Errorf("line %q is not of the form NAME: VALUE", text)
	case name[0] == '-':
		return p.sc.Errorf("field name %q begins with a hyphen", name)
	}
	return p.field(name, strings.TrimLeft(value, whiteSpace))
}

func (p *parser) field(name, value string) error {
	lower := strings.ToLower(name)
	if before, ok := p.lines[lower]; ok {
		return p.sc.Errorf("duplicate field %s, first on line %d", name, before)
	}
	if p.lines == nil {
		p.lines = map[string]int{}
	}
	p.lines[lower] = p.sc.Line()
	p.endField()
	p.fields = append(p.fields, Field{Name: name, Line: p.sc.Line()})
	p.value = []string{value}
	return nil
}

func (p *parser) endField() {
	if n := len(p.fields); n > 0 {
		p.fields[n-1].Value = strings.Join(p.value, "\n")
	}
}

// end ends the present stanza, if there is one.
func (p *parser) end() {
	p.endField()
	if len(p.fields) > 0 {
		p.stanzas = append(p.stanzas, Stanza{Fields: p.fields})
	}
	p.fields, p.lines, p.value = nil, nil, nil
}

// maxControl bounds a control file; the largest in Debian have some 100 kB.
const maxControl = 16 << 20

// ParseOne reads the control file of a binary package: exactly one stanza,
// with what dpkg-deb wants to find and nothing that it refuses. Of what it
// merely warns about nothing is said.
func ParseOne(r io.Reader, name string) (Stanza, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxControl+1))
	switch {
	case err != nil:
		return Stanza{}, textfile.Errorf(name, 0, "%w", err)
	case len(text) > maxControl:
		return Stanza{}, textfile.Errorf(name, 0, "larger than %d bytes", maxControl)
	}
	if err := checkText(text, name); err != nil {
		return Stanza{}, err
	}
	stanzas, err := Parse(bytes.NewReader(text), name)
	if err != nil {
		return Stanza{}, err
	}
	switch len(stanzas) {
	case 0:
		return Stanza{}, textfile.Errorf(name, 0, "no stanza found")
	case 1:
		if err := checkBinary(stanzas[0], name); err != nil {
			return Stanza{}, err
		}
		return stanzas[0], nil
	}
	return Stanza{}, textfile.Errorf(name, stanzas[1].Fields[0].Line, "second stanza; only one is allowed here")
}

// checkText finds what Parse overlooks and dpkg-deb does not, line by line.
func checkText(text []byte, name string) error {
	sc := textfile.NewScanner(bytes.NewReader(text), name)
	last := ""
	for sc.Scan() {
		last = sc.Text()
		switch {
		case last == "":
		case last[0] == '#':
			return sc.Errorf("comment %q; none are allowed here", last)
		case strings.Trim(last, whiteSpace) == "":
			return sc.Errorf("line of white space")
		case strings.ContainsRune(last, '\x1a'):
			return sc.Errorf("end-of-file character (^Z) in %q", last)
		}
	}
	if err := sc.Err(); err != nil {
		return err
	}
	if n := len(text); n > 0 && text[n-1] != '\n' {
		return sc.Errorf("last line %q does not end in a newline", last)
	}
	if _, value, ok := strings.Cut(last, ":"); ok && last[0] != ' ' && last[0] != '\t' && strings.Trim(value, whiteSpace) == "" {
		return sc.Errorf("nothing after the empty field %q; dpkg wants a line more", last)
	}
	return nil
}
