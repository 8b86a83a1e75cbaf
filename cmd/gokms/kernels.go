// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/internal/target/flags"
	"github.com/gokms/gokms/pkg/kbuild"
)

const kernelsHelp = `Usage: gokms kernels [options] [apt:GLOB...]

Lists the kernels that modules can be built for: those whose headers are
installed, those in the cache, and those that linux-headers-ARCH of the package
archive depends on today. With apt:GLOB, such as 'apt:linux-headers-6.1.0-*-amd64',
lists the kernels of matching packages of the archive. Nothing is fetched.

Of each it tells the release, where its headers are (installed, cached, archive;
given: with --headers), the version of the header package, and the compiler that
modules are compiled with, and the package to install if that is missing.

Kernels:
` + flags.Describe + `
Running:
      --json                print the list as JSON
  -v, --verbose             tell each command that is run
  -q, --quiet               tell errors only
  -h, --help                print this text

Exit status: 0; 1 a signal ended it; 2 bad input, or nothing in the archive
matches.
`

func kernelsVerb() verb {
	return verb{
		name:    "kernels",
		summary: "list the kernels that modules can be built for",
		help:    kernelsHelp,
		flags:   kernelsFlags,
		do:      kernels,
	}
}

func kernelsFlags() []ucli.Flag {
	json := &ucli.BoolFlag{Name: "json", Usage: "print the list as JSON"}
	return append(append(flags.Flags(), json), messageFlags()...)
}

func kernels(ctx context.Context, c *ucli.Context, env *cli.Env) error {
	lvl, err := level(c)
	from, flagErr := flags.New(c, env)
	if err = errors.Join(err, flagErr); err != nil {
		return cli.BadInput(err)
	}
	log := cli.NewLog(env.Stderr, prog+" kernels", lvl)
	from.Warn = log.Warn
	entries, warnings, err := from.Finder(runner(env, log), kbuild.LookPath, nil).List(ctx, c.Args().Slice())
	switch {
	case ctx.Err() != nil:
		return cli.Interrupted(ctx)
	case err != nil:
		return cli.BadInput(err)
	}
	if warnings != nil {
		log.Warn(warnings)
	}
	if c.Bool("json") {
		if entries == nil {
			entries = []target.Entry{} // [], not null
		}
		return cli.WriteJSON(env.Stdout, entries)
	}
	if len(entries) == 0 {
		log.Infof("there are no kernels to build for")
		return nil
	}
	return cli.Table(env.Stdout, kernelTable(entries))
}

// kernelTable is the list as rows of text.
func kernelTable(entries []target.Entry) [][]string {
	rows := [][]string{{"KERNEL", "HEADERS", "VERSION", "COMPILER"}}
	for _, e := range entries {
		version := e.Version
		if version == "" {
			version = "-"
		}
		rows = append(rows, []string{e.Release, string(e.Origin), version, compiler(e)})
	}
	return rows
}

func compiler(e target.Entry) string {
	switch {
	case e.Compiler == "":
		return "-"
	case e.CompilerFound:
		return e.Compiler
	case e.CompilerPackage == "":
		return e.Compiler + " (missing)"
	}
	return e.Compiler + " (missing: package " + e.CompilerPackage + ")"
}
