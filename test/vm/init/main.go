// SPDX-License-Identifier: MIT

// Command init is PID 1 of the machines of package vm: it runs the steps of
// its job, tells of each over a serial line, and powers off.
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gokms/gokms/test/vm"
)

func main() {
	// Returning would be the kernel's panic, which ends the machine as well.
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
		os.Exit(1)
	}
}

func run() error {
	os.Clearenv() // of what the kernel's command line has left there
	for name, value := range map[string]string{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LC_ALL": "C.UTF-8"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	for dir, kind := range map[string]string{"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(kind, dir, kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	text, err := os.ReadFile(vm.JobFile)
	if err != nil {
		return err
	}
	var job vm.Job
	if err := json.Unmarshal(text, &job); err != nil {
		return fmt.Errorf("%s: %w", vm.JobFile, err)
	}
	g := &guest{seen: map[string]bool{}}
	if g.report, err = openReport(job.Report); err != nil {
		return err
	}
	// One record a read; at the end of the log a read fails with EAGAIN.
	if g.kmsg, err = unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open /dev/kmsg: %w", err)
	}
	if err := g.steps(job.Steps); err != nil {
		return err
	}
	// The line is slower than the machine's end.
	if err := unix.IoctlSetInt(int(g.report.Fd()), unix.TCSBRK, 1); err != nil {
		return fmt.Errorf("drain %s: %w", job.Report, err)
	}
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// openReport opens the serial line, on which nothing is to be translated.
func openReport(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	mode, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	mode.Oflag &^= unix.OPOST
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, mode); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

type guest struct {
	report *os.File
	kmsg   int
	seen   map[string]bool // modules that were loaded at the last message
}

func (g *guest) steps(steps []vm.Step) error {
	if err := g.send(vm.Message{Kind: vm.Booted}); err != nil {
		return err
	}
	for i, step := range steps {
		if err := g.write(vm.Message{Kind: vm.Started, Step: i}); err != nil {
			return err
		}
		m := vm.Message{Kind: vm.Finished, Step: i}
		m.Exit, m.Output = runStep(step)
		if err := g.send(m); err != nil {
			return err
		}
	}
	return g.send(vm.Message{Kind: vm.Ended})
}

func runStep(step vm.Step) (int, string) {
	cmd := exec.Command(step.Argv[0], step.Argv[1:]...)
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return -1, err.Error()
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// send adds what the kernel has to say, and writes the message.
func (g *guest) send(m vm.Message) error {
	var err error
	if m.Dmesg, err = g.dmesg(); err != nil {
		return err
	}
	if m.Loaded, m.New, err = g.modules(); err != nil {
		return err
	}
	text, err := os.ReadFile("/proc/sys/kernel/tainted")
	if err != nil {
		return err
	}
	if m.Tainted, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err != nil {
		return err
	}
	return g.write(m)
}

func (g *guest) write(m vm.Message) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return err
	}
	m.Uptime = float64(now.Nano()) / 1e9
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(g.report, "%s%s\n", vm.MessageStart, line)
	return err
}

// dmesg reads what was logged since the last call.
func (g *guest) dmesg() ([]string, error) {
	var lines []string
	record := make([]byte, 16<<10)
	for {
		n, err := unix.Read(g.kmsg, record)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return lines, nil
		case errors.Is(err, unix.EPIPE): // the log was overwritten; go on with what is left
			continue
		case err != nil:
			return nil, fmt.Errorf("read /dev/kmsg: %w", err)
		}
		// "6,1234,567890,-;TEXT\n", then lines " KEY=VALUE"
		_, text, _ := strings.Cut(string(record[:n]), ";")
		text, _, _ = strings.Cut(text, "\n")
		lines = append(lines, text)
	}
}

// modules lists all that are loaded, and describes those that are new.
func (g *guest) modules() (loaded []string, added []vm.Module, err error) {
	text, err := os.ReadFile("/proc/modules")
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(string(text)) {
		name := strings.Fields(line)[0]
		loaded = append(loaded, name)
		if !g.seen[name] {
			added = append(added, describe(name))
		}
	}
	clear(g.seen)
	for _, name := range loaded {
		g.seen[name] = true
	}
	slices.Sort(loaded)
	return loaded, added, nil
}

func describe(name string) vm.Module {
	attribute := func(file string) string {
		f, err := os.Open("/sys/module/" + name + "/" + file)
		if err != nil {
			return ""
		}
		defer f.Close()
		text, err := io.ReadAll(f)
		if err != nil {
			return ""
		}
		return string(text)
	}
	m := vm.Module{Name: name, SrcVersion: strings.TrimSpace(attribute("srcversion")), Taint: strings.TrimSpace(attribute("taint"))}
	// A note: sizes of name and contents, type, "GNU\0", contents.
	if note := attribute("notes/.note.gnu.build-id"); len(note) > 16 {
		m.BuildID = hex.EncodeToString([]byte(note[16:]))
	}
	return m
}
