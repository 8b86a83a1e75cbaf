// SPDX-License-Identifier: MIT

package debhelper

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// EscapeShell writes a command as a user would type it: words with white space
// in double quotes, other special characters with a backslash. It is for
// people to read, in the form that debhelper shows its commands.
func EscapeShell(args ...string) string {
	escaped := make([]string, len(args))
	for i, arg := range args {
		if strings.ContainsAny(arg, whiteSpace) {
			escaped[i] = `"` + backslash(arg, "\n`$\"\\") + `"`
		} else {
			escaped[i] = backslash(arg, "!\"$()*+#;<>?@[]\\`|~")
		}
	}
	return strings.Join(escaped, " ")
}

func backslash(text, special string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if strings.IndexByte(special, text[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// plainWord needs no quotes wherever it stands in a shell script.
var plainWord = regexp.MustCompile(`^[0-9A-Za-z_./:@%+,-]+$`)

// Quote writes text as one word of the POSIX shell. What is in text has no
// meaning to the shell, and a word that needs no quotes gets none.
func Quote(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// Verbosef shows what is done if -v was given, as debhelper shows it.
func (s *Session) Verbosef(format string, args ...any) {
	if s.Verbose && s.env.Stdout != nil {
		fmt.Fprintf(s.env.Stdout, "\t"+format+"\n", args...)
	}
}

// Command returns a command that runs in the session's directory, with its
// environment and output; [Session.Do] runs it.
func (s *Session) Command(name string, args ...string) *exec.Cmd {
	cmd := s.command(name, args...)
	cmd.Stdout = s.env.Stdout
	return cmd
}

// Do shows cmd if -v was given, and runs it but for --no-act. The error says
// which command it was.
func (s *Session) Do(cmd *exec.Cmd) error {
	shown := EscapeShell(cmd.Args...)
	if cmd.Dir != "" && cmd.Dir != s.env.Dir {
		shown = "cd " + EscapeShell(cmd.Dir) + " && " + shown
	}
	s.Verbosef("%s", shown)
	if s.NoAct {
		return nil
	}
	if err := s.exec(cmd); err != nil {
		return fmt.Errorf("%s: %w", shown, err)
	}
	return nil
}

// sortedUnique returns items sorted, each once.
func sortedUnique(items []string) []string {
	items = slices.Clone(items)
	slices.Sort(items)
	return slices.Compact(items)
}
