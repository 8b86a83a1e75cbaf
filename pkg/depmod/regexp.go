// SPDX-License-Identifier: MIT

package depmod

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// compileKernel compiles the kernel version of a line: a POSIX extended
// regular expression as regcomp(3) of glibc takes it in the C locale, GNU's
// escapes included. Back references are not supported.
func compileKernel(expr string) (expression, error) {
	if expr == AnyKernel {
		return empty{}, nil
	}
	p := &exprParser{in: expr}
	e, err := p.alternatives(0)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", expr, err)
	}
	return e, nil
}

// matchKernel tells whether the line's kernel version fits: depmod takes one
// that it cannot compile as one that does not.
func matchKernel(expr, kver string) bool {
	e, err := compileKernel(expr)
	if err != nil {
		return false
	}
	m := &matcher{text: kver, steps: maxSteps}
	from := m.none()
	for i := range from {
		from[i] = true // anywhere
	}
	return slices.Contains(e.match(m, from), true) && m.steps > 0
}

// maxSteps bounds what a hostile expression takes, to well below a second.
const maxSteps = 1 << 16

// An expression maps the positions where it may begin to those where it may
// end.
type expression interface {
	match(m *matcher, from []bool) []bool
}

type matcher struct {
	text  string
	steps int
}

// none is no position.
func (m *matcher) none() []bool { return make([]bool, len(m.text)+1) }

func (m *matcher) wordAt(i int) bool { return i >= 0 && i < len(m.text) && isWord(m.text[i]) }

type (
	empty       struct{}
	class       [256]bool
	sequence    []expression
	alternation []expression
	assertion   func(m *matcher, at int) bool
	repetition  struct {
		of       expression
		min, max int // max -1: any number
	}
)

func (empty) match(_ *matcher, from []bool) []bool { return from }

func (c *class) match(m *matcher, from []bool) []bool {
	to := m.none()
	for i, ok := range from[:len(m.text)] {
		to[i+1] = ok && c[m.text[i]]
	}
	return to
}

func (s sequence) match(m *matcher, from []bool) []bool {
	for _, e := range s {
		from = e.match(m, from)
	}
	return from
}

func (a alternation) match(m *matcher, from []bool) []bool {
	to := m.none()
	for _, e := range a {
		union(to, e.match(m, from))
	}
	return to
}

func (a assertion) match(m *matcher, from []bool) []bool {
	to := m.none()
	for i, ok := range from {
		to[i] = ok && a(m, i)
	}
	return to
}

// match repeats until nothing changes: positions only move on.
func (r repetition) match(m *matcher, from []bool) []bool {
	to := m.none()
	if r.min == 0 {
		union(to, from)
	}
	for n := 1; n <= r.max || r.max < 0; n++ {
		if m.steps--; m.steps <= 0 {
			return m.none()
		}
		next := r.of.match(m, from)
		stable := slices.Equal(next, from)
		if n >= r.min || stable {
			union(to, next)
		}
		if stable || !slices.Contains(next, true) {
			break
		}
		from = next
	}
	return to
}

func union(dst, src []bool) {
	for i, ok := range src {
		dst[i] = dst[i] || ok
	}
}

// exprParser reads an expression with RE_SYNTAX_POSIX_EXTENDED.
type exprParser struct {
	in  string
	pos int
}

var (
	errRepeat   = errors.New("nothing to repeat")
	errInterval = errors.New("bad repeat count")
)

// maxGroups bounds nesting.
const maxGroups = 200

func (p *exprParser) more() bool { return p.pos < len(p.in) }

func (p *exprParser) take(s string) bool {
	if !strings.HasPrefix(p.in[p.pos:], s) {
		return false
	}
	p.pos += len(s)
	return true
}

// alternatives reads up to the end, or to the ")" of a group.
func (p *exprParser) alternatives(depth int) (expression, error) {
	if depth > maxGroups {
		return nil, errors.New("groups are nested too deeply")
	}
	var all alternation
	for {
		branch, err := p.branch(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, branch)
		if !p.take("|") {
			return all, nil
		}
	}
}

func (p *exprParser) branch(depth int) (expression, error) {
	var all sequence
	for p.more() && p.in[p.pos] != '|' && (depth == 0 || p.in[p.pos] != ')') {
		e, repeatable, err := p.atom(depth)
		for err == nil && repeatable && p.more() && strings.IndexByte("*+?{", p.in[p.pos]) >= 0 {
			e, err = p.repeat(e)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

func (p *exprParser) atom(depth int) (e expression, repeatable bool, err error) {
	c := p.in[p.pos]
	p.pos++
	switch c {
	case '*', '+', '?', '{':
		return nil, false, errRepeat
	case '^':
		return assertion(atStart), false, nil
	case '$':
		return assertion(atEnd), false, nil
	case '.':
		return classOf(func(byte) bool { return true }), true, nil
	case '(':
		e, err := p.alternatives(depth + 1)
		if err == nil && !p.take(")") {
			err = errors.New("( without )")
		}
		return e, true, err
	case '[':
		e, err := p.bracket()
		return e, true, err
	case '\\':
		return p.escape()
	}
	return classOf(func(b byte) bool { return b == c }), true, nil
}

func atStart(_ *matcher, at int) bool { return at == 0 }
func atEnd(m *matcher, at int) bool   { return at == len(m.text) }

// escape reads what follows a "\".
func (p *exprParser) escape() (e expression, repeatable bool, err error) {
	if !p.more() {
		return nil, false, errors.New(`\ at the end`)
	}
	c := p.in[p.pos]
	p.pos++
	switch c {
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return nil, false, errors.New("back references are not supported")
	case 'w':
		return classOf(isWord), true, nil
	case 'W':
		return classOf(func(b byte) bool { return !isWord(b) }), true, nil
	case 's':
		return classOf(posixClasses["space"]), true, nil
	case 'S':
		return classOf(func(b byte) bool { return !posixClasses["space"](b) }), true, nil
	case '`':
		return assertion(atStart), false, nil
	case '\'':
		return assertion(atEnd), false, nil
	case 'b':
		return assertion(func(m *matcher, at int) bool { return m.wordAt(at-1) != m.wordAt(at) }), false, nil
	case 'B':
		return assertion(func(m *matcher, at int) bool { return m.wordAt(at-1) == m.wordAt(at) }), false, nil
	case '<':
		return assertion(func(m *matcher, at int) bool { return !m.wordAt(at-1) && m.wordAt(at) }), false, nil
	case '>':
		return assertion(func(m *matcher, at int) bool { return m.wordAt(at-1) && !m.wordAt(at) }), false, nil
	}
	return classOf(func(b byte) bool { return b == c }), true, nil
}

// repeat reads one operator behind e.
func (p *exprParser) repeat(e expression) (expression, error) {
	c := p.in[p.pos]
	p.pos++
	switch c {
	case '*':
		return repetition{e, 0, -1}, nil
	case '+':
		return repetition{e, 1, -1}, nil
	case '?':
		return repetition{e, 0, 1}, nil
	}
	low := p.number()
	high := low
	if p.take(",") {
		low = max(low, 0)
		high = p.number()
	}
	if !p.take("}") || low < 0 || high >= 0 && high < low || max(low, high) > maxRepeat {
		return nil, errInterval
	}
	return repetition{e, low, high}, nil
}

// maxRepeat is RE_DUP_MAX.
const maxRepeat = 0x7fff

// number reads digits; -1 if there are none.
func (p *exprParser) number() int {
	n := -1
	for ; p.more() && p.in[p.pos] >= '0' && p.in[p.pos] <= '9'; p.pos++ {
		n = min(max(n, 0)*10+int(p.in[p.pos]-'0'), maxRepeat+1)
	}
	return n
}
