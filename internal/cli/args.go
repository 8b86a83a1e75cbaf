// SPDX-License-Identifier: MIT

package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// NormalizeArgs rewrites args (without the program's name) as getopt_long(3) reads
// them into what urfave/cli takes: every option as --name or --name=value, then
// "--", then the arguments. So options may follow arguments, one-letter options
// may share a dash (-vn) and have their value attached (-kKVER). A "=" before
// an attached value is dropped, as many write it: -k=KVER. Long names are not
// abbreviated.
func NormalizeArgs(flags []cli.Flag, args []string) ([]string, error) {
	n := &normalizer{names: map[string]string{}, values: map[string]bool{}}
	for _, f := range append(flags, cli.HelpFlag) {
		long := f.Names()[0]
		for _, name := range f.Names() {
			n.names[name] = long
		}
		d, ok := f.(cli.DocGenerationFlag)
		n.values[long] = ok && d.TakesValue()
	}
	for n.rest = args; len(n.rest) > 0; {
		if err := n.next(); err != nil {
			return nil, err
		}
	}
	return append(append(n.options, "--"), n.arguments...), nil
}

type normalizer struct {
	names              map[string]string // of an option to its long one
	values             map[string]bool   // whether an option takes a value
	rest               []string
	options, arguments []string
}

// next takes one word, and the next one if that is its value.
func (n *normalizer) next() error {
	word := n.rest[0]
	n.rest = n.rest[1:]
	switch {
	case word == "--":
		n.arguments = append(n.arguments, n.rest...)
		n.rest = nil
	case strings.HasPrefix(word, "--"):
		return n.long(word)
	case strings.HasPrefix(word, "-") && word != "-":
		return n.short(word[1:])
	default:
		n.arguments = append(n.arguments, word)
	}
	return nil
}

func (n *normalizer) long(word string) error {
	name, value, attached := strings.Cut(word[2:], "=")
	switch {
	case n.names[name] != name || len(name) < 2:
		return fmt.Errorf("unknown option --%s", name)
	case !n.values[name] && attached:
		return fmt.Errorf("option --%s takes no value", name)
	case !n.values[name]:
		n.options = append(n.options, word)
		return nil
	case attached:
		return n.set("--"+name, name, value)
	}
	return n.setNext("--"+name, name)
}

// short takes the letters behind one dash.
func (n *normalizer) short(letters string) error {
	for letters != "" {
		_, size := utf8.DecodeRuneInString(letters)
		letter := letters[:size]
		letters = letters[size:]
		name, known := n.names[letter]
		switch {
		case !known:
			return fmt.Errorf("unknown option -%s", letter)
		case !n.values[name]:
			n.options = append(n.options, "--"+name)
		case letters != "":
			return n.set("-"+letter, name, strings.TrimPrefix(letters, "="))
		default:
			return n.setNext("-"+letter, name)
		}
	}
	return nil
}

func (n *normalizer) setNext(shown, name string) error {
	if len(n.rest) == 0 {
		return fmt.Errorf("option %s needs a value", shown)
	}
	value := n.rest[0]
	n.rest = n.rest[1:]
	return n.set(shown, name, value)
}

// set adds an option with its value. No option of ours means anything by an
// empty one, which is what an unset variable in a script gives.
func (n *normalizer) set(shown, name, value string) error {
	if value == "" {
		return fmt.Errorf("option %s has an empty value", shown)
	}
	n.options = append(n.options, "--"+name+"="+value)
	return nil
}
