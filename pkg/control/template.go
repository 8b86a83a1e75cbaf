// SPDX-License-Identifier: MIT

package control

import (
	"io"
	"os"

	"github.com/gokms/gokms/pkg/textfile"
)

// Template is debian/control, deb-src-control(5): the source package's stanza
// and one for each binary package.
type Template struct {
	File     string // as the user named it
	Source   Stanza
	Packages []Stanza
}

// ParseTemplateFile reads the debian/control at path.
func ParseTemplateFile(path string) (*Template, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseTemplate(f, path)
}

// ParseTemplate reads a debian/control; name is how messages call it.
func ParseTemplate(r io.Reader, name string) (*Template, error) {
	stanzas, err := Parse(r, name)
	if err != nil {
		return nil, err
	}
	if len(stanzas) == 0 {
		return nil, textfile.Errorf(name, 0, "no stanza found")
	}
	if err := needs(stanzas[0], name, "Source"); err != nil {
		return nil, err
	}
	for _, s := range stanzas[1:] {
		if err := needs(s, name, "Package", "Architecture"); err != nil {
			return nil, err
		}
	}
	return &Template{File: name, Source: stanzas[0], Packages: stanzas[1:]}, nil
}

func needs(s Stanza, file string, names ...string) error {
	for _, name := range names {
		if _, ok := s.Lookup(name); !ok {
			return textfile.Errorf(file, s.Fields[0].Line, "stanza without the field %s", name)
		}
	}
	return nil
}

// Package returns the stanza of the binary package called name.
func (t *Template) Package(name string) (Stanza, bool) {
	for _, s := range t.Packages {
		if s.Get("Package") == name {
			return s, true
		}
	}
	return Stanza{}, false
}

// BuildDepends returns what is in Build-Depends, Build-Depends-Arch and
// Build-Depends-Indep, in this order, whatever architecture or profile it is
// restricted to.
func (t *Template) BuildDepends() (Relations, error) {
	var all Relations
	for _, name := range []string{"Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep"} {
		f, _ := t.Source.Lookup(name)
		relations, err := ParseRelations(f.Value)
		if err != nil {
			return nil, textfile.Errorf(t.File, f.Line, "field %s: %w", f.Name, err)
		}
		all = append(all, relations...)
	}
	return all, nil
}
