// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func TestLogForms(t *testing.T) {
	bad := errors.Join(errors.New("f:1: one"), WithHint(errors.New("f:2: two\nmore"), "do this"))
	for _, tt := range []struct {
		level Level
		want  string
	}{
		{Quiet, "p: error: f:1: one\np: error: f:2: two\n    more\np: hint: do this\n"},
		{Normal, "p: error: f:1: one\np: error: f:2: two\n    more\np: hint: do this\np: warning: w\np: built 3\n"},
		{Verbose, "p: error: f:1: one\np: error: f:2: two\n    more\np: hint: do this\np: warning: w\np: built 3\np: make\n"},
	} {
		var b bytes.Buffer
		l := NewLog(&b, "p", tt.level)
		l.Error(BadInput(bad))
		l.Warn(errors.New("w"))
		l.Infof("built %d", 3)
		l.Debugf("make")
		if b.String() != tt.want {
			t.Errorf("level %d: %q; want %q", tt.level, b.String(), tt.want)
		}
	}
}

func TestLogDisarmsTerminalControls(t *testing.T) {
	var b bytes.Buffer
	NewLog(&b, "p", Normal).Error(errors.New("a\x1b[2Jb\u009bc é"))
	if want := "p: error: a\uFFFD[2Jb\uFFFDc é\n"; b.String() != want {
		t.Errorf("got %q; want %q", b.String(), want)
	}
}

func TestExitCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{BadInput(errors.New("x")), 2},
		{fmt.Errorf("wrapped: %w", BadInput(errors.New("x"))), 2},
		{&ExitError{Code: ExitExcluded}, 77},
		{BadInput(nil), 0},
	} {
		if got := ExitCode(tt.err); got != tt.want {
			t.Errorf("ExitCode(%v) = %d; want %d", tt.err, got, tt.want)
		}
	}
}

func TestGetenvLastWins(t *testing.T) {
	e := &Env{Environ: []string{"A=1", "AB=2", "A=3"}}
	if got := e.Getenv("A"); got != "3" {
		t.Errorf("Getenv(A) = %q; want 3", got)
	}
}
