// SPDX-License-Identifier: MIT

// Package proc is about the processes that gokms starts: where their programs
// are searched, and how they end. It finds processes by a variable in their
// environment, which those that they start inherit. It reads proc(5): processes of other
// users, and those that clear their environment, are not found.
package proc

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Marked lists the processes that have an environment variable NAME=VALUE.
func Marked(entry string) []int {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	var found []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(text), "\x00"), entry) {
			continue // it ended, or it is somebody else's
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

// maxRounds bounds the hunt for processes that fork while they are looked for.
const maxRounds = 200

// KillMarked ends them. What is stopped does not fork, so all are stopped
// before the first is killed.
func KillMarked(entry string) {
	for range maxRounds {
		pids := Marked(entry)
		if len(pids) == 0 {
			return
		}
		for _, sig := range []unix.Signal{unix.SIGSTOP, unix.SIGKILL} {
			for _, pid := range pids {
				_ = unix.Kill(pid, sig) // it may be gone already
			}
		}
	}
}
