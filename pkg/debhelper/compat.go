// SPDX-License-Identifier: MIT

package debhelper

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// compatLevel is debhelper's answer. level is 0 where none is declared.
type compatLevel struct {
	level   int
	checked bool
}

// Compat returns the compat level in use. dh_assistant(1) tells it; a level
// that debhelper does not support any more, or not yet, is an error, one that
// it discourages a warning among s.Warnings.
func (s *Session) Compat() (int, error) {
	level, err := s.activeCompat()
	switch {
	case err != nil:
		return 0, err
	case level == 0:
		return 0, errors.New("no compat level declared; Build-Depends wants debhelper-compat (= X)")
	case s.compat.checked:
		return level, nil
	}
	if err := s.checkCompat(level); err != nil {
		return 0, err
	}
	s.compat.checked = true
	return level, nil
}

// lenientCompat is for the questions that debhelper asks of a package without
// a level, too: it has level 1 there.
func (s *Session) lenientCompat() (int, error) {
	level, err := s.activeCompat()
	return max(level, 1), err
}

// activeCompat asks once. The level is a number or, where Build-Depends names
// it, a string.
func (s *Session) activeCompat() (int, error) {
	if s.compat != nil {
		return s.compat.level, nil
	}
	var answer struct {
		Level any `json:"active-compat-level"`
	}
	if err := s.assistant(&answer, "active-compat-level"); err != nil {
		return 0, err
	}
	level := 0
	switch v := answer.Level.(type) {
	case float64:
		level = int(v)
	case string:
		n, err := strconv.Atoi(v)
		if err != nil {
			return 0, fmt.Errorf("dh_assistant: compat level %q is not a number", v)
		}
		level = n
	}
	s.compat = &compatLevel{level: level}
	return level, nil
}

// checkCompat asks only about levels that are not plainly good.
func (s *Session) checkCompat(level int) error {
	if level >= 10 && level <= 13 {
		return nil
	}
	var known struct {
		Min  int `json:"MIN_COMPAT_LEVEL"`
		Good int `json:"LOWEST_NON_DEPRECATED_COMPAT_LEVEL"`
		Max  int `json:"MAX_COMPAT_LEVEL"`
	}
	if err := s.assistant(&known, "supported-compat-levels"); err != nil {
		return err
	}
	switch {
	case level < known.Min || level > known.Max:
		return fmt.Errorf("compat level %d is not supported; debhelper knows %d to %d", level, known.Min, known.Max)
	case level < known.Good:
		s.warn(fmt.Errorf("compat level %d is deprecated; use %d or later", level, known.Good))
	}
	return nil
}

func (s *Session) assistant(answer any, question string) error {
	out, err := s.ask("dh_assistant", question)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), answer); err != nil {
		return fmt.Errorf("dh_assistant %s: %w", question, err)
	}
	return nil
}
