// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/gokms/gokms/pkg/proc"
)

// DefaultPath is where programs are searched if [Options.Path] does not say:
// where dkms and every build search.
const DefaultPath = proc.SearchPath

// tool is a program, and the Debian package to name where it is not there.
type tool struct{ name, pkg string }

func (o *Options) path() string {
	if o == nil || o.Path == "" {
		return DefaultPath
	}
	return o.Path
}

// lookPath finds t in the search path of o, not in the caller's.
func (o *Options) lookPath(t tool) (string, error) {
	path, err := proc.LookPath(t.name, o.path())
	if err != nil {
		return "", &ToolError{Tool: t.name, Package: t.pkg, Err: err}
	}
	return path, nil
}

// run runs t with args, set up by setup unless that is nil. Nothing of the
// caller's environment reaches it. What it said on stderr is put into the
// error.
func (o *Options) run(ctx context.Context, t tool, setup func(*exec.Cmd), args ...string) error {
	path, err := o.lookPath(t)
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Args[0] = t.name
	cmd.Stderr = &stderr
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=" + o.path()}
	if setup != nil {
		setup(cmd)
	}
	run := (*exec.Cmd).Run
	if o != nil && o.Run != nil {
		run = o.Run
	}
	err = run(cmd)
	switch text := tail(stderr.String()); {
	case err != nil && text != "":
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, text)
	case err != nil:
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}

// item stands for a path in the arguments of runEach.
const item = "{}"

// runEach runs t for each of paths, several at a time: by xargs(1) where there
// is more than one, so that o.Run is called once.
func (o *Options) runEach(ctx context.Context, t tool, paths []string, args ...string) error {
	if len(paths) == 0 {
		return nil
	}
	if len(paths) == 1 {
		args = slices.Clone(args)
		for i, a := range args {
			args[i] = strings.ReplaceAll(a, item, operand(paths[0]))
		}
		return o.run(ctx, t, nil, args...)
	}
	path, err := o.lookPath(t)
	if err != nil {
		return err
	}
	var names strings.Builder
	for _, p := range paths {
		names.WriteString(operand(p) + "\x00")
	}
	jobs := 1
	if o != nil {
		jobs = max(jobs, o.Jobs)
	}
	args = append([]string{"-0", "-P", strconv.Itoa(jobs), "-I", item, path}, args...)
	return o.run(ctx, tool{"xargs", "findutils"}, func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(names.String()) }, args...)
}

// tail is the end of what a program said.
func tail(s string) string {
	const most = 1000
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-most):]
}

// ToolError says that a program is not installed.
type ToolError struct {
	Tool    string
	Package string // the Debian package that ships it
	Err     error
}

func (e *ToolError) Error() string { return e.Tool + " is not installed" }

// Unwrap returns the error of the search.
func (e *ToolError) Unwrap() error { return e.Err }

// Hint names the package to install.
func (e *ToolError) Hint() string { return "install the package " + e.Package }
