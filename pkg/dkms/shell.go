// SPDX-License-Identifier: MIT

package dkms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/proc"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// confPath stands for the file under evaluation where the shell opens it. It
// cannot exist, so that no file of the host is ever meant.
const confPath = "/dev/null/dkms.conf"

// nextElement is a command of ours that ends what is written of an element.
const nextElement = "gokms-next-element"

// waitDelay is how long the output of a program that has ended is waited for:
// a child of it may hold the other end.
const waitDelay = 2 * time.Second

// shell is one evaluation: the interpreter that stands for dkms itself and
// what it may do.
type shell struct {
	*guard
	env  Env
	text string // what confPath holds
	path string // what that is in messages
	dkms *interp.Runner
	// exitTrap is the command of the last `trap COMMAND EXIT` of the file.
	exitTrap string
	// null is not closed but left to the garbage collector: a job of the file
	// may be about to use it until the context has ended it.
	null *os.File

	// listings are the directories read while directives are written out: each
	// NAME[0]=... is a pattern, and would have the directory read anew.
	listings map[string][]fs.DirEntry
}

func newShell(in *Input, g *guard) (*shell, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	s := &shell{guard: g, env: in.Env, null: null}
	dir := in.Env.Dir
	if dir == "" {
		dir = "/"
	}
	s.dkms, err = interp.New(
		interp.Env(environment(in.Env)),
		interp.Dir(dir),
		interp.StdIO(null, null, stderr{g}),
		interp.CallHandler(s.onCall),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.onExec }),
		interp.OpenHandler(s.onOpen),
		interp.ReadDirHandler2(s.onReadDir),
	)
	if err != nil {
		return nil, errors.Join(err, null.Close())
	}
	return s, nil
}

// eval runs shell text of our own in r.
func (s *shell) eval(ctx context.Context, r *interp.Runner, text string) error {
	file, err := parse(text, "/usr/sbin/dkms")
	if err != nil {
		return err
	}
	err = r.Run(ctx, file)
	if _, ok := errors.AsType[interp.ExitStatus](err); ok {
		return nil
	}
	return err
}

// variables is a fixed set of shell variables.
type variables map[string]expand.Variable

func (v variables) Get(name string) expand.Variable { return v[name] }

func (v variables) Each(fn func(string, expand.Variable) bool) {
	for name, vr := range v {
		if !fn(name, vr) {
			return
		}
	}
}

func (v variables) set(name, value string) {
	v[name] = expand.Variable{Set: true, Kind: expand.String, Str: value, Exported: v[name].Exported}
}

func (v variables) export(name, value string) {
	v[name] = expand.Variable{Set: true, Kind: expand.String, Str: value, Exported: true}
}

// environment is what dkms has set when it sources a file: its environment,
// its own variables, and what bash provides. During a build module,
// module_version, kernelver and arch are exported (tried).
func environment(env Env) variables {
	v := variables{}
	v.export("PATH", proc.SearchPath)
	v.export("HOME", "/root")
	for _, entry := range env.Environ {
		if name, value, ok := strings.Cut(entry, "="); ok && syntax.ValidName(name) {
			v.export(name, value)
		}
	}
	for _, name := range directives {
		delete(v, name)
	}
	v.export("module", env.Module)
	v.export("module_version", env.ModuleVersion)
	v.export("kernelver", env.KernelVersion)
	v.export("arch", env.Arch)
	for name, value := range map[string]string{
		"kernel_source_dir": env.KernelSourceDir, "kernel_config": env.KernelConfig,
		"dkms_tree": env.DKMSTree, "source_tree": env.SourceTree, "install_tree": env.InstallTree,
		"tmp_location": env.TmpDir, "running_distribution": env.OS, "parallel_jobs": itoa(env.Jobs),
		"current_kernel": env.KernelVersion, "current_os": "Linux", "force": "", "verbose": "",
		"BASH": "/bin/bash", "BASH_VERSION": "5.2.15(1)-release", "OSTYPE": "linux-gnu",
		"HOSTTYPE": env.Arch, "MACHTYPE": env.Arch + "-pc-linux-gnu", "HOSTNAME": "localhost",
		"UID": "0", "EUID": "0", "GID": "0",
	} {
		v.set(name, value)
	}
	v["BASH_VERSINFO"] = expand.Variable{Set: true, Kind: expand.Indexed,
		List: []string{"5", "2", "15", "1", "release", env.Arch + "-pc-linux-gnu"}}
	return v
}

// onCall sees every call before the interpreter does, and replaces what the
// interpreter does not know.
func (s *shell) onCall(ctx context.Context, args []string) ([]string, error) {
	if err := s.call(); err != nil {
		return nil, err
	}
	switch {
	case args[0] == "printf" && len(args) > 3 && args[1] == "-v":
		return printfVar(args[2], args[3], args[4:]), nil
	case args[0] == "trap":
		return s.trap(args)
	case args[0] == "hash" && len(args) > 1:
		return s.hash(interp.HandlerCtx(ctx), args), nil
	case args[0] == "test" && len(args) == 4, args[0] == "[" && len(args) == 5:
		return compareText(args), nil
	}
	return args, nil
}

// printfVar turns `printf -v NAME FORMAT ARGS...`, which the interpreter does
// not have, into an assignment.
func printfVar(name, format string, args []string) []string {
	var out strings.Builder
	for {
		text, used, err := expand.Format(nil, format, args)
		if err != nil {
			return []string{"false"}
		}
		out.WriteString(text)
		if args = args[used:]; used == 0 || len(args) == 0 {
			break
		}
	}
	quoted, err := syntax.Quote(out.String(), syntax.LangBash)
	if err != nil {
		return []string{"false"}
	}
	return []string{"eval", name + "=" + quoted}
}

// hash is used as a test whether a program is there; the interpreter's always
// succeeds.
func (s *shell) hash(hc interp.HandlerContext, args []string) []string {
	for _, name := range args[1:] {
		if strings.HasPrefix(name, "-") || interp.IsBuiltin(name) {
			continue
		}
		if _, err := interp.LookPathDir(hc.Dir, hc.Env, name); err != nil {
			fmt.Fprintf(hc.Stderr, "hash: %s: not found\n", name)
			return []string{"false"}
		}
	}
	return []string{"true"}
}

// compareText answers `[ A \< B ]`, which the interpreter has in [[ ]] alone.
func compareText(args []string) []string {
	a, b := args[1], args[3]
	switch args[2] {
	case ">":
		a, b = b, a
	case "<":
	default:
		return args
	}
	if a < b {
		return []string{"true"}
	}
	return []string{"false"}
}

// onExec runs a program, but for those that would tell of the running kernel
// and the functions of dkms itself.
func (s *shell) onExec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	switch args[0] {
	case "uname", "/bin/uname", "/usr/bin/uname":
		text, err := uname(args[1:], s.env)
		if err != nil {
			fmt.Fprintln(hc.Stderr, err)
			return interp.ExitStatus(1)
		}
		_, err = io.WriteString(hc.Stdout, text)
		return err
	case nextElement:
		_, err := hc.Stdout.Write([]byte{0})
		return err
	case refused:
		return s.refuse(args)
	case "VER":
		_, err := fmt.Fprintln(hc.Stdout, versionKey(strings.Join(args[1:min(2, len(args))], "")))
		return err
	}
	path, err := interp.LookPathDir(hc.Dir, hc.Env, args[0])
	if err != nil {
		fmt.Fprintf(hc.Stderr, "%s: command not found\n", args[0])
		return interp.ExitStatus(127)
	}
	return s.runProgram(ctx, hc, path, args)
}

func (s *shell) runProgram(ctx context.Context, hc interp.HandlerContext, path string, args []string) error {
	if err := s.start(args[0]); err != nil {
		return err
	}
	defer s.done(args[0])
	cmd := exec.CommandContext(ctx, path)
	cmd.Args = args
	cmd.Dir = hc.Dir
	cmd.Env = exported(hc.Env)
	cmd.Stdin = hc.Stdin
	cmd.Stdout = s.counted(hc.Stdout)
	cmd.Stderr = s.counted(hc.Stderr)
	cmd.WaitDelay = waitDelay
	err := s.run(cmd)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code := exit.ExitCode()
		if code < 0 {
			code = 128 + 9 // by a signal; which one no file asks
		}
		return interp.ExitStatus(code)
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return s.over("left a child of %q running that holds its output open", args[0])
	}
	if err != nil {
		fmt.Fprintf(hc.Stderr, "%s: %v\n", args[0], err)
		return interp.ExitStatus(126)
	}
	return nil
}

// counted leaves files alone, which a program can write to without us.
func (s *shell) counted(w io.Writer) io.Writer {
	switch w := w.(type) {
	case *os.File, stderr, nil:
		return w
	default:
		return counted{s.guard, w}
	}
}

// exported lists the exported variables, as a program gets them.
func exported(env expand.Environ) []string {
	vars := map[string]string{}
	for name, vr := range env.Each {
		delete(vars, name)
		if vr.IsSet() && vr.Exported && vr.Kind == expand.String {
			vars[name] = vr.Str
		}
	}
	list := make([]string, 0, len(vars))
	for name, value := range vars {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// memFile is the file under evaluation, read-only.
type memFile struct{ io.Reader }

func (memFile) Write([]byte) (int, error) { return 0, fs.ErrPermission }
func (memFile) Close() error              { return nil }

// onOpen opens what the shell itself reads and writes: regular files only,
// since a device or a pipe can keep it for ever.
func (s *shell) onOpen(ctx context.Context, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	if path == confPath {
		return memFile{strings.NewReader(s.text)}, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(interp.HandlerCtx(ctx).Dir, path)
	}
	switch path {
	case os.DevNull, "/dev/stdout", "/dev/stderr", "/dev/tty":
		return os.OpenFile(os.DevNull, os.O_RDWR, 0)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	return os.OpenFile(path, flag, perm)
}

func (s *shell) onReadDir(_ context.Context, path string) ([]fs.DirEntry, error) {
	s.mu.Lock() // a job of the file may still run
	defer s.mu.Unlock()
	if entries, ok := s.listings[path]; ok {
		return entries, nil
	}
	entries, err := os.ReadDir(path)
	if err == nil && s.listings != nil {
		s.listings[path] = entries
	}
	return entries, err
}

// keepListings switches the memory of directories on or off.
func (s *shell) keepListings(listings map[string][]fs.DirEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listings = listings
}
