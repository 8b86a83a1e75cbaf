// SPDX-License-Identifier: MIT

package dhmodules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/textfile"
	"github.com/gokms/gokms/pkg/version"
)

// headerPrefix begins the names of header packages.
const headerPrefix = "linux-headers-"

// candidate is a header package of Build-Depends and the kernel releases that
// it brings: its own, or those of the packages that a metapackage depends on.
type candidate struct {
	name      string
	installed bool
	releases  []string
}

// headers asks which header packages are installed.
type headers struct {
	ctx  context.Context // of the command that asks
	run  func(*exec.Cmd) error
	root string // where each kernel release has a directory
}

// candidates are the header packages of Build-Depends and Build-Depends-Arch,
// as far as they are for the architecture and the build profiles.
func (h *headers) candidates(t *control.Template, arch string, profiles []string) ([]candidate, error) {
	var all []candidate
	for _, name := range []string{"Build-Depends", "Build-Depends-Arch"} {
		field, _ := t.Source.Lookup(name)
		relations, err := control.ParseRelations(field.Value)
		if err != nil {
			return nil, textfile.Errorf(t.File, field.Line, "field %s: %w", name, err)
		}
		for _, alternatives := range relations {
			for _, r := range alternatives {
				if !strings.HasPrefix(r.Name, headerPrefix) || !r.Applies(arch, profiles) {
					continue
				}
				c := candidate{name: r.Name}
				if c.installed, err = h.releasesOf(r.Name, nil, &c.releases); err != nil {
					return nil, err
				}
				all = append(all, c)
			}
		}
	}
	return all, nil
}

// releasesOf adds to found the kernels that an installed header package
// brings. What a package depends on counts if it has no headers of its own;
// above are the packages that have led to it.
func (h *headers) releasesOf(pkg string, above []string, found *[]string) (installed bool, err error) {
	above = append(above[:len(above):len(above)], pkg)
	var out bytes.Buffer
	cmd := exec.CommandContext(h.ctx, "dpkg-query", "-W", "-f", `${db:Status-Status}\n${Depends}`, pkg)
	cmd.Stdout = &out
	err = h.run(cmd)
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return false, nil // dpkg does not know it
	}
	if err != nil {
		return false, err
	}
	status, depends, _ := strings.Cut(out.String(), "\n")
	if status != "installed" {
		return false, nil
	}
	release := strings.TrimPrefix(pkg, headerPrefix)
	if _, err := os.Stat(filepath.Join(h.root, release, "build")); err == nil {
		*found = append(*found, release)
		return true, nil
	}
	relations, err := control.ParseRelations(depends)
	if err != nil {
		return true, fmt.Errorf("package %s: Depends: %w", pkg, err)
	}
	for _, name := range relations.Names() {
		if strings.HasPrefix(name, headerPrefix) && !slices.Contains(above, name) {
			if _, err := h.releasesOf(name, above, found); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

// choose returns the releases that the words of c name, each once, in version
// order.
func (c *config) choose(from []candidate) ([]string, error) {
	var chosen []string
	var errs []error
	for _, w := range c.kernels {
		found, err := w.match(from)
		switch {
		case err != nil:
			errs = append(errs, c.errorf(w, "Kernels: %q: %w", w.text, err))
		case len(found) == 0:
			errs = append(errs, c.unmatched(w, from))
		}
		chosen = append(chosen, found...)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	slices.SortFunc(chosen, compareReleases)
	return slices.Compact(chosen), nil
}

// match returns the releases that w stands for: those of a package, or those
// that fit a pattern.
func (w word) match(from []candidate) ([]string, error) {
	var found []string
	for _, cand := range from {
		whole, err := path.Match(w.text, cand.name)
		if err != nil {
			return nil, err
		}
		for _, release := range cand.releases {
			one, err := path.Match(strings.TrimPrefix(w.text, headerPrefix), release)
			if err != nil {
				return nil, err
			}
			if whole || one {
				found = append(found, release)
			}
		}
	}
	return found, nil
}

// compareReleases orders as dpkg would order the packages' versions.
func compareReleases(a, b string) int {
	if c := version.Compare(a, b); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// unmatched says what is missing for a word that names no kernel.
func (c *config) unmatched(w word, from []candidate) error {
	pattern := strings.ContainsAny(w.text, "*?[")
	var have []string
	for _, cand := range from {
		if cand.name == w.text && !cand.installed {
			return &hinted{c.errorf(w, "Kernels: the build dependency %s is not installed", w.text),
				"install the build dependencies: apt-get build-dep ."}
		}
		if cand.name == w.text {
			return c.errorf(w, "Kernels: %s is installed and brings no headers", w.text)
		}
		have = append(have, cand.releases...)
	}
	slices.SortFunc(have, compareReleases)
	err := c.errorf(w, "Kernels: no headers for %s in Build-Depends or Build-Depends-Arch, which bring %q", w.text, slices.Compact(have))
	if pattern {
		return &hinted{err, "add header packages such as linux-headers-amd64 to Build-Depends-Arch in debian/control, and install them"}
	}
	pkg := headerPrefix + strings.TrimPrefix(w.text, headerPrefix)
	return &hinted{err, "add " + pkg + " to Build-Depends-Arch in debian/control, and install it"}
}
