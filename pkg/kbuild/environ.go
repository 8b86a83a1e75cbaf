// SPDX-License-Identifier: MIT

package kbuild

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/proc"
)

// searchPath is the PATH of every build, behind our own directory.
const searchPath = proc.SearchPath

// LookPath finds a program as a build will: in the PATH of every build, not in
// the caller's. It is to [exec.LookPath] what its name says.
func LookPath(program string) (string, error) {
	if filepath.IsAbs(program) {
		return exec.LookPath(program)
	}
	return proc.LookPath(program, searchPath)
}

// environ is the whole environment of the build's commands, as documented at
// [Build.Setenv].
func (b *Build) environ() []string {
	epoch := b.Epoch
	if epoch.IsZero() {
		epoch = time.Unix(0, 0)
	}
	env := []string{
		"PATH=" + b.path(),
		"HOME=/nonexistent",
		"SHELL=/bin/sh",
		"TMPDIR=" + b.Layout.TmpDir.Build,
		"LC_ALL=C.UTF-8",
		"TZ=UTC",
		"module=" + b.Layout.Name,
		"module_version=" + b.Layout.Version,
		"kernelver=" + b.Tree.Release,
		"arch=" + b.Tree.Machine,
		"MAKEFLAGS=" + b.makeFlags(),
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch.Unix()),
		"KBUILD_BUILD_TIMESTAMP=" + epoch.UTC().Format(time.UnixDate),
		"KBUILD_BUILD_USER=gokms",
		"KBUILD_BUILD_HOST=gokms",
		"KBUILD_BUILD_VERSION=1",
	}
	env = append(env, b.toolchainEnv()...)
	env = append(env, b.Tree.CrossVariables()...)
	if len(b.Libraries) > 0 {
		env = append(env, "LD_LIBRARY_PATH="+strings.Join(b.Libraries, ":"))
	}
	if len(b.ExtraSymvers) > 0 {
		var files []string
		for _, s := range b.ExtraSymvers {
			files = append(files, b.Layout.DKMSTree.Join(b.symversName(s)).Build)
		}
		env = append(env, "KBUILD_EXTRA_SYMBOLS="+strings.Join(files, " "))
	}
	if flags := strings.Join(b.prefixMaps(), " "); flags != "" {
		env = append(env, "KCFLAGS="+flags, "KAFLAGS="+flags)
	}
	return append(env, b.Setenv...)
}

// path is the PATH of the build.
func (b *Build) path() string {
	dirs := append([]string{b.Layout.shimDir().Build}, b.Programs...)
	return strings.Join(append(dirs, searchPath), ":")
}

// makeFlags is what every make reads before its command line: how many jobs
// there are, and the variables that a foreign kernel needs. Behind "--" they
// count as those of a command line do, and make hands them down as such; as
// variables of the environment the first assignment of a Makefile would win.
func (b *Build) makeFlags() string {
	flags := fmt.Sprintf("-j%d", max(1, b.Jobs))
	if cross := b.Tree.CrossVariables(); cross != nil {
		flags += " -- " + strings.Join(cross, " ")
	}
	return flags
}

// toolchainEnv names the kernel's compiler, as dkms does.
func (b *Build) toolchainEnv() []string {
	var env []string
	cc := b.Tree.Compiler
	if cc.Command != "" {
		env = append(env, "CC="+cc.Command, "KERNEL_CC="+cc.Command)
	}
	if cc.LLVM != "" {
		env = append(env, "LLVM="+cc.LLVM)
	}
	if cc.Linker != "" {
		env = append(env, "LD="+cc.Linker, "KERNEL_LD="+cc.Linker)
	}
	return env
}

// prefixMaps are the options that keep the build's own paths out of the debug
// information, and so out of the build-id, and out of __FILE__. The compiler
// tries the last one first.
func (b *Build) prefixMaps() []string {
	neutral := b.Layout.neutral()
	var maps []string
	if from, to := b.Layout.SourceDir().Build, neutral.SourceDir().Build; from != to {
		maps = append(maps, "-ffile-prefix-map="+from+"/="+to+"/")
	}
	if from, to := b.Layout.BuildDir().Build, neutral.BuildDir().Build; from != to {
		maps = append(maps, "-ffile-prefix-map="+from+"="+to)
	}
	return maps
}
