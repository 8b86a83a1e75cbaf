// SPDX-License-Identifier: MIT

package cli

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// FlagsFirst returns args (without the program's name) with every flag moved
// before the first argument, as users of GNU programs write them either way;
// urfave/cli stops at the first argument. What follows "--" stays an argument.
func FlagsFirst(flags []cli.Flag, args []string) []string {
	takesValue := valueFlags(flags)
	var front, rest []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			rest = append(rest, arg)
			continue
		}
		front = append(front, arg)
		name := strings.TrimLeft(arg, "-")
		if takesValue[name] && i+1 < len(args) {
			i++
			front = append(front, args[i])
		}
	}
	if len(rest) > 0 {
		front = append(append(front, "--"), rest...)
	}
	return front
}

// valueFlags are the names of the flags that take the next word as a value.
func valueFlags(flags []cli.Flag) map[string]bool {
	names := map[string]bool{}
	for _, f := range flags {
		if d, ok := f.(cli.DocGenerationFlag); !ok || !d.TakesValue() {
			continue
		}
		for _, name := range f.Names() {
			names[name] = true
		}
	}
	return names
}
