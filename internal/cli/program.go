// SPDX-License-Identifier: MIT

package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"
)

// Program is one gokms command, or one verb of a command.
type Program struct {
	Name  string // begins its messages: "gokms-mkbmdeb", "gokms kernels"
	Help  string // what --help prints
	Flags []cli.Flag
	// Do does what a command line says.
	Do func(context.Context, *cli.Context, *Env) error
}

// Run reads env.Args, does what they say, and tells what went wrong. The error
// it returns holds the exit code.
func (p Program) Run(ctx context.Context, env *Env) error {
	app := &cli.App{
		Name:                      p.Name,
		HideHelp:                  true,
		HideVersion:               true, // its -v is our --verbose
		Flags:                     p.Flags,
		Writer:                    env.Stdout,
		ErrWriter:                 env.Stderr,
		ExitErrHandler:            func(*cli.Context, error) {},
		DisableSliceFlagSeparator: true,
		OnUsageError:              func(_ *cli.Context, err error, _ bool) error { return BadInput(err) },
		Action:                    func(c *cli.Context) error { return p.Do(ctx, c, env) },
	}
	args, err := NormalizeArgs(app.Flags, env.Args)
	switch {
	case err != nil:
		err = BadInput(WithHint(err, "see "+p.Name+" --help"))
	case slices.Contains(args[:slices.Index(args, "--")], "--help"):
		_, err = fmt.Fprint(env.Stdout, p.Help) // urfave's takes arguments for topics
	default:
		err = app.Run(append([]string{p.Name}, args...))
	}
	if err != nil {
		NewLog(env.Stderr, p.Name, Normal).Error(err)
	}
	return err
}
