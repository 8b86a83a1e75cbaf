// SPDX-License-Identifier: MIT

package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokms/gokms/pkg/proc"
)

// maxTasks is how many threads commands may have at a time.
const maxTasks = 4096

// minAddressSpace is what programs reserve that use little of it, in bytes.
const minAddressSpace = 2 << 30

// maxFile is how large a file commands may write, in bytes. A larger one ends
// its writer by SIGXFSZ.
const maxFile = 4 << 30

// LimitError is the end of a command by force.
type LimitError struct {
	What string // what it did
}

// Error returns What.
func (e *LimitError) Error() string { return e.What }

// limits are the options of prlimit(1). The kernel counts the threads of a
// user, in all sandboxes and outside.
func (s *Sandbox) limits() ([]string, error) {
	uid := os.Geteuid()
	if s.user == superuser {
		uid = nobody
	}
	tasks, err := tasksOf(uid)
	if err != nil {
		return nil, err
	}
	args := []string{"--core=0:0", limitOption("nproc", unix.RLIMIT_NPROC, tasks+s.maxTasks), limitOption("fsize", unix.RLIMIT_FSIZE, maxFile)}
	if s.spec.Memory > 0 {
		args = append(args, limitOption("as", unix.RLIMIT_AS, max(uint64(s.spec.Memory), minAddressSpace)))
	}
	return args, nil
}

// limitOption sets a limit, but for one that is tighter already.
func limitOption(name string, resource int, value uint64) string {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err == nil {
		value = min(value, now.Max)
	}
	return fmt.Sprintf("--%s=%d:%d", name, value, value)
}

// tasksOf counts the threads of a user.
func tasksOf(uid int) (uint64, error) {
	var n uint64
	err := eachProcess(func(dir string) {
		var st syscall.Stat_t
		if syscall.Stat(dir, &st) != nil || int(st.Uid) != uid {
			return
		}
		if threads, err := os.ReadDir(dir + "/task"); err == nil {
			n += uint64(len(threads))
		}
	})
	return n, err
}

// eachProcess calls do with the directory of each process in /proc.
func eachProcess(do func(dir string)) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name[0] >= '0' && name[0] <= '9' {
			do("/proc/" + name)
		}
	}
	return nil
}

// sampleEvery is how often the memory of a command is added up, which costs
// some milliseconds, and lookEvery how often the disks are asked what is free,
// which costs some microseconds: often enough that a fast disk does not fill
// meanwhile.
const (
	sampleEvery = 200 * time.Millisecond
	lookEvery   = 20 * time.Millisecond
)

// watch ends the command when its processes use too much memory together, or
// fill a disk. It watches until the result is called, which tells about that.
func (w *wrapped) watch() (stop func() error) {
	var exceeded error
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		sample, look := time.NewTicker(sampleEvery), time.NewTicker(lookEvery)
		defer sample.Stop()
		defer look.Stop()
		for exceeded == nil {
			select {
			case <-done:
				return
			case <-sample.C:
				exceeded = w.checkMemory()
			case <-look.C:
				exceeded = w.sandbox.checkDisks()
			}
		}
		proc.KillMarked(w.marker)
	}()
	return func() error {
		close(done)
		<-ended
		return exceeded
	}
}

// checkMemory is an error when the command uses more memory than it may.
func (w *wrapped) checkMemory() error {
	limit := w.sandbox.spec.Memory
	if limit <= 0 || memoryBelow(proc.Marked(w.marker)) <= limit {
		return nil
	}
	return &LimitError{fmt.Sprintf("used more than %d MiB of memory", limit>>20)}
}

// memoryBelow adds up what some processes and their descendants hold in memory
// of their own, in bytes. What they share by fork counts for each.
func memoryBelow(roots []int) int64 {
	children := map[int][]int{}
	memory := map[int]int64{}
	_ = eachProcess(func(dir string) {
		pid, err := strconv.Atoi(dir[len("/proc/"):])
		if err != nil {
			return
		}
		parent, bytes := readStatus(dir)
		children[parent] = append(children[parent], pid)
		memory[pid] = bytes
	}) // without /proc there was no root, either
	var sum int64
	seen := map[int]bool{}
	for todo := roots; len(todo) > 0; todo = todo[1:] {
		if pid := todo[0]; !seen[pid] {
			seen[pid] = true
			sum += memory[pid]
			todo = append(todo, children[pid]...)
		}
	}
	return sum
}

// readStatus reads the parent of a process and its memory from proc(5). All
// is 0 for one that has ended.
func readStatus(dir string) (parent int, memory int64) {
	text, err := os.ReadFile(dir + "/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch n, _ := strconv.ParseInt(fields[0], 10, 64); name { // 0 for words, which are not looked at
		case "PPid":
			parent = int(n)
		case "RssAnon", "RssShmem", "VmSwap":
			memory += n << 10
		}
	}
	return parent, memory
}
