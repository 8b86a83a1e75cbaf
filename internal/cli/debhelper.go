// SPDX-License-Identifier: MIT

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/gokms/gokms/pkg/debhelper"
)

// Debhelper runs a dh_* command: do is called if there are packages to act on.
// What goes wrong is told in debhelper's form and ends with its exit code.
func Debhelper(ctx context.Context, env *Env, tool debhelper.Command, help string, do func(*debhelper.Session, *Log) error) error {
	log := NewLog(env.Stderr, tool.Name, Normal)
	s, err := debhelper.Init(ctx, tool, debhelper.Env{
		Args: env.Args, Environ: env.Environ, Dir: env.Dir, Stdout: env.Stdout, Stderr: env.Stderr, Run: env.Run,
	})
	if s != nil {
		for _, w := range s.Warnings {
			log.Warn(w)
		}
	}
	switch {
	case errors.Is(err, debhelper.ErrHelp):
		fmt.Fprint(env.Stdout, help)
		return nil
	case err == nil && len(s.Packages) > 0:
		if err = do(s, log); err == nil {
			err = s.Finish()
		}
	}
	if err != nil {
		log.Error(err)
		return &ExitError{Code: debhelper.ExitError, Err: err}
	}
	return nil
}
