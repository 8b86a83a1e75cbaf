// SPDX-License-Identifier: MIT

package cli

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestNormalizeArgs(t *testing.T) {
	t.Parallel()
	flags := []cli.Flag{
		&cli.StringSliceFlag{Name: "kernel", Aliases: []string{"k"}},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}},
		&cli.StringFlag{Name: "directive"},
		&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}},
		&cli.BoolFlag{Name: "no-act", Aliases: []string{"n"}},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}},
	}
	for _, tt := range []struct{ in, want, err string }{
		{"src -k K", "--kernel=K|--|src", ""},
		{"-kK -k=L --kernel M --kernel=N a b", "--kernel=K|--kernel=L|--kernel=M|--kernel=N|--|a|b", ""},
		{"-vn src", "--verbose|--no-act|--|src", ""},
		{"-vnkK src", "--verbose|--no-act|--kernel=K|--|src", ""},
		{"-nj4 -o d", "--no-act|--jobs=4|--output=d|--", ""},
		{"-k K -- -v --x", "--kernel=K|--|-v|--x", ""},
		{"-k -- src", "--kernel=--|--|src", ""},
		{"--directive A=b=c", "--directive=A=b=c|--", ""},
		{"- -q", "--quiet|--|-", ""},
		{"-h", "--help|--", ""},
		{"-x", "", "unknown option -x"},
		{"-vx", "", "unknown option -x"},
		{"-é", "", "unknown option -é"},
		{"--nosuch=1", "", "unknown option --nosuch"},
		{"--k K", "", "unknown option --k"},
		{"--kern K", "", "unknown option --kern"},
		{"--quiet=yes", "", "option --quiet takes no value"},
		{"src -k", "", "option -k needs a value"},
		{"--output", "", "option --output needs a value"},
		{"--output= src", "", "option --output has an empty value"},
		{"-k=", "", "option -k has an empty value"},
	} {
		got, err := NormalizeArgs(flags, strings.Fields(tt.in))
		if text := strings.Join(got, "|"); text != tt.want {
			t.Errorf("NormalizeArgs(%q) = %s; want %s", tt.in, text, tt.want)
		}
		if err == nil && tt.err != "" || err != nil && err.Error() != tt.err {
			t.Errorf("NormalizeArgs(%q): error %v; want %q", tt.in, err, tt.err)
		}
	}
}
