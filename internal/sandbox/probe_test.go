// SPDX-License-Identifier: MIT

package sandbox

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	needsSandbox(t)
	if err := Probe(t.Context(), nil); err != nil {
		t.Errorf("Probe() = %v", err)
	}
	var ran []string
	isBwrap := func(word string) bool { return strings.HasSuffix(word, "/bwrap") }
	if err := Probe(t.Context(), func(cmd *exec.Cmd) error { ran = cmd.Args; return cmd.Run() }); err != nil || !slices.ContainsFunc(ran, isBwrap) {
		t.Errorf("Probe() = %v, after %q", err, ran)
	}
	err := Probe(t.Context(), func(cmd *exec.Cmd) error {
		_, _ = cmd.Stderr.Write([]byte("bwrap: Unknown option --size\nmore\n"))
		return errors.New("exit status 1")
	})
	if e, ok := errors.AsType[*UnavailableError](err); !ok || !strings.Contains(e.Error(), "too old (bwrap: Unknown option --size)") {
		t.Errorf("Probe() = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Probe(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Probe() = %v; want %v", err, context.Canceled)
	}
}

// TestExplain has what bubblewrap 0.8 and Go say. The settings of this machine
// are not asked for.
func TestExplain(t *testing.T) {
	for said, want := range map[string]string{
		"bwrap: Unknown option --size":                                                   "bubblewrap is too old",
		"bwrap: Can't mount proc on /newroot/proc: Operation not permitted":              "a new /proc may not be mounted",
		"unshare: mount /proc failed: Operation not permitted":                           "a new /proc may not be mounted",
		"bwrap: No permissions to create new namespace, likely because the kernel does":  "namespaces",
		"bwrap: Creating new namespace failed: Operation not permitted":                  "namespaces",
		"bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted":                   "namespaces",
		"fork/exec /usr/bin/bwrap: operation not permitted":                              "namespaces",
		"bwrap: Can't find source path /x: No such file or directory":                    "",
		"bwrap: Can't chdir to /x: Permission denied\nbwrap: Creating new thing is easy": "",
	} {
		e := explain(said)
		if e == nil && want == "" {
			continue
		}
		if e == nil || want == "" || !strings.Contains(e.Error(), want) || !strings.Contains(e.Hint(), "--sandbox=off") {
			t.Errorf("explain(%q) = %v; want %q", said, e, want)
		}
	}
	e := missingTool("bwrap").(*UnavailableError)
	if e.Reason != "bwrap is not installed" || e.Hint() != "install the package bubblewrap, or give --sandbox=off to build without a sandbox" {
		t.Errorf("missingTool() = %v; %s", e, e.Hint())
	}
}
