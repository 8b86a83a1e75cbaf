// SPDX-License-Identifier: MIT

package depmod

import (
	"fmt"
	"path"
	"strings"
)

// OverrideLine returns the depmod.d line by which a file, named as in [Tree.Files],
// beats all others of its module for one kernel, or for [AnyKernel]. No line
// can do that for a file at the top of the tree, outside of it, or with a
// space in its name.
func OverrideLine(kver, file string) (string, error) {
	dir, module := path.Dir(file), spelling(file)
	if strings.HasPrefix(file, "/") || dir == "." {
		return "", fmt.Errorf("no override line can name %s: it is not in a directory below lib/modules/%s", file, kver)
	}
	if strings.ContainsAny(file+kver, " \t\n\x00") || module == "" {
		return "", fmt.Errorf("no override line can name %q", file)
	}
	if kver != AnyKernel {
		kver = "^" + literal(kver) + "$"
	}
	return "override " + escape(module) + " " + escape(kver) + " " + escape(dir) + "\n", nil
}

// escape protects what depmod's reader would drop.
func escape(word string) string { return strings.ReplaceAll(word, `\`, `\\`) }

// literal is a regular expression for the text alone. A bracket needs no "\",
// of which depmod.d wants two.
func literal(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case c == '^' || c == '\\':
			b.WriteString(`\` + string(c))
		case strings.IndexByte(".[$()|*+?{", c) >= 0:
			b.WriteString("[" + string(c) + "]")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Needed returns the text of a new configuration file by which each of the
// files wins in the tree; "" if they win without. The lines name only the
// files that would lose. It is an error if a file still does not win then,
// since other lines are stronger, or a file of that name masks the new one.
//
// name is where the file is to be, in one of [Dirs].
func (c *Config) Needed(t *Tree, name string, files ...string) (string, error) {
	var text strings.Builder
	decisions := c.Decide(t)
	for _, file := range files {
		if d := decisions[ModuleName(file)]; d != nil && d.Wins(file) {
			continue
		}
		line, err := OverrideLine(t.Kernel, file)
		if err != nil {
			return "", err
		}
		text.WriteString(line)
	}
	if text.Len() == 0 {
		return "", nil
	}
	decisions = c.With(Source{name, []byte(text.String())}).Decide(t)
	for _, file := range files {
		d := decisions[ModuleName(file)]
		if d == nil || !d.Wins(file) {
			return "", &LosesError{File: file, Decision: d}
		}
	}
	return text.String(), nil
}

// LosesError tells that a file does not win.
type LosesError struct {
	File     string
	Decision *Decision // nil if the tree has no such module
}

// Error names the file that wins, and the line.
func (e *LosesError) Error() string {
	if e.Decision == nil {
		return e.File + " is not in the tree"
	}
	for _, l := range e.Decision.Losers {
		if l.File == e.File {
			return l.String()
		}
	}
	return e.Decision.Explain()
}
