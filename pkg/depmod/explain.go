// SPDX-License-Identifier: MIT

package depmod

import (
	"fmt"
	"strings"
)

// explain says why a file loses: by the first rule that lets a winner beat it
// in both orders.
func (r *rules) explain(winners []*candidate, loser *candidate) Loser {
	out := Loser{File: loser.shown, To: winners[0].shown, Why: "read before others of its rank are"}
	for _, w := range winners {
		if r.beats(w, loser) {
			out.To = w.shown
			out.Why, out.At = r.why(w, loser)
			return out
		}
	}
	if strings.HasPrefix(loser.shown, "/") {
		out.Why = "of equal rank, and external directories are read last"
	}
	return out
}

// why names the line by which w beats the loser.
func (r *rules) why(w, loser *candidate) (string, Origin) {
	for _, o := range r.overrides {
		if w.overriddenBy(o) {
			return fmt.Sprintf("override %s %s %s", o.Module, o.Kernel, o.Dir), o.Origin
		}
	}
	first, at := r.found(w)
	second, _ := r.found(loser)
	text := fmt.Sprintf("search order: %s before %s", first, second)
	if at == (Origin{}) {
		text += ", " + at.String()
	}
	return text, at
}

// found is the word of the search lines that a file is found by, and its
// place.
func (r *rules) found(c *candidate) (string, Origin) {
	word, at := "", Origin{}
	rest, restAt := "all else", Origin{}
	for _, s := range r.searches {
		switch {
		case s.Dir == BuiltIn:
			rest, restAt = s.Dir, s.Origin
		case s.Dir == ExternalDirs:
			for _, e := range r.externals {
				if below(c.key, e.Dir) {
					word, at = "external "+e.Dir, s.Origin
				}
			}
		case below(c.rel, s.Dir):
			word, at = s.Dir, s.Origin
		}
	}
	if word == "" {
		return rest, restAt
	}
	return word, at
}

// String is one sentence: which file loses to which, and why.
func (l Loser) String() string {
	why := l.Why
	if l.At != (Origin{}) {
		why += ", " + l.At.String()
	}
	if l.To == "" {
		return fmt.Sprintf("%s is not looked at (%s)", l.File, why)
	}
	return fmt.Sprintf("%s loses to %s (%s)", l.File, l.To, why)
}

// Explain tells in one line each why files lose, or that it is not certain
// which file wins; "" if the module has one file.
func (d *Decision) Explain() string {
	var lines []string
	if d.Ambiguous() {
		lines = append(lines, strings.Join(d.Winners, " or ")+
			": of equal rank, the order in which depmod happens to read directories decides")
	}
	for _, l := range d.Losers {
		lines = append(lines, l.String())
	}
	return strings.Join(lines, "\n")
}
