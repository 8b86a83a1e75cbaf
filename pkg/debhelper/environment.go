// SPDX-License-Identifier: MIT

package debhelper

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Env is the world that a command runs in.
type Env struct {
	Args    []string              // without the program's name
	Environ []string              // "NAME=VALUE"; of two with one name the last counts
	Dir     string                // top of the source package, absolute
	Stdout  io.Writer             // for what -v shows; nil: nothing
	Stderr  io.Writer             // of programs that are run; nil: nothing
	Run     func(*exec.Cmd) error // nil: (*exec.Cmd).Run

	// DataDirs are searched for autoscripts/SNIPPET, after DH_AUTOSCRIPTDIR
	// and DH_DATAFILES. Empty: /usr/share/debhelper.
	DataDirs []string
}

// lookupEnv returns the value of a variable and whether it is set.
func (s *Session) lookupEnv(name string) (string, bool) {
	for _, kv := range slices.Backward(s.env.Environ) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func (s *Session) getenv(name string) string {
	value, _ := s.lookupEnv(name)
	return value
}

// path returns where name, relative to the source package, lies.
func (s *Session) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.env.Dir, name)
}

// BuildOptions are the words of DEB_BUILD_OPTIONS (Policy 4.9.1).
type BuildOptions []string

// Has reports whether the word name is there: "nocheck", "terse".
func (o BuildOptions) Has(name string) bool { return slices.Contains(o, name) }

// Parallel is the number of the first parallel=N, 1 if there is none.
func (o BuildOptions) Parallel() int {
	for _, word := range o {
		if text, ok := strings.CutPrefix(word, "parallel="); ok {
			if n, err := strconv.Atoi(text); err == nil {
				return max(n, 1)
			}
		}
	}
	return 1
}

// NoAutoDbgsym reports whether packages of debug symbols shall not be made.
func (o BuildOptions) NoAutoDbgsym() bool { return o.Has("noautodbgsym") || o.Has("noddebs") }

// Profiles are the active build profiles, from DEB_BUILD_PROFILES.
func (s *Session) Profiles() []string { return words(s.getenv("DEB_BUILD_PROFILES")) }

// RequiresRoot reports whether DEB_RULES_REQUIRES_ROOT lets a command rely on
// (fake)root: for all things, or for the one that keyword names.
func (s *Session) RequiresRoot(keyword string) bool {
	text, ok := s.lookupEnv("DEB_RULES_REQUIRES_ROOT")
	switch text = strings.Trim(text, whiteSpace); {
	case !ok || text == "binary-targets":
		return true
	case text == "no":
		return false
	}
	return slices.Contains(words(text), keyword)
}

// Colors returns "always", "never", or "auto": colours on a terminal alone.
func (s *Session) Colors() string {
	for _, name := range []string{"DH_COLORS", "DPKG_COLORS"} {
		if mode, ok := s.lookupEnv(name); ok {
			if mode != "auto" && mode != "always" {
				return "never"
			}
			return mode
		}
	}
	if _, ok := s.lookupEnv("NO_COLOR"); ok {
		return "never"
	}
	return "auto"
}

// sourceDate reads SOURCE_DATE_EPOCH.
func (s *Session) sourceDate() (time.Time, error) {
	text, ok := s.lookupEnv("SOURCE_DATE_EPOCH")
	if !ok || text == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, fmt.Errorf("environment variable SOURCE_DATE_EPOCH: %q is not a number of seconds", text)
	}
	return time.Unix(n, 0).UTC(), nil
}

// Architecture returns one of the variables of dpkg-architecture(1), such as
// DEB_HOST_ARCH: the environment's, as far as it is set, else what the program
// says. false: there is no such variable.
func (s *Session) Architecture(variable string) (value string, known bool, err error) {
	if value := s.getenv(variable); value != "" {
		return value, true, nil
	}
	if s.architecture == nil {
		out, err := s.ask("dpkg-architecture")
		if err != nil {
			return "", false, err
		}
		s.architecture = map[string]string{}
		for line := range strings.Lines(out) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			s.architecture[name] = value
		}
	}
	value, known = s.architecture[variable]
	return value, known, nil
}

// HostArch returns DEB_HOST_ARCH, the architecture that is built for.
func (s *Session) HostArch() (string, error) { return s.mustArchitecture("DEB_HOST_ARCH") }

func (s *Session) mustArchitecture(variable string) (string, error) {
	value, known, err := s.Architecture(variable)
	if err == nil && !known {
		err = fmt.Errorf("dpkg-architecture does not tell %s", variable)
	}
	return value, err
}

// command makes a command with the session's context, directory, environment.
func (s *Session) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = s.env.Dir, slices.Clone(s.env.Environ), s.env.Stderr
	return cmd
}

// ask runs a program that only tells something and returns its output.
func (s *Session) ask(name string, args ...string) (string, error) {
	cmd := s.command(name, args...)
	cmd.Env = append(slices.DeleteFunc(cmd.Env, isOptions), "LC_ALL=C.UTF-8")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := s.exec(cmd); err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			err = errors.New(text)
		}
		return "", fmt.Errorf("%s: %w", EscapeShell(cmd.Args...), err)
	}
	return stdout.String(), nil
}

// isOptions: options meant for this command would have dh_assistant act on
// other packages than it is told.
func isOptions(kv string) bool {
	name, _, _ := strings.Cut(kv, "=")
	return name == "DH_OPTIONS" || name == "DH_INTERNAL_OPTIONS"
}

func (s *Session) exec(cmd *exec.Cmd) error {
	if s.env.Run == nil {
		return cmd.Run()
	}
	return s.env.Run(cmd)
}

// readOptional reads a file below the source package, nil if there is none.
func (s *Session) readOptional(name string) ([]byte, error) {
	text, err := os.ReadFile(s.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return text, s.inTree(err)
}

// inTree takes the package's own directory out of the path of an error.
func (s *Session) inTree(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		if rel, relErr := filepath.Rel(s.env.Dir, e.Path); relErr == nil && filepath.IsLocal(rel) {
			return &os.PathError{Op: e.Op, Path: rel, Err: e.Err}
		}
	}
	return err
}
