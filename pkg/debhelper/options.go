// SPDX-License-Identifier: MIT

package debhelper

import (
	"errors"
	"fmt"
	"strings"
)

// Options are the options that all debhelper commands share, and what the
// environment says of the same matters.
type Options struct {
	Verbose bool // -v or DH_VERBOSE
	Quiet   bool // DH_QUIET or DEB_BUILD_OPTIONS=terse; never with Verbose
	NoAct   bool // --no-act or DH_NO_ACT

	NoScripts   bool     // -n: do not touch maintainer scripts
	OnlyScripts bool     // -o: touch nothing else
	All         bool     // -A: the arguments are for all packages, not for the first alone
	D           bool     // -d, which each command defines
	Exclude     []string // -X and DH_ALWAYS_EXCLUDE, see [Session.Excluded]

	TmpDir       string   // -P; "" for debian/PKG
	MainPackage  string   // --mainpackage, else the first of debian/control
	Name         string   // --name
	DebugPackage string   // --dbg-package
	ErrorHandler string   // --error-handler
	V            *string  // -V[VERSION]; nil if it was not given, "" without a version
	U            []string // the words of the last -u
	Args         []string // what is no option
	Rest         []string // what follows "--"
}

// shared lists the options of every debhelper command. The two spellings of
// one option are two flags, as in debhelper: where options may be cut short,
// --no-s is --no-scripts, and --no is ambiguous.
func (s *Session) shared() []Flag {
	sel := &s.selection
	help := func(string) error { return ErrHelp }
	version := func(v string) error { s.V = &v; return nil }
	params := func(v string) error { s.U = words(v); return nil }
	var flags []Flag
	add := func(takes Takes, set func(string) error, names ...string) {
		for _, name := range names {
			flags = append(flags, Flag{Names: []string{name}, Takes: takes, Set: set})
		}
	}
	add(NoValue, sel.addArch, "a", "arch")
	add(NoValue, sel.addIndep, "i", "indep")
	add(NoValue, s.addSameArch, "s", "same-arch")
	add(Value, sel.addPackage, "p", "package")
	add(Value, sel.exclude, "N", "no-package")
	add(NoValue, Bool(&sel.remaining).Set, "remaining-packages")
	add(NoValue, Bool(&s.Verbose).Set, "v", "verbose")
	add(NoValue, Bool(&s.NoAct).Set, "no-act")
	add(NoValue, Bool(&s.NoScripts).Set, "n", "noscripts", "no-scripts")
	add(NoValue, Bool(&s.OnlyScripts).Set, "o", "onlyscripts", "only-scripts")
	add(NoValue, Bool(&s.All).Set, "A", "all")
	add(NoValue, Bool(&s.D).Set, "d")
	add(Value, Strings(&s.Exclude).Set, "X", "exclude")
	add(Value, String(&s.TmpDir).Set, "P", "tmpdir")
	add(Value, String(&s.MainPackage).Set, "mainpackage")
	add(Value, String(&s.Name).Set, "name")
	add(Value, String(&s.DebugPackage).Set, "dbg-package")
	add(Value, String(&s.ErrorHandler).Set, "error-handler")
	add(Value, params, "u")
	add(OptionalValue, version, "V")
	return append(flags, Flag{Names: []string{"h", "help"}, Set: help})
}

// parse reads the three places where options stand: DH_INTERNAL_OPTIONS (dh
// passes its own to the commands of an override target), DH_OPTIONS, and the
// command line, whose errors alone end the command.
func (s *Session) parse(flags []Flag, args []string) error {
	dashed := false
	for _, arg := range args {
		dashed = dashed || strings.HasPrefix(arg, "-")
	}
	if !dashed && s.getenv("DH_OPTIONS") == "" && s.getenv("DH_INTERNAL_OPTIONS") == "" {
		s.Args = args
		return nil
	}
	a := &argv{shorten: s.mayShorten}
	a.options = newTable(flags)
	a.options["O"] = &Flag{Takes: Value, Set: func(v string) error { a.added = append(a.added, v); return nil }}
	extra := s.parseEnvironment(a)
	rest := a.apply(args)
	s.warn(a.warned...)
	s.Args, s.Rest = a.args, append(rest, extra...)
	switch {
	case a.stop != nil:
		return a.stop
	case len(a.errs) > 0:
		return errors.Join(append(a.errs, errors.New("unknown option or error during option parsing; aborting"))...)
	}
	return nil
}

// parseEnvironment leaves the errors in the environment's options as warnings,
// and returns what follows "--" in the last of the two variables.
func (s *Session) parseEnvironment(a *argv) (extra []string) {
	if text, ok := s.lookupEnv("DH_INTERNAL_OPTIONS"); ok {
		extra = a.apply(splitTrimmed(text, "\x1e"))
		s.warn(a.errs...)
		a.errs = nil
		s.selection.keepOnlyChosen()
	}
	if text, ok := s.lookupEnv("DH_OPTIONS"); ok && a.stop == nil {
		extra = a.apply(words(text))
		if len(a.errs) > 0 {
			s.warn(append(a.errs, errors.New("ignored unknown options in DH_OPTIONS"))...)
		}
		a.errs = nil
	}
	return extra
}

// mayShorten: compat 13 ended --verb for --verbose.
func (s *Session) mayShorten() (bool, error) {
	level, err := s.lenientCompat()
	return level <= 12, err
}

// addSameArch is -s, which compat 12 removed.
func (s *Session) addSameArch(string) error {
	level, err := s.lenientCompat()
	switch {
	case err != nil:
		return err
	case level >= 12:
		return errors.New("-s/--same-arch was removed in compat 12; use -a/--arch instead")
	}
	s.warn(errors.New("-s/--same-arch is deprecated and gone in compat 12; use -a/--arch instead"))
	return s.selection.addArch("")
}

// finishOptions adds what the environment says and checks what belongs
// together.
func (s *Session) finishOptions() error {
	s.Exclude = append(s.Exclude, splitTrimmed(s.getenv("DH_ALWAYS_EXCLUDE"), ":")...)
	s.Verbose = s.Verbose || s.getenv("DH_VERBOSE") != ""
	s.Quiet = !s.Verbose && (s.getenv("DH_QUIET") != "" || s.Build.Has("terse"))
	s.NoAct = s.NoAct || s.getenv("DH_NO_ACT") != ""
	if s.MainPackage == "" && len(s.AllPackages) > 0 {
		s.MainPackage = s.AllPackages[0].Name
	}
	if s.TmpDir != "" && len(s.Packages) > 1 {
		var names []string
		for _, p := range s.Packages {
			names = append(names, p.Name)
		}
		return fmt.Errorf("-P was given, but there is more than one package to act on: %s", strings.Join(names, ", "))
	}
	return nil
}

// Excluded reports whether -X says that the file called name is left out: any
// part of its path may match.
func (s *Session) Excluded(name string) bool {
	for _, item := range s.Exclude {
		if item != "" && strings.Contains(name, item) {
			return true
		}
	}
	return false
}

// words splits as Perl's split(/\s+/) does, at ASCII white space alone.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(whiteSpace, r) })
}

const whiteSpace = " \t\n\v\f\r"

// splitTrimmed is split without the empty parts at the end.
func splitTrimmed(text, sep string) []string {
	text = strings.TrimRight(text, sep)
	if text == "" {
		return nil
	}
	return strings.Split(text, sep)
}
