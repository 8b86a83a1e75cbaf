// SPDX-License-Identifier: MIT

package debhelper

import (
	"os"
	"strings"
)

func logFile(p *Package) string { return "debian/" + p.Name + ".debhelper.log" }

// logged reports whether p's log says that this command acted on it already,
// for --remaining-packages.
func (s *Session) logged(p *Package) (bool, error) {
	text, err := s.readOptional(logFile(p))
	for line := range strings.Lines(string(text)) {
		if strings.TrimSuffix(line, "\n") == s.Tool.Name {
			return true, nil
		}
	}
	return false, err
}

// Finish ends a command that succeeded: it notes the command in the logs of
// the packages acted on. Since compat 10 dh keeps its own book, and that is
// done in override and hook targets alone, where --remaining-packages needs it.
func (s *Session) Finish() error {
	if s.NoAct || len(s.Packages) == 0 {
		return nil
	}
	if s.getenv("DH_INTERNAL_OVERRIDE") == "" || s.getenv("DH_INTERNAL_OVERRIDE") == "0" {
		level, err := s.lenientCompat()
		if err != nil || level > 9 {
			return err
		}
	}
	for _, p := range s.Packages {
		if err := s.appendLine(logFile(p), s.Tool.Name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) appendLine(name, line string) error {
	f, err := os.OpenFile(s.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return s.inTree(err)
	}
	_, err = f.WriteString(line + "\n")
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return s.inTree(err)
}

// maxCommand bounds the arguments of one dh_assistant, in bytes.
const maxCommand = 60000

// LogInstalled tells dh_missing(1) that the files or directories paths, each
// relative to the source package, are in p now. The directories stand for
// all that is in them.
func (s *Session) LogInstalled(p *Package, paths ...string) error {
	for len(paths) > 0 && !s.NoAct {
		n, size := 0, 0
		for n < len(paths) && (n == 0 || size+len(paths[n]) < maxCommand) {
			size += len(paths[n]) + 1
			n++
		}
		args := append([]string{"log-installed-files", "-p" + p.Name, "--on-behalf-of-cmd=" + s.Tool.Name, "--"}, paths[:n]...)
		if _, err := s.ask("dh_assistant", args...); err != nil {
			return err
		}
		paths = paths[n:]
	}
	return nil
}
