// SPDX-License-Identifier: MIT

package depmod

import (
	"errors"
	"fmt"
	"strings"
)

func isWord(b byte) bool { return b == '_' || posixClasses["alnum"](b) }

func classOf(has func(byte) bool) *class {
	var c class
	for b := range c {
		c[b] = has(byte(b))
	}
	return &c
}

// posixClasses are those of the C locale.
var posixClasses = map[string]func(byte) bool{
	"alnum":  func(b byte) bool { return isAlpha(b) || isDigit(b) },
	"alpha":  isAlpha,
	"blank":  func(b byte) bool { return b == ' ' || b == '\t' },
	"cntrl":  func(b byte) bool { return b < ' ' || b == 0x7f },
	"digit":  isDigit,
	"graph":  isGraph,
	"lower":  func(b byte) bool { return b >= 'a' && b <= 'z' },
	"print":  func(b byte) bool { return b == ' ' || isGraph(b) },
	"punct":  func(b byte) bool { return isGraph(b) && !isAlpha(b) && !isDigit(b) },
	"space":  func(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' },
	"upper":  func(b byte) bool { return b >= 'A' && b <= 'Z' },
	"xdigit": func(b byte) bool { return isDigit(b) || b|0x20 >= 'a' && b|0x20 <= 'f' },
}

func isAlpha(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
func isDigit(b byte) bool { return b >= '0' && b <= '9' }
func isGraph(b byte) bool { return b > ' ' && b < 0x7f }

var errBracket = errors.New("[ without ]")

// bracket reads what follows a "[".
func (p *exprParser) bracket() (expression, error) {
	negated := p.take("^")
	var set class
	for first := true; first || !p.take("]"); first = false {
		low, members, err := p.element(first)
		if err != nil {
			return nil, err
		}
		if members != nil {
			for b := range set {
				set[b] = set[b] || members(byte(b))
			}
			continue
		}
		high := low
		if rest := p.in[p.pos:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			p.pos++
			if high, members, err = p.element(true); err != nil {
				return nil, err
			}
		}
		if high < low || members != nil {
			return nil, errors.New("bad range in [ ]")
		}
		for b := int(low); b <= int(high); b++ {
			set[b] = true
		}
	}
	if negated {
		for b := range set {
			set[b] = !set[b]
		}
	}
	return &set, nil
}

// element reads one character of a bracket expression, or a class of them. A
// "-" that neither begins nor ends the expression nor a range is refused, as
// in glibc.
func (p *exprParser) element(dash bool) (c byte, members func(byte) bool, err error) {
	if !p.more() {
		return 0, nil, errBracket
	}
	rest := p.in[p.pos:]
	for _, kind := range []string{".", "=", ":"} {
		if strings.HasPrefix(rest, "["+kind) {
			return p.named(kind)
		}
	}
	if rest[0] == '-' && !dash && !strings.HasPrefix(rest, "-]") {
		return 0, nil, errors.New("misplaced - in [ ]")
	}
	p.pos++
	return rest[0], nil, nil
}

// named reads "[:class:]", "[=c=]" or "[.c.]".
func (p *exprParser) named(kind string) (c byte, members func(byte) bool, err error) {
	name, _, ok := strings.Cut(p.in[p.pos+2:], kind+"]")
	if !ok {
		return 0, nil, errBracket
	}
	p.pos += len(name) + 4
	if kind == ":" {
		if members, ok = posixClasses[name]; !ok {
			return 0, nil, fmt.Errorf("unknown character class %q", name)
		}
		return 0, members, nil
	}
	if len(name) != 1 {
		return 0, nil, fmt.Errorf("unknown character %q", name)
	}
	if kind == "=" {
		return 0, func(b byte) bool { return b == name[0] }, nil
	}
	return name[0], nil, nil
}
