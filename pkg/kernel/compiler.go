// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// setCompiler finds what modules of t are compiled with.
func (t *Tree) setCompiler(getenv func(string) string) error {
	c := &t.Compiler
	c.Text = t.Config.Text("CONFIG_CC_VERSION_TEXT")
	c.Clang = t.Config.On("CONFIG_CC_IS_CLANG")
	c.Major = majorOf(t.Config)
	var err error
	if c.Command, err = t.compilerCommand(getenv); err != nil {
		return err
	}
	c.Package = t.packageOf(c.Command)
	suffix := versionSuffix(c.Command)
	if c.Clang {
		c.LLVM = "1"
		if suffix != "" {
			c.LLVM = suffix
		}
	}
	if t.Config.On("CONFIG_LD_IS_LLD") {
		c.Linker = "ld.lld"
		if c.Clang {
			c.Linker += suffix
		}
	}
	return nil
}

// compilerCommand is what the tree's .kernelvariables makes of CC, because the
// kernel's Makefile includes that file and its CC overrides the environment's;
// else the first word of CONFIG_CC_VERSION_TEXT, made that of a cross compiler
// where the kernel is foreign. Of a clang kernel without .kernelvariables it is
// clang, because the text may begin with the distributor's name.
func (t *Tree) compilerCommand(getenv func(string) string) (string, error) {
	clang := t.Compiler.Clang
	fromText, _, _ := strings.Cut(t.Compiler.Text, " ")
	if clang && !strings.Contains(fromText, "clang") {
		fromText = "clang"
	}
	command := t.kernelVariablesCC(getenv)
	switch {
	case command == "" && fromText == "":
		command = t.CrossPrefix + "gcc"
		t.warn("%s: names no compiler, taking %s", t.ConfigPath, command)
	case command == "":
		command = fromText
		if m := compilerRE.FindStringSubmatch(fromText); m != nil && m[1] == "" && !clang {
			command = t.CrossPrefix + fromText
		}
	case strings.HasPrefix(command, "-"):
		return "", fmt.Errorf("%s: CC becomes %q, which is no program: is CROSS_COMPILE or DEB_HOST_GNU_TYPE wrong?", t.kernelVariables(), command)
	}
	set, text := compilerRE.FindStringSubmatch(command), compilerRE.FindStringSubmatch(fromText)
	if set == nil {
		t.warn("%s: %q, which modules are to be compiled with, is no name of gcc or clang: its version is not asked for", t.SourceDir, command)
		return command, nil
	}
	if t.CrossPrefix != "" && !clang && set[1]+"-" != t.CrossPrefix {
		return "", fmt.Errorf("%s: the compiler becomes %q, which is not one for %s on %s", t.SourceDir, command, t.DebArch, t.BuildArch)
	}
	if text != nil && text[2] != set[2] {
		t.warn("%s: sets %s, but the kernel was compiled with %q", t.kernelVariables(), command, t.Compiler.Text)
	}
	return command, nil
}

func (t *Tree) kernelVariables() string { return filepath.Join(t.SourceDir, ".kernelvariables") }

// kernelVariablesCC is CC as .kernelvariables sets it, "" where it does not. A
// file that is more than this package reads is a warning.
func (t *Tree) kernelVariablesCC(getenv func(string) string) string {
	data, err := t.sysroot.readFile(t.kernelVariables())
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	vars := newMakeVars(getenv, t.CrossVariables()...)
	if err == nil {
		err = vars.parse(bytes.NewReader(data), t.kernelVariables())
	}
	if err != nil {
		t.Warnings = append(t.Warnings, err)
		return ""
	}
	if _, set := vars.values["CC"]; !set {
		return ""
	}
	cc, err := vars.value("CC")
	if err != nil {
		t.warn("%s: CC: %w", t.kernelVariables(), err)
	}
	words := strings.Fields(cc)
	if len(words) > 1 && path.Base(words[0]) == "ccache" {
		words = words[1:]
	}
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

func (t *Tree) warn(format string, args ...any) {
	t.Warnings = append(t.Warnings, fmt.Errorf(format, args...))
}

// majorOf is the compiler's major version: CONFIG_GCC_VERSION=120200 is 12.
func majorOf(c Config) string {
	for _, name := range []string{"CONFIG_GCC_VERSION", "CONFIG_CLANG_VERSION"} {
		if n, err := strconv.Atoi(c[name]); err == nil && n >= 10000 {
			return strconv.Itoa(n / 10000)
		}
	}
	return ""
}

var (
	compilerRE = regexp.MustCompile(`^(?:([a-z0-9_]+-[a-z0-9-]*linux[a-z0-9-]*)-)?((?:gcc|clang)(-[0-9]+(?:\.[0-9]+)?)?)$`)
	linkerRE   = regexp.MustCompile(`^ld\.lld(-[0-9]+)?$`)
)

// packageOf is the Debian package that ships a compiler or linker on the
// machine that builds; "" for a command that is none of Debian's.
func (t *Tree) packageOf(command string) string {
	if m := linkerRE.FindStringSubmatch(command); m != nil {
		return "lld" + m[1]
	}
	m := compilerRE.FindStringSubmatch(command)
	switch {
	case m == nil:
		return ""
	case m[1] == "" || m[1] == t.GNUType && t.CrossPrefix == "":
		return m[2]
	}
	return crossPackage(m[2], m[1])
}

// crossPackage is the package of a gcc that compiles for another architecture
// than its own; clang needs none.
func crossPackage(command, gnuType string) string {
	if strings.HasPrefix(command, "clang") {
		return command
	}
	return command + "-" + strings.ReplaceAll(gnuType, "_", "-")
}

// versionSuffix is "-12" of x86_64-linux-gnu-gcc-12, "" of gcc.
func versionSuffix(command string) string {
	if m := compilerRE.FindStringSubmatch(command); m != nil {
		return m[3]
	}
	return ""
}

// CheckCompiler looks for the compiler of t, and for its linker where the
// kernel needs one that gcc does not bring along. One that is missing is a
// [*CompilerError]; nothing is ever taken in its place. lookPath is
// [exec.LookPath] if nil.
func (t *Tree) CheckCompiler(lookPath func(string) (string, error)) error {
	if lookPath == nil {
		lookPath = exec.LookPath
	}
	for _, command := range []string{t.Compiler.Command, t.Compiler.Linker} {
		if command == "" {
			continue
		}
		if _, err := lookPath(command); err != nil {
			return t.compilerError(command, err)
		}
	}
	return nil
}

// CheckPahole looks for pahole(1) where modules of t need it, in the way of
// [Tree.CheckCompiler]. A build without it fails at its very end.
func (t *Tree) CheckPahole(lookPath func(string) (string, error)) error {
	if !t.Pahole {
		return nil
	}
	if lookPath == nil {
		lookPath = exec.LookPath
	}
	const name = "pahole"
	if _, err := lookPath(name); err != nil {
		return &CompilerError{Release: t.Release, Command: name, Package: name, Err: err}
	}
	return nil
}

func (t *Tree) compilerError(command string, cause error) error {
	e := &CompilerError{Release: t.Release, Command: command, Package: t.packageOf(command), Err: cause}
	m := compilerRE.FindStringSubmatch(command)
	if m != nil && m[1] != "" && e.Package == m[2] {
		e.other = crossPackage(m[2], m[1])
		if e.other == e.Package {
			e.other = ""
		}
	}
	return e
}

// Known says whether c.Command is a name of gcc or clang, without a directory.
// Trees come from anywhere: another program than that must not be run just to
// learn what version it is.
func (c *Compiler) Known() bool { return compilerRE.MatchString(c.Command) }

// CompareCompiler asks the compiler of t for its version and compares the
// major number with the kernel's. A command that carries its version, as
// gcc-12 does, is not asked, nor one that is not [Compiler.Known]. Another
// version is a [*VersionError], which the kernel's own build only warns of.
// o.Run and o.LookPath are used.
func (t *Tree) CompareCompiler(o *Options) error {
	c := t.Compiler
	if c.Major == "" || versionSuffix(c.Command) != "" || !c.Known() {
		return nil
	}
	if o == nil {
		o = &Options{}
	}
	cmd := &exec.Cmd{Args: []string{c.Command, "-dumpversion"}}
	cmd.Path, cmd.Err = o.lookPath(c.Command)
	out, err := o.output(cmd)
	if err != nil {
		return err
	}
	found := strings.TrimSpace(out)
	if major, _, _ := strings.Cut(found, "."); major != c.Major {
		return &VersionError{Release: t.Release, Command: c.Command, Text: c.Text, Want: c.Major, Found: found}
	}
	return nil
}
