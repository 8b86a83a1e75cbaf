// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/cli"
)

const prog = "gokms"

// verb is one of the things that gokms does. Each has a file of its own.
type verb struct {
	name    string // one word or two
	summary string // a line of gokms --help
	help    string // its own --help
	flags   func() []ucli.Flag
	do      func(context.Context, *ucli.Context, *cli.Env) error
}

// verbs are all there are, in the order of --help.
func verbs() []verb {
	return []verb{kernelsVerb(), checkVerb(), extractVerb(), attachVerb(), rebuildVerb(), statusVerb()}
}

// run is the command: it takes the verb from env.Args and leaves it the rest.
func run(ctx context.Context, env *cli.Env) error {
	err := dispatch(ctx, env)
	if err != nil && !errors.As(err, new(verbError)) {
		cli.NewLog(env.Stderr, prog, cli.Normal).Error(err)
	}
	return err
}

// verbError is one that the verb has told already.
type verbError struct{ error }

func (e verbError) Unwrap() error { return e.error }

func dispatch(ctx context.Context, env *cli.Env) error {
	if len(env.Args) == 0 {
		return cli.BadInput(cli.WithHint(errors.New("no verb"), "see "+prog+" --help"))
	}
	first := env.Args[0]
	switch {
	case first == "--version":
		_, err := fmt.Fprintln(env.Stdout, prog, cli.Version())
		return err
	case first == "--help" || first == "-h" || first == "help" && len(env.Args) == 1:
		_, err := fmt.Fprint(env.Stdout, help())
		return err
	case first == "help":
		return printHelp(env.Stdout, env.Args[1:])
	case strings.HasPrefix(first, "-"):
		return cli.BadInput(cli.WithHint(fmt.Errorf("unknown option %s before the verb", first), "see "+prog+" --help"))
	}
	if len(family(first)) > 0 && len(env.Args) > 1 && (env.Args[1] == "--help" || env.Args[1] == "-h") {
		return printHelp(env.Stdout, env.Args[:1])
	}
	v, rest, err := find(env.Args)
	if err != nil {
		return err
	}
	own := *env
	own.Args = rest
	program := cli.Program{Name: prog + " " + v.name, Help: v.help, Flags: v.flags(), Do: v.do}
	if err := program.Run(ctx, &own); err != nil {
		return verbError{err}
	}
	return nil
}

// printHelp prints the help of a verb, or of all whose first word is that.
func printHelp(w io.Writer, words []string) error {
	verbs := family(words[0])
	if len(verbs) == 0 || len(words) > 1 {
		v, _, err := find(words)
		if err != nil {
			return err
		}
		verbs = []verb{v}
	}
	for i, v := range verbs {
		if i > 0 {
			v.help = "\n" + v.help
		}
		if _, err := fmt.Fprint(w, v.help); err != nil {
			return err
		}
	}
	return nil
}

// family are the verbs of two words whose first one is word.
func family(word string) []verb {
	return slices.DeleteFunc(verbs(), func(v verb) bool { return !strings.HasPrefix(v.name, word+" ") })
}

// find returns the verb that args begin with, and what follows it.
func find(args []string) (v verb, rest []string, err error) {
	all, name, rest := verbs(), args[0], args[1:]
	if own := family(name); len(own) > 0 {
		all = own
		if len(rest) > 0 {
			name, rest = name+" "+rest[0], rest[1:]
		}
	}
	var names []string
	for _, v := range all {
		if v.name == name {
			return v, rest, nil
		}
		names = append(names, v.name)
	}
	hint := "the verbs are " + strings.Join(names, ", ")
	if near := cli.Nearest(name, names); len(near) > 0 {
		hint = "did you mean " + near[0] + "?"
	}
	err = fmt.Errorf("unknown verb %q", name)
	if name == args[0] && len(all) < len(verbs()) {
		err = fmt.Errorf("the verb %s has a second word", name)
	}
	return verb{}, nil, cli.BadInput(cli.WithHint(err, hint))
}

// messageFlags are those that every verb has.
func messageFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "tell each command that is run"},
		&ucli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "tell errors only"},
	}
}

// level is what the message flags say.
func level(c *ucli.Context) (cli.Level, error) {
	switch {
	case c.Bool("verbose") && c.Bool("quiet"):
		return cli.Normal, errors.New("--verbose and --quiet contradict each other")
	case c.Bool("quiet"):
		return cli.Quiet, nil
	case c.Bool("verbose"):
		return cli.Verbose, nil
	}
	return cli.Normal, nil
}

// runner is how programs are started: as env says, told under -v.
func runner(env *cli.Env, log *cli.Log) func(*exec.Cmd) error {
	run := env.Run
	if run == nil {
		run = (*exec.Cmd).Run
	}
	return func(cmd *exec.Cmd) error {
		log.Debugf("run: %s", cli.CommandLine(cmd.Args))
		return run(cmd)
	}
}
