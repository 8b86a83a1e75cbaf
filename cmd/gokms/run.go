// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/cli"
)

const prog = "gokms"

// verb is one of the things that gokms does. Each has a file of its own.
type verb struct {
	name    string
	summary string // a line of gokms --help
	help    string // its own --help
	flags   func() []ucli.Flag
	do      func(context.Context, *ucli.Context, *cli.Env) error
}

// verbs are all there are, in the order of --help.
func verbs() []verb {
	return []verb{kernelsVerb(), rebuildVerb()}
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
	first, rest := env.Args[0], env.Args[1:]
	switch {
	case first == "--version":
		_, err := fmt.Fprintln(env.Stdout, prog, cli.Version())
		return err
	case first == "--help" || first == "-h" || first == "help" && len(rest) == 0:
		_, err := fmt.Fprint(env.Stdout, help())
		return err
	case first == "help":
		v, err := find(rest[0])
		if err == nil {
			_, err = fmt.Fprint(env.Stdout, v.help)
		}
		return err
	case strings.HasPrefix(first, "-"):
		return cli.BadInput(cli.WithHint(fmt.Errorf("unknown option %s before the verb", first), "see "+prog+" --help"))
	}
	v, err := find(first)
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

// find returns the verb of that name.
func find(name string) (verb, error) {
	all := verbs()
	i := slices.IndexFunc(all, func(v verb) bool { return v.name == name })
	if i >= 0 {
		return all[i], nil
	}
	var names []string
	for _, v := range all {
		names = append(names, v.name)
	}
	hint := "the verbs are " + strings.Join(names, ", ")
	if near := cli.Nearest(name, names); len(near) > 0 {
		hint = "did you mean " + near[0] + "?"
	}
	return verb{}, cli.BadInput(cli.WithHint(fmt.Errorf("unknown verb %q", name), hint))
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
