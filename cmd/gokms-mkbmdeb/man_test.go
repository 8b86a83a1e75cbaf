// SPDX-License-Identifier: MIT

package main

import (
	"slices"
	"testing"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/mantest"
)

// ownOptions are the options that the command takes.
func ownOptions() []mantest.Option {
	var options []mantest.Option
	for _, f := range append(commandFlags(), ucli.HelpFlag) {
		options = append(options, mantest.New(f.(ucli.DocGenerationFlag).TakesValue(), f.Names()...))
	}
	return options
}

func TestManPageHasAllOptions(t *testing.T) {
	t.Parallel()
	mantest.Compare(t, "the man page", mantest.Page(t, prog), ownOptions())
}

func TestHelpHasAllOptions(t *testing.T) {
	t.Parallel()
	described := mantest.Help(help)
	all := func(o mantest.Option) bool { return slices.Equal(o.Names, []string{"-k"}) } // "-k all" has a line of its own
	if !slices.ContainsFunc(described, all) {
		t.Error("--help does not tell of -k all")
	}
	mantest.Compare(t, "--help", slices.DeleteFunc(described, all), ownOptions())
}
