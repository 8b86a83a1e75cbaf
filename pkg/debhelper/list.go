// SPDX-License-Identifier: MIT

package debhelper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// Entry is one line of a configuration file that lists things.
type Entry struct {
	Words []string
	File  string // as messages call it
	Line  int
}

// Errorf returns an error at the place of e.
func (e Entry) Errorf(format string, args ...any) error {
	return textfile.Errorf(e.File, e.Line, format, args...)
}

// ReadList reads the configuration file at file, relative to the source
// package, as dh_install reads debian/PKG.install: a line is words between
// white space; empty lines and those that begin with "#" are skipped. An
// executable file is run, and each line that it prints is taken as it is, but
// for the words. From compat 13 on ${VARIABLE} is expanded in each word.
//
// Patterns are not expanded, see [Session.Glob].
func (s *Session) ReadList(file string) ([]Entry, error) {
	level, err := s.Compat()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(s.path(file))
	if err != nil {
		return nil, s.inTree(err)
	}
	if info.Mode().Perm()&0o111 != 0 {
		text, err := s.runConfig(file)
		if err != nil {
			return nil, err
		}
		return s.entries(text, "output of "+file, level, takeAll)
	}
	text, err := os.ReadFile(s.path(file))
	if err != nil {
		return nil, s.inTree(err)
	}
	return s.entries(text, file, level, skipComments)
}

// errBlank is for a line that a program printed and that looks empty.
var errBlank = errors.New("line of nothing but white space")

func skipComments(line string) (string, error) {
	line = strings.Trim(line, whiteSpace)
	if strings.HasPrefix(line, "#") {
		return "", nil
	}
	return line, nil
}

func takeAll(line string) (string, error) {
	if line != "" && strings.Trim(line, whiteSpace) == "" {
		return "", errBlank
	}
	return line, nil
}

func (s *Session) entries(text []byte, name string, level int, clean func(string) (string, error)) ([]Entry, error) {
	var entries []Entry
	sc := textfile.NewScanner(bytes.NewReader(text), name)
	for sc.Scan() {
		line, err := clean(sc.Text())
		if err != nil {
			return nil, sc.Errorf("%w", err)
		}
		if line == "" {
			continue
		}
		e := Entry{Words: words(line), File: name, Line: sc.Line()}
		for i := range e.Words {
			if level < 13 {
				break
			}
			if e.Words[i], err = s.Substitute(e.Words[i]); err != nil {
				return nil, sc.Errorf("%w", err)
			}
		}
		entries = append(entries, e)
	}
	return entries, sc.Err()
}

// runConfig runs an executable configuration file; it finds the packages that
// are acted on in DH_CONFIG_ACT_ON_PACKAGES.
func (s *Session) runConfig(file string) ([]byte, error) {
	program, err := filepath.EvalSymlinks(s.path(file))
	if err != nil {
		return nil, s.inTree(err)
	}
	var names []string
	for _, p := range s.Packages {
		names = append(names, p.Name)
	}
	cmd := s.command(program)
	cmd.Env = append(cmd.Env, "DH_CONFIG_ACT_ON_PACKAGES="+strings.Join(names, ","))
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := s.exec(cmd); err != nil {
		return nil, fmt.Errorf("%s is executable and failed: %w; if it shall be read, not run, make it chmod -x", file, err)
	}
	return out.Bytes(), nil
}

const (
	maxSubstitutions = 50   // in one word
	maxSubstituted   = 4096 // bytes, or three times the word
)

// variable is ${NAME}, or ${}, which is a plain dollar sign.
var variable = regexp.MustCompile(`\$\{([A-Za-z0-9][-_:0-9A-Za-z]*)?\}`)

// Substitute expands the variables that debhelper(7) has for configuration
// files at compat 13: ${DEB_HOST_ARCH} and all others of dpkg-architecture(1),
// ${env:NAME}, ${Space}, ${Tab}, ${Newline}, ${Dollar}. Any other is an error.
// What they hold is not expanded again.
func (s *Session) Substitute(text string) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	count, size, limit := 0, len(text), max(maxSubstituted, 3*len(text))
	var firstErr error
	expanded := variable.ReplaceAllStringFunc(text, func(ref string) string {
		name := ref[2 : len(ref)-1]
		if firstErr != nil || name == "" {
			return "$"
		}
		value, err := s.variable(name)
		count++
		size += len(value) - len(ref)
		switch {
		case err != nil:
			firstErr = err
		case count >= maxSubstitutions:
			firstErr = fmt.Errorf("%d variables in one word", count)
		case size > limit:
			firstErr = fmt.Errorf("${%s} makes the word longer than %d bytes", name, limit)
		}
		return value
	})
	if firstErr != nil {
		return "", firstErr
	}
	return expanded, nil
}

func (s *Session) variable(name string) (string, error) {
	switch name {
	case "Space":
		return " ", nil
	case "Tab":
		return "\t", nil
	case "Newline":
		return "\n", nil
	case "Dollar":
		return "$", nil
	}
	if env, ok := strings.CutPrefix(name, "env:"); ok {
		value, ok := s.lookupEnv(env)
		if !ok {
			return "", fmt.Errorf("${%s}: environment variable %s is not set", name, env)
		}
		return value, nil
	}
	for _, prefix := range []string{"DEB_HOST_", "DEB_BUILD_", "DEB_TARGET_"} {
		if strings.HasPrefix(name, prefix) {
			value, known, err := s.Architecture(name)
			if err == nil && !known {
				err = fmt.Errorf("${%s}: dpkg-architecture knows no such variable", name)
			}
			return value, err
		}
	}
	return "", fmt.Errorf("unknown variable ${%s}", name)
}
