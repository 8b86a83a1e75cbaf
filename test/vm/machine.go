// SPDX-License-Identifier: MIT

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// SigEnforce makes the kernel refuse modules without a good signature.
const SigEnforce = "module.sig_enforce=1"

// Machine is a kernel and how it is started.
type Machine struct {
	Kernel *Kernel
	Store  *Store // of the guest's programs
	// Firmware is UEFI that starts the kernel; nil: qemu does, and the kernel
	// finds no UEFI.
	Firmware *Firmware
	// Dir is an existing directory for scratch files, a few times as large as
	// the initramfs; they are removed.
	Dir string
	// Stall is how long the guest may take to boot, and for one step, before
	// it counts as hanging; 0: two minutes.
	Stall time.Duration
	Run   func(*exec.Cmd) error
}

// Case is what one boot is for.
type Case struct {
	Debs    []string          // module packages; their files lie where the packages have them
	Files   map[string][]byte // further files of the guest, by absolute path
	Modules []string          // names of the kernel's own modules that are to be there besides the needed ones
	Append  []string          // for the kernel's command line
	Steps   []Step
}

// machines are what qemu calls the architectures that this package knows.
var machines = map[string]struct {
	program string
	args    []string
	// The kernel's consoles in the order of the serial lines: its own and the
	// report's.
	console, report string
}{
	"amd64": {"qemu-system-x86_64", []string{"-machine", "q35", "-cpu", "max", "-serial", "chardev:console", "-serial", "chardev:report"}, "ttyS0", "/dev/ttyS1"},
	"arm64": {"qemu-system-aarch64", []string{"-machine", "virt", "-cpu", "cortex-a57", "-serial", "chardev:console", "-device", "pci-serial,chardev=report"}, "ttyAMA0", "/dev/ttyS0"},
}

func (m *Machine) reportDevice() string { return machines[m.Kernel.Arch].report }

// Boot starts the kernel once and runs the steps of a case. How the guest
// ended is no error but in the report.
func (m *Machine) Boot(ctx context.Context, c Case) (*Report, error) {
	if _, known := machines[m.Kernel.Arch]; !known {
		return nil, fmt.Errorf("no machine is known for architecture %s", m.Kernel.Arch)
	}
	dir, err := os.MkdirTemp(m.Dir, "vm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	start := time.Now()
	initrd, err := m.initramfs(ctx, dir, c)
	if err != nil {
		return nil, err
	}
	cmd, err := m.qemu(dir, initrd, c)
	if err != nil {
		return nil, err
	}
	r := &Report{Prepared: time.Since(start)}
	if err := m.watch(ctx, cmd, r, c); err != nil {
		return nil, err
	}
	console, err := os.ReadFile(filepath.Join(dir, "console"))
	if err != nil {
		return nil, err
	}
	r.judge(string(console))
	return r, nil
}

// qemu is its command line. The line for messages is its standard output.
func (m *Machine) qemu(dir, initrd string, c Case) (*exec.Cmd, error) {
	info, err := os.Stat(initrd)
	if err != nil {
		return nil, err
	}
	machine := machines[m.Kernel.Arch]
	args := append([]string{"-accel", "tcg", "-smp", "1", "-m", strconv.FormatInt(384+3*info.Size()>>20, 10),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-chardev", "file,id=console,path=" + filepath.Join(dir, "console"),
		"-chardev", "stdio,id=report,signal=off",
	}, machine.args...)
	if m.Firmware != nil {
		vars := filepath.Join(dir, "vars")
		if err := os.WriteFile(vars, m.Firmware.Vars, 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+m.Firmware.Code,
			"-drive", "if=pflash,format=raw,unit=1,file="+vars)
	}
	// panic=-1 with -no-reboot ends qemu at a panic.
	line := append([]string{"console=" + machine.console, "panic=-1"}, c.Append...)
	args = append(args, "-kernel", m.Kernel.Vmlinuz, "-initrd", initrd, "-append", strings.Join(line, " "))
	return exec.Command(machine.program, args...), nil
}

var errStalled = errors.New("the guest stalled")

// watch runs qemu until it ends or nothing comes from it anymore.
func (m *Machine) watch(ctx context.Context, cmd *exec.Cmd, r *Report, c Case) error {
	stall := m.Stall
	if stall == 0 {
		stall = 2 * time.Minute
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer timer.Stop()
	var stderr strings.Builder
	r.Results = make([]Result, len(c.Steps))
	for i, step := range c.Steps {
		r.Results[i] = Result{Step: step, Exit: -1}
	}
	messages := &receiver{report: r, progress: func() { timer.Reset(stall) }, start: time.Now()}
	started := exec.CommandContext(ctx, cmd.Args[0], cmd.Args[1:]...)
	started.Stdout, started.Stderr = messages, &stderr
	run := m.Run
	if run == nil {
		run = (*exec.Cmd).Run
	}
	err := run(started)
	r.Ran = time.Since(messages.start)
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		r.End = Hung
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return messages.err
}
