// SPDX-License-Identifier: MIT

package kbuild

import (
	"errors"
	"fmt"
	"strings"
)

// Error is a build that failed in one of its steps.
type Error struct {
	Build    string // what was built: NAME/VERSION for KVER
	Step     string // as in [Step.Name]
	Command  string
	ExitCode int    // of Command; -1: killed or not started
	Excerpt  string // the lines of the log that tell why, with host paths; may be empty
	LogPath  string
	Err      error // e.g. "exit status 2", a [*MissingError], [ErrLogLimit], the context's cause
}

// Error is more than one line where there is an excerpt or a log: what failed,
// the excerpt, the log's path.
func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s: %v", e.Build, e.Step, e.Err)
	if e.Excerpt != "" {
		text.WriteString("\n" + e.Excerpt)
	}
	if e.LogPath != "" {
		text.WriteString("\nlog: " + e.LogPath)
	}
	return text.String()
}

// withoutLogPath is the text of err as the log itself tells it.
func withoutLogPath(err error) string {
	if e, ok := err.(*Error); ok {
		inside := *e
		inside.LogPath = ""
		return inside.Error()
	}
	return err.Error()
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// MissingError is a build whose commands succeeded without making every
// module. A failing command in front of a ";" in MAKE is seen this way.
type MissingError struct {
	Missing []string // paths below the build directory
	Found   []string // the .ko files that are there instead, links that lead nowhere with a remark
}

func (e *MissingError) Error() string {
	found := "found none"
	if len(e.Found) > 0 {
		found = "found " + strings.Join(e.Found, ", ")
	}
	return fmt.Sprintf("expected %s, %s", strings.Join(e.Missing, ", "), found)
}

// explain gives err, if it is an [*Error], the excerpt that find returns.
func (r *run) explain(err error, find func() string) error {
	var e *Error
	if errors.As(err, &e) && e.ExitCode >= 0 {
		e.Excerpt = find()
	}
	return err
}
