// SPDX-License-Identifier: MIT

package cell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/sandbox"
	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kmod"
)

// The places of dkms on a default machine, which are those of every sandbox.
const (
	dkmsTree   = "/var/lib/dkms"
	sourceTree = "/usr/src"
	tmpDir     = "/tmp"
)

// needsSandbox is the error for headers that only a sandbox can put where
// their makefiles look for each other.
func needsSandbox(k *target.Kernel) error {
	return &source.Error{
		Err:  fmt.Errorf("headers of kernel %s are not installed, and without a sandbox only installed ones can be used", k.Release),
		Cure: fmt.Sprintf("install the package linux-headers-%s, or build in the sandbox (--sandbox=on)", k.Release),
	}
}

// evalRun is how the child that evaluates dkms.conf is started: nil, or in a
// sandbox where nothing can be written.
func (c *Cell) evalRun() (func(*exec.Cmd) error, error) {
	if !c.opts.Sandboxed {
		return nil, nil
	}
	own := sandbox.Mount{Host: c.Source.Dir, Path: c.Layout.SourceDir().Build}
	box, err := c.sandbox(own, confeval.ChildMount())
	if err != nil {
		return nil, err
	}
	return box.Run, nil
}

// EvalSource evaluates a dkms.conf without a kernel, to find out what its
// source is called. In the sandbox only the directory that it lies in is seen.
func (o *Options) EvalSource(ctx context.Context, in dkms.Input) (*dkms.Values, error) {
	if !o.Sandboxed {
		return o.Eval(ctx, in, nil)
	}
	state := filepath.Join(o.WorkDir, "sandbox")
	if err := os.MkdirAll(state, 0o755); err != nil {
		return nil, err
	}
	dir := filepath.Dir(in.Files[0].Source)
	box, err := sandbox.New(sandbox.Spec{
		Mounts: []sandbox.Mount{{Host: dir, Path: dir}, confeval.ChildMount()}, StateDir: state,
	})
	if err != nil {
		return nil, err
	}
	return o.Eval(ctx, in, box.Run)
}

// buildRun is how the build's commands are started. In the sandbox they may
// write to the build directory, to the temporary one, and to a copy of the
// source that takes its place in /usr/src.
func (c *Cell) buildRun(ctx context.Context) (func(*exec.Cmd) error, error) {
	if !c.opts.Sandboxed {
		return c.opts.Run, nil
	}
	own := filepath.Join(c.workDir(), "source")
	if err := kbuild.CopyTree(ctx, c.Source.Dir, own); err != nil {
		return nil, fmt.Errorf("copy source: %w", err)
	}
	tree := c.Layout.DKMSTree
	if err := os.MkdirAll(tree.Host, 0o755); err != nil {
		return nil, err
	}
	box, err := c.sandbox(
		sandbox.Mount{Host: own, Path: c.Layout.SourceDir().Build, Writable: true},
		sandbox.Mount{Host: tree.Host, Path: tree.Build, Writable: true},
		sandbox.Mount{Host: c.Layout.TmpDir.Host, Path: c.Layout.TmpDir.Build, Writable: true},
	)
	if err != nil {
		return nil, err
	}
	return c.told(box.Run), nil
}

// told is run after Tell.
func (c *Cell) told(run func(*exec.Cmd) error) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error {
		if c.opts.Tell != nil {
			c.opts.Tell(cmd)
		}
		return run(cmd)
	}
}

// stripOptions are those of [Cell.kmodOptions] for the programs that read what
// the build has made. In the sandbox they see the modules and nothing else of
// the run; what they leave is the caller's again before it is looked at.
func (c *Cell) stripOptions() (*kmod.Options, error) {
	o := c.kmodOptions()
	if !c.opts.Sandboxed {
		return o, nil
	}
	state := filepath.Join(c.workDir(), "sandbox")
	if err := os.MkdirAll(state, 0o755); err != nil {
		return nil, err
	}
	dir := c.modulesDir()
	box, err := sandbox.New(sandbox.Spec{
		Mounts: []sandbox.Mount{{Host: dir, Path: dir, Writable: true}}, StateDir: state, Memory: c.opts.Memory,
	})
	if err != nil {
		return nil, err
	}
	o.Run = c.told(func(cmd *exec.Cmd) error {
		return errors.Join(box.Run(cmd), box.TakeMounts())
	})
	return o, nil
}

// sandbox shows the kernel's headers, the sources of the run, and own.
func (c *Cell) sandbox(own ...sandbox.Mount) (*sandbox.Sandbox, error) {
	state := filepath.Join(c.workDir(), "sandbox")
	if err := os.MkdirAll(state, 0o755); err != nil {
		return nil, err
	}
	others, err := c.otherSources()
	if err != nil {
		return nil, err
	}
	k := c.Kernel
	return sandbox.New(sandbox.Spec{
		Mounts: slices.Concat(k.Mounts, others, own),
		Links:  k.Links,
		Files: append(slices.Clone(k.Files),
			sandbox.File{Path: "/usr/bin/uname", Text: kbuild.UnameShim(k.Release), Mode: 0o755},
			sandbox.File{Path: "/proc/sys/kernel/osrelease", Text: k.Release + "\n", Mode: 0o444},
		),
		StateDir: state,
		Memory:   c.opts.Memory,
	})
}

// otherSources are those of the run but c's.
func (c *Cell) otherSources() ([]sandbox.Mount, error) {
	tree := c.Layout.SourceTree
	links, err := os.ReadDir(tree.Host)
	if err != nil {
		return nil, err
	}
	var mounts []sandbox.Mount
	for _, l := range links {
		place := tree.Join(l.Name())
		dir, err := os.Readlink(place.Host)
		if err != nil {
			return nil, err
		}
		if place != c.Layout.SourceDir() {
			mounts = append(mounts, sandbox.Mount{Host: dir, Path: place.Build})
		}
	}
	return mounts, nil
}

// withTimeout ends ctx when the build may not take longer.
func (c *Cell) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.opts.Timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, c.opts.Timeout, errTimeout{c.opts})
}

// errTimeout is the end of a build that took too long.
type errTimeout struct{ o *Options }

func (e errTimeout) Error() string { return fmt.Sprintf("took longer than %s", e.o.Timeout) }

// Hint names the option.
func (errTimeout) Hint() string { return "--timeout allows more" }
