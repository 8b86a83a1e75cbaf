// SPDX-License-Identifier: MIT

package confeval

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is what /proc tells of one.
type process struct {
	pid, parent int
	name        string
}

// processTable lists the processes that live.
func processTable() []process {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var table []process
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it ended meanwhile
		}
		if p, ok := parseStat(text); ok {
			table = append(table, p)
		}
	}
	return table
}

// parseStat reads PID (NAME) STATE PARENT ..., where NAME may hold anything.
func parseStat(text []byte) (process, bool) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	p := process{name: string(text[open+1 : end])}
	var state string
	if _, err := fmt.Sscan(string(text[end+1:]), &state, &p.parent); err != nil || state == "Z" {
		return process{}, false
	}
	var err error
	p.pid, err = strconv.Atoi(strings.TrimSpace(string(text[:open])))
	return p, err == nil
}

// descendants lists the children of a process and theirs.
func descendants(pid int) []process {
	table := processTable()
	family := map[int]bool{pid: true}
	var found []process
	for grown := true; grown; {
		grown = false
		for _, p := range table {
			if family[p.parent] && !family[p.pid] {
				family[p.pid] = true
				found = append(found, p)
				grown = true
			}
		}
	}
	return found
}

// leftRunning names at most three of the processes. There may be no name to
// tell: a process can end while it is looked for, and name itself.
func leftRunning(processes []process) string {
	var names []string
	for _, p := range processes {
		if p.name != "" && !slices.Contains(names, p.name) && len(names) < 3 {
			names = append(names, p.name)
		}
	}
	if names == nil {
		return "left a process running"
	}
	return "left a process running: " + strings.Join(names, ", ")
}

// ownPid is the number of this process in /proc, which may show another PID
// namespace than ours.
func ownPid() int {
	link, err := os.Readlink("/proc/self")
	if err != nil {
		return os.Getpid()
	}
	pid, err := strconv.Atoi(link)
	if err != nil {
		return os.Getpid()
	}
	return pid
}

// maxRounds bounds the hunt for processes that fork while they are looked for.
const maxRounds = 200

// killBelow ends all that is below a process. First everything is stopped,
// until nothing new is found: what is stopped does not fork.
func killBelow(pid int) {
	stopped := map[int]bool{}
	for range maxRounds {
		grown := false
		for _, p := range descendants(pid) {
			if !stopped[p.pid] {
				stopped[p.pid], grown = true, true
				_ = unix.Kill(p.pid, unix.SIGSTOP) // it may be gone already
			}
		}
		if !grown {
			break
		}
	}
	for p := range stopped {
		_ = unix.Kill(p, unix.SIGKILL)
	}
}

// markerName is a variable that all programs of one evaluation have in their
// environment.
const markerName = "GOKMS_CONFEVAL"

func marker() string { return markerName + "=" + rand.Text() }

// killTree ends the child and all that is below it, from outside. The child
// goes last, since what is below it is found through it.
func killTree(pid int) error {
	killBelow(pid)
	err := unix.Kill(-pid, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// realRoot tells whether user 0 of this process is that of the machine, for
// which RLIMIT_NPROC does not count, and not that of a user namespace.
func realRoot() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return os.Geteuid() == 0
	}
	fields := strings.Fields(string(text))
	return os.Geteuid() == 0 && (len(fields) < 2 || fields[0] == "0" && fields[1] == "0")
}
