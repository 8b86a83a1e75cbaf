// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/status"
)

const statusHelp = `Usage: gokms status [options] [NAME...]

Lists, for each kernel of this machine, the modules that are not the kernel's
own: those of packages, those that dkms has built, and others. Of each it tells
the version, where the file is from that depmod takes, what dkms calls it, who
signed it, whether the initramfs holds that file, and whether all is well. Below
the list are sentences on what is not.

With NAMEs, lists those modules only, the kernel's own included. A NAME is that
of a module or of its file, of a package (i40e-modules-KVER, i40e-modules or
i40e), or of a source of dkms.

Options:
  -k, --kernel KVER         look at this kernel only; repeatable
      --root DIR            look at the system whose root directory is DIR
      --check               end with 1 if anything is not as it should be
      --json                print all that is known as JSON
  -v, --verbose             tell of each file why it is taken or not
  -q, --quiet               tell errors only
  -h, --help                print this text

Exit status: 0; 1 with --check: something is wrong; or a signal ended it; 2 bad
input, or nothing has that NAME.
`

func statusVerb() verb {
	return verb{
		name:    "status",
		summary: "tell which modules each kernel gets, from where, and why",
		help:    statusHelp,
		flags:   statusFlags,
		do:      doStatus,
	}
}

func statusFlags() []ucli.Flag {
	return append([]ucli.Flag{
		&ucli.StringSliceFlag{Name: "kernel", Aliases: []string{"k"}, Usage: "look at the kernel `KVER` only; repeatable"},
		&ucli.StringFlag{Name: "root", Usage: "look at the system whose root directory is `DIR`"},
		&ucli.BoolFlag{Name: "check", Usage: "end with 1 if anything is not as it should be"},
		&ucli.BoolFlag{Name: "json", Usage: "print all that is known as JSON"},
	}, messageFlags()...)
}

func doStatus(ctx context.Context, c *ucli.Context, env *cli.Env) error {
	lvl, err := level(c)
	if err != nil {
		return cli.BadInput(err)
	}
	log := cli.NewLog(env.Stderr, prog+" status", lvl)
	root := c.String("root")
	if root != "" && !filepath.IsAbs(root) {
		root = filepath.Join(env.Dir, root)
	}
	report, err := status.Read(ctx, status.Options{
		Root: root, Kernels: c.StringSlice("kernel"), Names: c.Args().Slice(), Run: runner(env, log),
	})
	switch {
	case ctx.Err() != nil:
		return cli.Interrupted(ctx)
	case err != nil:
		return cli.BadInput(err)
	}
	for _, w := range report.Warnings {
		log.Warn(w)
	}
	if c.Bool("json") {
		err = cli.WriteJSON(env.Stdout, report)
	} else {
		statusNothing(log, report)
		err = printStatus(env.Stdout, report, lvl)
	}
	if err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	if c.Bool("check") && report.AnyProblem() {
		return &cli.ExitError{Code: cli.ExitFailed}
	}
	return nil
}

// statusNothing says why there is no table.
func statusNothing(log *cli.Log, r *status.Report) {
	switch {
	case len(statusTable(r)) > 1:
	case len(r.Kernels) == 0:
		log.Infof("no kernel is installed, nor a module for any")
	default:
		log.Infof("no modules besides those of the kernels are installed")
	}
}

// printStatus prints the table, and sentences below it.
func printStatus(w io.Writer, r *status.Report, lvl cli.Level) error {
	if rows := statusTable(r); len(rows) > 1 {
		if err := cli.Table(w, rows); err != nil {
			return err
		}
	}
	sentences := statusSentences(r, lvl)
	if len(sentences) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(sentences, "\n"))
	return err
}

// statusTable has a row for each module of each kernel, and one for each source
// of dkms that has none there. Columns without any entry are left out.
func statusTable(r *status.Report) [][]string {
	rows := [][]string{{"KERNEL", "MODULE", "VERSION", "FROM", "DKMS", "SIGNER", "INITRAMFS", "STATE"}}
	told := map[*status.DKMS]bool{}
	for _, k := range r.Kernels {
		for _, m := range k.Modules {
			told[m.DKMS] = true
			rows = append(rows, []string{k.Release, m.Name, m.Version, statusFrom(k, m), m.DKMSState, m.Signer, m.Initramfs, statusState(k, m)})
		}
	}
	for _, d := range r.DKMS {
		if !told[d] {
			rows = append(rows, []string{d.Kernel, strings.Join(d.Modules, ","), "", "dkms " + d.Source(), d.State, "", "", ""})
		}
	}
	for column := len(rows[0]) - 1; column >= 0; column-- {
		empty := !slices.ContainsFunc(rows[1:], func(row []string) bool { return row[column] != "" })
		for i, row := range rows {
			switch {
			case empty:
				rows[i] = slices.Delete(row, column, column+1)
			case row[column] == "":
				row[column] = "-"
			}
		}
	}
	return rows
}

// statusFrom names where the file is from that depmod takes. The release is in
// the same line, and left out of the package's name.
func statusFrom(k *status.Kernel, m *status.Module) string {
	switch {
	case m.From == status.FromPackage:
		return strings.TrimSpace(status.Family(m.Package, k.Release) + " " + m.PackageVersion)
	case m.From == status.FromDKMS, m.From == "" && m.DKMS != nil:
		return "dkms " + m.DKMSSource
	case m.From == status.FromOther:
		return m.File
	}
	return m.From
}

// statusState are the kinds of what is wrong, with the kernel as well if it is
// not there.
func statusState(k *status.Kernel, m *status.Module) string {
	var kinds []string
	if slices.ContainsFunc(k.Problems, func(p status.Problem) bool { return p.Kind == status.NoKernel }) {
		kinds = append(kinds, status.NoKernel)
	}
	for _, p := range m.Problems {
		if !slices.Contains(kinds, p.Kind) {
			kinds = append(kinds, p.Kind)
		}
	}
	switch {
	case len(kinds) > 0:
		return strings.Join(kinds, ",")
	case m.File == "":
		return "not installed"
	}
	return "ok"
}

// statusSentences are what is wrong, with -v also what is not.
func statusSentences(r *status.Report, lvl cli.Level) []string {
	var lines []string
	for _, k := range r.Kernels {
		for _, m := range k.Modules {
			about := k.Release + ": " + m.Name + ": "
			if lvl == cli.Verbose {
				for _, f := range m.Files {
					lines = append(lines, about+statusFile(f))
				}
			}
			for _, p := range m.Problems {
				if lvl != cli.Verbose || p.Kind != status.Loses {
					lines = append(lines, about+p.Text)
				}
			}
		}
		for _, p := range k.Problems {
			lines = append(lines, k.Release+": "+p.Text)
		}
	}
	for _, d := range r.DKMS {
		if d.State == status.Broken {
			lines = append(lines, "dkms: "+d.Source()+": its source is gone")
		}
	}
	return lines
}

func statusFile(f status.File) string {
	from := f.From
	if f.Package != "" {
		from = f.Package
	}
	if f.Wins {
		return f.File + " (" + from + ") is taken"
	}
	return f.Why
}
