// SPDX-License-Identifier: MIT

package debhelper

import (
	"fmt"
	"slices"
	"strings"
)

func substvarsFile(p *Package) string { return "debian/" + p.Name + ".substvars" }

// AddSubstvar adds an item, such as "dkms (>= 3.0.3)", to the comma-separated
// list that is the value of p's substitution variable called name,
// "misc:Depends". The items are sorted, each is there once; a "?=" stays one.
func (s *Session) AddSubstvar(p *Package, name, item string) error {
	return s.editSubstvar(p, name, item, func(old []string) []string {
		if slices.Contains(old, item) {
			return old
		}
		return sortedUnique(append(slices.Clone(old), item))
	})
}

// RemoveSubstvar takes an item out of the list, and the variable with it if
// nothing else is there.
func (s *Session) RemoveSubstvar(p *Package, name, item string) error {
	return s.editSubstvar(p, name, item, func(old []string) []string {
		if !slices.Contains(old, item) {
			return old
		}
		return slices.DeleteFunc(sortedUnique(old), func(one string) bool { return one == item })
	})
}

// SetSubstvar makes value the whole value of p's substitution variable called
// name, whatever was there; "" is a value too.
func (s *Session) SetSubstvar(p *Package, name, value string) error {
	return s.editSubstvar(p, name, value, func([]string) []string { return []string{value} })
}

// DelSubstvar removes p's substitution variable called name.
func (s *Session) DelSubstvar(p *Package, name string) error {
	return s.editSubstvar(p, name, "", func([]string) []string { return nil })
}

// editSubstvar replaces the list of items of one variable, nil: no such
// variable. item is the text that change puts in or takes out.
func (s *Session) editSubstvar(p *Package, name, item string, change func([]string) []string) error {
	if err := checkSubstvar(name, item); err != nil {
		return err
	}
	old, err := s.readOptional(substvarsFile(p))
	if err != nil {
		return err
	}
	lines, found := []string(nil), false
	for line := range strings.Lines(string(old)) {
		line = strings.TrimSuffix(line, "\n")
		assign, value, ok := cutSubstvar(line, name)
		if ok {
			found = true
			var items []string
			if value != "" {
				items = strings.Split(value, ", ")
			}
			if items = change(items); len(items) == 0 {
				continue
			}
			line = name + assign + strings.Join(items, ", ")
		}
		lines = append(lines, line)
	}
	if items := change(nil); !found && len(items) > 0 {
		lines = append(lines, name+"="+strings.Join(items, ", "))
	}
	text := strings.Join(append(lines, ""), "\n")
	if text == string(old) {
		return nil
	}
	return s.writeFile(substvarsFile(p), text, 0o644)
}

// cutSubstvar takes "name=value" or "name?=value" apart.
func cutSubstvar(line, name string) (assign, value string, ok bool) {
	rest, ok := strings.CutPrefix(line, name)
	if !ok {
		return "", "", false
	}
	for _, assign := range []string{"=", "?="} {
		if value, ok := strings.CutPrefix(rest, assign); ok {
			return assign, value, true
		}
	}
	return "", "", false
}

func checkSubstvar(name, value string) error {
	if name == "" || strings.ContainsAny(name, "=?{}"+whiteSpace) {
		return fmt.Errorf("bad name %q of a substitution variable", name)
	}
	if strings.ContainsAny(value, "\n\r") {
		return fmt.Errorf("substitution variable %s: newline in %q; it is written ${Newline}", name, value)
	}
	return nil
}
