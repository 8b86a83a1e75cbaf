// SPDX-License-Identifier: MIT

// Package flags holds the options that say where kernels come from: the same
// ones, with the same meaning, for each command that takes kernels.
package flags

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	ucli "github.com/urfave/cli/v2"
	"mvdan.cc/sh/v3/shell"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/pkg/kernel"
)

// Flags are the definitions.
func Flags() []ucli.Flag {
	return append(ArchiveFlags(),
		&ucli.StringFlag{Name: "modules-root", Value: "/lib/modules", Usage: "find installed kernels below `DIR`"},
		&ucli.StringSliceFlag{Name: "headers", Usage: "take kernels from `PATH`, a tree or packages of headers; repeatable"},
		&ucli.StringFlag{Name: "arch", Aliases: []string{"a"}, Usage: "kernels of the Debian architecture `ARCH`"},
	)
}

// ArchiveFlags are those of Flags that say how the archive is asked.
func ArchiveFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.BoolFlag{Name: "offline", Usage: "do not ask the package archive"},
		&ucli.StringFlag{Name: "cache-dir", Usage: "keep what is fetched in `DIR`"},
		&ucli.StringSliceFlag{Name: "apt-options", Usage: "give `OPTIONS` to every apt command; repeatable"},
	}
}

// Options are what a command line says of [Flags].
type Options struct {
	ModulesRoot string
	Headers     []string // absolute
	Arch        string   // "": the machine's
	Offline     bool
	Apt         []string // words
	AptTexts    []string // as given
	CacheDir    string   // absolute; "": there is none
	NoCache     error    // why there is none

	// Warn is told what goes wrong without being the end; nil: no one is.
	Warn func(error)
}

// New takes the command line, and from env what it may default to. All of its
// errors are the user's to cure.
func New(c *ucli.Context, env *cli.Env) (*Options, error) {
	abs := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(env.Dir, path)
	}
	o := &Options{
		ModulesRoot: abs(c.String("modules-root")), Arch: c.String("arch"), Offline: c.Bool("offline"),
		CacheDir: abs(c.String("cache-dir")),
	}
	for _, path := range c.StringSlice("headers") {
		o.Headers = append(o.Headers, filepath.Clean(abs(path)))
	}
	if o.CacheDir == "" {
		o.CacheDir, o.NoCache = cacheDir(env)
	}
	var errs []error
	if _, known := kernel.ArchOf(o.Arch); !known && o.Arch != "" {
		errs = append(errs, unknownArch(o.Arch))
	}
	o.AptTexts = c.StringSlice("apt-options")
	for _, text := range o.AptTexts {
		words, err := aptWords(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("--apt-options %q: %w", text, err))
		}
		o.Apt = append(o.Apt, words...)
	}
	return o, errors.Join(errs...)
}

// unknownArch is the error of an --arch that no kernel can be built for.
func unknownArch(arch string) error {
	var known []string
	for _, a := range kernel.Arches() {
		known = append(known, a.Deb)
	}
	return cli.WithHint(fmt.Errorf("--arch %q: unknown architecture", arch), "Debian's names of architectures are meant: "+strings.Join(known, ", "))
}

// aptWords splits text as a shell would. Of apt's options only those that
// settle its configuration are of use; another word would be taken for a
// command or a package.
func aptWords(text string) ([]string, error) {
	words, err := shell.Fields(text, func(string) string { return "" })
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(words); i++ {
		switch word := words[i]; {
		case word == "-o" || word == "-c" || word == "--option" || word == "--config-file":
			if i++; i == len(words) {
				return nil, fmt.Errorf("%s needs a value", word)
			}
		case !optionRE.MatchString(word):
			return nil, fmt.Errorf("%q is neither -o NAME=VALUE nor -c FILE", word)
		}
	}
	return words, nil
}

// optionRE is an option with its value attached.
var optionRE = regexp.MustCompile(`^(-[oc]|--(option|config-file)=).`)

// cacheDir is where users keep what can be fetched again (the XDG base
// directory specification).
func cacheDir(env *cli.Env) (string, error) {
	if dir := env.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) { // relative ones are to be ignored
		return filepath.Join(dir, "gokms"), nil
	}
	home := env.Getenv("HOME")
	reason := fmt.Sprintf("HOME %q is not a directory", home)
	switch info, err := os.Stat(home); {
	case home == "":
		reason = "HOME is not set"
	case filepath.IsAbs(home) && err == nil && info.IsDir():
		return filepath.Join(home, ".cache", "gokms"), nil
	}
	return "", cli.WithHint(fmt.Errorf("no place for fetched headers: %s", reason), "name a directory with --cache-dir")
}

// Archive is the package archive with the cache of o; nil if o.NoCache is set.
// progress may be nil.
func (o *Options) Archive(run func(*exec.Cmd) error, progress *cli.Progress) *archive.Archive {
	if o.NoCache != nil {
		return nil
	}
	return archive.Open(archive.Options{
		CacheDir: o.CacheDir, Arch: o.Arch, Apt: o.Apt, Offline: o.Offline, Run: run, Warn: o.Warn,
		Progress: func(p archive.Progress) {
			if progress != nil {
				progress.Tell(steps[p.Step]+" "+p.Package, p.Done, p.Total)
			}
		},
	})
}

// Finder finds the kernels of o. Programs are started by run, lookPath finds
// those of builds, and progress is told what is fetched; each may be nil.
func (o *Options) Finder(run func(*exec.Cmd) error, lookPath func(string) (string, error), progress *cli.Progress) *target.Finder {
	f := &target.Finder{
		ModulesRoot: o.ModulesRoot, Headers: o.Headers, Arch: o.Arch, Offline: o.Offline,
		Run: run, LookPath: lookPath, NoArchive: o.NoCache,
	}
	if a := o.Archive(run, progress); a != nil {
		f.Archive = a
	}
	return f
}

// steps are the words for those of [archive.Progress].
var steps = map[string]string{archive.Download: "fetching", archive.Unpacking: "unpacking"}

// Describe is the list of these options for a text of --help, as far as it is
// the same for all commands.
const Describe = `      --modules-root DIR    find installed kernels below DIR (default: /lib/modules)
      --headers PATH        take kernels from PATH: a tree of headers, a .deb, a
                            directory of .debs, or a record; repeatable
  -a, --arch ARCH           kernels of this Debian architecture (default: the
                            machine's)
      --offline             do not ask the package archive
      --cache-dir DIR       keep what is fetched in DIR (default: gokms in
                            $XDG_CACHE_HOME, else in ~/.cache)
      --apt-options OPTIONS
                            give OPTIONS, such as '-o NAME=VALUE', to every apt
                            command; repeatable
`
