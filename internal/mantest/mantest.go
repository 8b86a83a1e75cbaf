// SPDX-License-Identifier: MIT

// Package mantest holds what the tests of the commands compare their options
// with: the man page sources in doc/, the texts of --help, and the completion
// for bash.
package mantest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

// Option is one option of a command, as users write it.
type Option struct {
	Names []string // "-o", "--output"; sorted
	Value bool     // whether it takes one
}

// New returns the Option with the given names, without their hyphens.
func New(value bool, names ...string) Option {
	o := Option{Value: value}
	for _, name := range names {
		if len(name) == 1 {
			name = "-" + name
		} else {
			name = "--" + name
		}
		o.Names = append(o.Names, name)
	}
	slices.Sort(o.Names)
	return o
}

// Compare reports each difference between the options that a text describes
// and those that the command has.
func Compare(t testing.TB, text string, described, has []Option) {
	t.Helper()
	byName := func(options []Option) map[string]Option {
		m := map[string]Option{}
		for _, o := range options {
			m[strings.Join(o.Names, ", ")] = o
		}
		return m
	}
	if diff := cmp.Diff(byName(has), byName(described)); diff != "" {
		t.Errorf("the options of the command (-) and of %s (+) differ:\n%s", text, diff)
	}
}

// Page returns the options that the OPTIONS of doc/COMMAND.1.scd describe:
// those of the lines that begin with "*-".
func Page(t testing.TB, command string) []Option {
	t.Helper()
	text := read(t, "doc", command+".1.scd")
	_, text, found := strings.Cut(text, "\n# OPTIONS\n")
	if !found {
		t.Fatalf("doc/%s.1.scd has no OPTIONS", command)
	}
	text, _, _ = strings.Cut(text, "\n# ")
	var options []Option
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "*-") {
			options = append(options, parse(strings.NewReplacer("*", "", "_", "").Replace(line)))
		}
	}
	return options
}

// Help returns the options that a text of --help describes: those of the lines
// that are indented and begin with a hyphen. A hyphen and a blank is a list.
func Help(text string) []Option {
	var options []Option
	for line := range strings.Lines(text) {
		entry := strings.TrimLeft(line, " ")
		if entry != line && strings.HasPrefix(entry, "-") && !strings.HasPrefix(entry, "- ") {
			syntax, _, _ := strings.Cut(strings.TrimSpace(entry), "  ")
			options = append(options, parse(syntax))
		}
	}
	return options
}

// optionRE is a name with what may follow: a blank, "=" or nothing, and a
// value.
var optionRE = regexp.MustCompile(`^(--[a-z][a-z-]*|-[A-Za-z])(.*)$`)

// parse reads "-k, --kernel KVER", "--destdir=DIR" or "-V[VERSION]".
func parse(syntax string) Option {
	var o Option
	for word := range strings.SplitSeq(strings.TrimSpace(syntax), ", ") {
		m := optionRE.FindStringSubmatch(word)
		if m == nil {
			o.Names = append(o.Names, word)
			continue
		}
		if !slices.Contains(o.Names, m[1]) {
			o.Names = append(o.Names, m[1])
		}
		o.Value = o.Value || m[2] != ""
	}
	slices.Sort(o.Names)
	return o
}

// Completion returns the text of the bash completion of a command.
func Completion(t testing.TB, command string) string {
	t.Helper()
	return read(t, "completion", command+".bash")
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{testkit.Root()}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
