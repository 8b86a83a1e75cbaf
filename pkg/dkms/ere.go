// SPDX-License-Identifier: MIT

package dkms

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// compileERE translates an extended regular expression as bash's =~ takes it
// (regcomp(3) of glibc with REG_EXTENDED) into one of package regexp. It
// refuses back references, collating elements of several characters and
// repeat counts above 1000. Character classes are those of ASCII.
func compileERE(expr string) (*regexp.Regexp, error) {
	t := translator{in: expr}
	out, err := t.alternatives(0)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", expr, err)
	}
	re, err := regexp.Compile("(?s:" + out + ")")
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", expr, err)
	}
	return re, nil
}

type translator struct {
	in  string
	pos int
}

func (t *translator) more() bool { return t.pos < len(t.in) }

func (t *translator) next() rune {
	r, n := utf8.DecodeRuneInString(t.in[t.pos:])
	t.pos += n
	return r
}

func (t *translator) peek() byte {
	if !t.more() {
		return 0
	}
	return t.in[t.pos]
}

// maxDepth bounds nested groups, as the regexp package does.
const maxDepth = 1000

// alternatives reads up to the end or to the ")" of a group.
func (t *translator) alternatives(depth int) (string, error) {
	if depth > maxDepth {
		return "", errors.New("groups are nested too deeply")
	}
	var out strings.Builder
	repeatable := false // whether the thing before may be repeated
	start := 0          // where it starts in out
	for t.more() {
		if t.peek() == ')' && depth > 0 {
			break
		}
		c := t.next()
		if repeat := c == '*' || c == '+' || c == '?' || c == '{'; repeat {
			if !repeatable {
				return "", fmt.Errorf("nothing before %q to repeat", c)
			}
			count, err := t.repeat(c)
			if err != nil {
				return "", err
			}
			atom := out.String()[start:]
			head := out.String()[:start]
			out.Reset()
			out.WriteString(head + "(?:" + atom + ")" + count)
			continue
		}
		start = out.Len()
		atom, err := t.atom(c, depth)
		if err != nil {
			return "", err
		}
		out.WriteString(atom)
		repeatable = c != '|' && c != '^' && c != '$'
	}
	return out.String(), nil
}

func (t *translator) atom(c rune, depth int) (string, error) {
	switch c {
	case '|', '.', '^', '$':
		return string(c), nil
	case '(':
		inner, err := t.alternatives(depth + 1)
		if err != nil {
			return "", err
		}
		if t.peek() != ')' {
			return "", errors.New("( without )")
		}
		t.pos++
		return "(?:" + inner + ")", nil
	case '[':
		return t.bracket()
	case '\\':
		return t.escape()
	}
	return regexp.QuoteMeta(string(c)), nil
}

func (t *translator) escape() (string, error) {
	if !t.more() {
		return "", errors.New(`\ at the end`)
	}
	c := t.next()
	switch {
	case c >= '1' && c <= '9':
		return "", errors.New("back references are not supported")
	case strings.ContainsRune("wWsSbB", c):
		return `\` + string(c), nil
	case c == '<' || c == '>':
		return `\b`, nil
	case c == '`':
		return `\A`, nil
	case c == '\'':
		return `\z`, nil
	}
	return regexp.QuoteMeta(string(c)), nil
}

// repeat reads the rest of an operator and returns it for package regexp.
func (t *translator) repeat(c rune) (string, error) {
	if c != '{' {
		return string(c), nil
	}
	text, _, ok := strings.Cut(t.in[t.pos:], "}")
	if !ok {
		return "", errors.New("{ without }")
	}
	t.pos += len(text) + 1
	low, high, span := strings.Cut(text, ",")
	if span && low == "" {
		low = "0"
	}
	n, err := strconv.ParseUint(low, 10, 16)
	m := n
	if err == nil && span && high != "" {
		m, err = strconv.ParseUint(high, 10, 16)
	}
	if err != nil || m < n {
		return "", fmt.Errorf("bad repeat count {%s}", text)
	}
	switch {
	case !span:
		return fmt.Sprintf("{%d}", n), nil
	case high == "":
		return fmt.Sprintf("{%d,}", n), nil
	}
	return fmt.Sprintf("{%d,%d}", n, m), nil
}

var posixClasses = "alnum alpha blank cntrl digit graph lower print punct space upper xdigit "

// bracket reads what follows a "[".
func (t *translator) bracket() (string, error) {
	var out strings.Builder
	out.WriteByte('[')
	if t.peek() == '^' {
		t.pos++
		out.WriteByte('^')
	}
	for first := true; ; first = false {
		if t.peek() == ']' && !first {
			t.pos++
			out.WriteByte(']')
			return out.String(), nil
		}
		if rest := t.in[t.pos:]; strings.HasPrefix(rest, "[:") {
			class, _, ok := strings.Cut(rest[2:], ":]")
			if !ok || class == "" || !strings.Contains(posixClasses, class+" ") || strings.Contains(class, " ") {
				return "", errors.New("unknown character class")
			}
			t.pos += len(class) + 4
			out.WriteString("[:" + class + ":]")
			continue
		}
		low, err := t.element(first)
		if err != nil {
			return "", err
		}
		high := low
		if rest := t.in[t.pos:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			t.pos++
			if high, err = t.element(true); err != nil {
				return "", err
			}
		}
		if high < low {
			return "", fmt.Errorf("range %c-%c is reversed", low, high)
		}
		fmt.Fprintf(&out, `\x{%x}-\x{%x}`, low, high)
	}
}

// element reads one character of a bracket expression. A "-" that neither
// begins nor ends the expression nor a range is refused, as in glibc.
func (t *translator) element(dash bool) (rune, error) {
	rest := t.in[t.pos:]
	for _, kind := range []string{".", "="} {
		if strings.HasPrefix(rest, "["+kind) {
			name, _, ok := strings.Cut(rest[2:], kind+"]")
			if !ok || utf8.RuneCountInString(name) != 1 {
				return 0, errors.New("collating elements are not supported")
			}
			t.pos += len(name) + 4
			r, _ := utf8.DecodeRuneInString(name)
			return r, nil
		}
	}
	if rest == "" {
		return 0, errors.New("[ without ]")
	}
	if rest[0] == '-' && !dash && len(rest) > 1 && rest[1] != ']' {
		return 0, errors.New("misplaced - in [ ]")
	}
	return t.next(), nil
}
