// SPDX-License-Identifier: MIT

package control

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Relations is the value of a field such as Depends (Policy 7.1): all of the
// alternatives are wanted.
type Relations []Alternatives

// Alternatives are relations of which one is wanted: "a | b".
type Alternatives []Relation

// Relation names one package. Name, Qualifier, Version and Archs may be or
// contain substitution variables such as ${misc:Depends}, which stay text.
type Relation struct {
	Name      string
	Qualifier string   // after the colon: any, native, an architecture; ""
	Operator  string   // <<, <=, =, >=, >>; "" without a version
	Version   string   // not checked
	Archs     []string // [amd64 !i386] without the brackets
	Profiles  Profiles // <!nocheck>
}

// AnyOf returns the named packages as alternatives.
func AnyOf(names ...string) Alternatives {
	var a Alternatives
	for _, name := range names {
		a = append(a, Relation{Name: name})
	}
	return a
}

// Exactly returns "name (= version)".
func Exactly(name, version string) Alternatives {
	return Alternatives{{Name: name, Operator: "=", Version: version}}
}

const (
	space    = `[\s\v]`
	substvar = `\$\{[-:0-9A-Za-z]+\}`
)

// relation is NAME[:ARCH] [(RELATION VERSION)] [[ARCH...]] [<PROFILE...>]...
var relation = regexp.MustCompile(`^` +
	`((?:[A-Za-z0-9]|` + substvar + `)(?:[-+.A-Za-z0-9]|` + substvar + `)*)` +
	`(?::((?:[A-Za-z0-9]|` + substvar + `)(?:[-A-Za-z0-9]|` + substvar + `)*))?` +
	`(?:` + space + `*\(` + space + `*(<<|<=|=|>=|>>|<|>)` + space + `*([^)\s\v]+)` + space + `*\))?` +
	`(?:` + space + `*\[([^\]]+)\])?` +
	`((?:` + space + `*<[^<>]+>)*)$`)

var legalArch = regexp.MustCompile(`^!?(?:[A-Za-z0-9]|` + substvar + `)(?:[-A-Za-z0-9]|` + substvar + `)*$`)

// ParseRelations reads a relation field as dpkg's build tools do: empty places
// between commas and at the end of alternatives do not count, the obsolete "<"
// and ">" mean "<=" and ">=". Substitution variables need not be expanded.
//
// pault.ag/go/debian/dependency is not used: it takes "foo[amd64]" for a name,
// moves the architectures before the version and loses the braces of "${x:Y}".
func ParseRelations(text string) (Relations, error) {
	var all Relations
	for place := range strings.SplitSeq(text, ",") {
		alternatives, err := parseAlternatives(strings.Trim(place, whiteSpace))
		if err != nil {
			return nil, err
		}
		if alternatives != nil {
			all = append(all, alternatives)
		}
	}
	return all, nil
}

func parseAlternatives(text string) (Alternatives, error) {
	text = strings.TrimRight(text, whiteSpace+"|")
	if text == "" {
		return nil, nil
	}
	var all Alternatives
	for one := range strings.SplitSeq(text, "|") {
		r, err := parseRelation(strings.Trim(one, whiteSpace))
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func parseRelation(text string) (Relation, error) {
	m := relation.FindStringSubmatch(text)
	if m == nil {
		return Relation{}, fmt.Errorf("bad relation %q", text)
	}
	r := Relation{Name: m[1], Qualifier: m[2], Operator: m[3], Version: m[4]}
	if r.Operator == "<" || r.Operator == ">" {
		r.Operator += "="
	}
	if m[5] != "" {
		r.Archs = strings.Fields(m[5])
		bad := slices.IndexFunc(r.Archs, func(a string) bool { return !legalArch.MatchString(a) })
		if bad >= 0 || len(r.Archs) == 0 {
			return Relation{}, fmt.Errorf("bad architecture list [%s] in relation %q", m[5], text)
		}
	}
	var err error
	if r.Profiles, err = ParseProfiles(m[6]); err != nil {
		return Relation{}, fmt.Errorf("relation %q: %w", text, err)
	}
	return r, nil
}

// String writes the relations in one line.
func (all Relations) String() string { return join(all, ", ") }

// String writes the alternatives with " | " between them.
func (all Alternatives) String() string { return join(all, " | ") }

func join[T fmt.Stringer](all []T, separator string) string {
	var texts []string
	for _, one := range all {
		texts = append(texts, one.String())
	}
	return strings.Join(texts, separator)
}

// String writes the relation in the order of Policy 7.1.
func (r Relation) String() string {
	text := r.Name
	if r.Qualifier != "" {
		text += ":" + r.Qualifier
	}
	if r.Operator != "" {
		text += " (" + r.Operator + " " + r.Version + ")"
	}
	if len(r.Archs) > 0 {
		text += " [" + strings.Join(r.Archs, " ") + "]"
	}
	if len(r.Profiles) > 0 {
		text += " " + r.Profiles.String()
	}
	return text
}

// Applies reports whether the relation counts for a build on arch, which is no
// wildcard, with the given build profiles.
func (r Relation) Applies(arch string, profiles []string) bool {
	return (r.Archs == nil || MatchArchList(arch, r.Archs)) && r.Profiles.Match(profiles)
}

// Names returns the package names in order of appearance, each once.
func (all Relations) Names() []string {
	var names []string
	for _, alternatives := range all {
		for _, r := range alternatives {
			if !slices.Contains(names, r.Name) {
				names = append(names, r.Name)
			}
		}
	}
	return names
}
