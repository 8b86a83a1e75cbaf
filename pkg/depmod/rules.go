// SPDX-License-Identifier: MIT

package depmod

import (
	"slices"
	"strings"
)

// rules are the lines of a configuration that hold for one kernel, in the
// order in which depmod looks at them: the last one first.
type rules struct {
	dir       string
	overrides []Override
	searches  []Search
	externals []External
	excludes  []Exclude
}

func newRules(c *Config, t *Tree) *rules {
	r := &rules{dir: t.Dir, searches: slices.Clone(c.Searches), excludes: c.Excludes}
	slices.Reverse(r.searches)
	for _, o := range slices.Backward(c.Overrides) {
		if matchKernel(o.Kernel, t.Kernel) {
			r.overrides = append(r.overrides, o)
		}
	}
	for _, e := range slices.Backward(c.Externals) {
		if matchKernel(e.Kernel, t.Kernel) {
			r.externals = append(r.externals, e)
		}
	}
	return r
}

// candidate is one file as depmod compares it: names end with the module's,
// without extension.
type candidate struct {
	shown string // as a user knows it
	path  string // absolute
	key   string // path without extension
	rel   string // key below the tree; "" for others
}

func (r *rules) candidate(file string) *candidate {
	c := &candidate{shown: strings.TrimPrefix(file, r.dir+"/"), path: file}
	if !strings.HasPrefix(file, "/") {
		c.path = r.dir + "/" + file
	}
	c.key = c.path[:strings.LastIndexByte(c.path, '/')+1] + spelling(c.path)
	// depmod compares the names up to the end of dir, but does not look for a
	// "/": DIR-extra/x.ko is "extra/x".
	if strings.HasPrefix(c.path, r.dir) && len(c.key) > len(r.dir) {
		c.rel = c.key[len(r.dir)+1:]
	}
	return c
}

func (c *candidate) overriddenBy(o Override) bool { return c.rel == o.Dir+"/"+o.Module }

// below tells whether dir holds the path.
func below(path, dir string) bool {
	return len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}

// keeps tells whether depmod, which has found old first, keeps it.
func (r *rules) keeps(old, new *candidate) bool {
	for _, o := range r.overrides {
		switch {
		case new.overriddenBy(o):
			return false
		case old.overriddenBy(o):
			return true
		}
	}
	rank, rest, oldRank, newRank := 0, -1, -1, -1
	for _, s := range r.searches {
		switch {
		case s.Dir == BuiltIn:
			rest = rank
		case s.Dir == ExternalDirs:
			for _, e := range r.externals {
				if below(new.key, e.Dir) {
					newRank = rank
				}
				if below(old.key, e.Dir) {
					oldRank = rank
				}
				rank++
			}
		case below(new.rel, s.Dir):
			// If it holds old, too, old gets nothing: depmod's own slip, and
			// why the last one wins in updates.
			newRank = rank
		case below(old.rel, s.Dir):
			oldRank = rank
		}
		rank++
	}
	if newRank < 0 {
		newRank = rest
	}
	if oldRank < 0 {
		oldRank = rest
	}
	return newRank <= oldRank
}

// beats tells whether a wins over b, whichever depmod finds first.
func (r *rules) beats(a, b *candidate) bool { return r.keeps(a, b) && !r.keeps(b, a) }

// roots are the directories that depmod reads, in its order.
func (r *rules) roots() []string {
	roots := []string{r.dir}
	for _, e := range r.externals {
		roots = append(roots, e.Dir)
	}
	return roots
}

// way returns what depmod walks from a root to a file; false if the file is
// not below it, or excluded. The other results are then the excluded word and
// its line, which is zero for the names that depmod never looks at.
func (r *rules) way(root, path string) (parts []string, word string, at Origin, ok bool) {
	rest, ok := strings.CutPrefix(path, root+"/")
	if !ok {
		return nil, "", Origin{}, false
	}
	parts = strings.Split(rest, "/")
	for _, part := range parts {
		if part == "build" || part == "source" {
			return nil, part, Origin{}, false
		}
		for _, e := range r.excludes {
			if e.Name == part {
				return nil, part, e.Origin, false
			}
		}
	}
	return parts, "", Origin{}, true
}

// unseen returns why depmod does not come across a file; false if it does.
func (r *rules) unseen(c *candidate) (Loser, bool) {
	l := Loser{File: c.shown, Why: "in no directory that depmod reads"}
	for _, root := range r.roots() {
		_, word, at, ok := r.way(root, c.path)
		switch {
		case ok:
			return Loser{}, false
		case word != "":
			l.Why, l.At = "excluded: "+word, at
		}
	}
	return l, true
}
