// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"testing"
	"time"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/cli"
)

// parse returns the options of a command line in an environment.
func parse(t *testing.T, environ []string, args ...string) (*options, error) {
	t.Helper()
	var o *options
	var err error
	app := &ucli.App{Flags: commandFlags(), HideHelp: true, HideVersion: true, DisableSliceFlagSeparator: true, Action: func(c *ucli.Context) error {
		o, err = newOptions(c, &cli.Env{Environ: environ, Dir: "/work dir"})
		return nil
	}}
	words, normErr := cli.NormalizeArgs(commandFlags(), args)
	if normErr != nil {
		t.Fatal(normErr)
	}
	if runErr := app.Run(append([]string{prog}, words...)); runErr != nil {
		t.Fatal(runErr)
	}
	return o, err
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	o, err := parse(t, nil, "src")
	if err != nil {
		t.Fatal(err)
	}
	if o.output != "/work dir" || o.places.ModulesRoot != "/lib/modules" || o.sourceTree != "/usr/src" || o.jobs != runtime.NumCPU() ||
		o.compression != "xz" || o.epoch != nil || o.logDir != "" || o.overrides != "" || o.level != cli.Normal {
		t.Errorf("defaults: %+v", o)
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		options string
		args    []string
		want    int
	}{
		{"parallel=3", nil, 3},
		{"nocheck  parallel=3 parallel=4", nil, 3},
		{"parallel=3", []string{"-j5"}, 5},
		{"parallel=x", []string{"-j5"}, 5},
		{"noparallel=3", nil, runtime.NumCPU()},
	} {
		o, err := parse(t, []string{"DEB_BUILD_OPTIONS=" + tt.options}, tt.args...)
		if err != nil || o.jobs != tt.want {
			t.Errorf("DEB_BUILD_OPTIONS=%q %v: %d jobs, %v; want %d", tt.options, tt.args, o.jobs, err, tt.want)
		}
	}
}

func TestMaintainer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		environ []string
		arg     string
		want    string // of the environment
		ok      bool
	}{
		{nil, "", "", true},
		{[]string{"DEBEMAIL=j@example.org"}, "", "j@example.org <j@example.org>", true},
		{[]string{"DEBEMAIL=j@example.org", "DEBFULLNAME=J. Döe"}, "", "J. Döe <j@example.org>", true},
		{[]string{"DEBEMAIL=J <j@example.org>", "DEBFULLNAME=K"}, "", "J <j@example.org>", true},
		{[]string{"DEBEMAIL=j", "DEBFULLNAME=K"}, "", "K <j>", false},
		{[]string{"DEBEMAIL=j", "DEBFULLNAME=K"}, "M <m@example.org>", "K <j>", true},
		{[]string{"DEBFULLNAME=K"}, "", "", true},
		{nil, "M <m@example.org>\nInjected: x", "", false},
		{nil, "<m@example.org>", "", false},
		{nil, "M m@example.org", "", false},
	} {
		var args []string
		if tt.arg != "" {
			args = []string{"--maintainer", tt.arg}
		}
		o, err := parse(t, tt.environ, args...)
		if o.fallbackMaint != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q, --maintainer %q: %q, %v; want %q, ok %v", tt.environ, tt.arg, o.fallbackMaint, err, tt.want, tt.ok)
		}
	}
}

func TestEpoch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value string
		want  time.Time
		ok    bool
	}{
		{"", time.Time{}, true},
		{"0", time.Unix(0, 0), true},
		{"1700000000", time.Unix(1700000000, 0), true},
		{"8589934591", time.Date(2242, 3, 16, 12, 56, 31, 0, time.UTC), true},
		{"8589934592", time.Time{}, false},
		{"-1", time.Time{}, false},
		{"1e9", time.Time{}, false},
		{" 1", time.Time{}, false},
	} {
		o, err := parse(t, []string{"SOURCE_DATE_EPOCH=" + tt.value})
		if (err == nil) != tt.ok || o.epoch != nil && !o.epoch.Equal(tt.want) || tt.ok && o.epoch == nil && tt.value != "" {
			t.Errorf("SOURCE_DATE_EPOCH=%q: %v, %v; want %v", tt.value, o.epoch, err, tt.want)
		}
	}
}
