// SPDX-License-Identifier: MIT

package dkms

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// ErrNotStatic is returned by [Peek] if only a shell can tell.
var ErrNotStatic = errors.New("not a plain value")

// parse reads shell text as bash does; errors carry file and line.
func parse(text, file string) (*syntax.File, error) {
	prog, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), file)
	if err == nil {
		return prog, nil
	}
	if e, ok := errors.AsType[syntax.ParseError](err); ok {
		line := int(e.Pos.Line())
		e.Filename, e.Pos = "", syntax.Pos{} // the line is said once
		return nil, &textfile.Error{File: file, Line: line, Err: &syntaxError{e}}
	}
	if e, ok := errors.AsType[syntax.LangError](err); ok {
		return nil, textfile.Errorf(file, int(e.Pos.Line()), "shell syntax: %s is not bash", e.Feature)
	}
	return nil, &textfile.Error{File: file, Err: err}
}

type syntaxError struct{ err syntax.ParseError }

func (e *syntaxError) Error() string { return "shell syntax: " + e.err.Text }
func (e *syntaxError) Unwrap() error { return e.err }

// places tells on which line the elements of directives were last assigned,
// as far as that can be seen without running the file.
type places map[string]map[int]int

// anyIndex is the key for an index that is computed.
const anyIndex = -1

func (p places) add(name string, index int, line uint) {
	if p[name] == nil {
		p[name] = map[int]int{}
	}
	if index == anyIndex && p[name][anyIndex] != 0 {
		line = 0 // the second of its kind: nobody knows which is meant
	}
	p[name][index] = int(line)
}

// line returns the line of an element, 0 if unknown.
func (p places) line(name string, index int) int {
	if line, ok := p[name][index]; ok {
		return line
	}
	return p[name][anyIndex]
}

// findPlaces walks over every assignment of a file.
func findPlaces(prog *syntax.File) places {
	p := places{}
	syntax.Walk(prog, func(node syntax.Node) bool {
		as, ok := node.(*syntax.Assign)
		if !ok || as.Name == nil || !slices.Contains(directives, as.Name.Value) {
			return true
		}
		name, line := as.Name.Value, as.Pos().Line()
		switch {
		case as.Array != nil && as.Append:
			p.add(name, anyIndex, line)
		case as.Array != nil:
			next := 0
			for _, elem := range as.Array.Elems {
				if elem.Index != nil {
					next = staticIndex(elem.Index)
				}
				p.add(name, next, elem.Pos().Line())
				if next != anyIndex {
					next++
				}
			}
		case as.Index != nil:
			p.add(name, staticIndex(as.Index), line)
		default:
			p.add(name, 0, line)
		}
		return true
	})
	return p
}

func staticIndex(expr syntax.ArithmExpr) int {
	word, ok := expr.(*syntax.Word)
	if !ok {
		return anyIndex
	}
	n, err := strconv.Atoi(word.Lit())
	if err != nil || n < 0 {
		return anyIndex
	}
	return n
}

// Peek returns PACKAGE_NAME and PACKAGE_VERSION of a file without running it:
// for callers that need them before a kernel is known. The error is
// [ErrNotStatic], wrapped, if they are not set by plain assignments at the top
// level; then an [Eval] with an empty kernel can tell, as dkms add does it.
// A value may refer to variables that were assigned plainly before.
func Peek(file string, text []byte) (name, version string, err error) {
	if err := checkText(file, text); err != nil {
		return "", "", err
	}
	prog, err := parse(hideBytes(string(text)), file)
	if err != nil {
		return "", "", err
	}
	p := peeker{vars: variables{}}
	for _, stmt := range prog.Stmts {
		p.stmt(stmt)
	}
	for i, out := range []*string{&name, &version} {
		v, ok := p.vars[directives[i]]
		if !ok || !v.Set || strings.ContainsAny(v.Str, " \t\n\r\"$`\\*?[") {
			return "", "", &textfile.Error{File: file, Err: errNotStatic(directives[i])}
		}
		*out = showBytes(v.Str)
	}
	return name, version, nil
}

func errNotStatic(name string) error {
	return &notStatic{name}
}

type notStatic struct{ name string }

func (e *notStatic) Error() string { return e.name + " is " + ErrNotStatic.Error() }
func (e *notStatic) Unwrap() error { return ErrNotStatic }

// peeker follows plain assignments. A name that anything else touches is
// unknown from there on.
type peeker struct{ vars variables }

func (p *peeker) stmt(stmt *syntax.Stmt) {
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) > 0 || len(stmt.Redirs) > 0 || stmt.Background || stmt.Negated {
		p.forget(stmt)
		return
	}
	for _, as := range call.Assigns {
		value, ok := p.value(as)
		if !ok {
			delete(p.vars, as.Name.Value)
			continue
		}
		p.vars.set(as.Name.Value, value)
	}
}

func (p *peeker) value(as *syntax.Assign) (string, bool) {
	if as.Append || as.Array != nil || as.Index != nil && staticIndex(as.Index) != 0 {
		return "", false
	}
	known := true
	if as.Value != nil {
		syntax.Walk(as.Value, func(node syntax.Node) bool {
			switch e := node.(type) {
			case *syntax.ParamExp:
				known = known && e.Param != nil && p.vars[e.Param.Value].Set
			case *syntax.CmdSubst, *syntax.ProcSubst, *syntax.ArithmExp:
				known = false
			}
			return known
		})
	}
	if !known {
		return "", false
	}
	value, err := expand.Literal(&expand.Config{Env: p.vars}, as.Value)
	return strings.TrimSuffix(value, "\r"), err == nil
}

// forget drops what a statement that is not followed may assign: by an
// assignment, or, since it may source or eval anything, all of it.
func (p *peeker) forget(stmt *syntax.Stmt) {
	syntax.Walk(stmt, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.Assign:
			if n.Name != nil {
				delete(p.vars, n.Name.Value)
			}
		case *syntax.CallExpr:
			if len(n.Args) == 0 {
				return true
			}
			switch n.Args[0].Lit() {
			case "echo", "[", "test", "grep", "true", "false", ":", "pushd", "popd", "cd":
			default:
				clear(p.vars)
			}
		case *syntax.WordIter:
			delete(p.vars, n.Name.Value)
		}
		return true
	})
}

// checkText refuses what is no text at all.
func checkText(file string, text []byte) error {
	if i := bytes.IndexByte(text, 0); i >= 0 {
		line := 1 + bytes.Count(text[:i], []byte("\n"))
		return textfile.Errorf(file, line, "not a text file: it has a NUL byte")
	}
	if blank(string(text)) {
		return &textfile.Error{File: file, Err: hintf("it needs at least PACKAGE_NAME, PACKAGE_VERSION and DEST_MODULE_LOCATION", "empty: there is no directive in it")}
	}
	return nil
}
