// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"syscall"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/signing"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/internal/target/flags"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kmod"
	"github.com/gokms/gokms/pkg/version"
)

const extractHelp = `Usage: gokms sign extract [options] -o DIR PACKAGE.deb...

The first of two steps to sign modules with a key that is not here. Writes the
modules of the packages into DIR, unpacked, and manifest.json, which names them
with their digests. Their paths are printed. The signer puts NAME.ko.p7s,
NAME.ko.sig or NAME.ko.raw beside each NAME.ko; gokms sign attach takes it from
there. gokms(1) shows commands for the signer.

Signing:
  -o, --output DIR          write to the directory DIR, which must be new or empty
      --hash ALG            sign over this hash, such as sha256 (default: that of
                            the kernel's configuration, from its headers)

Kernels:
` + flags.Describe + `
Running:
  -v, --verbose             tell each command that is run
  -q, --quiet               tell errors only
  -h, --help                print this text

Exit status: 0; 1 the disk failed, or a signal ended it; 2 bad input: nothing was
written.
`

const attachHelp = `Usage: gokms sign attach [options] --signatures DIR --sign-cert FILE
           {--revision R|--unpublished} -o DIR PACKAGE.deb...

The second step: joins signatures with the packages that were given to gokms sign
extract, and writes new packages. Each signature is verified; nothing but the
signatures, and what follows from them, differs from the old packages. The paths
of the new files are printed.

Signing:
      --signatures DIR      take signatures from DIR, which extract made
      --sign-cert FILE      the certificate of the key, in PEM or DER
      --manifest FILE       take the manifest from FILE, if that in DIR is not to
                            be trusted
      --revision R          append +R to the versions: for packages that were
                            published, whose bytes must not change
      --unpublished         keep the versions: nobody has the unsigned packages
      --changes FILE        write the .changes or .buildinfo FILE anew, with the
                            new packages; repeatable

Running:
  -o, --output DIR          write to DIR
  -v, --verbose             tell each command that is run
  -q, --quiet               tell errors only
  -h, --help                print this text

Exit status: 0; 1 the disk failed, or a signal ended it; 2 bad input, such as a
wrong signature: nothing was written.
`

func extractVerb() verb {
	return verb{
		name:    "sign extract",
		summary: "write what is to be signed in packages",
		help:    extractHelp,
		flags:   extractFlags,
		do:      signExtract,
	}
}

func attachVerb() verb {
	return verb{
		name:    "sign attach",
		summary: "join signatures with packages",
		help:    attachHelp,
		flags:   attachFlags,
		do:      signAttach,
	}
}

func extractFlags() []ucli.Flag {
	own := append(flags.Flags(),
		&ucli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to the directory `DIR`"},
		&ucli.StringFlag{Name: "hash", Usage: "sign over the hash `ALG`"},
	)
	return append(own, messageFlags()...)
}

func attachFlags() []ucli.Flag {
	return append([]ucli.Flag{
		&ucli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `DIR`"},
		&ucli.StringFlag{Name: "signatures", Usage: "take signatures from `DIR`"},
		&ucli.StringFlag{Name: "sign-cert", Usage: "the certificate `FILE` of the key"},
		&ucli.StringFlag{Name: "manifest", Usage: "take the manifest from `FILE`"},
		&ucli.StringFlag{Name: "revision", Usage: "append +`R` to the versions"},
		&ucli.BoolFlag{Name: "unpublished", Usage: "keep the versions"},
		&ucli.StringSliceFlag{Name: "changes", Usage: "write the .changes or .buildinfo `FILE` anew; repeatable"},
	}, messageFlags()...)
}

// signer is one run of a verb that signs.
type signer struct {
	verb   string
	places *flags.Options // extract
	debs   []string
	level  cli.Level
	env    *cli.Env
	log    *cli.Log
}

// newSigner reads what both verbs have. needed are the options that must be
// given.
func newSigner(c *ucli.Context, env *cli.Env, verb string, needed ...string) (*signer, error) {
	lvl, err := level(c)
	s := &signer{verb: prog + " " + verb, level: lvl, env: env}
	s.log = cli.NewLog(env.Stderr, s.verb, lvl)
	for _, path := range c.Args().Slice() {
		s.debs = append(s.debs, absolute(env, path))
	}
	see := "see " + s.verb + " --help"
	if len(s.debs) == 0 {
		err = errors.Join(err, cli.WithHint(errors.New("no PACKAGE.deb"), see))
	}
	for _, name := range needed {
		if c.String(name) == "" {
			err = errors.Join(err, cli.WithHint(fmt.Errorf("--%s is missing", name), see))
		}
	}
	return s, err
}

func signExtract(ctx context.Context, c *ucli.Context, env *cli.Env) error {
	s, err := newSigner(c, env, "sign extract", "output")
	var flagErr error
	if s.places, flagErr = flags.New(c, env); flagErr == nil && c.String("hash") != "" {
		if _, hashErr := kmod.Digest(nil, c.String("hash")); hashErr != nil {
			flagErr = fmt.Errorf("--hash: %w", hashErr)
		}
	}
	if err = errors.Join(err, flagErr); err != nil {
		return cli.BadInput(err)
	}
	s.places.Warn = s.log.Warn
	out := absolute(env, c.String("output"))
	o := &signing.ExtractOptions{Debs: s.debs, Out: out, Programs: signing.Programs{Run: runner(env, s.log)}}
	o.Hash = func(release string) (string, error) { return s.hash(ctx, release) }
	if hash := c.String("hash"); hash != "" {
		o.Hash = func(string) (string, error) { return hash, nil }
	}
	m, err := signing.Extract(ctx, o)
	if err != nil {
		return s.failed(ctx, err)
	}
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(m.Packages)) {
		for _, f := range m.Packages[name].Files {
			paths = append(paths, filepath.Join(name, f.File))
		}
	}
	s.log.Infof("modules to sign: %d; packages: %d", len(paths), len(m.Packages))
	return s.print(c.String("output"), paths)
}

// hash is the one that a kernel's configuration names.
func (s *signer) hash(ctx context.Context, release string) (string, error) {
	progress := cli.NewProgress(s.env, s.verb, s.log, s.level)
	k, err := s.places.Finder(runner(s.env, s.log), kbuild.LookPath, progress).Release(ctx, release)
	progress.End()
	if missing, ok := errors.AsType[*target.NotFoundError](err); ok {
		return "", cli.WithHint(err, missing.Hint()+"; or name the hash with --hash")
	}
	if err != nil {
		return "", err
	}
	hash := k.Config.Text("CONFIG_MODULE_SIG_HASH")
	if hash == "" {
		return "", cli.WithHint(fmt.Errorf("kernel %s verifies no signatures: its configuration has no CONFIG_MODULE_SIG_HASH", release),
			"name a hash with --hash, such as sha256, if they are to be signed all the same")
	}
	return hash, nil
}

func signAttach(ctx context.Context, c *ucli.Context, env *cli.Env) error {
	s, err := newSigner(c, env, "sign attach", "signatures", "sign-cert", "output")
	o, optionsErr := s.attachOptions(c)
	if err = errors.Join(err, revisionError(c), optionsErr); err != nil {
		return cli.BadInput(err)
	}
	a, err := signing.Attach(ctx, o)
	if err != nil {
		return s.failed(ctx, err)
	}
	var names []string
	for _, path := range slices.Concat(a.Debs, a.Changes) {
		names = append(names, filepath.Base(path))
	}
	return s.print(c.String("output"), names)
}

// revisionError wants a decision on the versions.
func revisionError(c *ucli.Context) error {
	value := c.String("revision")
	if value != "" {
		if err := version.ValidRevision(value); err != nil {
			return fmt.Errorf("--revision %q: %w", value, err)
		}
	}
	switch revision := c.IsSet("revision"); {
	case revision && c.Bool("unpublished"):
		return errors.New("--revision and --unpublished contradict each other")
	case !revision && !c.Bool("unpublished"):
		return cli.WithHint(errors.New("--revision is missing: what was published must not change under its version"),
			"--revision R appends +R; --unpublished keeps the versions, if nobody has the unsigned packages")
	}
	return nil
}

func (s *signer) attachOptions(c *ucli.Context) (*signing.AttachOptions, error) {
	o := &signing.AttachOptions{
		Debs: s.debs, Signatures: absolute(s.env, c.String("signatures")), Manifest: absolute(s.env, c.String("manifest")),
		Revision: c.String("revision"), Out: absolute(s.env, c.String("output")), Programs: signing.Programs{Run: runner(s.env, s.log)},
	}
	for _, file := range c.StringSlice("changes") {
		o.Changes = append(o.Changes, absolute(s.env, file))
	}
	path := c.String("sign-cert")
	if path == "" {
		return o, nil // is told as missing
	}
	var err error
	if o.Certificate, err = kmod.ReadCertificate(absolute(s.env, path)); err != nil {
		return nil, err
	}
	return o, kmod.CheckSigningKey(o.Certificate)
}

// failed is what ended a verb before anything was written. A disk may have more
// room the next time.
func (s *signer) failed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return cli.Interrupted(ctx)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EIO):
		return err
	}
	return cli.BadInput(err)
}

// print writes the paths of files in dir to standard output.
func (s *signer) print(dir string, names []string) error {
	for _, name := range names {
		if _, err := fmt.Fprintln(s.env.Stdout, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("write standard output: %w", err)
		}
	}
	return nil
}
