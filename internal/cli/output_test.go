// SPDX-License-Identifier: MIT

package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestProgressPlain(t *testing.T) {
	var b bytes.Buffer
	env := &Env{Stderr: &b}
	p := NewProgress(env, "p", NewLog(&b, "p", Normal), Normal)
	p.Tell("fetching a", 0, 10_200_000)
	p.Tell("fetching a", 5_000_000, 10_200_000)
	p.Tell("fetching b", 0, 0)
	p.Tell("fetching a", 10_200_000, 10_200_000)
	p.End()
	if want := "p: fetching a (10.2 MB)\np: fetching b\n"; b.String() != want {
		t.Errorf("got %q; want %q", b.String(), want)
	}
}

func TestProgressQuiet(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&Env{Stderr: &b}, "p", NewLog(&b, "p", Quiet), Quiet)
	p.Tell("fetching a", 0, 10)
	p.End()
	if b.Len() > 0 {
		t.Errorf("-q told %q", b.String())
	}
}

// TestProgressTerminal looks at what stays on the terminal, and at the line
// that changes.
func TestProgressTerminal(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&Env{Stderr: &b}, "p", NewLog(&b, "p", Normal), Normal)
	p.width = func() int { return 24 }
	p.Tell("fetching a", 1_000_000, 4_000_000)
	p.Tell("fetching a", 4_000_000, 4_000_000)
	p.Tell("fetching b\x1b[2J", 1000, 2000)
	p.End()
	p.End()
	want := "\rp: fetching a: 25% of 4\x1b[K" + // cut at the terminal's width
		"\rp: fetching a (4.0 MB)\x1b[K" +
		"\rp: fetching a (4.0 MB)\x1b[K\n" +
		"\rp: fetching b\uFFFD[2J: 50% \x1b[K" +
		"\rp: fetching b\uFFFD[2J: 1.0 kB of 2.0 kB\x1b[K\n"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		bytes int64
		want  string
	}{
		{0, "0 B"}, {999, "999 B"}, {1000, "1.0 kB"}, {10_233_000, "10.2 MB"}, {5_000_000_000_000, "5000.0 GB"},
	} {
		if got := Size(tt.bytes); got != tt.want {
			t.Errorf("Size(%d) = %q; want %q", tt.bytes, got, tt.want)
		}
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	err := Table(&b, [][]string{{"KERNEL", "FROM", "NOTE"}, {"6.1.0-56-amd64", "é", ""}, {"6.1", "cached", "a\x1bb"}})
	want := "KERNEL          FROM    NOTE\n6.1.0-56-amd64  é\n6.1             cached  a\uFFFDb\n"
	if err != nil || b.String() != want {
		t.Errorf("%q, %v; want %q", b.String(), err, want)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"kernels", "kernel", "rebuild", "sign"}
	for _, tt := range []struct{ word, want string }{
		{"kernels", "kernels kernel"}, {"kernal", "kernel kernels"}, {"rebiuld", "rebuild"}, {"sing", "sign"},
		{"matrix", ""}, {"", ""},
	} {
		if got := Nearest(tt.word, words); !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("Nearest(%q) = %q; want %q", tt.word, got, tt.want)
		}
	}
}
