// SPDX-License-Identifier: MIT

package dhmodules

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/version"
)

// headerPrefix begins the names of header packages.
const headerPrefix = "linux-headers-"

// candidate is a header package of Build-Depends and the kernel releases that
// it stands for: its own, or those of the packages that a metapackage depends
// on.
type candidate struct {
	name     string
	releases []string
}

// candidates are the installed header packages among Build-Depends and
// Build-Depends-Arch.
func candidates(ctx context.Context, t *control.Template, run func(*exec.Cmd) error) ([]candidate, error) {
	relations, err := t.BuildDepends()
	if err != nil {
		return nil, err
	}
	var all []candidate
	for _, alternatives := range relations {
		for _, r := range alternatives {
			if !strings.HasPrefix(r.Name, headerPrefix) {
				continue
			}
			releases, err := releasesOf(ctx, r.Name, run)
			if err != nil {
				return nil, err
			}
			if len(releases) > 0 {
				all = append(all, candidate{r.Name, releases})
			}
		}
	}
	return all, nil
}

// releasesOf asks dpkg; a package that is not installed has none.
func releasesOf(ctx context.Context, pkg string, run func(*exec.Cmd) error) ([]string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", `${db:Status-Status}\n${Depends}`, pkg)
	cmd.Stdout = &out
	if err := run(cmd); err != nil {
		return nil, nil
	}
	status, depends, _ := strings.Cut(out.String(), "\n")
	if status != "installed" {
		return nil, nil
	}
	relations, err := control.ParseRelations(depends)
	if err != nil {
		return nil, fmt.Errorf("package %s: Depends: %w", pkg, err)
	}
	var releases []string
	for _, alternatives := range relations {
		for _, r := range alternatives {
			release, ok := strings.CutPrefix(r.Name, headerPrefix)
			if ok && !strings.HasSuffix(release, "-common") && !strings.HasSuffix(release, "-common-rt") {
				releases = append(releases, release)
			}
		}
	}
	if len(releases) == 0 { // no metapackage
		releases = []string{strings.TrimPrefix(pkg, headerPrefix)}
	}
	return releases, nil
}

// choose returns the releases that the words of c name, each once, in version
// order.
func (c *config) choose(from []candidate) ([]string, error) {
	var chosen []string
	for _, w := range c.kernels {
		var found []string
		for _, cand := range from {
			if w.text == cand.name {
				found = append(found, cand.releases...)
			}
			for _, release := range cand.releases {
				if ok, err := path.Match(w.text, release); err != nil {
					return nil, c.errorf(w, "%q: %w", w.text, err)
				} else if ok {
					found = append(found, release)
				}
			}
		}
		if len(found) == 0 {
			return nil, &missing{c.errorf(w, "Kernels: %s names no kernel whose headers are installed by Build-Depends", w.text), w.text}
		}
		chosen = append(chosen, found...)
	}
	slices.SortFunc(chosen, compareReleases)
	return slices.Compact(chosen), nil
}

// compareReleases orders as dpkg would order the packages' versions.
func compareReleases(a, b string) int {
	if c := version.Compare(a, b); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// missing is a word of Kernels without a kernel.
type missing struct {
	error
	word string
}

func (e *missing) Unwrap() error { return e.error }

// Hint names what to add to Build-Depends.
func (e *missing) Hint() string {
	pkg := e.word
	if !strings.HasPrefix(pkg, headerPrefix) {
		pkg = "linux-headers-ARCH"
		if !strings.ContainsAny(e.word, "*?[") {
			pkg = headerPrefix + e.word
		}
	}
	return fmt.Sprintf("add %s to Build-Depends-Arch in debian/control and install it", pkg)
}
