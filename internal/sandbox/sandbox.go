// SPDX-License-Identifier: MIT

// Package sandbox runs commands in a system of their own, made by
// bubblewrap(1): without network, with the host's programs read-only, and with
// nothing else of the host but what a [Spec] names.
package sandbox

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
)

// Mount is a file or directory of the host, and where commands see it.
type Mount struct {
	Host string // absolute
	Path string // absolute; what is above it need not exist
	// Writable directories are given to the user that commands run as.
	Writable bool
}

// Link is a symbolic link that commands see.
type Link struct {
	Path   string // absolute
	Target string
}

// File is a read-only file of a given text.
type File struct {
	Path string // absolute; may lie in the host's /usr if it is there, or in /proc
	Text string
	Mode fs.FileMode
}

// Spec says what commands see besides the host's programs. /usr/src,
// /lib/modules and /var hold nothing else.
type Spec struct {
	Mounts []Mount
	Links  []Link
	Files  []File
	// StateDir is an existing directory of the caller's, for what the sandbox
	// itself needs (the texts of Files). Commands do not see it.
	StateDir string
	// Memory limits what all processes of a command use together, in bytes;
	// 0: no limit.
	Memory int64
	// Run starts bubblewrap; nil: (*exec.Cmd).Run.
	Run func(*exec.Cmd) error
}

// Sandbox runs commands as a Spec says.
type Sandbox struct{ spec Spec }

// New checks spec.
func New(spec Spec) (*Sandbox, error) { return &Sandbox{spec}, nil }

// Run runs cmd in the sandbox: its paths, Dir and Env are those that the
// command sees. cmd itself is changed and run, so that it can be killed.
func (s *Sandbox) Run(cmd *exec.Cmd) error { return errors.New("not implemented") }

// Probe finds out whether sandboxes can be made here, by making one. The error
// is an [*UnavailableError].
func Probe(ctx context.Context, run func(*exec.Cmd) error) error {
	return errors.New("not implemented")
}

// UnavailableError says why no sandbox can be made.
type UnavailableError struct{ Reason string }

func (e *UnavailableError) Error() string { return "no sandbox: " + e.Reason }
