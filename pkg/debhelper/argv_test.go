// SPDX-License-Identifier: MIT

package debhelper

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// argvCases are what Getopt::Long makes of argument lists; most of them are
// put to it in oracle_test.go too. Options: v and verbose without, p and
// package with, V and opt with or without a value.
var argvCases = []struct {
	args string // words; '' is an empty one
	want string // "-name=value" per use, then arguments, then "--" and the rest
	errs string
}{
	{args: "", want: ""},
	{args: "a -v b", want: "-v a b"},
	{args: "-pfoo -p foo -p=foo", want: "-p=foo -p=foo -p==foo"},
	{args: "--package=foo --package foo", want: "-package=foo -package=foo"},
	{args: "--package=a=b", want: "-package=a=b"},
	{args: "-vpfoo", want: "-v -p=foo"},
	{args: "-vvv", want: "-v -v -v"},
	{args: "-v-verbose", want: "-v -verbose"},
	{args: "-v- x", want: "-v -- x"},
	{args: "-p -- -v", want: "-p=-- -v"},
	{args: "-- -v --", want: "-- -v --"},
	{args: "- ''", want: "- ''"},
	{args: "-V x -Vy -V -v", want: "-V=x -V=y -V -v"},
	{args: "--opt --", want: "-opt"},
	{args: "--opt= --opt -", want: "-opt -opt=-"},
	{args: "+verbose +package foo +p=foo", want: "-verbose -package=foo", errs: "unknown option: p=foo"},
	{args: "+", errs: "no option after +"},
	{args: "-p", errs: "option p needs a value"},
	{args: "--package", errs: "option package needs a value"},
	{args: "--package=", errs: "option package needs a value"},
	{args: "--verbose=", errs: "option verbose takes no value"},
	{args: "-xvy --nope=1 a", want: "-v a", errs: "unknown option: x; unknown option: y; unknown option: nope"},
	{args: "-O-v -pfoo", want: "-p=foo -v"},
	{args: "-O-vx -O--nope -O--package a", want: "a"},
	{args: "-O --package=q -O-O-v", want: "-package=q -v"},
	{args: "-Oword -O--", want: "word"},
	{args: "--verb", errs: "unknown option: verb"},
	{args: "---v --=", errs: "unknown option: -v; unknown option: ="},
}

func TestArgv(t *testing.T) {
	for _, tt := range argvCases {
		got, errs, _ := runArgv(split(tt.args), false)
		if got != tt.want || errs != tt.errs {
			t.Errorf("argv %q = %q, errors %q; want %q, %q", tt.args, got, errs, tt.want, tt.errs)
		}
	}
}

func TestArgvShortened(t *testing.T) {
	for _, tt := range []struct{ args, want, errs string }{
		{args: "--verb --pack=x --o y", want: "-verbose -package=x -opt=y"},
		{args: "--p x", want: "-p=x"},
		{args: "--ve +verb", want: "-verbose -verbose"},
		{args: "--al", want: "-all"},
		{args: "--=x", errs: "unknown option: =x"},
		{args: "--n", errs: "option n may be any of name, no-act"},
	} {
		got, errs, _ := runArgv(split(tt.args), true)
		if got != tt.want || errs != tt.errs {
			t.Errorf("argv %q = %q, errors %q; want %q, %q", tt.args, got, errs, tt.want, tt.errs)
		}
	}
}

func TestArgvHelpStops(t *testing.T) {
	for _, args := range []string{"-h -v", "-O-h", "-vh"} {
		if _, _, stop := runArgv(split(args), false); !errors.Is(stop, ErrHelp) {
			t.Errorf("argv %q stops with %v; want ErrHelp", args, stop)
		}
	}
}

func split(text string) []string {
	args := strings.Fields(text)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "''", "")
	}
	return args
}

func runArgv(args []string, shorten bool) (used, errs string, stop error) {
	a := &argv{shorten: func() (bool, error) { return shorten, nil }}
	var uses []string
	var all []Flag
	add := func(takes Takes, names ...string) {
		for _, name := range names {
			all = append(all, Flag{Names: []string{name}, Takes: takes, Set: func(v string) error {
				uses = append(uses, strings.TrimSuffix("-"+name+"="+v, "="))
				return nil
			}})
		}
	}
	add(NoValue, "v", "verbose", "no-act")
	add(Value, "p", "package", "name")
	add(OptionalValue, "V", "opt")
	all = append(all, Flag{Names: []string{"A", "all", "alle"}, Set: func(string) error { uses = append(uses, "-all"); return nil }})
	all = append(all, Flag{Names: []string{"h"}, Set: func(string) error { return ErrHelp }})
	a.options = newTable(all)
	a.options["O"] = &Flag{Takes: Value, Set: func(v string) error { a.added = append(a.added, v); return nil }}
	rest := a.apply(args)
	for _, arg := range a.args {
		uses = append(uses, quoteEmpty(arg))
	}
	if len(rest) > 0 {
		uses = append(append(uses, "--"), rest...)
	}
	var texts []string
	for _, err := range a.errs {
		texts = append(texts, err.Error())
	}
	return strings.Join(uses, " "), strings.Join(texts, "; "), a.stop
}

func quoteEmpty(arg string) string {
	if arg == "" {
		return "''"
	}
	return arg
}

func FuzzArgv(f *testing.F) {
	for _, tt := range argvCases {
		f.Add(tt.args)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, " ")
		before := fmt.Sprint(args)
		runArgv(args, false)
		used, errs, _ := runArgv(args, true)
		if fmt.Sprint(args) != before {
			t.Errorf("arguments %s changed to %s", before, args)
		}
		if used == "" && errs == "" && strings.Trim(text, " -") != "" && !strings.Contains(text, "O") && !strings.Contains(text, "h") {
			t.Errorf("argv %q left no trace", text)
		}
	})
}
