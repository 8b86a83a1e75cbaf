// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/internal/target/flags"
	"github.com/gokms/gokms/internal/verify"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/kmod"
)

const checkHelp = `Usage: gokms check [options] FILE...

Says whether kernel modules would load: those in packages (.deb), whoever made
them, and single ones (.ko, .ko.xz, .ko.zst, .ko.gz). All files given are taken to
be installed together. Each module is held against the headers of the kernel:
vermagic, symbols and their CRCs, licence, namespaces, BTF and more, see gokms(1).

Checks:
  -k, --kernel KVER         check for this kernel: a release, "all" for all
                            installed ones, or apt:GLOB; repeatable (default: those
                            whose lib/modules/KVER the modules lie in)
      --symvers FILE        take more exported symbols from FILE, the Module.symvers
                            of modules that these need; repeatable
      --cert FILE           want a signature by the key of the certificate FILE;
                            repeatable: one of them
      --no-verify CHECK     leave out one of the checks: CHECKS;
                            repeatable

Kernels:
` + flags.Describe + `
Running:
      --json                print the results as JSON
  -v, --verbose             tell each command that is run
  -q, --quiet               tell errors only
  -h, --help                print this text

Exit status: 0 all modules would load; 1 some would not, or have no signature by a
--cert, or a signal ended it; 2 bad input: nothing was checked.
`

func checkVerb() verb {
	return verb{
		name:    "check",
		summary: "say whether modules would load into a kernel",
		help:    strings.Replace(checkHelp, "CHECKS", checkNames(), 1),
		flags:   checkFlags,
		do:      check,
	}
}

// checkNames lists the checks as a paragraph of the help.
func checkNames() string {
	var b strings.Builder
	width := len("leave out one of the checks: ")
	for i, name := range kmod.Checks() {
		switch {
		case i > 0 && width+len(name) > 50:
			b.WriteString(",\n" + strings.Repeat(" ", 28))
			width = 0
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(name)
		width += len(name) + 2
	}
	return b.String()
}

func checkFlags() []ucli.Flag {
	own := append(flags.Flags(),
		&ucli.StringSliceFlag{Name: "kernel", Aliases: []string{"k"}, Usage: "check for the kernel `KVER`; repeatable"},
		&ucli.StringSliceFlag{Name: "symvers", Usage: "take more exported symbols from `FILE`; repeatable"},
		&ucli.StringSliceFlag{Name: "cert", Usage: "want a signature by the key of the certificate `FILE`; repeatable"},
		&ucli.StringSliceFlag{Name: "no-verify", Usage: "leave out `CHECK`; repeatable"},
		&ucli.BoolFlag{Name: "json", Usage: "print the results as JSON"},
	)
	return append(own, messageFlags()...)
}

// checker is one run of the verb.
type checker struct {
	inputs  []*input
	kernels []string // words of -k
	places  *flags.Options
	certs   []*x509.Certificate
	extra   map[string]kmod.Provided
	skip    []string
	level   cli.Level
	env     *cli.Env
	log     *cli.Log
}

func check(ctx context.Context, c *ucli.Context, env *cli.Env) error {
	v, err := newChecker(c, env)
	if err != nil {
		return cli.BadInput(err)
	}
	if v.inputs, err = v.read(ctx, c.Args().Slice()); err == nil {
		err = v.named()
	}
	var kernels []*target.Kernel
	if err == nil {
		kernels, err = v.find(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return cli.Interrupted(ctx)
	case err != nil:
		return cli.BadInput(err)
	}
	reports := []*fileReport{} // [], not null
	for _, k := range kernels {
		of, err := v.check(k)
		if err != nil {
			return cli.BadInput(err)
		}
		reports = append(reports, of...)
	}
	return v.tell(reports, c.Bool("json"))
}

func newChecker(c *ucli.Context, env *cli.Env) (*checker, error) {
	v := &checker{env: env, kernels: c.StringSlice("kernel"), skip: c.StringSlice("no-verify"), extra: map[string]kmod.Provided{}}
	var errs [2]error
	v.level, errs[0] = level(c)
	v.places, errs[1] = flags.New(c, env)
	err := errors.Join(errs[:]...)
	v.log = cli.NewLog(env.Stderr, prog+" check", v.level)
	v.places.Warn = v.log.Warn
	if c.Args().Len() == 0 {
		err = errors.Join(err, cli.WithHint(errors.New("no FILE to check"), "see gokms check --help"))
	}
	for _, name := range v.skip {
		if !slices.Contains(kmod.Checks(), name) {
			err = errors.Join(err, unknownCheck(name))
		}
	}
	for _, file := range c.StringSlice("symvers") {
		exports, readErr := verify.Provided(absolute(env, file))
		// The kernel's own come with its headers.
		maps.DeleteFunc(exports, func(_ string, p kmod.Provided) bool { return p.Module == "vmlinux" })
		maps.Copy(v.extra, exports)
		err = errors.Join(err, readErr)
	}
	for _, file := range c.StringSlice("cert") {
		cert, readErr := kmod.ReadCertificate(absolute(env, file))
		v.certs = append(v.certs, cert)
		err = errors.Join(err, readErr)
	}
	return v, err
}

func unknownCheck(name string) error {
	hint := "the checks are " + strings.Join(kmod.Checks(), ", ")
	if near := cli.Nearest(name, kmod.Checks()); len(near) > 0 {
		hint = "did you mean " + near[0] + "?"
	}
	return cli.WithHint(fmt.Errorf("--no-verify %q: there is no such check", name), hint)
}

// named wants each module to be for some kernel.
func (v *checker) named() error {
	if len(v.kernels) > 0 || len(v.places.Headers) > 0 {
		return nil
	}
	for _, in := range v.inputs {
		for _, m := range in.modules {
			if m.release != "" {
				continue
			}
			hint := "name the kernel with -k KVER"
			if m.file != nil {
				if built := kmod.ParseVermagic(m.file.Info().Vermagic).Release; built != "" {
					hint += "; its vermagic says " + built
				}
			}
			return cli.WithHint(fmt.Errorf("%s: lies in no lib/modules/KVER that would tell which kernel it is for", m.path), hint)
		}
	}
	return nil
}

// find finds the kernels to check for.
func (v *checker) find(ctx context.Context) ([]*target.Kernel, error) {
	if v.places.Arch == "" {
		v.places.Arch = v.foreign()
	}
	progress := cli.NewProgress(v.env, prog+" check", v.log, v.level)
	kernels, err := v.findWith(ctx, v.places.Finder(runner(v.env, v.log), kbuild.LookPath, progress))
	progress.End()
	for _, k := range kernels {
		for _, w := range k.Warnings {
			v.log.Warn(w)
		}
	}
	return kernels, err
}

// findWith takes the words of -k, else the releases that packages name, which
// are releases only.
func (v *checker) findWith(ctx context.Context, finder *target.Finder) ([]*target.Kernel, error) {
	if releases := v.releases(); len(v.kernels) == 0 && len(releases) > 0 {
		return finder.Releases(ctx, releases)
	}
	return finder.Find(ctx, v.kernels)
}

// foreign is the architecture of all packages, if that is one and another than
// the machine's; else "".
func (v *checker) foreign() string {
	arch := ""
	for _, in := range v.inputs {
		switch {
		case in.arch == "" || in.arch == "all" || in.arch == arch:
		case arch != "":
			return ""
		default:
			arch = in.arch
		}
	}
	if arch == kernel.OwnArch() {
		return ""
	}
	return arch
}

// releases are those that the places of the modules name; none if one of them
// names none.
func (v *checker) releases() []string {
	var all []string
	for _, in := range v.inputs {
		for _, m := range in.modules {
			if m.release == "" {
				return nil
			}
			if !slices.Contains(all, m.release) {
				all = append(all, m.release)
			}
		}
	}
	return all
}

// check looks at the modules of all files that are for one kernel.
func (v *checker) check(k *target.Kernel) ([]*fileReport, error) {
	facts, err := verify.Kernel(k.Tree, nil)
	if err != nil {
		return nil, err
	}
	var files []*kmod.File
	picked := make([][]*module, len(v.inputs))
	for i, in := range v.inputs {
		picked[i] = in.pick(k.Release, len(v.kernels) > 0)
		for _, m := range picked[i] {
			if m.file != nil {
				files = append(files, m.file)
			}
		}
	}
	verifier := &kmod.Verifier{Kernel: facts, Extra: v.extra, Skip: v.skip}
	findings := map[string][]kmod.Finding{}
	for _, f := range verifier.Check(files) {
		findings[f.Path] = append(findings[f.Path], f)
	}
	var reports []*fileReport
	for i, in := range v.inputs {
		if len(picked[i]) == 0 {
			continue
		}
		r := &fileReport{File: in.path, Kernel: k.Release}
		for _, m := range picked[i] {
			of := append(findings[m.path], m.findings(v.certs, facts.Config)...)
			r.Modules = append(r.Modules, v.report(m, of, facts.Config))
		}
		reports = append(reports, r)
	}
	return reports, nil
}
