// SPDX-License-Identifier: MIT

package main

import (
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/mantest"
	"github.com/gokms/gokms/pkg/debhelper"
)

func TestTextsHaveAllOptions(t *testing.T) {
	t.Parallel()
	var has []mantest.Option
	for _, f := range new(options).flags() {
		has = append(has, mantest.New(f.Takes != debhelper.NoValue, f.Names...))
	}
	mantest.Compare(t, "the man page", mantest.Page(t, prog), has)
	for _, o := range has {
		for _, name := range o.Names {
			if !strings.Contains(help, name) {
				t.Errorf("--help does not tell of %s", name)
			}
		}
	}
}
