// SPDX-License-Identifier: MIT

package debhelper

import (
	"os"
	"path"
	"slices"
	"strings"
)

// Glob returns the files below the source package that pattern matches, in the
// first of dirs where it matches any, each with that directory before it:
// "./src/a.c", "debian/tmp/usr/a". None is no error.
//
// It knows what csh knows and dh_install allows: "*", "?", "[a-z]", "[!a]",
// "{a,b}" and "\" before a character that shall stand for itself; a dot at the
// beginning of a name has to be written. A pattern that is a file's own name
// matches that file. Symbolic links are found, whatever they point to.
func (s *Session) Glob(pattern string, dirs ...string) ([]string, error) {
	for _, dir := range dirs {
		full := dir + "/" + pattern
		var found []string
		for _, p := range braces(full) {
			matches, err := s.globPath(p)
			if err != nil {
				return nil, err
			}
			found = append(found, matches...)
		}
		if len(found) == 0 && s.exists(full) {
			found = []string{full}
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
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
func (s *Session) globPath(pattern string) ([]string, error) {
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
			names, err := s.globName(dir, part)
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				next = append(next, dir+name+slash)
			}
		}
		found = next
	}
	return slices.DeleteFunc(found, func(name string) bool { return !s.exists(name) }), nil
}

// globName returns the names in dir that part of a pattern matches, without
// regard to case in their order; part itself, not looked up, if it is no
// pattern.
func (s *Session) globName(dir, part string) ([]string, error) {
	expr, plain := translate(part)
	if expr == "" {
		return []string{plain}, nil
	}
	entries, err := os.ReadDir(s.path(dir))
	if err != nil {
		return nil, nil // no directory, or not ours to read: no match, as in a shell
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(plain, ".") {
			continue
		}
		ok, err := path.Match(expr, e.Name())
		if err != nil {
			return nil, err
		}
		if ok {
			names = append(names, e.Name())
		}
	}
	slices.SortStableFunc(names, func(a, b string) int {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
	return names, nil
}

// translate turns part of a csh pattern into one for [path.Match]; "" if it
// has nothing special. plain is part without its backslashes.
func translate(part string) (expr, plain string) {
	var e, p strings.Builder
	special := false
	for i := 0; i < len(part); i++ {
		c := part[i]
		end := -1
		if c == '[' {
			end = classEnd(part, i)
		}
		switch {
		case c == '\\' && i+1 < len(part):
			i++
			e.WriteString(`\` + part[i:i+1])
			p.WriteByte(part[i])
			continue
		case c == '*' || c == '?':
			special = true
			e.WriteByte(c)
		case end > 0:
			special = true
			e.WriteString(class(part[i+1 : end]))
			p.WriteString(part[i:end])
			i, c = end, ']'
		case strings.IndexByte(`[]\`, c) >= 0:
			e.WriteString(`\` + string(c))
		default:
			e.WriteByte(c)
		}
		p.WriteByte(c)
	}
	if !special {
		return "", p.String()
	}
	return e.String(), p.String()
}

// class writes the inside of a character class for [path.Match].
func class(inside string) string {
	not := ""
	if rest, ok := strings.CutPrefix(inside, "!"); ok {
		not, inside = "^", rest
	}
	var b strings.Builder
	for i := 0; i < len(inside); i++ {
		c := inside[i]
		if c == '-' && (i == 0 || i+1 == len(inside)) || strings.IndexByte(`[]^\`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return "[" + not + b.String() + "]"
}
