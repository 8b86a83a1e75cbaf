// SPDX-License-Identifier: MIT

package debhelper

import (
	"os"
	"slices"
	"strings"
)

// Glob returns the files below the source package that pattern matches, in the
// first of dirs where it matches any, each with that directory before it:
// "./src/a.c", "debian/tmp/usr/a". Whether none is an error is for the caller to
// say; dh_install fails.
//
// It knows what csh knows and dh_install allows: "*", "?", "[a-z]", "[!a]",
// "{a,b}" and "\" before a character that shall stand for itself; a dot at the
// beginning of a name has to be written. A pattern that is a file's own name
// matches that file. Symbolic links are found, whatever they point to.
func (s *Session) Glob(pattern string, dirs ...string) []string {
	for _, dir := range dirs {
		full := dir + "/" + pattern
		var found []string
		for _, p := range braces(full) {
			found = append(found, s.globPath(p)...)
		}
		if len(found) == 0 && s.exists(full) {
			found = []string{full}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

func (s *Session) exists(name string) bool {
	_, err := os.Lstat(s.path(name))
	return err == nil
}

// maxBraces bounds what "{a,b}{a,b}{a,b}..." may grow to.
const maxBraces = 10000

// braces expands the alternatives in pattern. One that never ends stays as it
// is.
func braces(pattern string) []string {
	todo, done := []string{pattern}, []string(nil)
	for len(todo) > 0 {
		p := todo[0]
		todo = todo[1:]
		open, closing, commas := firstBrace(p)
		if closing < 0 || len(todo)+len(done) > maxBraces {
			done = append(done, p)
			continue
		}
		var parts []string
		start := open + 1
		for _, end := range append(commas, closing) {
			parts = append(parts, p[:open]+p[start:end]+p[closing+1:])
			start = end + 1
		}
		todo = append(parts, todo...)
	}
	return done
}

// firstBrace finds the first alternative of p; closing is -1 if there is none.
func firstBrace(p string) (open, closing int, commas []int) {
	depth, open := 0, -1
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '[':
			if end := classEnd(p, i); end > 0 {
				i = end
			}
		case '{':
			if open < 0 {
				open = i
			}
			depth++
		case ',':
			if depth == 1 {
				commas = append(commas, i)
			}
		case '}':
			if depth--; depth == 0 {
				return open, i, commas
			}
			depth = max(depth, 0)
		}
	}
	return -1, -1, nil
}

// classEnd returns the place of the "]" of the character class that begins at
// p[i], -1 if there is none in this part of the path.
func classEnd(p string, i int) int {
	for j := i + 1; j < len(p) && p[j] != '/'; j++ {
		first := j == i+1 || j == i+2 && p[i+1] == '!'
		if p[j] == ']' && !first {
			return j
		}
	}
	return -1
}

// globPath matches one part of the path after the other.
func (s *Session) globPath(pattern string) []string {
	found := []string{""}
	rest := pattern
	for rest != "" {
		i := strings.IndexByte(rest, '/')
		part, slash := rest, ""
		if i >= 0 {
			part, slash, rest = rest[:i], "/", rest[i+1:]
		} else {
			rest = ""
		}
		var next []string
		for _, dir := range found {
			for _, name := range s.globName(dir, part) {
				next = append(next, dir+name+slash)
			}
		}
		found = next
	}
	return slices.DeleteFunc(found, func(name string) bool { return !s.exists(name) })
}

// globName returns the names in dir that part of a pattern matches, without
// regard to case in their order; part itself, not looked up, if it is no
// pattern.
func (s *Session) globName(dir, part string) []string {
	plain, special := unescape(part)
	if !special {
		return []string{plain}
	}
	entries, err := os.ReadDir(s.path(dir))
	if err != nil {
		return nil // no directory, or not ours to read: no match, as in a shell
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(plain, ".") {
			continue
		}
		if matchName(part, e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.SortStableFunc(names, func(a, b string) int {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
	return names
}

// unescape returns part without its backslashes, and whether it is a pattern.
func unescape(part string) (plain string, special bool) {
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case c == '\\' && i+1 < len(part):
			i++
		case c == '*' || c == '?' || c == '[' && classEnd(part, i) > 0:
			special = true
		}
		b.WriteByte(part[i])
	}
	return b.String(), special
}

// matchName matches a whole name, byte by byte.
func matchName(pattern, name string) bool {
	p, n := 0, 0
	star, from := -1, 0 // where to go on when the name does not fit
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			star, from = p, n
			p++
			continue
		}
		if size, ok := matchByte(pattern[p:], name[n]); ok {
			p, n = p+size, n+1
			continue
		}
		if star < 0 {
			return false
		}
		from++
		p, n = star+1, from
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchByte matches c with what pattern begins with, and says how long that is.
func matchByte(pattern string, c byte) (size int, ok bool) {
	if pattern == "" {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	case '[':
		if end := classEnd(pattern, 0); end > 0 {
			return end + 1, inClass(pattern[1:end], c)
		}
	}
	return 1, pattern[0] == c
}

// inClass reports whether c is in the class that inside describes, "a-z" or
// "!a-z".
func inClass(inside string, c byte) bool {
	inside, not := strings.CutPrefix(inside, "!")
	in := false
	for i := 0; i < len(inside); i++ {
		low, high := inside[i], inside[i]
		if i+2 < len(inside) && inside[i+1] == '-' {
			high = inside[i+2]
			i += 2
		}
		in = in || low <= c && c <= high
	}
	return in != not
}
