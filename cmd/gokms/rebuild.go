// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/record"
	"github.com/gokms/gokms/internal/target/flags"
	"github.com/gokms/gokms/pkg/kbuild"
)

const rebuildHelp = `Usage: gokms rebuild [options] RECORD

Builds packages once more, from the record that gokms-mkbmdeb --record wrote,
and compares them with those that were built then. First all that went in is
looked at: sources, headers, compilers, tools and gokms itself must be the same.
Headers that were fetched are fetched by their hashes, as are sources; those that
were installed must be installed.

Inputs:
      --source PATH         take the source from PATH, not from where it was; for
                            several sources once for each, in their order
      --offline             do not ask the package archive
      --cache-dir DIR       keep what is fetched in DIR (default: gokms in
                            $XDG_CACHE_HOME, else in ~/.cache)
      --apt-options OPTIONS
                            give OPTIONS, such as '-o NAME=VALUE', to every apt
                            command; repeatable

The build:
      --sandbox MODE        build in the sandbox: on (default), off, or auto, if
                            one can be made; the packages are the same
      --sign-key FILE       the key of packages whose modules were signed: a PEM
                            file or a pkcs11: URI
      --sign-pin-file FILE  holds the key's PIN or passphrase (default: what
                            KBUILD_SIGN_PIN is)

Running:
  -o, --output DIR          write packages to DIR (default: keep none, and of a
                            build that failed its log)
  -v, --verbose             tell each command that is run
  -q, --quiet               tell errors only
  -h, --help                print this text

Exit status: 0 all packages are the same; 1 some differ, a build failed, or a
signal ended it; 2 bad input, or something that went in is not the same: nothing
was built.
`

func rebuildVerb() verb {
	return verb{
		name:    "rebuild",
		summary: "build packages once more from a record, and compare",
		help:    rebuildHelp,
		flags:   rebuildFlags,
		do:      rebuild,
	}
}

func rebuildFlags() []ucli.Flag {
	own := append(flags.ArchiveFlags(),
		&ucli.StringSliceFlag{Name: "source", Usage: "take the source from `PATH`; repeatable"},
		&ucli.StringFlag{Name: "sandbox", Value: string(cell.On), Usage: "build in a sandbox: `on|off|auto`"},
		&ucli.StringFlag{Name: "sign-key", Usage: "sign the modules with the key in `FILE`, or with that of a pkcs11: URI"},
		&ucli.StringFlag{Name: "sign-pin-file", Usage: "`FILE` holds the key's PIN or passphrase (default: KBUILD_SIGN_PIN)"},
		&ucli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write packages to `DIR`"},
	)
	return append(own, messageFlags()...)
}

// rebuilder is one run of the verb.
type rebuilder struct {
	*record.Record
	file    string // of the record, absolute
	places  *flags.Options
	sandbox cell.Confinement
	key     []string // options of the builder's: what is signed with, and its PIN
	output  string
	level   cli.Level
	env     *cli.Env
	log     *cli.Log
}

func rebuild(ctx context.Context, c *ucli.Context, env *cli.Env) error {
	r, err := newRebuilder(c, env)
	if err != nil {
		return cli.BadInput(err)
	}
	program, err := r.builder()
	if err != nil {
		return cli.BadInput(err)
	}
	if err := r.fetchSources(ctx); err != nil {
		if ctx.Err() != nil {
			return cli.Interrupted(ctx)
		}
		return cli.BadInput(err)
	}
	if err := r.check(ctx, program); err != nil {
		if ctx.Err() != nil {
			return cli.Interrupted(ctx)
		}
		return cli.BadInput(err)
	}
	return r.build(ctx, program)
}

// newRebuilder takes the command line and reads the record. All of its errors
// are the user's to cure.
func newRebuilder(c *ucli.Context, env *cli.Env) (*rebuilder, error) {
	lvl, err := level(c)
	places, flagErr := flags.New(c, env)
	sandbox := cell.Confinement(c.String("sandbox"))
	if err = errors.Join(err, flagErr, sandbox.Check()); err != nil {
		return nil, err
	}
	if c.Args().Len() != 1 {
		return nil, cli.WithHint(fmt.Errorf("want one RECORD, not %d", c.Args().Len()), "see gokms rebuild --help")
	}
	r := &rebuilder{
		file: absolute(env, c.Args().First()), places: places, sandbox: sandbox, output: absolute(env, c.String("output")),
		level: lvl, env: env, log: cli.NewLog(env.Stderr, prog+" rebuild", lvl),
	}
	if r.Record, err = record.Read(r.file); err != nil {
		return nil, err
	}
	return r, errors.Join(r.takeKey(c), r.replaceSources(c.StringSlice("source")))
}

// takeKey takes the options of signatures. A record does not say what to sign
// with: that would let whoever wrote it have anything signed.
func (r *rebuilder) takeKey(c *ucli.Context) error {
	key, pin := c.String("sign-key"), c.String("sign-pin-file")
	switch {
	case key == "" && r.Signed():
		return cli.WithHint(errors.New("the modules were signed, and are to be signed again"), "name the key with --sign-key")
	case key == "" && pin != "":
		return errors.New("--sign-pin-file wants a key: --sign-key is missing")
	case key == "":
		return nil
	case !r.Signed():
		return errors.New("--sign-key: the modules of the record were not signed")
	}
	if !strings.HasPrefix(key, "pkcs11:") {
		key = absolute(r.env, key)
	}
	r.key = []string{"--sign-key=" + key}
	if pin != "" {
		r.key = append(r.key, "--sign-pin-file="+absolute(r.env, pin))
	}
	return nil
}

func absolute(env *cli.Env, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(env.Dir, path)
}

// replaceSources is --source.
func (r *rebuilder) replaceSources(paths []string) error {
	if len(paths) > 0 && len(paths) != len(r.Sources) {
		return fmt.Errorf("--source is given %d times; the record has %d sources", len(paths), len(r.Sources))
	}
	for i, path := range paths {
		r.Sources[i].Path = absolute(r.env, path)
		r.Sources[i].Kind = "" // it is not fetched
	}
	return nil
}

// fetchSources brings sources that were fetched from the archive into the cache
// of this machine.
func (r *rebuilder) fetchSources(ctx context.Context) error {
	progress := cli.NewProgress(r.env, prog+" rebuild", r.log, r.level)
	defer progress.End()
	var errs []error
	for i, s := range r.Sources {
		if _, err := os.Stat(s.Path); s.Kind != record.Archive || err == nil {
			continue
		}
		if r.places.NoCache != nil {
			return r.places.NoCache
		}
		stem := strings.TrimSuffix(filepath.Base(s.Path), ".deb")
		path, err := r.places.Archive(runner(r.env, r.log), progress).DebExact(ctx, archive.Package{
			Name: s.Package, Version: s.PackageVersion, Architecture: stem[strings.LastIndex(stem, "_")+1:], SHA256: s.SHA256,
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("source %s: %w", s.Argument, err))
			continue
		}
		r.Sources[i].Path = path
	}
	return errors.Join(errs...)
}

const builderName = "gokms-mkbmdeb"

// builder is the program that builds: the one beside this one, else that in
// PATH.
func (r *rebuilder) builder() (string, error) {
	dirs := filepath.SplitList(r.env.Getenv("PATH"))
	if own, err := os.Executable(); err == nil {
		dirs = slices.Insert(dirs, 0, filepath.Dir(own))
	}
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, builderName)); err == nil && filepath.IsAbs(path) {
			return path, nil
		}
	}
	return "", errors.New(builderName + " is neither beside this program nor in PATH")
}

// check compares what went in with what there is. Headers are left to the
// builder, which compares them when it fetches them.
func (r *rebuilder) check(ctx context.Context, program string) error {
	var errs []error
	differ := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	asker := record.Asker{Run: runner(r.env, r.log), LookPath: kbuild.LookPath}
	own := record.Asker{Run: asker.Run}.Tool(ctx, program, "")
	if version := strings.TrimPrefix(own.Version, builderName+" "); version != r.Gokms {
		differ("gokms is %s; it was %s", version, r.Gokms)
	}
	same := func(what, path, sum string) {
		switch now, err := record.Sum(ctx, path); {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		case now != sum:
			differ("%s: %s is not what it was: its SHA-256 is %s, not %s", what, path, now, sum)
		}
	}
	for _, s := range r.Sources {
		if err := exists(s); err != nil {
			errs = append(errs, err)
			continue
		}
		same("source", s.Path, s.SHA256)
	}
	for _, in := range r.Inputs {
		same(in.Option, in.Path, in.SHA256)
	}
	tools := slices.Clone(r.Tools)
	for _, k := range r.Kernels {
		for _, t := range k.Trees {
			same("headers of kernel "+k.Release, t.Path, t.SHA256)
		}
		if !slices.Contains(tools, k.Compiler) {
			tools = append(tools, k.Compiler)
		}
	}
	for _, t := range tools {
		now := asker.Tool(ctx, t.Command, t.Package)
		switch text := t.Compare(now); {
		case text == "":
		case now.Version == "" && t.Package != "":
			errs = append(errs, cli.WithHint(errors.New(text), "install the package "+t.Package))
		default:
			differ("%s", text)
		}
	}
	return errors.Join(errs...)
}

func exists(s record.Source) error {
	if _, err := os.Stat(s.Path); err == nil {
		return nil
	}
	what := "source " + s.Argument
	if s.Package != "" {
		what += " (" + s.Package + " " + s.PackageVersion + ")"
	}
	return cli.WithHint(fmt.Errorf("%s is not at %s", what, s.Path), "name its place with --source PATH")
}

// build runs the builder and compares what it makes.
func (r *rebuilder) build(ctx context.Context, program string) (err error) {
	dir := r.output
	if dir == "" {
		if dir, err = os.MkdirTemp(r.env.Getenv("TMPDIR"), "gokms-rebuild-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, tidy(dir)) }()
	}
	if r.env.Getenv("KBUILD_SIGN_PIN") != "" {
		if err := cli.HideEnvironment(); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, program, r.arguments(dir)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it tidies up
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir, cmd.Env, cmd.Stderr = r.env.Dir, r.environment(), r.env.Stderr
	if err := runner(r.env, r.log)(cmd); err != nil {
		if ctx.Err() != nil {
			return cli.Interrupted(ctx)
		}
		if e, ok := errors.AsType[*exec.ExitError](err); ok && e.ExitCode() == cli.ExitInput {
			return &cli.ExitError{Code: cli.ExitInput} // it has told why
		}
		return fmt.Errorf("%s: %w", builderName, err)
	}
	return r.compare(ctx, dir)
}

// tidy removes a temporary directory, but for the logs of builds that failed:
// the builder has told where they are.
func tidy(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	isLog := func(e os.DirEntry) bool { return strings.HasSuffix(e.Name(), ".failed.log") }
	if !slices.ContainsFunc(entries, isLog) {
		return os.RemoveAll(dir)
	}
	var errs []error
	for _, e := range entries {
		if !isLog(e) {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// arguments are those that were recorded, and where things are now.
func (r *rebuilder) arguments(output string) []string {
	args := slices.Concat(r.Arguments, r.key)
	args = append(args, "--sandbox="+string(r.sandbox), "--output="+output, "--arch="+r.Kernels[0].Architecture)
	if slices.ContainsFunc(r.Kernels, func(k record.Kernel) bool { return len(k.Headers) > 0 }) {
		args = append(args, "--headers="+r.file)
	}
	for _, k := range r.Kernels {
		args = append(args, "--kernel="+k.Release)
		if given := "--headers=" + k.Given; k.Given != "" && !slices.Contains(args, given) {
			args = append(args, given)
		}
	}
	switch r.level {
	case cli.Quiet:
		args = append(args, "--quiet")
	case cli.Verbose:
		args = append(args, "--verbose")
	}
	if r.places.Offline {
		args = append(args, "--offline")
	}
	if r.places.CacheDir != "" {
		args = append(args, "--cache-dir="+r.places.CacheDir)
	}
	for _, word := range r.places.AptTexts {
		args = append(args, "--apt-options="+word)
	}
	args = append(args, "--")
	for _, s := range r.Sources {
		args = append(args, s.Path)
	}
	return args
}

// environment is the caller's with the variables of the record. The time of
// the files is that of then, even if it was that of the source's newest file.
func (r *rebuilder) environment() []string {
	environ := slices.DeleteFunc(slices.Clone(r.env.Environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(record.Variables, name)
	})
	for _, name := range record.Variables {
		if value, ok := r.Environment[name]; ok {
			environ = append(environ, name+"="+value)
		}
	}
	date := r.Sources[0].Date
	differs := func(s record.Source) bool { return s.Date != date }
	if _, set := r.Environment[record.Variables[0]]; !set && date > 0 && !slices.ContainsFunc(r.Sources, differs) {
		environ = append(environ, record.Variables[0]+"="+strconv.FormatInt(date, 10))
	}
	return environ
}

// compare tells of each package whether it is the same.
func (r *rebuilder) compare(ctx context.Context, dir string) error {
	var errs []error
	for _, p := range r.Packages {
		now, err := record.Sum(ctx, filepath.Join(dir, p.File))
		switch {
		case errors.Is(err, os.ErrNotExist):
			errs = append(errs, fmt.Errorf("%s was not built again", p.File))
		case err != nil:
			errs = append(errs, err)
		case now != p.SHA256:
			errs = append(errs, cli.WithHint(fmt.Errorf("%s differs: its SHA-256 is %s, not %s", p.File, now, p.SHA256),
				"diffoscope shows how, given the two packages; --output keeps the new one"))
		default:
			if _, err := fmt.Fprintf(r.env.Stdout, "%s: identical\n", p.File); err != nil {
				return fmt.Errorf("write standard output: %w", err)
			}
		}
	}
	return errors.Join(errs...)
}
