// SPDX-License-Identifier: MIT

package control

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// Substvars are substitution variables, deb-substvars(5). The zero value holds
// none but Newline, Space and Tab, which are always there.
type Substvars struct {
	vars map[string]substvarValue
}

type substvarValue struct {
	value    string
	optional bool // "?=": no complaint if it is not used
}

var (
	substvarLine = regexp.MustCompile(`^(\w[-:0-9A-Za-z]*)(\?)?=(.*)$`)
	substvarRef  = regexp.MustCompile(`\$\{([-:0-9A-Za-z]+)\}`)
	substvarName = regexp.MustCompile(`^\w[-:0-9A-Za-z]*$`)
)

// ParseSubstvars reads a substvars file; of two lines for one variable the
// last counts.
func ParseSubstvars(r io.Reader, name string) (*Substvars, error) {
	s := &Substvars{vars: map[string]substvarValue{}}
	sc := textfile.NewScanner(r, name)
	for sc.Scan() {
		line := strings.TrimRight(sc.Text(), whiteSpace)
		if trimmed := strings.TrimLeft(line, whiteSpace); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		m := substvarLine.FindStringSubmatch(line)
		if m == nil {
			return nil, sc.Errorf("line %q is not of the form NAME=VALUE", line)
		}
		s.vars[m[1]] = substvarValue{value: m[3], optional: m[2] != ""}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// Get returns the value of the variable called name.
func (s *Substvars) Get(name string) (string, bool) {
	if v, ok := s.vars[name]; ok {
		return v.value, true
	}
	switch name {
	case "Newline":
		return "\n", true
	case "Space":
		return " ", true
	case "Tab":
		return "\t", true
	}
	return "", false
}

// Set gives the variable called name a value.
func (s *Substvars) Set(name, value string) {
	if s.vars == nil {
		s.vars = map[string]substvarValue{}
	}
	s.vars[name] = substvarValue{value: value, optional: s.vars[name].optional}
}

// Format writes the variables as a substvars file, sorted by name. A value
// that is not one line is an error.
func (s *Substvars) Format() ([]byte, error) {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(s.vars)) {
		v, assign := s.vars[name], "="
		if v.optional {
			assign = "?="
		}
		switch {
		case !substvarName.MatchString(name):
			return nil, fmt.Errorf("format substvars: bad name %q", name)
		case strings.Contains(v.value, "\n") || v.value != strings.TrimRight(v.value, whiteSpace):
			return nil, fmt.Errorf("format substvars: value %q of %s cannot be written", v.value, name)
		}
		b.WriteString(name + assign + v.value + "\n")
	}
	return b.Bytes(), nil
}

const (
	// maxSubsts is how many variables dpkg replaces at one place before it
	// believes that they contain each other.
	maxSubsts = 50
	// maxTotal bounds what dpkg does not: variables that each contain the
	// next one twice.
	maxTotal = 10000
)

// Expand replaces the variables in text, those in their values as well. One
// that is not defined becomes nothing, and a warning.
func (s *Substvars) Expand(text string) (expanded string, warnings []error, err error) {
	whole := text
	var done strings.Builder
	count, rest := 0, 0
	for range maxTotal {
		m := substvarRef.FindStringSubmatchIndex(text)
		if m == nil {
			return done.String() + text, warnings, nil
		}
		if len(text)-m[1] < rest { // past what the last value brought
			count = 0
		}
		if count >= maxSubsts {
			break
		}
		rest = len(text) - m[1]
		name := text[m[2]:m[3]]
		value, ok := s.Get(name)
		if ok {
			count++
		} else {
			warnings = append(warnings, fmt.Errorf("substitution variable ${%s} is not defined", name))
		}
		keep := openRef.FindStringIndex(text[:m[0]])[0]
		done.WriteString(text[:keep])
		text = text[keep:m[0]] + value + text[m[1]:]
	}
	return "", nil, fmt.Errorf("too many substitutions in %.80q: do variables contain each other?", whole)
}

// openRef is the end of a text as far as it can become a reference together
// with the value that follows.
var openRef = regexp.MustCompile(`(?:\$(?:\{[-:0-9A-Za-z]*)?)?$`)

// commaFields are the fields, in lower case, whose values are lists with
// commas: dpkg tidies them after a substitution.
var commaFields = []string{
	"depends", "pre-depends", "recommends", "suggests", "enhances", "breaks", "conflicts", "replaces", "provides",
	"built-using", "static-built-using", "build-depends", "build-depends-arch", "build-depends-indep",
	"build-conflicts", "build-conflicts-arch", "build-conflicts-indep", "uploaders", "binary", "tag",
	"testsuite", "testsuite-triggers",
}

var (
	emptyPlaces = regexp.MustCompile(`,[,\s\v]*,`)
	outerComma  = regexp.MustCompile(`^` + space + `*,` + space + `*|` + space + `*,` + space + `*$`)
	emptyLine   = regexp.MustCompile(`\n[ \t]*(\n|$)`)
)

// ExpandField replaces the variables in the field's value as dpkg-gencontrol
// does: the commas and empty lines that empty variables leave in lists are
// taken away, and "${}" becomes "$".
func (s *Substvars) ExpandField(f Field) (Field, []error, error) {
	value, warnings, err := s.Expand(f.Value)
	if err != nil {
		return Field{}, nil, fmt.Errorf("field %s: %w", f.Name, err)
	}
	if value != f.Value && slices.Contains(commaFields, strings.ToLower(f.Name)) {
		if m := emptyLine.FindStringSubmatchIndex(value); m != nil { // dpkg: the first one alone
			value = value[:m[0]] + value[m[2]:m[3]] + value[m[1]:]
		}
		value = outerComma.ReplaceAllString(emptyPlaces.ReplaceAllString(value, ","), "")
	}
	f.Value = strings.ReplaceAll(value, "${}", "$")
	return f, warnings, nil
}
