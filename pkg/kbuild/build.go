// SPDX-License-Identifier: MIT

package kbuild

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/proc"
)

// markerName is a variable that all processes of one build have in their
// environment.
const markerName = "GOKMS_BUILD"

// DefaultMaxLog is how large a build's log may grow, in bytes.
const DefaultMaxLog = 64 << 20

// Build is one module source to be built for one kernel. Nothing in it is
// changed by [Build.Do].
type Build struct {
	Conf   *dkms.Conf   // evaluated for Tree; must not be excluded as a whole
	Tree   *kernel.Tree // the names of its architecture, Release, Compiler and Header are used
	Layout Layout       // BuildDir must not exist yet

	// SourceHost is the source directory on the host. It is copied and never
	// written to.
	SourceHost string
	// DKMSConf, if not nil, becomes dkms.conf in the copy, for sources whose
	// conf lies elsewhere (debian/PKG.dkms).
	DKMSConf []byte

	// Out receives the unstripped modules, at their BUILT_MODULE_LOCATION and
	// name, and Module.symvers. It is created.
	Out string
	// LogPath is the log file that is written, truncated if it exists. Its
	// directory must be there.
	LogPath string
	MaxLog  int64 // bytes; 0: DefaultMaxLog. A build that prints more fails

	// Jobs is how many commands make may run at once; below 1 counts as 1.
	Jobs int
	// ExtraSymvers are the symbols of the BUILD_DEPENDS.
	ExtraSymvers []Symvers
	// Programs and Libraries are directories, as the build sees them, with
	// programs and shared libraries that are not installed: pahole, and what
	// the kernel's own programs need. All that the build runs finds them.
	Programs, Libraries []string

	// Setenv is added to the environment of the build ("NAME=VALUE") and wins
	// over what is there. Nothing is inherited; without Setenv the build sees
	//
	//   - PATH: a directory below TMPDIR that has a uname which answers -r by
	//     the kernel that is built for, Programs, and the fixed rest;
	//     HOME=/nonexistent, SHELL=/bin/sh, TMPDIR, LC_ALL=C.UTF-8, TZ=UTC
	//   - LD_LIBRARY_PATH if there are Libraries
	//   - what dkms exports: module, module_version, kernelver, arch (the
	//     kernel's uname -m; that of uname(1) stays the machine's), CC,
	//     KERNEL_CC; LD and KERNEL_LD for kernels linked by lld
	//   - LLVM for kernels compiled by clang
	//   - MAKEFLAGS=-jN; for a kernel of another architecture than the machine's
	//     "-jN -- " and the variables of the next item, which puts them on the
	//     command line of every make
	//   - for such a kernel ARCH, CROSS_COMPILE, DEB_BUILD_ARCH, DEB_HOST_ARCH,
	//     DEB_HOST_GNU_TYPE
	//   - SOURCE_DATE_EPOCH and KBUILD_BUILD_{TIMESTAMP,USER,HOST,VERSION}
	//   - KBUILD_EXTRA_SYMBOLS if there are ExtraSymvers
	//   - GOKMS_BUILD, by which whatever is left running is found
	//   - KCFLAGS and KAFLAGS with -ffile-prefix-map, where the build's
	//     directories are not those of dkms on a default machine
	Setenv []string
	// Epoch is the clock value of the build, for SOURCE_DATE_EPOCH and
	// KBUILD_BUILD_TIMESTAMP; zero: 1970-01-01.
	Epoch time.Time

	// Run starts a command and waits for it; nil: (*exec.Cmd).Run. The
	// command's paths are those that the build sees. Run may change the
	// command, wrapping it into a sandbox for instance, but must run that one
	// value, so that it can be killed through it.
	Run func(*exec.Cmd) error
	// Now measures how long steps take; nil: time.Now.
	Now func() time.Time
}

// Symvers are the exported symbols of a module source that was built before.
type Symvers struct {
	Name, Version string // its PACKAGE_NAME and PACKAGE_VERSION
	Host          string // its Module.symvers on the host, a [Result.Symvers]
}

// Result is what a successful build yields.
type Result struct {
	Modules  []Module
	Symvers  string // path of the copied Module.symvers in Out; "" if the build made none
	Steps    []Step
	Warnings []error
}

// Module is one built module. The embedded entry of the dkms.conf says
// whether it wants to be stripped, and its name and place.
type Module struct {
	dkms.Module
	Path string // the unstripped copy in Out
}

// Step is one command that ran.
type Step struct {
	Name     string // e.g. "patch fix.patch", PRE_BUILD, MAKE, POST_BUILD
	Command  string // as a shell would take it
	ExitCode int    // -1: killed by a signal or not started
	Elapsed  time.Duration
}

// run is the state of one [Build.Do].
type run struct {
	*Build
	log    *logFile
	env    []string
	view   *view // from copySource on
	output int64 // where the output of the last command begins in the log
	made   int64 // the same for MAKE
	stale  map[string]os.FileInfo
	result Result
}

// Do runs the build. A command that fails, modules that are missing and logs
// that grow too large give an [*Error]; when ctx ends, everything that was
// started is killed and the error wraps the cause. The build directory is left
// as it is, for the caller to keep or remove.
func (b *Build) Do(ctx context.Context) (res *Result, err error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	log, err := createLog(b, cancel)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closing := log.Close(); err == nil && closing != nil {
			res, err = nil, closing
		}
	}()
	log.header(b)

	mark := markerName + "=" + rand.Text()
	defer proc.KillMarked(mark)
	r := &run{Build: b, log: log, env: append(b.environ(), mark), view: &view{}}
	defer func() { r.view.close() }()
	steps := []func(context.Context) error{
		r.placeShims, r.copySource, r.placeSymvers, r.applyPatches, r.preBuild, r.makeModules, r.collect, r.postBuild,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			log.say("failed: %s", withoutLogPath(err))
			return nil, err
		}
	}
	r.reportScripts()
	return &r.result, nil
}

func (b *Build) check() error {
	switch {
	case b.Conf == nil || b.Tree == nil:
		return errors.New("build without dkms.conf or kernel tree")
	case b.Conf.Excluded != nil:
		return fmt.Errorf("%s excludes kernel %s by %s", b.Conf.File, b.Tree.Release, b.Conf.Excluded.Rule)
	case b.SourceHost == "" || b.Out == "" || b.LogPath == "":
		return errors.New("build without source, output directory or log")
	}
	for _, m := range b.Conf.Modules {
		if !filepath.IsLocal(filepath.Join(m.BuiltDir, m.BuiltName+".ko")) {
			return fmt.Errorf("%s: module %q lies outside of the build directory", b.Conf.File, filepath.Join(m.BuiltDir, m.BuiltName))
		}
	}
	return b.Layout.check()
}

// label names the cell in errors and in the log.
func (b *Build) label() string {
	return fmt.Sprintf("%s/%s for %s", b.Layout.Name, b.Layout.Version, b.Tree.Release)
}

// now is the clock that steps are measured with.
func (b *Build) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

func (r *run) warn(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	r.result.Warnings = append(r.result.Warnings, err)
	r.log.say("warning: %v", err)
}
