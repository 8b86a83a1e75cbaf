// SPDX-License-Identifier: MIT

package kernel

import (
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// Limits of one file: how deep references nest, how many are followed in all,
// and how many bytes one expands to.
const (
	maxDepth      = 32
	maxReferences = 10000
	maxValue      = 1 << 16
)

// makeVars are the variables of a makefile that only sets variables, such as
// Debian's .kernelvariables. Values are kept unexpanded, as make keeps those
// of "=".
type makeVars struct {
	values map[string]string
	fixed  map[string]bool // set by the command line or "override", which alone changes them
	getenv func(string) string
	refs   int // followed so far
}

// newMakeVars begins with make's environment and the "NAME=VALUE" of its
// command line.
func newMakeVars(getenv func(string) string, command ...string) *makeVars {
	v := &makeVars{values: map[string]string{}, fixed: map[string]bool{}, getenv: getenv}
	for _, arg := range command {
		name, value, _ := strings.Cut(arg, "=")
		v.values[name], v.fixed[name] = value, true
	}
	return v
}

// makeVarsParser reads one file into vars.
type makeVarsParser struct {
	vars  *makeVars
	sc    *textfile.Scanner
	conds []condition // the open ifeq, ifdef
}

// condition is one open conditional: live where its lines count.
type condition struct{ outer, live, seenElse bool }

// parse reads a makefile of assignments (=, :=, ?=, +=, with override or export
// before them), ifeq, ifneq, ifdef, ifndef, export and comments. Whatever else
// make knows is an error, so that no value is ever guessed.
func (v *makeVars) parse(r io.Reader, file string) error {
	p := &makeVarsParser{vars: v, sc: textfile.NewScanner(r, file)}
	for p.sc.Scan() {
		line, _, _ := strings.Cut(p.sc.Text(), "#")
		if strings.HasSuffix(line, `\`) || strings.HasPrefix(line, "\t") {
			return p.sc.Errorf("%q is not a plain assignment", p.sc.Text())
		}
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := p.line(line); err != nil {
			return p.sc.Errorf("%q: %w", line, err)
		}
	}
	if err := p.sc.Err(); err != nil {
		return err
	}
	if len(p.conds) > 0 {
		return p.sc.Errorf("missing endif")
	}
	return nil
}

// exportRE is a line that hands variables down and sets none.
var exportRE = regexp.MustCompile(`^export(?:[ \t]+[A-Za-z0-9_]+)*$`)

func (p *makeVarsParser) live() bool {
	return len(p.conds) == 0 || p.conds[len(p.conds)-1].live
}

func (p *makeVarsParser) line(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "ifeq", "ifneq", "ifdef", "ifndef":
		return p.open(word, rest)
	case "else", "endif":
		if rest != "" || len(p.conds) == 0 {
			return errors.New("not expected here")
		}
		return p.close(word)
	}
	if !p.live() || exportRE.MatchString(line) {
		return nil
	}
	return p.assign(line)
}

func (p *makeVarsParser) open(word, rest string) error {
	c := condition{outer: p.live()}
	if c.outer {
		met, err := p.test(word, rest)
		if err != nil {
			return err
		}
		c.live = met
	}
	p.conds = append(p.conds, c)
	return nil
}

func (p *makeVarsParser) close(word string) error {
	c := &p.conds[len(p.conds)-1]
	switch {
	case word == "endif":
		p.conds = p.conds[:len(p.conds)-1]
	case c.seenElse:
		return errors.New("second else")
	default:
		c.seenElse, c.live = true, c.outer && !c.live
	}
	return nil
}

// test decides ifeq (A,B), ifneq (A,B), ifdef X and ifndef X.
func (p *makeVarsParser) test(word, rest string) (bool, error) {
	if word == "ifdef" || word == "ifndef" {
		return (p.vars.raw(rest) != "") == (word == "ifdef"), nil
	}
	if !strings.HasPrefix(rest, "(") || !strings.HasSuffix(rest, ")") {
		return false, errors.New("not (A,B)")
	}
	args := splitArgs(rest[1 : len(rest)-1])
	if len(args) != 2 {
		return false, errors.New("not (A,B)")
	}
	a, err := p.vars.expand(strings.TrimSpace(args[0]), 0)
	if err != nil {
		return false, err
	}
	b, err := p.vars.expand(strings.TrimSpace(args[1]), 0)
	return (a == b) == (word == "ifeq"), err
}

func (p *makeVarsParser) assign(line string) error {
	i := strings.IndexByte(line, '=')
	if i < 0 {
		return errors.New("not an assignment")
	}
	name, value, op := line[:i], strings.TrimLeft(line[i+1:], " \t"), "="
	if i > 0 && strings.IndexByte(":?+!", name[i-1]) >= 0 {
		name, op = strings.TrimRight(name, ":?+!"), name[i-1:]
	}
	name, override := cutModifiers(name)
	if name == "" || strings.ContainsAny(name, " \t$(){}:") {
		return errors.New("not an assignment")
	}
	if p.vars.fixed[name] && !override {
		return nil
	}
	p.vars.fixed[name] = override
	switch op {
	case ":":
		var err error
		if value, err = p.vars.expand(value, 0); err != nil {
			return err
		}
		value = strings.ReplaceAll(value, "$", "$$")
	case "?":
		if p.vars.raw(name) != "" {
			return nil
		}
	case "+":
		value = strings.TrimSpace(p.vars.raw(name) + " " + value)
	case "!":
		return errors.New("runs a shell")
	}
	p.vars.values[name] = value
	return nil
}

// cutModifiers takes "override" and "export" from in front of a name.
func cutModifiers(s string) (name string, override bool) {
	for s = strings.TrimSpace(s); ; s = strings.TrimSpace(s) {
		rest, found := strings.CutPrefix(s, "override ")
		override = override || found
		if rest, found = strings.CutPrefix(rest, "export "); !found && rest == s {
			return s, override
		}
		s = rest
	}
}

// raw is a variable's value as written; the environment's where no line set it.
func (v *makeVars) raw(name string) string {
	if value, ok := v.values[name]; ok {
		return value
	}
	if v.getenv == nil {
		return ""
	}
	return strings.ReplaceAll(v.getenv(name), "$", "$$")
}

// value is a variable's value as make would use it.
func (v *makeVars) value(name string) (string, error) {
	value, err := v.expand(v.raw(name), 0)
	return strings.TrimSpace(value), err
}

// expand replaces the references in s.
func (v *makeVars) expand(s string, depth int) (string, error) {
	if depth > maxDepth {
		return "", errors.New("refers to itself")
	}
	if v.refs++; v.refs > maxReferences {
		return "", errors.New("too many references")
	}
	var out strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) {
			out.WriteString(s)
			break
		}
		out.WriteString(s[:i])
		ref, rest, err := cutReference(s[i+1:])
		if err != nil {
			return "", err
		}
		value, err := v.reference(ref, depth+1)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		s = rest
		if out.Len() > maxValue {
			return "", errors.New("expands to too much")
		}
	}
	return out.String(), nil
}

// cutReference takes the reference behind a "$": its inside and the rest.
func cutReference(s string) (ref, rest string, err error) {
	closing := map[byte]byte{'(': ')', '{': '}'}[s[0]]
	if closing == 0 {
		return s[:1], s[1:], nil
	}
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case s[0]:
			depth++
		case closing:
			if depth--; depth == 0 {
				return s[1:i], s[i+1:], nil
			}
		}
	}
	return "", "", errors.New("unterminated reference")
}

// reference is what $(ref) stands for: a variable, $$, or the function "if".
func (v *makeVars) reference(ref string, depth int) (string, error) {
	if ref == "$" {
		return "$", nil
	}
	function, rest, ok := strings.Cut(ref, " ")
	if !ok {
		name, err := v.expand(ref, depth)
		if err != nil {
			return "", err
		}
		if strings.ContainsAny(name, " \t:") {
			return "", errors.New("not a plain variable")
		}
		return v.expand(v.raw(name), depth)
	}
	args := splitArgs(rest)
	if function != "if" || len(args) < 2 || len(args) > 3 {
		return "", errors.New("function " + function + " is not supported")
	}
	cond, err := v.expand(strings.TrimSpace(args[0]), depth)
	if err != nil {
		return "", err
	}
	switch {
	case cond != "":
		return v.expand(args[1], depth)
	case len(args) == 3:
		return v.expand(args[2], depth)
	}
	return "", nil
}

// splitArgs splits at the commas outside of parentheses and braces.
func splitArgs(s string) []string {
	var args []string
	depth, start := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '(', '{':
			depth++
		case ')', '}':
			depth--
		case ',':
			if depth == 0 {
				args = append(args, s[start:i])
				start = i + 1
			}
		}
	}
	return append(args, s[start:])
}
