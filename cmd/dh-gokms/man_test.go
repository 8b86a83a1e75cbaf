// SPDX-License-Identifier: MIT

package main

import (
	"testing"

	"github.com/gokms/gokms/internal/mantest"
	"github.com/gokms/gokms/pkg/debhelper"
)

func TestTextsHaveAllOptions(t *testing.T) {
	t.Parallel()
	// Shared options with a meaning of their own here are described as well.
	has := []mantest.Option{mantest.New(true, "V"), {Names: []string{"-- FILE"}}}
	for _, f := range new(options).flags() {
		has = append(has, mantest.New(f.Takes != debhelper.NoValue, f.Names...))
	}
	mantest.Compare(t, "the man page", mantest.Page(t, prog), has)
	mantest.Compare(t, "--help", mantest.Help(help), has)
}
