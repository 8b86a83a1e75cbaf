// SPDX-License-Identifier: MIT

package vm

import "strings"

// Step is one command that the guest runs.
type Step struct {
	Name string   `json:"name"` // for messages of tests
	Argv []string `json:"argv"`
}

// Modprobe loads a module and what it needs, as the kernel's modules.dep says.
func Modprobe(name string, params ...string) Step {
	return Command(append([]string{"modprobe", name}, params...)...)
}

// Insmod loads one file of the guest.
func Insmod(file string, params ...string) Step {
	return Command(append([]string{"insmod", file}, params...)...)
}

// Rmmod unloads modules.
func Rmmod(names ...string) Step { return Command(append([]string{"rmmod"}, names...)...) }

// Cat prints a file of the guest.
func Cat(file string) Step { return Command("cat", file) }

// Shell runs lines of busybox's shell, up to the first that fails.
func Shell(script string) Step {
	return Step{"sh: " + script, []string{"sh", "-euc", script}}
}

// Command runs a program of busybox or kmod.
func Command(argv ...string) Step { return Step{strings.Join(argv, " "), argv} }

// Result is how a step ended.
type Result struct {
	Step
	Exit   int    // of the program; -1: it was killed, or the guest ended first
	Output string // standard output and error
	Dmesg  []string
	// New are the modules that the step has loaded, in the kernel's order:
	// the newest first.
	New []Module
}

// Loaded finds a module that the step has loaded, nil if it has not. Hyphens
// and underscores are the same.
func (r *Result) Loaded(name string) *Module {
	name = strings.ReplaceAll(name, "-", "_")
	for i := range r.New {
		if r.New[i].Name == name {
			return &r.New[i]
		}
	}
	return nil
}

// Said reports whether a line that the kernel logged during the step contains
// text.
func (r *Result) Said(text string) bool {
	return strings.Contains(strings.Join(r.Dmesg, "\n"), text)
}

// Module is a module in the guest's kernel.
type Module struct {
	Name       string `json:"name"`
	BuildID    string `json:"build_id"`   // in hex; "": the module has none
	SrcVersion string `json:"srcversion"` // "": the module has none
	Taint      string `json:"taint"`      // letters: O out of tree, E unsigned, P proprietary, F forced
}

// Job is what the guest finds in [JobFile].
type Job struct {
	Report string `json:"report"` // the device that messages are written to
	Steps  []Step `json:"steps"`
}

// JobFile is where the guest finds its [Job], as JSON.
const JobFile = "/job.json"

// The kinds of messages.
const (
	Booted   = "booted"   // the guest is ready; Dmesg is all that the kernel said so far
	Started  = "started"  // Step begins
	Finished = "finished" // Step has ended
	Ended    = "ended"    // all steps have; the guest powers off
)

// MessageStart begins each [Message], a line of JSON: what else there is on the
// line was written by firmware.
const MessageStart = "\x1e"

// Message is what the guest tells.
type Message struct {
	Kind    string   `json:"kind"`
	Step    int      `json:"step,omitempty"` // index into the job's steps
	Exit    int      `json:"exit,omitempty"`
	Output  string   `json:"output,omitempty"`
	Dmesg   []string `json:"dmesg,omitempty"` // without priority and time
	New     []Module `json:"new,omitempty"`   // loaded since the last message
	Loaded  []string `json:"loaded,omitempty"`
	Tainted uint64   `json:"tainted,omitempty"` // /proc/sys/kernel/tainted
	Uptime  float64  `json:"uptime"`            // seconds since the kernel began
}
