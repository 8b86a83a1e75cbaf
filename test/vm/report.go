// SPDX-License-Identifier: MIT

package vm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// End is how a guest ended.
type End string

// The ends.
const (
	Complete End = "complete" // all steps were run
	Panicked End = "panic"    // of the kernel
	Hung     End = "hang"     // and qemu was killed
	Died     End = "died"     // without any reason that the console shows
)

// Report is what became of a [Case].
type Report struct {
	End     End
	Results []Result // of all steps; Exit is -1 from the one on in which the guest ended
	Boot    []string // what the kernel logged before the first step
	Console string   // of the kernel, and of the firmware
	// Trouble are the console's lines of panics, oopses and warnings.
	Trouble []string
	Oopsed  bool
	Modules []string // loaded at the end, sorted
	Tainted uint64   // at the end

	Prepared time.Duration // making the initramfs
	Booted   time.Duration // from qemu's start to the first step
	Ran      time.Duration // from qemu's start to its end
}

// taintDie is the bit of an oops in Tainted (TAINT_DIE).
const taintDie = 1 << 7

var (
	// Oopses are numbered: "Oops: 0000 [#1] PREEMPT SMP".
	oopsRE    = regexp.MustCompile(`\[#[0-9]+\]|BUG: |kernel BUG at |Unable to handle kernel|Internal error: `)
	troubleRE = regexp.MustCompile(oopsRE.String() + `|Kernel panic - |WARNING: |blocked for more than|Call [Tt]race:`)
	timeRE    = regexp.MustCompile(`^\[ *[0-9.]+\] `)
)

// judge reads the console.
func (r *Report) judge(console string) {
	r.Console = strings.ReplaceAll(console, "\r", "")
	panicked := false
	for line := range strings.Lines(r.Console) {
		line = timeRE.ReplaceAllString(strings.TrimRight(line, "\n"), "")
		if !troubleRE.MatchString(line) {
			continue
		}
		r.Trouble = append(r.Trouble, line)
		panicked = panicked || strings.HasPrefix(line, "Kernel panic - ")
		r.Oopsed = r.Oopsed || oopsRE.MatchString(line)
	}
	r.Oopsed = r.Oopsed || r.Tainted&taintDie != 0
	switch {
	case panicked:
		r.End = Panicked
	case r.End == "":
		r.End = Died
	}
}

// Result is that of the first step of a name, nil if there is none.
func (r *Report) Result(name string) *Result {
	for i := range r.Results {
		if r.Results[i].Name == name {
			return &r.Results[i]
		}
	}
	return nil
}

// receiver takes the guest's messages into a report.
type receiver struct {
	report   *Report
	progress func() // is called for each message
	start    time.Time
	partial  []byte
	err      error
}

// Write implements io.Writer. A message that cannot be read is told of at the
// end only: qemu goes on.
func (w *receiver) Write(p []byte) (int, error) {
	w.partial = append(w.partial, p...)
	for {
		line, rest, found := bytes.Cut(w.partial, []byte("\n"))
		if !found {
			return len(p), nil
		}
		w.partial = rest
		_, line, found = bytes.Cut(line, []byte(MessageStart))
		if !found {
			continue
		}
		if err := w.message(line); err != nil && w.err == nil {
			w.err = fmt.Errorf("message of the guest: %w", err)
		}
	}
}

func (w *receiver) message(line []byte) error {
	var m Message
	if err := json.Unmarshal(line, &m); err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	w.progress()
	r := w.report
	switch m.Kind {
	case Booted:
		r.Booted, r.Boot = time.Since(w.start), m.Dmesg
	case Finished:
		if m.Step >= len(r.Results) {
			return fmt.Errorf("%q: there are %d steps", line, len(r.Results))
		}
		result := &r.Results[m.Step]
		result.Exit, result.Output, result.Dmesg, result.New = m.Exit, m.Output, m.Dmesg, m.New
	case Ended:
		r.End = Complete
	}
	if m.Loaded != nil || m.Kind != Started {
		r.Modules, r.Tainted = m.Loaded, m.Tainted
	}
	return nil
}
