// SPDX-License-Identifier: MIT

package dkms

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// refused is a command of ours that ends the evaluation. It stands where the
// interpreter (mvdan.cc/sh 3.14) would go on with another value than bash, so
// that a file fails only if it gets there.
const refused = "gokms-refused"

// refuseUnknown puts [refused] in the place of
//
//   - redirections of descriptors above 2, <> and <&N, for which the
//     interpreter says an error and leaves the command out;
//   - ${x@Q}, ${x@A} and ${x@K}, which it quotes otherwise;
//   - the number of elements of an associative array, which it takes for 1.
func refuseUnknown(prog *syntax.File) {
	assoc := associative(prog)
	syntax.Walk(prog, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.Stmt:
			for _, r := range n.Redirs {
				if what := unknownRedirect(r); what != "" {
					n.Cmd, n.Redirs = refusal(r, what), nil
					break
				}
			}
		case *syntax.Word:
			refuseParts(n.Parts, assoc)
		case *syntax.DblQuoted:
			refuseParts(n.Parts, assoc)
		}
		return true
	})
}

// unknownRedirect is the part of a redirection that the interpreter does not
// know, "" if it knows all.
func unknownRedirect(r *syntax.Redirect) string {
	if r.N != nil && !slices.Contains([]string{"0", "1", "2"}, r.N.Value) {
		return r.N.Value + r.Op.String()
	}
	to := ""
	if r.Word != nil {
		to = r.Word.Lit()
	}
	switch {
	case r.Op == syntax.RdrInOut, r.Op == syntax.DplIn && to != "-":
		return r.Op.String() + to
	case r.Op == syntax.DplOut && to != "" && !slices.Contains([]string{"1", "2", "-"}, to):
		return r.Op.String() + to
	}
	return ""
}

// refuseParts replaces expansions among the parts of a word.
func refuseParts(parts []syntax.WordPart, assoc []string) {
	for i, part := range parts {
		pe, ok := part.(*syntax.ParamExp)
		if !ok || pe.Param == nil {
			continue
		}
		what := ""
		switch {
		case pe.Exp != nil && pe.Exp.Op == syntax.OtherParamOps && pe.Exp.Word != nil && strings.Contains("QAKk", pe.Exp.Word.Lit()):
			what = "${" + pe.Param.Value + "@" + pe.Exp.Word.Lit() + "}"
		case pe.Length && wholeArray(pe.Index) && slices.Contains(assoc, pe.Param.Value):
			what = "${#" + pe.Param.Value + "[@]} of an associative array"
		default:
			continue
		}
		parts[i] = &syntax.CmdSubst{Left: pe.Pos(), Right: pe.End(), Stmts: []*syntax.Stmt{{Position: pe.Pos(), Cmd: refusal(pe, what)}}}
	}
}

func wholeArray(index syntax.ArithmExpr) bool {
	word, ok := index.(*syntax.Word)
	return ok && (word.Lit() == "@" || word.Lit() == "*")
}

// associative lists the names that a file declares with -A, as far as that can
// be seen.
func associative(prog *syntax.File) []string {
	var names []string
	syntax.Walk(prog, func(node syntax.Node) bool {
		decl, ok := node.(*syntax.DeclClause)
		if !ok {
			return true
		}
		flagged := false
		for _, arg := range decl.Args {
			if arg.Name == nil && arg.Value != nil {
				option := arg.Value.Lit()
				flagged = flagged || strings.HasPrefix(option, "-") && strings.Contains(option, "A")
			} else if arg.Name != nil && flagged {
				names = append(names, arg.Name.Value)
			}
		}
		return true
	})
	return names
}

// refusal is a call of [refused] at the place of a node.
func refusal(at syntax.Node, what string) *syntax.CallExpr {
	word := func(text string) *syntax.Word {
		return &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Left: at.Pos(), Right: at.Pos(), Value: text}}}
	}
	return &syntax.CallExpr{Args: []*syntax.Word{word(refused), word(strconv.Itoa(int(at.Pos().Line()))), word(what)}}
}

// refuse ends the evaluation at a call of [refused].
func (s *shell) refuse(args []string) error {
	line, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	return s.unknown(line, args[2])
}

func (s *shell) unknown(line int, what string) error {
	err := textfile.Errorf(s.path, line, "%s is bash that this program does not know", what)
	s.cancel(err)
	return err
}

// trap answers `trap COMMAND CONDITION...`. No signal comes, which the
// interpreter would call unknown. On EXIT the interpreter would run the command
// before the directives are read, and dkms does after: see [evaluation.atExit].
func (s *shell) trap(args []string) ([]string, error) {
	if len(args) < 3 || args[1] != "-" && strings.HasPrefix(args[1], "-") {
		return args, nil
	}
	kept := args[:2:2]
	for _, condition := range args[2:] {
		switch condition {
		case "ERR":
			kept = append(kept, condition)
		case "EXIT", "0":
			s.mu.Lock() // a job of the file may trap, too
			s.exitTrap = args[1]
			s.mu.Unlock()
		case "DEBUG", "RETURN":
			return nil, s.unknown(0, "trap "+condition)
		}
	}
	if len(kept) == 2 {
		return []string{"true"}, nil
	}
	return kept, nil
}

// atExit runs what the file has left to be done when its shell ends, such as
// the removal of temporary files.
func (e *evaluation) atExit(ctx context.Context, sub *interp.Runner) error {
	command := e.exitTrap
	if e.exitTrap = ""; command == "" || command == "-" {
		return nil
	}
	if err := interp.StdIO(e.null, e.null, stderr{e.guard})(sub); err != nil {
		return err
	}
	return e.eval(ctx, sub, command)
}
