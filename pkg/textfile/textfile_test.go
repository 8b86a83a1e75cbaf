// SPDX-License-Identifier: MIT

package textfile

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

func TestScannerKeepsCarriageReturnAndCounts(t *testing.T) {
	sc := NewScanner(strings.NewReader("a\r\n\nlast"), "f")
	var got []string
	for sc.Scan() {
		got = append(got, sc.Text())
	}
	if want := "a\r||last"; strings.Join(got, "|") != want || sc.Line() != 3 || sc.Err() != nil {
		t.Errorf("lines = %q, Line() = %d, Err() = %v; want %q, 3, nil", got, sc.Line(), sc.Err(), want)
	}
}

func TestScannerReportsReadErrors(t *testing.T) {
	boom := errors.New("boom")
	sc := NewScanner(iotest.ErrReader(boom), "f")
	if sc.Scan() {
		t.Fatal("Scan() = true on a broken reader")
	}
	if err := sc.Err(); !errors.Is(err, boom) || err.Error() != "f:1: boom" {
		t.Errorf("Err() = %v; want f:1: boom", err)
	}
}

func TestScannerRefusesHugeLines(t *testing.T) {
	sc := NewScanner(strings.NewReader("x\n"+strings.Repeat("y", MaxLine+1)), "f")
	for sc.Scan() {
	}
	var e *Error
	if err := sc.Err(); !errors.As(err, &e) || e.Line != 2 || !errors.Is(err, ErrLineTooLong) {
		t.Errorf("Err() = %v; want f:2: %v", err, ErrLineTooLong)
	}
}

func TestErrorFormats(t *testing.T) {
	for _, tt := range []struct {
		file string
		line int
		want string
	}{
		{"", 0, "bad"}, {"", 3, "line 3: bad"}, {"f", 0, "f: bad"}, {"f", 3, "f:3: bad"},
	} {
		if got := Errorf(tt.file, tt.line, "bad").Error(); got != tt.want {
			t.Errorf("Errorf(%q, %d) = %q; want %q", tt.file, tt.line, got, tt.want)
		}
	}
}
