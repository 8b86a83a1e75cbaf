// SPDX-License-Identifier: MIT

package mantest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

func TestHelp(t *testing.T) {
	got := Help(`Usage: x [-v] FILE

- no option
  - a list
  -k, --kernel KVER   for a kernel
      --flag          a flag
  -V, -VVERSION       both are one
      --destdir=DIR
                      write there
  -- FILE             a file
`)
	want := []Option{
		{Names: []string{"--kernel", "-k"}, Value: true},
		{Names: []string{"--flag"}},
		{Names: []string{"-V"}, Value: true},
		{Names: []string{"--destdir"}, Value: true},
		{Names: []string{"-- FILE"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPages holds that each command has a man page with all of its sections,
// and that man(1) shows it without a warning.
func TestPages(t *testing.T) {
	commands, err := os.ReadDir(filepath.Join(testkit.Root(), "cmd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		name := c.Name()
		if strings.HasPrefix(name, "dh-") {
			name = strings.ReplaceAll(name, "-", "_")
		}
		text := read(t, "doc", name+".1.scd")
		var sections []string
		for line := range strings.Lines(text) {
			if section, ok := strings.CutPrefix(line, "# "); ok {
				sections = append(sections, strings.TrimSpace(section))
			}
			if strings.HasPrefix(line, "## Options of ") { // a verb's
				sections = append(sections, "OPTIONS")
			}
		}
		for _, s := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"} {
			if !slices.Contains(sections, s) {
				t.Errorf("doc/%s.1.scd has no section %s", name, s)
			}
		}
		t.Run(name, func(t *testing.T) { render(t, text) })
	}
}

func render(t *testing.T, text string) {
	testkit.Tools(t, "scdoc", "man")
	run := func(stdin []byte, name string, args ...string) []byte {
		var stdout, stderr bytes.Buffer
		cmd := exec.Command(name, args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=80")
		if err := cmd.Run(); err != nil || stderr.Len() > 0 {
			t.Fatalf("%s: %v\n%s", name, err, stderr.Bytes())
		}
		return stdout.Bytes()
	}
	shown := run(run([]byte(text), "scdoc"), "man", "--warnings", "-l", "-")
	if bytes.ContainsAny(shown, "_") && bytes.Contains(shown, []byte("__")) {
		t.Error("an underline was not closed: the text shows \"__\"")
	}
}
