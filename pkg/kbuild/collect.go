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

// maxFound is how many .ko files a [MissingError] names.
const maxFound = 20

// expected lists the modules that are to be built for this kernel.
func (r *run) expected() []dkms.Module {
	return slices.DeleteFunc(slices.Clone(r.Conf.Modules), func(m dkms.Module) bool { return m.Excluded != nil })
}

// builtPath is where MAKE leaves m, below the build directory.
func builtPath(m dkms.Module) string { return filepath.Join(m.BuiltDir, m.BuiltName+".ko") }

// collect copies every expected module and the symbols to Out.
func (r *run) collect(context.Context) error {
	modules := r.expected()
	if err := r.checkMissing(modules); err != nil {
		return err
	}
	for _, m := range modules {
		out := filepath.Join(r.Out, builtPath(m))
		if err := copyOut(r.built(m), out); err != nil {
			return fmt.Errorf("copy module: %w", err)
		}
		r.result.Modules = append(r.result.Modules, Module{Module: m, Path: out})
		r.log.say("built %s", builtPath(m))
	}
	if len(modules) == 0 {
		r.warn("%s: no module is named, so none was built", r.Conf.File)
	}
	return r.collectSymvers(modules)
}

func (r *run) checkMissing(modules []dkms.Module) error {
	var missing []string
	for _, m := range modules {
		info, err := os.Stat(r.built(m))
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
	err := &MissingError{Missing: missing, Found: r.foundModules()}
	make := r.result.Steps[len(r.result.Steps)-1]
	return r.explain(&Error{
		Build: r.label(), Step: make.Name, Command: make.Command, ExitCode: make.ExitCode, LogPath: r.LogPath, Err: err,
	}, r.loggedError)
}

// built is m's file on the host. An absolute link, which is meant as the build
// sees it, is followed here.
func (r *run) built(m dkms.Module) string {
	path := filepath.Join(r.Layout.BuildDir().Host, builtPath(m))
	if target, err := os.Readlink(path); err == nil && filepath.IsAbs(target) {
		return r.Layout.ToHost(target)
	}
	return path
}

// remark says why a file that has a module's name is none.
func (r *run) remark(path string) string {
	target, err := os.Readlink(path)
	link := err == nil
	if link && filepath.IsAbs(target) {
		path = r.Layout.ToHost(target)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil && link:
		return fmt.Sprintf(" (a link to %s, which leads nowhere)", target)
	case err == nil && !info.Mode().IsRegular():
		return " (not a regular file)"
	}
	return ""
}

// foundModules lists the .ko files below the build directory, not all of them
// if there are many.
func (r *run) foundModules() []string {
	var found []string
	root := r.Layout.BuildDir().Host
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".ko" {
			found = append(found, strings.TrimPrefix(path, root+"/")+r.remark(path))
		}
		return nil // what cannot be read is not found
	})
	if more := len(found) - maxFound; more > 0 {
		found = append(found[:maxFound], fmt.Sprintf("%d more", more))
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
		data, err := os.ReadFile(filepath.Join(r.Layout.BuildDir().Host, dir, symversFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
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
	return os.WriteFile(r.result.Symvers, []byte(neutral), 0o644)
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

// symversPath is where dkms keeps the symbols of an installed package, so that
// sources which look for them there find them.
func (b *Build) symversPath(s Symvers) Path {
	return b.Layout.DKMSTree.Join(s.Name, s.Version, b.Tree.Release, b.Tree.Machine, "module", symversFile)
}

// placeSymvers puts the symbols of the BUILD_DEPENDS where the build sees them.
func (r *run) placeSymvers(context.Context) error {
	for _, s := range r.ExtraSymvers {
		if err := copyOut(s.Host, r.symversPath(s).Host); err != nil {
			return fmt.Errorf("symbols of %s/%s: %w", s.Name, s.Version, err)
		}
	}
	return nil
}

// copyOut copies the contents of a file and makes the directories for it.
func copyOut(from, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
