// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/record"
)

// unrecorded are the options that no record has: what it says in places of its
// own, what whoever rebuilds decides, limits that only end a build, where
// secrets lie and where results and fetched packages go, and messages.
var unrecorded = []string{
	"kernel", "arch", "headers", "sandbox", "source-tree", "record",
	"sign-key", "sign-pin-file", "jobs", "memory", "offline", "cache-dir", "apt-options",
	"output", "log-dir", "keep-build", "no-act", "json", "verbose", "quiet", "version",
}

// TestOptionsAreSorted wants each option to be recorded or, for a reason, not.
func TestOptionsAreSorted(t *testing.T) {
	t.Parallel()
	for _, f := range commandFlags() {
		name := f.Names()[0]
		form, is := record.Option(name)
		if isNot := slices.Contains(unrecorded, name); is == isNot {
			t.Errorf("--%s is recorded: %v; is not: %v", name, is, isNot)
		}
		if _, aSwitch := f.(*ucli.BoolFlag); is && aSwitch != (form == record.Switch) {
			t.Errorf("--%s is recorded in the form %d", name, form)
		}
	}
}

func TestRecordedOptions(t *testing.T) {
	t.Parallel()
	o, err := parse(t, nil, "-k", "6.1", "--provides=b (= 2)", "--name=foo", "--coexist", "--provides", "a, c", "--modules-root", "m",
		"--copyright=/etc/passwd", "--timeout=90s", "-j3", "--record", "r", "-v", "--offline", "--cache-dir=c", "--memory=1G", "--headers=h", "src")
	want := []string{"--modules-root=/work dir/m", "--name=foo", "--provides=b (= 2)", "--provides=a, c", "--copyright=/etc/passwd", "--coexist", "--timeout=1m30s"}
	if err == nil {
		t.Error("--provides 'a, c' is no error")
	}
	if diff := cmp.Diff(want, o.words); diff != "" {
		t.Errorf("words (-want +got):\n%s", diff)
	}
	if len(o.inputs) != 1 || o.inputs[0] != (input{"--copyright", "/etc/passwd"}) || o.record != "/work dir/r" {
		t.Errorf("inputs %v, record %q", o.inputs, o.record)
	}
	if o, err = parse(t, nil, "src"); err != nil || len(o.words) > 0 {
		t.Errorf("defaults: words %q, %v", o.words, err)
	}
}

func TestBelow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		dir, file string
		want      bool
	}{
		{"/a/b", "/a/b/c", true},
		{"/a/b", "/a/b/c/d", true},
		{"/a/b", "/a/bc", false},
		{"/a/b", "/a/c", false},
		{"/a/b", "/a/b", false}, // is a directory: said elsewhere
		{"/proc/self/root/etc", "/etc/c", true},
	} {
		if got := below(tt.dir, tt.file); got != tt.want {
			t.Errorf("below(%q, %q) = %v; want %v", tt.dir, tt.file, got, tt.want)
		}
	}
}

var (
	sumRE     = regexp.MustCompile(`SUM [^"]+`)
	machineRE = regexp.MustCompile(`"(gokms|date|version)": ("[^"]+"|[0-9]+)`)
	packageRE = regexp.MustCompile(`,\n *"package(_version)?": "[^"]*"`)
)

// recordedAs FILE WANT compares a record with the text in WANT, in which "SUM
// PATH" stands for a checksum, and N for what the machine decides.
func recordedAs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: recorded FILE WANT")
	}
	want := sumRE.ReplaceAllStringFunc(ts.ReadFile(args[1]), func(s string) string {
		sum, err := record.Sum(context.Background(), strings.TrimPrefix(s, "SUM "))
		ts.Check(err)
		return sum
	})
	own, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	head, packages, _ := strings.Cut(string(own), `"packages"`)
	head = machineRE.ReplaceAllStringFunc(packageRE.ReplaceAllString(head, ""), func(s string) string {
		name, value, _ := strings.Cut(s, ": ")
		if value[0] == '"' {
			return name + `: "N"`
		}
		return name + ": N"
	})
	if diff := cmp.Diff(want, head+`"packages"`+packages); diff != "" {
		ts.Fatalf("%s (-want +got):\n%s", args[0], diff)
	}
}
