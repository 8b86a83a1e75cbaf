// SPDX-License-Identifier: MIT

package kbuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/dkms"
)

const symversFile = "Module.symvers"

// Limits of what a build may leave: real ones are far below.
const (
	maxModule  = 1 << 30
	maxSymvers = 64 << 20
)

// maxFound is how many .ko files a [MissingError] names.
const maxFound = 20

// expected lists the modules that are to be built for this kernel.
func (r *run) expected() []dkms.Module {
	return slices.DeleteFunc(slices.Clone(r.Conf.Modules), func(m dkms.Module) bool { return m.Excluded != nil })
}

// builtPath is where MAKE leaves m, below the build directory.
func builtPath(m dkms.Module) string { return filepath.Join(m.BuiltDir, m.BuiltName+".ko") }

// inBuild is a path below the build directory as the build sees it.
func (r *run) inBuild(rel string) string { return filepath.Join(r.Layout.BuildDir().Build, rel) }

// collect copies every expected module and the symbols to Out.
func (r *run) collect(context.Context) error {
	modules := r.expected()
	if err := r.checkMissing(modules); err != nil {
		return err
	}
	for _, m := range modules {
		if err := r.copyModule(builtPath(m)); err != nil {
			return fmt.Errorf("copy module %s: %w", builtPath(m), err)
		}
		r.result.Modules = append(r.result.Modules, Module{Module: m, Path: filepath.Join(r.Out, builtPath(m))})
		r.log.say("built %s", builtPath(m))
	}
	if len(modules) == 0 {
		r.warn("%s: no module is named, so none was built", r.Conf.File)
	}
	return r.collectSymvers(modules)
}

// copyModule copies one module to the same place in Out.
func (r *run) copyModule(path string) error {
	in, err := r.view.open(r.inBuild(path))
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if info.Size() > maxModule {
		return fmt.Errorf("larger than %d bytes", maxModule)
	}
	return writeBelow(r.Out, path, io.LimitReader(in, maxModule))
}

func (r *run) checkMissing(modules []dkms.Module) error {
	var missing []string
	for _, m := range modules {
		info, err := r.view.stat(r.inBuild(builtPath(m)))
		if err != nil || !info.Mode().IsRegular() {
			missing = append(missing, builtPath(m))
			continue
		}
		old := r.stale[builtPath(m)]
		if old != nil && os.SameFile(old, info) && old.ModTime().Equal(info.ModTime()) {
			r.warn("%s: %s came with the source and MAKE did not touch it", r.Conf.File, builtPath(m))
		}
	}
	if missing == nil {
		return nil
	}
	return r.explain(r.makeError(&MissingError{Missing: missing, Found: r.foundModules()}), r.loggedError)
}

// makeError is an error that the commands of MAKE made without saying so.
func (r *run) makeError(err error) *Error {
	make := r.result.Steps[len(r.result.Steps)-1]
	return &Error{Build: r.label(), Step: make.Name, Command: make.Command, ExitCode: make.ExitCode, LogPath: r.LogPath, Err: err}
}

// remark says why a file that has a module's name is none.
func (r *run) remark(path string) string {
	info, err := r.view.stat(r.inBuild(path))
	outside, isOutside := errors.AsType[*outsideError](err)
	switch {
	case isOutside:
		return fmt.Sprintf(" (a link that leads out of the build, to %s)", outside.path)
	case err != nil:
		return " (a link that leads nowhere)"
	case !info.Mode().IsRegular():
		return " (not a regular file)"
	}
	return ""
}

// foundModules lists the .ko files below the build directory, not all of them
// if there are many.
func (r *run) foundModules() []string {
	root, _ := r.view.tree(r.Layout.BuildDir().Build)
	var found []string
	_ = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".ko" {
			found = append(found, path)
		}
		return nil // what cannot be read is not found
	})
	more := len(found) - maxFound
	found = found[:min(len(found), maxFound)]
	for i, path := range found {
		found[i] += r.remark(path)
	}
	if more > 0 {
		found = append(found, fmt.Sprintf("%d more", more))
	}
	return found
}

// collectSymvers joins the Module.symvers of the directories that modules were
// built in: kbuild writes one where M= points to, at or above the module. The
// paths in it name modules and lead nowhere, so they are made neutral.
func (r *run) collectSymvers(modules []dkms.Module) error {
	var text strings.Builder
	seen := make(map[string]bool)
	for _, dir := range symversDirs(modules) {
		name := filepath.Join(dir, symversFile)
		data, err := r.view.readFile(r.inBuild(name), maxSymvers)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return r.makeError(fmt.Errorf("%s: %w", name, err))
		}
		for line := range strings.Lines(string(data)) {
			if !seen[line] {
				text.WriteString(line)
			}
			seen[line] = true
		}
	}
	if text.Len() == 0 {
		return nil
	}
	r.result.Symvers = filepath.Join(r.Out, symversFile)
	neutral := strings.ReplaceAll(text.String(), r.Layout.BuildDir().Build+"/", r.Layout.neutral().BuildDir().Build+"/")
	return writeBelow(r.Out, symversFile, strings.NewReader(neutral))
}

// symversDirs lists the build directory, then those of the modules with their
// parents, each once.
func symversDirs(modules []dkms.Module) []string {
	dirs := []string{"."}
	for _, m := range modules {
		for dir := filepath.Clean(m.BuiltDir); dir != "."; dir = filepath.Dir(dir) {
			if !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// symversName is where dkms keeps the symbols of an installed package in its
// tree, so that sources which look for them there find them.
func (b *Build) symversName(s Symvers) string {
	return filepath.Join(s.Name, s.Version, b.Tree.Release, b.Tree.Machine, "module", symversFile)
}

// placeSymvers puts the symbols of the BUILD_DEPENDS where the build sees them.
func (r *run) placeSymvers(context.Context) error {
	for _, s := range r.ExtraSymvers {
		if err := r.placeSymver(s); err != nil {
			return fmt.Errorf("symbols of %s/%s: %w", s.Name, s.Version, err)
		}
	}
	return nil
}

func (r *run) placeSymver(s Symvers) error {
	in, err := os.Open(s.Host)
	if err != nil {
		return err
	}
	defer in.Close()
	return writeBelow(r.Layout.DKMSTree.Host, r.symversName(s), in)
}
