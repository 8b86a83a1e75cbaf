// SPDX-License-Identifier: MIT

package control

import (
	"fmt"
	"slices"
	"strings"
)

// Profiles is a restriction formula over build profiles: of the lists one must
// hold, with all of its terms, "stage1" or "!stage1". An empty formula holds
// always.
type Profiles [][]string

// ParseProfiles reads the value of a Build-Profiles field, "<a !b> <c>".
func ParseProfiles(text string) (Profiles, error) {
	var all Profiles
	for rest := strings.Trim(text, whiteSpace); rest != ""; rest = strings.TrimLeft(rest, whiteSpace) {
		list, after, ok := strings.Cut(rest, ">")
		terms := strings.Fields(strings.TrimPrefix(list, "<"))
		bad := slices.IndexFunc(terms, func(term string) bool {
			return strings.TrimPrefix(term, "!") == "" || strings.Contains(term, "<")
		})
		if !ok || rest[0] != '<' || len(terms) == 0 || bad >= 0 {
			return nil, fmt.Errorf("bad build profiles %q", text)
		}
		all, rest = append(all, terms), after
	}
	return all, nil
}

// String writes the formula.
func (p Profiles) String() string {
	var lists []string
	for _, terms := range p {
		lists = append(lists, "<"+strings.Join(terms, " ")+">")
	}
	return strings.Join(lists, " ")
}

// Match reports whether the formula holds where the given profiles are active.
func (p Profiles) Match(active []string) bool {
	if len(p) == 0 {
		return true
	}
	return slices.ContainsFunc(p, func(terms []string) bool {
		return !slices.ContainsFunc(terms, func(term string) bool {
			name, not := strings.CutPrefix(term, "!")
			return slices.Contains(active, name) == not
		})
	})
}
