// SPDX-License-Identifier: MIT

package dkms

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// asInBash prints a file so that the interpreter (mvdan.cc/sh 3.14) does with
// it what bash does:
//
//   - the last command of a pipe runs in a shell of its own;
//   - NAME[i]=x on an unset NAME leaves NAME set (for the interpreter it is
//     then there, but neither ${NAME:-y} nor unset see it);
//   - >| is as good as >, since no file is protected, and >&FILE is &>FILE;
//   - a quoted part of the pattern in [[ x =~ "a.b" ]] means itself.
//
// What cannot be told it in other words is refused: see [refuseUnknown].
func asInBash(prog *syntax.File) (string, error) {
	syntax.Walk(prog, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				n.Y = inSubshell(n.Y)
			}
		case *syntax.CallExpr:
			if len(n.Args) == 0 {
				for _, as := range n.Assigns {
					elementAsArray(as)
				}
			}
		case *syntax.Redirect:
			plainRedirect(n)
		case *syntax.BinaryTest:
			if word, ok := n.Y.(*syntax.Word); ok && n.Op == syntax.TsReMatch {
				quoteLiterally(word)
			}
		}
		return true
	})
	refuseUnknown(prog)
	var out strings.Builder
	err := syntax.NewPrinter().Print(&out, prog)
	return out.String(), err
}

func plainRedirect(r *syntax.Redirect) {
	switch {
	case r.Op == syntax.RdrClob:
		r.Op = syntax.RdrOut
	case r.Op == syntax.DplOut && r.N == nil && strings.ContainsAny(r.Word.Lit(), "/."):
		r.Op = syntax.RdrAll
	}
}

func inSubshell(stmt *syntax.Stmt) *syntax.Stmt {
	if call, ok := stmt.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 && call.Args[0].Lit() != "read" {
		return stmt // a program cannot assign, and printing stays close to the source
	}
	if _, ok := stmt.Cmd.(*syntax.Subshell); ok {
		return stmt
	}
	return &syntax.Stmt{Position: stmt.Position, Cmd: &syntax.Subshell{Lparen: stmt.Pos(), Rparen: stmt.End(), Stmts: []*syntax.Stmt{stmt}}}
}

// elementAsArray makes NAME+=([i]=x) of NAME[i]=x, for directives: others may
// be associative arrays.
func elementAsArray(as *syntax.Assign) {
	if as.Index == nil || as.Append || as.Array != nil || !slices.Contains(directives, as.Name.Value) {
		return
	}
	value := as.Value
	if value == nil {
		value = &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Left: as.Pos(), Right: as.Pos()}}}
	}
	as.Array = &syntax.ArrayExpr{Lparen: as.Pos(), Rparen: as.End(),
		Elems: []*syntax.ArrayElem{{Index: as.Index, Value: value}}}
	as.Append, as.Index, as.Value = true, nil, nil
}

func quoteLiterally(word *syntax.Word) {
	for i, part := range word.Parts {
		text := ""
		switch part := part.(type) {
		case *syntax.SglQuoted:
			text = part.Value
		case *syntax.DblQuoted:
			lit, ok := (&syntax.Word{Parts: part.Parts}).Lit(), len(part.Parts) == 1
			if !ok || lit == "" || strings.Contains(lit, `\`) {
				continue
			}
			text = lit
		default:
			continue
		}
		word.Parts[i] = &syntax.SglQuoted{Left: part.Pos(), Right: part.End(), Value: regexp.QuoteMeta(text)}
	}
}

// The parser takes UTF-8 alone, and names in comments are often in latin1. So
// bytes that are not UTF-8 travel as characters of the last private plane.
const hiddenByte = 0x10FF00

func hideBytes(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = hiddenByte + rune(s[i])
		}
		out.WriteRune(r)
		i += n
	}
	return out.String()
}

func showBytes(s string) string {
	if !strings.Contains(s, "\xf4\x8f\xbe") && !strings.Contains(s, "\xf4\x8f\xbf") {
		return s
	}
	var out strings.Builder
	for _, r := range s {
		if r >= hiddenByte+0x80 && r <= hiddenByte+0xff {
			out.WriteByte(byte(r - hiddenByte))
			continue
		}
		out.WriteRune(r)
	}
	return out.String()
}
