// SPDX-License-Identifier: MIT

package kbuild

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
)

// preBuild runs PRE_BUILD. Like dkms since 3.1, and unlike 3.0.10, it fails
// the build if the script does.
func (r *run) preBuild(ctx context.Context) error {
	return r.script(ctx, "PRE_BUILD", r.Conf.Scripts.PreBuild)
}

// postBuild runs POST_BUILD, under the same rule. Modules were copied out
// before it, because some scripts clean the tree.
func (r *run) postBuild(ctx context.Context) error {
	return r.script(ctx, "POST_BUILD", r.Conf.Scripts.PostBuild)
}

// script runs one script directive. A script that is not executable is passed
// over with a warning.
func (r *run) script(ctx context.Context, directive string, words []string) error {
	if len(words) == 0 {
		return nil
	}
	path := r.Layout.BuildDir().Join(words[0])
	info, err := r.view.stat(path.Build)
	outside, isOutside := errors.AsType[*outsideError](err)
	switch {
	case isOutside:
		r.warn("%s: %s %q %v, and was not run", r.Conf.File, directive, words[0], outside)
		return nil
	case err != nil:
		r.warn("%s: %s %q is not there and was not run", r.Conf.File, directive, words[0])
		return nil
	case info.IsDir() || info.Mode()&0o111 == 0:
		r.warn("%s: %s %q is not executable and was not run", r.Conf.File, directive, words[0])
		return nil
	}
	argv := append([]string{path.Build}, words[1:]...)
	err = r.exec(ctx, program{name: directive, show: command(argv), argv: shell(runProgram, argv...)})
	return r.explain(err, r.tail)
}

// makeModules runs MAKE.
func (r *run) makeModules(ctx context.Context) error {
	r.stale = r.present()
	line := r.Conf.MakeCommand(r.Tree.Release)
	l := r.Layout
	err := r.exec(ctx, program{
		name: "MAKE",
		show: line,
		argv: shell(runCommand, line, l.DKMSTree.Build, l.SourceTree.Build, l.Headers.Build, strconv.Itoa(max(1, r.Jobs))),
	})
	r.made = r.output
	return r.explain(err, r.firstError)
}

// command writes argv as one would type it.
func command(argv []string) string {
	var words []string
	for _, word := range argv {
		words = append(words, quote(word))
	}
	return strings.Join(words, " ")
}

// present notes the expected modules that came with the source.
func (r *run) present() map[string]os.FileInfo {
	found := make(map[string]os.FileInfo)
	for _, m := range r.expected() {
		path := builtPath(m)
		if info, err := r.view.stat(r.inBuild(path)); err == nil {
			found[path] = info
		}
	}
	return found
}

// reportScripts names the scripts that are for the machine that gets the
// module.
func (r *run) reportScripts() {
	s := r.Conf.Scripts
	for _, script := range []struct {
		directive string
		words     []string
	}{
		{"POST_ADD", s.PostAdd},
		{"PRE_INSTALL", s.PreInstall},
		{"POST_INSTALL", s.PostInstall},
		{"POST_REMOVE", s.PostRemove},
	} {
		if len(script.words) > 0 {
			r.warn("%s: %s %q is for the machine that installs the module and was not run",
				r.Conf.File, script.directive, strings.Join(script.words, " "))
		}
	}
}
