// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/mantest"
	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/kmod"
)

// ownOptions are the options that a verb takes.
func ownOptions(v verb) []mantest.Option {
	var options []mantest.Option
	for _, f := range append(v.flags(), ucli.HelpFlag) {
		options = append(options, mantest.New(f.(ucli.DocGenerationFlag).TakesValue(), f.Names()...))
	}
	return options
}

// TestManPageHasAllOptions looks into "Options of VERB", in which options are
// written as in the man pages of commands.
func TestManPageHasAllOptions(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(testkit.Root(), "doc", prog+".1.scd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verbs() {
		_, section, found := strings.Cut(string(text), "\n## Options of "+v.name+"\n")
		if !found {
			t.Errorf("the man page has no options of %s", v.name)
			continue
		}
		section, _, _ = strings.Cut(section, "\n#")
		var help strings.Builder // in its form
		for line := range strings.Lines(section) {
			if strings.HasPrefix(line, "*-") {
				help.WriteString("  " + strings.NewReplacer("*", "", "_", "").Replace(line))
			}
		}
		mantest.Compare(t, "the man page", mantest.Help(help.String()), ownOptions(v))
		if !strings.Contains(string(text), "*gokms* *"+v.name+"*") {
			t.Errorf("the man page has no synopsis of %s", v.name)
		}
	}
}

func TestManPageHasAllChecks(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(testkit.Root(), "doc", prog+".1.scd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range kmod.Checks() {
		if !strings.Contains(string(text), "\n*"+name+"*\n\t") {
			t.Errorf("the man page does not tell of the check %s", name)
		}
	}
}

func TestHelpHasAllOptions(t *testing.T) {
	t.Parallel()
	for _, v := range verbs() {
		mantest.Compare(t, "--help of "+v.name, mantest.Help(v.help), ownOptions(v))
		if first, _, _ := strings.Cut(v.help, "\n"); !strings.HasPrefix(first, "Usage: gokms "+v.name+" ") {
			t.Errorf("--help of %s begins %q", v.name, first)
		}
		if !strings.Contains(help(), "\n  "+v.name+" ") {
			t.Errorf("--help does not tell of %s", v.name)
		}
	}
}
