// SPDX-License-Identifier: MIT

package dkms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/textfile"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Input is all that an evaluation depends on, but for the files of the host
// that the conf itself reads.
type Input struct {
	// Files are evaluated in order: dkms.conf, then what overrides it.
	Files []File
	// Directives are NAME=VALUE as in dkms --directive: set at last, and not
	// expanded.
	Directives []string
	Env        Env
	Limits     Limits

	// Run runs one program; nil: (*exec.Cmd).Run.
	Run func(*exec.Cmd) error `json:"-"`
}

// File is a dkms.conf that was read already, #MODULE_VERSION# replaced.
type File struct {
	Path   string // as the user named it, for messages
	Source string // $BASH_SOURCE; default Path
	Text   []byte
}

// Eval evaluates a dkms.conf for one kernel. Its errors are
// [textfile.Error]s; a [LimitError] is in the chain of one that was ended by
// force. See the package documentation on isolation: Eval runs what the file
// says.
func Eval(ctx context.Context, in Input) (*Values, error) {
	if len(in.Files) == 0 {
		return nil, fmt.Errorf("dkms: no file to evaluate")
	}
	ctx, g := newGuard(ctx, &in)
	defer g.cancel(nil)
	var values *Values
	var err error
	pprof.Do(ctx, g.label(), func(ctx context.Context) { values, err = evaluate(ctx, &in, g) })
	return values, err
}

func evaluate(ctx context.Context, in *Input, g *guard) (*Values, error) {
	s, err := newShell(in, g)
	if err != nil {
		return nil, &textfile.Error{File: in.Files[0].Path, Err: err}
	}
	e := &evaluation{shell: s, values: &Values{File: in.Files[0].Path, Elements: map[string][]Element{}}}
	for i, f := range in.Files {
		if err := e.file(ctx, f, i); err != nil {
			return nil, e.explain(ctx, f.Path, err)
		}
	}
	for _, d := range in.Directives {
		if err := e.directive(ctx, d); err != nil {
			return nil, err
		}
	}
	if err := e.settle(ctx); err != nil {
		return nil, e.explain(ctx, in.Files[0].Path, err)
	}
	e.collect()
	return e.values, nil
}

// evaluation is one run of Eval.
type evaluation struct {
	*shell
	values *Values
	placed []placedFile
}

type placedFile struct {
	path   string
	places places
}

// explain makes an error of the interpreter one of the file. What was ended
// by force has its own reason.
func (e *evaluation) explain(ctx context.Context, path string, err error) error {
	if _, ok := err.(*textfile.Error); ok {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if refusal, ok := errors.AsType[*textfile.Error](err); ok {
		return refusal
	}
	return &textfile.Error{File: path, Err: err}
}

// file does both passes over one file.
func (e *evaluation) file(ctx context.Context, f File, number int) error {
	if blank(string(f.Text)) && number > 0 {
		return nil
	}
	if err := checkText(f.Path, f.Text); err != nil {
		return err
	}
	prog, err := parse(hideBytes(string(f.Text)), f.Path)
	if err != nil {
		return err
	}
	e.placed = append(e.placed, placedFile{f.Path, findPlaces(prog)})
	e.path = f.Path
	if e.text, err = asInBash(prog); err != nil {
		return err
	}
	lines, err := e.firstPass(ctx, f)
	if err != nil {
		return err
	}
	if lines == nil && number > 0 {
		e.values.warnf(f.Path, 0, "exits: nothing is taken from it")
	}
	if lines == nil && number == 0 {
		return textfile.Errorf(f.Path, 0, "exits before anything could be taken from it%s", e.lastWords())
	}
	return e.secondPass(ctx, f.Path, lines)
}

// assignment is a line that goes from the first pass to the second.
type assignment struct {
	name  string
	index int
	text  string // NAME[INDEX]="VALUE", or more than that where VALUE has quotes
}

// firstPass sources the file in a copy of the shell and writes out its
// directives. The result is nil if the file ended the shell.
func (e *evaluation) firstPass(ctx context.Context, f File) ([]assignment, error) {
	source := f.Source
	if source == "" {
		source = f.Path
	}
	quoted, err := syntax.Quote(source, syntax.LangBash)
	if err != nil {
		return nil, err
	}
	sub := e.dkms.Subshell()
	if err := e.eval(ctx, sub, "shopt -s extglob\nBASH_SOURCE=("+quoted+")\n. "+confPath+"\n"); err != nil {
		return nil, err
	}
	if sub.Exited() {
		return nil, e.atExit(ctx, sub)
	}
	lines, err := e.written(ctx, sub)
	if err != nil {
		return nil, err
	}
	if err := e.atExit(ctx, sub); err != nil {
		return nil, err
	}
	return append(lines, e.indirect(f.Path, sub.Vars)...), nil
}

// indexes lists which elements a variable has; an empty array has none.
func indexes(vr expand.Variable) []int {
	switch {
	case !vr.IsSet() && len(vr.List) == 0: // an array made by a[0]=x is not "set" (mvdan.cc/sh 3.14)
		return nil
	case vr.Kind == expand.String:
		return []int{0}
	case vr.Kind != expand.Indexed:
		return nil
	case vr.Indexes != nil:
		return vr.Indexes
	}
	all := make([]int, len(vr.List))
	for i := range all {
		all[i] = i
	}
	return all
}

// written has the shell write out the elements: without quotes around the
// values, so that they are split into words and globs are expanded, by the
// rules and in the directory that the file left behind.
func (e *evaluation) written(ctx context.Context, sub *interp.Runner) ([]assignment, error) {
	lines := []assignment{}
	var script strings.Builder
	for _, name := range directives {
		for _, index := range indexes(sub.Vars[name]) {
			elem := name + "[" + itoa(index) + "]"
			script.WriteString(`echo ` + elem + `=\"${` + elem + `%$'\r'}\"; ` + nextElement + "\n")
			lines = append(lines, assignment{name: name, index: index})
		}
	}
	var out bytes.Buffer
	if err := interp.StdIO(e.null, counted{e.guard, &out}, stderr{e.guard})(sub); err != nil {
		return nil, err
	}
	e.keepListings(map[string][]fs.DirEntry{})
	defer e.keepListings(nil)
	if err := e.eval(ctx, sub, script.String()); err != nil {
		return nil, err
	}
	for i, text := range strings.Split(out.String(), "\x00") {
		if i < len(lines) {
			lines[i].text = strings.TrimSuffix(text, "\n")
		}
	}
	return lines, nil
}

// indirect handles variables whose name begins with DKMS_DIRECTIVE and whose
// value is NAME=VALUE. dkms cuts them out of what bash's `set` prints, so that
// only values that bash prints without quotes have an effect, and a second
// "=" ends the value.
func (e *evaluation) indirect(path string, vars map[string]expand.Variable) []assignment {
	var lines []assignment
	for _, name := range sortedKeys(vars) {
		vr := vars[name]
		if !strings.HasPrefix(name, "DKMS_DIRECTIVE") || !vr.IsSet() || vr.Kind != expand.String {
			continue
		}
		if needsQuotes(vr.Str) {
			e.values.warnf(path, 0, "%s has no effect: its value %q is not a single plain word", name, vr.Str)
			continue
		}
		target, value, ok := strings.Cut(vr.Str, "=")
		if !ok {
			value = target
		}
		value, _, _ = strings.Cut(value, "=")
		if target != "" {
			lines = append(lines, assignment{target, 0, target + `="` + value + `"`})
		}
	}
	return lines
}

// needsQuotes says whether bash's `set` would put quotes around a value.
func needsQuotes(s string) bool {
	if s == "" || strings.ContainsAny(s, " \t\n'\"\\|&;()<>!{}*[]?^$`") || s[0] == '~' || s[0] == '#' ||
		strings.Contains(s, "=~") || strings.Contains(s, ":~") {
		return true
	}
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// secondPass reads the lines back, in the shell that stands for dkms. As in
// bash, a quote that is left open goes on in the next line, and what follows a
// syntax error is lost. Where a quote breaks a value into several words, what
// would be a command is not run.
func (e *evaluation) secondPass(ctx context.Context, path string, lines []assignment) error {
	if err := interp.StdIO(e.null, e.null, stderr{e.guard})(e.dkms); err != nil {
		return err
	}
	var all syntax.File
	for first, next := 0, 0; next < len(lines); first = next {
		var prog *syntax.File
		var err error
		for text := ""; next < len(lines); {
			text += lines[next].text + "\n"
			next++
			if prog, err = parse(text, ""); !incomplete(err) {
				break
			}
		}
		if err != nil && !arrayBeforeCommand(err) {
			e.lost(path, lines[first], "and all that follows it is lost: dkms cannot read it a second time: "+reason(err))
			break
		}
		if err != nil || !onlyAssignments(prog) {
			e.lost(path, lines[first], "is lost: its quotes break it into a command when dkms reads it a second time")
			continue
		}
		all.Stmts = append(all.Stmts, prog.Stmts...)
	}
	err := e.dkms.Run(ctx, &all)
	if _, ok := err.(interp.ExitStatus); ok {
		return nil
	}
	return err
}

func (e *evaluation) lost(path string, a assignment, what string) {
	line := e.placed[len(e.placed)-1].places.line(a.name, a.index)
	e.values.warnf(path, line, "%s %s", label(a.name, a.index), what)
}

// incomplete says that a syntax error may be cured by another line.
func incomplete(err error) bool {
	e, ok := errors.AsType[syntax.ParseError](err)
	return ok && (e.Incomplete || strings.Contains(e.Text, "without closing quote"))
}

// arrayBeforeCommand recognises NAME[0]=VALUE WORD, which the parser refuses
// and bash takes for a command.
func arrayBeforeCommand(err error) bool {
	e, ok := errors.AsType[syntax.ParseError](err)
	return ok && strings.Contains(e.Text, "inline variables cannot be arrays")
}

func reason(err error) string {
	if e, ok := errors.AsType[syntax.ParseError](err); ok {
		return e.Text
	}
	return err.Error()
}

func onlyAssignments(prog *syntax.File) bool {
	return !slices.ContainsFunc(prog.Stmts, func(s *syntax.Stmt) bool { return !isAssignment(s) })
}

func isAssignment(stmt *syntax.Stmt) bool {
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	return ok && len(call.Args) == 0 && len(call.Assigns) > 0 && len(stmt.Redirs) == 0 && !stmt.Background
}

// directive sets one --directive.
func (e *evaluation) directive(ctx context.Context, text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || !syntax.ValidName(name) {
		return fmt.Errorf("directive %q is not NAME=VALUE", text)
	}
	quoted, err := syntax.Quote(value, syntax.LangBash)
	if err != nil {
		return fmt.Errorf("directive %q: %w", text, err)
	}
	e.placed = append(e.placed, placedFile{"--directive", places{name: {0: 0}}})
	if err := e.eval(ctx, e.dkms, name+"="+quoted); err != nil {
		return e.explain(ctx, "--directive", err)
	}
	return nil
}

// settle makes sure that nothing goes on after the evaluation. A job of the
// shell is a goroutine before and after it is a program, and needs a moment to
// end.
func (e *evaluation) settle(ctx context.Context) error {
	for range 20 {
		quiet := e.leftover() == "" && e.jobs() == 0
		if ctx.Err() != nil { // a job was ended by force, and nobody told
			return context.Cause(ctx)
		}
		if quiet {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	if name := e.leftover(); name != "" {
		return e.over("left %q running in the background", name)
	}
	return e.over("leaves a job running")
}

// collect takes the directives out of the shell.
func (e *evaluation) collect() {
	for _, name := range directives {
		vr := e.dkms.Vars[name]
		for i, index := range indexes(vr) {
			elem := Element{Index: index, Value: vr.Str}
			if vr.Kind == expand.Indexed {
				elem.Value = vr.List[i]
			}
			elem.Value = showBytes(elem.Value)
			for _, f := range slices.Backward(e.placed) {
				if _, ok := f.places[name]; ok {
					elem.File, elem.Line = f.path, f.places.line(name, index)
					break
				}
			}
			e.values.Elements[name] = append(e.values.Elements[name], elem)
		}
	}
	e.values.Messages = e.guard.messagesText()
}

// lastWords is the last line of the messages, to go behind an error.
func (e *evaluation) lastWords() string {
	lines := strings.Split(strings.TrimSpace(e.guard.messagesText()), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return ": it says: " + last
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
