// SPDX-License-Identifier: MIT

package textfile

import (
	"errors"
	"os"
	"path/filepath"
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

func TestReadFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(file, 4); string(got) != "text" || err != nil {
		t.Errorf("ReadFile = %q, %v; want text", got, err)
	}
	for path, want := range map[string]string{
		file: file + ": 4 bytes, and 3 are the most", "/dev/zero": "/dev/zero: not a regular file",
		"/nosuch": "stat /nosuch: no such file or directory",
	} {
		if _, err := ReadFile(path, 3); err == nil || err.Error() != want {
			t.Errorf("ReadFile(%s) = %v; want %s", path, err, want)
		}
	}
}
