// SPDX-License-Identifier: MIT

package debhelper

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Takes says whether an option has a value.
type Takes int

// What an option may take.
const (
	NoValue       Takes = iota
	Value               // -pPKG, -p PKG, --package=PKG, --package PKG
	OptionalValue       // -V, -VVERSION, -V VERSION
)

// Flag is one option of a command's own, besides those that all debhelper
// commands share. A Flag with the name of a shared option takes its place.
type Flag struct {
	Names []string // without hyphens; a name of one letter is a short option
	Takes Takes
	Set   func(value string) error // called at each use; value is "" if there is none
}

// Bool returns a Flag without a value that sets *dst.
func Bool(dst *bool, names ...string) Flag {
	return Flag{Names: names, Set: func(string) error { *dst = true; return nil }}
}

// String returns a Flag with a value; of several the last one counts.
func String(dst *string, names ...string) Flag {
	return Flag{Names: names, Takes: Value, Set: func(v string) error { *dst = v; return nil }}
}

// Strings returns a Flag with a value that may be given more than once.
func Strings(dst *[]string, names ...string) Flag {
	return Flag{Names: names, Takes: Value, Set: func(v string) error { *dst = append(*dst, v); return nil }}
}

// ErrHelp is what [Init] returns if -h or --help was given. debhelper's own
// commands print their usage on stdout and end with 1.
var ErrHelp = errors.New("usage asked for")

// table holds the options by each of their names.
type table map[string]*Flag

func newTable(flags []Flag) table {
	t := table{}
	for i := range flags {
		for _, name := range flags[i].Names {
			t[name] = &flags[i]
		}
	}
	return t
}

// argv takes one list of arguments apart, as Getopt::Long does for debhelper:
// options and arguments may be mixed, short options may be bundled, "+" begins
// a long option too.
type argv struct {
	options table
	shorten func() (bool, error) // whether long options may be cut short
	args    []string             // what is no option
	added   []string             // the values of -O
	errs    []error
	warned  []error // errors in what -O added: they end nothing
	stop    error   // ends all
	dry     bool    // look only whether all is known
}

// apply takes args apart and then each value of -O, which counts only if all
// of it is known. It returns what follows "--".
func (a *argv) apply(args []string) (rest []string) {
	rest = a.parse(args)
	added := a.added
	a.added = nil
	for _, arg := range added {
		try := argv{options: a.options, shorten: a.shorten, dry: true}
		try.parse([]string{arg})
		if try.stop != nil {
			a.stop = try.stop
			return nil
		}
		if len(try.errs) > 0 {
			continue
		}
		errs := a.errs
		a.errs = nil
		a.apply([]string{arg})
		a.errs, a.warned = errs, append(a.warned, a.errs...)
	}
	return rest
}

func (a *argv) parse(args []string) (rest []string) {
	for len(args) > 0 && a.stop == nil {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return args
		case strings.HasPrefix(arg, "--"):
			args = a.long(arg[2:], args)
		case len(arg) > 1 && arg[0] == '-':
			args = a.short(arg[1:2], arg[2:], args)
		case strings.HasPrefix(arg, "+"):
			args = a.plus(arg[1:], args)
		default:
			a.args = append(a.args, arg)
		}
	}
	return nil
}

// short handles the first letter of a bundle; the others go back to args, so
// that "-v-help" is -v and --help.
func (a *argv) short(name, bundled string, args []string) []string {
	o := a.options[name]
	if o != nil && o.Takes != NoValue && bundled != "" {
		a.use(o, bundled)
		return args
	}
	if bundled != "" {
		args = append([]string{"-" + bundled}, args...)
	}
	switch {
	case o == nil:
		a.errorf("unknown option: %s", name)
	case o.Takes == NoValue:
		a.use(o, "")
	default:
		return a.next(o, name, args)
	}
	return args
}

func (a *argv) long(text string, args []string) []string {
	name, value, given := text, "", false
	if i := strings.IndexByte(text, '='); i > 0 {
		name, value, given = text[:i], text[i+1:], true
	}
	o, name := a.find(name)
	switch {
	case o == nil:
	case !given && o.Takes == NoValue:
		a.use(o, "")
	case !given:
		return a.next(o, name, args)
	case o.Takes == NoValue:
		a.errorf("option %s takes no value", name)
	case value == "" && o.Takes == Value:
		a.errorf("option %s needs a value", name)
	default:
		a.use(o, value)
	}
	return args
}

// plus handles "+name", whose value can only be the next argument.
func (a *argv) plus(name string, args []string) []string {
	if name == "" {
		a.errorf("no option after +")
		return args
	}
	o, name := a.find(name)
	switch {
	case o == nil:
	case o.Takes == NoValue:
		a.use(o, "")
	default:
		return a.next(o, name, args)
	}
	return args
}

// next gives o the next argument: any at all if it needs one, else one that
// does not look like an option.
func (a *argv) next(o *Flag, name string, args []string) []string {
	switch {
	case len(args) == 0 && o.Takes == Value:
		a.errorf("option %s needs a value", name)
		return nil
	case len(args) == 0, o.Takes == OptionalValue && len(args[0]) > 1 && strings.ContainsAny(args[0][:1], "-+"):
		a.use(o, "")
		return args
	}
	a.use(o, args[0])
	return args[1:]
}

// find looks a long option up, which up to compat 12 may be cut short as long
// as it is clear which one is meant.
func (a *argv) find(name string) (*Flag, string) {
	if o := a.options[name]; o != nil {
		return o, name
	}
	var hits []string
	for _, known := range slices.Sorted(maps.Keys(a.options)) {
		if strings.HasPrefix(known, name) {
			hits = append(hits, known)
		}
	}
	if len(hits) > 0 && name != "" {
		ok, err := a.shorten()
		if a.stop == nil {
			a.stop = err
		}
		if !ok {
			hits = nil
		}
	}
	for _, hit := range hits {
		if a.options[hit] != a.options[hits[0]] {
			a.errorf("option %s may be any of %s", name, strings.Join(hits, ", "))
			return nil, ""
		}
	}
	if len(hits) == 0 {
		a.errorf("unknown option: %s", name)
		return nil, ""
	}
	return a.options[hits[0]], hits[0]
}

func (a *argv) use(o *Flag, value string) {
	if a.dry {
		return
	}
	err := o.Set(value)
	if errors.Is(err, ErrHelp) {
		a.stop = err
	} else if err != nil {
		a.errs = append(a.errs, err)
	}
}

func (a *argv) errorf(format string, args ...any) {
	a.errs = append(a.errs, fmt.Errorf(format, args...))
}
