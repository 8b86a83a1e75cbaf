// SPDX-License-Identifier: MIT

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/gokms/gokms/pkg/debhelper"
)

// DebhelperProgram is one dh_* command.
type DebhelperProgram struct {
	debhelper.Command
	Help string // what --help prints
	// Do is called if there are packages to act on.
	Do func(*debhelper.Session, *Log) error
}

// Run runs the command in env. What goes wrong is told in debhelper's form and
// ends with its exit code.
func (p DebhelperProgram) Run(ctx context.Context, env *Env) error {
	log := NewLog(env.Stderr, p.Name, Normal)
	s, err := debhelper.Init(ctx, p.Command, debhelper.Env{
		Args: env.Args, Environ: env.Environ, Dir: env.Dir, Stdout: env.Stdout, Stderr: env.Stderr, Run: env.Run,
	})
	if s != nil {
		for _, w := range s.Warnings {
			log.Warn(w)
		}
	}
	switch {
	case errors.Is(err, debhelper.ErrHelp):
		fmt.Fprint(env.Stdout, p.Help)
		return nil
	case err == nil && len(s.Packages) > 0:
		if err = p.Do(s, log); err == nil {
			err = s.Finish()
		}
	}
	if err != nil {
		log.Error(err)
		return &ExitError{Code: debhelper.ExitError, Err: err}
	}
	return nil
}
