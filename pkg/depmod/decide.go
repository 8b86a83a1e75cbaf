// SPDX-License-Identifier: MIT

package depmod

import (
	"maps"
	"slices"
	"strings"
)

// Decision is which file of one module depmod takes.
type Decision struct {
	Module string // the name, with "_" for "-"

	// Winners holds the file that depmod takes, as [Tree] names it. It is
	// empty if all files are excluded, and holds several where it depends on
	// the order in which depmod happens to read directories.
	Winners []string

	Losers []Loser // the other files, sorted by name
}

// Loser is a file that depmod does not take.
type Loser struct {
	File string
	To   string // a file that it loses to; "" if it is excluded
	Why  string // "search order: updates before built-in"
	At   Origin // the line that Why speaks of
}

// Ambiguous tells whether depmod's choice depends on the order of readdir(3).
func (d *Decision) Ambiguous() bool { return len(d.Winners) > 1 }

// Wins tells whether depmod takes that file, in whatever order it reads.
func (d *Decision) Wins(file string) bool { return len(d.Winners) == 1 && d.Winners[0] == file }

// Decide returns the decision for each module of the tree, by module name.
func (c *Config) Decide(t *Tree) map[string]*Decision {
	r := newRules(c, t)
	groups := map[string][]*candidate{}
	for _, file := range slices.Concat(t.Files, t.External) {
		if t.isModule(file) {
			name := ModuleName(file)
			groups[name] = append(groups[name], r.candidate(file))
		}
	}
	decisions := make(map[string]*Decision, len(groups))
	for name, group := range groups {
		decisions[name] = r.decide(name, group)
	}
	return decisions
}

func (r *rules) decide(name string, files []*candidate) *Decision {
	slices.SortFunc(files, func(a, b *candidate) int { return strings.Compare(a.path, b.path) })
	files = slices.CompactFunc(files, func(a, b *candidate) bool { return a.path == b.path })
	d := &Decision{Module: name}
	var seen, winners []*candidate
	for _, c := range files {
		if l, unseen := r.unseen(c); unseen {
			d.Losers = append(d.Losers, l)
		} else {
			seen = append(seen, c)
		}
	}
	for _, i := range newReading(r, seen).winners() {
		winners = append(winners, seen[i])
		d.Winners = append(d.Winners, seen[i].shown)
	}
	for _, c := range seen {
		if !slices.Contains(winners, c) {
			d.Losers = append(d.Losers, r.explain(winners, c))
		}
	}
	slices.SortStableFunc(d.Losers, func(a, b Loser) int { return strings.Compare(a.File, b.File) })
	return d
}

// set is a set of candidates by their number; nothing stands for "none yet".
type set uint64

const nothing = 63

func (s set) has(i int) bool { return s&(1<<i) != 0 }

func (s set) members() []int {
	var out []int
	for i := 0; i <= nothing; i++ {
		if s.has(i) {
			out = append(out, i)
		}
	}
	return out
}

// reading plays all the orders in which depmod can come across the files of
// one module: those of a directory in any order, but each directory in one go.
type reading struct {
	rules *rules
	files []*candidate
	roots []*directory
	seen  map[step]set
}

type directory struct {
	kids map[string]*directory
	file int // number of the candidate, for a file
}

type step struct {
	at  *directory
	had int
}

func newReading(r *rules, files []*candidate) *reading {
	g := &reading{rules: r, files: files}
	if len(files) < 2 {
		return g
	}
	g.seen = map[step]set{}
	for _, dir := range r.roots() {
		root := &directory{file: -1}
		for i, f := range files {
			if parts, _, _, ok := r.way(dir, f.path); ok {
				root.add(parts, i)
			}
		}
		g.roots = append(g.roots, root)
	}
	return g
}

func (d *directory) add(parts []string, file int) {
	if d.kids == nil {
		d.kids = map[string]*directory{}
	}
	kid := d.kids[parts[0]]
	if kid == nil {
		kid = &directory{file: -1}
		d.kids[parts[0]] = kid
	}
	if len(parts) == 1 {
		kid.file = file
		return
	}
	kid.add(parts[1:], file)
}

// winners are the files that can be left at the end, in their order.
func (g *reading) winners() []int {
	var every []int
	for i := range g.files {
		every = append(every, i)
	}
	if len(every) < 2 || len(every) >= nothing {
		return g.unbeaten(every)
	}
	had := set(1 << nothing)
	for _, root := range g.roots {
		had = g.read(root, had)
	}
	return (had &^ (1 << nothing)).members()
}

// unbeaten are those of the files that no other of them beats in both orders.
func (g *reading) unbeaten(files []int) []int {
	beaten := func(i int) bool {
		return slices.ContainsFunc(files, func(j int) bool { return g.rules.beats(g.files[j], g.files[i]) })
	}
	if left := slices.DeleteFunc(slices.Clone(files), beaten); len(left) > 0 {
		return left
	}
	return files // they beat each other in a circle
}

// read returns what depmod may have after d if it had one of those before.
func (g *reading) read(d *directory, had set) set {
	var out set
	for _, i := range had.members() {
		s := step{d, i}
		if _, ok := g.seen[s]; !ok {
			g.seen[s] = g.readOne(d, i)
		}
		out |= g.seen[s]
	}
	return out
}

// maxKids bounds the orders that are played. In a directory with more files or
// directories of one module any unbeaten file may win, as far as we say.
const maxKids = 8

func (g *reading) readOne(d *directory, had int) set {
	kids := slices.Collect(maps.Values(d.kids))
	switch {
	case d.file >= 0 && had == nothing, d.file >= 0 && !g.rules.keeps(g.files[had], g.files[d.file]):
		return 1 << d.file
	case d.file >= 0 || len(kids) == 0:
		return 1 << had
	case len(kids) > maxKids:
		return g.anyOf(d, had)
	}
	after := make([]set, 1<<len(kids)) // by the set of kids that were read
	after[0] = 1 << had
	for done, s := range after {
		for k, kid := range kids {
			if done&(1<<k) == 0 {
				after[done|1<<k] |= g.read(kid, s)
			}
		}
	}
	return after[len(after)-1]
}

// anyOf are the unbeaten files of d and the one before.
func (g *reading) anyOf(d *directory, had int) set {
	files := d.files(nil)
	if had != nothing {
		files = append(files, had)
	}
	var out set
	for _, i := range g.unbeaten(files) {
		out |= 1 << i
	}
	return out
}

func (d *directory) files(files []int) []int {
	if d.file >= 0 {
		files = append(files, d.file)
	}
	for _, kid := range d.kids {
		files = kid.files(files)
	}
	return files
}
