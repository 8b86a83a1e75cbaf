// SPDX-License-Identifier: MIT

package record

import (
	"bytes"
	"context"
	"os/exec"
	"strings"

	"github.com/gokms/gokms/pkg/proc"
)

// Asker asks programs what version they are.
type Asker struct {
	Run      func(*exec.Cmd) error        // nil: (*exec.Cmd).Run
	LookPath func(string) (string, error) // as the build finds them; nil: exec.LookPath
}

// Tool describes a program that is of a package, which may be "". One that is
// not there has no version, and nothing else is wrong with that.
func (a Asker) Tool(ctx context.Context, command, pkg string) Tool {
	t := Tool{Command: command, Package: pkg}
	look := a.LookPath
	if look == nil {
		look = exec.LookPath
	}
	path, err := look(command)
	if err != nil {
		return t
	}
	t.Version = a.firstLine(exec.CommandContext(ctx, path, "--version"))
	if pkg != "" {
		t.PackageVersion = a.firstLine(exec.CommandContext(ctx, "dpkg-query", "-W", "-f=${Version}\n", pkg))
	}
	return t
}

// firstLine is what cmd prints first, "" if it cannot be run.
func (a Asker) firstLine(cmd *exec.Cmd) string {
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=" + proc.SearchPath}
	run := a.Run
	if run == nil {
		run = (*exec.Cmd).Run
	}
	if run(cmd) != nil {
		return ""
	}
	line, _, _ := strings.Cut(out.String(), "\n")
	return strings.TrimSpace(line)
}

// Compare returns the difference to another answer of the same command in
// words, "" if there is none.
func (t Tool) Compare(now Tool) string {
	switch {
	case t.Version == now.Version && (t.PackageVersion == now.PackageVersion || t.PackageVersion == "" || now.PackageVersion == ""):
		return ""
	case now.Version == "":
		return t.Command + " is not installed; it was " + t.Version
	case t.Version != now.Version:
		return t.Command + " is " + now.Version + "; it was " + t.Version
	}
	return t.Command + " is of " + t.Package + " " + now.PackageVersion + "; it was of " + t.PackageVersion
}
