// SPDX-License-Identifier: MIT

package dkms

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// makeCommand chooses MAKE: MAKE[0] if there is no MAKE_MATCH[0], then the
// last MAKE whose MAKE_MATCH matches the kernel, else what dkms uses where
// nothing is said. Nothing is kept from another conf, as dkms does by mistake.
func (r *resolver) makeCommand() {
	if r.v.Get("MAKE_MATCH") == "" {
		r.conf.Make = r.v.Get("MAKE")
	}
	for n, e := range r.v.Elements["MAKE"] {
		match := r.v.At("MAKE_MATCH", e.Index).Value
		switch {
		case e.Index != n:
			r.warnf("MAKE", e.Index, "%s is not used: there is no %s", label("MAKE", e.Index), label("MAKE", n))
			return
		case e.Value == "":
		case match == "" && e.Index > 0:
			r.warnf("MAKE", e.Index, "%s is not used: it has no MAKE_MATCH", label("MAKE", e.Index))
		case match != "" && r.matches("MAKE_MATCH", e.Index, r.env.KernelVersion):
			r.conf.Make = e.Value
		}
	}
	if r.conf.Make == "" {
		r.conf.Make = "make -C " + r.env.KernelSourceDir + " M=" + r.env.DKMSTree + "/" + r.conf.Name + "/" + r.conf.Version + "/build"
	}
}

// matches holds text against the regular expression of an element.
func (r *resolver) matches(name string, index int, text string) bool {
	re, err := compileERE(r.v.At(name, index).Value)
	if err != nil {
		r.badf(name, index, "%s: %w", label(name, index), err)
		return false
	}
	return re.MatchString(text)
}

// patches lists the patches for the kernel. dkms looks at as many as the array
// has elements, so that those behind a gap are not applied.
func (r *resolver) patches() {
	for n, e := range r.v.Elements["PATCH"] {
		if e.Index != n {
			r.warnf("PATCH", e.Index, "%s is not applied: there is no %s", label("PATCH", e.Index), label("PATCH", n))
			return
		}
		if e.Value == "" {
			continue
		}
		if err := checkPath(e.Value); err != nil {
			r.badf("PATCH", e.Index, "%s: %w", label("PATCH", e.Index), err)
			continue
		}
		if r.v.At("PATCH_MATCH", e.Index).Value == "" || r.matches("PATCH_MATCH", e.Index, r.env.KernelVersion) {
			r.conf.Patches = append(r.conf.Patches, e.Value)
		}
	}
}

// CheckPatches reports every patch for this kernel that is not a file below
// patches/ of the source.
func (c *Conf) CheckPatches(source fs.FS) error {
	var errs []error
	for _, patch := range c.Patches {
		wrong := wrongPatch(source, patch)
		if wrong == "" {
			continue
		}
		index := 0
		for _, e := range c.Values.Elements["PATCH"] {
			if e.Value == patch {
				index = e.Index
			}
		}
		errs = append(errs, c.Values.Errorf("PATCH", index, "%s: patches/%s is %s", label("PATCH", index), patch, wrong))
	}
	return errors.Join(errs...)
}

func wrongPatch(source fs.FS, patch string) string {
	if strings.HasPrefix(patch, "/") {
		return "no path below patches/"
	}
	info, err := fs.Stat(source, path.Join("patches", patch))
	switch {
	case err != nil:
		return "not in the source"
	case !info.Mode().IsRegular():
		return "not a regular file"
	}
	return ""
}

// MakeCommand returns the command line of the build: Make with
// KERNELRELEASE=kernel behind a leading "make", and extra variables at the
// end, such as LLVM=1 for a kernel that was compiled by clang (dkms appends it
// to any command, too). The number of jobs is left to MAKEFLAGS.
//
// dkms replaces the text "make" wherever a command begins with it, and so
// turns "makefile-thing x" into "make KERNELRELEASE=... file-thing x". Here it
// has to be a word.
func (c *Conf) MakeCommand(kernel string, extra ...string) string {
	command := c.Make
	if rest, ok := strings.CutPrefix(command, "make"); ok && (rest == "" || strings.ContainsRune(" \t\n;&|<>)", rune(rest[0]))) {
		command = "make KERNELRELEASE=" + kernel + rest
	}
	return strings.Join(append([]string{command}, extra...), " ")
}
