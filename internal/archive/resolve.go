// SPDX-License-Identifier: MIT

package archive

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/control"
)

// part is what a package is to a build.
type part int

const (
	other     part = iota // nothing that is fetched
	headers               // of the kernel, in the kernel's architecture
	tools                 // programs that the kernel's makefiles run
	libraries             // of those programs
)

// partOf tells by the name what a dependency is. Among the others are the C
// library, which must be the machine's own, the compiler, which the user
// installs, and linux-image and linux-base, which the headers of Debian's 6.12
// depend on for those who boot it.
func partOf(name string) part {
	switch {
	case strings.HasPrefix(name, "linux-headers-"),
		strings.HasPrefix(name, "linux-") && strings.Contains(name, "-headers-"): // Ubuntu: linux-hwe-6.8-headers-6.8.0-45
		return headers
	case strings.HasPrefix(name, "linux-kbuild-"), name == "pahole", name == "dwarves":
		return tools
	case isLibc(name), strings.HasPrefix(name, "libgcc"), strings.HasSuffix(name, "-dev"), strings.HasSuffix(name, "-dbg"):
		return other
	case strings.HasPrefix(name, "lib"), name == "zlib1g":
		return libraries
	}
	return other
}

func isLibc(name string) bool { return name == "libc6" || strings.HasPrefix(name, "libc6.") }

// source is where a [resolver] looks for what a package depends on.
type source interface {
	// candidates are the packages of that part that would be taken, by name.
	candidates(ctx context.Context, kind part, names []string) (map[string]choice, error)
	// others are further versions of one of them, the best first.
	others(ctx context.Context, kind part, name string) ([]choice, error)
	// missing is the error if there is none.
	missing(kind part, p Package, relation string) error
}

// choice is a package and where it comes from.
type choice struct {
	Package
	from *lists // of the archive
	file string // given
}

// resolver follows dependencies.
type resolver struct {
	a         *Archive
	source    source
	installed installed
	// partsInstalled are the parts that need not be had if they are installed.
	partsInstalled []part

	seen    map[string]bool
	choices []choice
	assumed []string // installed
}

// need is one dependency: the alternatives that count.
type need struct {
	by           Package
	kind         part
	alternatives control.Alternatives
}

// resolve finds what the first choices need, and what that needs, in order.
func (r *resolver) resolve(ctx context.Context, first ...choice) error {
	r.seen = map[string]bool{}
	for _, c := range first {
		r.add(c)
	}
	for done := 0; done < len(r.choices); {
		level := r.choices[done:]
		done = len(r.choices)
		if err := r.level(ctx, level); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) add(c choice) {
	if !r.seen[c.Name] {
		r.seen[c.Name] = true
		r.choices = append(r.choices, c)
	}
}

// level adds what the packages of one level need: the archive is asked for all
// at once.
func (r *resolver) level(ctx context.Context, level []choice) error {
	var needs []need
	names := map[part][]string{}
	for _, c := range level {
		found, err := r.needs(c.Package)
		if err != nil {
			return err
		}
		needs = append(needs, found...)
	}
	for _, n := range needs {
		for _, one := range n.alternatives {
			if !slices.Contains(names[n.kind], one.Name) {
				names[n.kind] = append(names[n.kind], one.Name)
			}
		}
	}
	candidates := map[part]map[string]choice{}
	for _, kind := range []part{headers, tools, libraries} {
		if len(names[kind]) == 0 {
			continue
		}
		found, err := r.source.candidates(ctx, kind, names[kind])
		if err != nil {
			return err
		}
		candidates[kind] = found
	}
	for _, n := range needs {
		c, err := r.choose(ctx, n, candidates[n.kind])
		if err != nil {
			return err
		}
		r.add(c)
	}
	return nil
}

// needs are the dependencies of p that are to be had.
func (r *resolver) needs(p Package) ([]need, error) {
	relations, err := control.ParseRelations(p.Depends)
	if err != nil {
		return nil, fmt.Errorf("package %s: Depends: %w", p.Name, err)
	}
	runs := p.Architecture == r.a.build || p.Architecture == "all"
	var needs []need
	for _, alternatives := range relations {
		n := need{by: p}
		for _, one := range alternatives {
			kind := partOf(one.Name)
			if kind == other || kind == libraries && !runs {
				continue
			}
			n.kind = kind // Debian has no alternatives of different kinds here
			n.alternatives = append(n.alternatives, one)
		}
		if runs {
			if err := r.checkLibc(p, alternatives); err != nil {
				return nil, err
			}
		}
		if n.alternatives != nil && !r.met(n) {
			needs = append(needs, n)
		}
	}
	return needs, nil
}

// met says whether n is had already, or installed.
func (r *resolver) met(n need) bool {
	for _, one := range n.alternatives {
		if r.seen[one.Name] {
			return true
		}
	}
	if !slices.Contains(r.partsInstalled, n.kind) {
		return false
	}
	for _, one := range n.alternatives {
		if name := r.installed.find(one); name != "" {
			if !slices.Contains(r.assumed, name) {
				r.assumed = append(r.assumed, name)
			}
			return true
		}
	}
	return false
}

// checkLibc wants the machine's C library to do for p, because there is no
// other.
func (r *resolver) checkLibc(p Package, alternatives control.Alternatives) error {
	one := alternatives[0]
	if !isLibc(one.Name) || len(r.installed[one.Name]) == 0 || r.installed.find(one) != "" {
		return nil
	}
	return &LibcError{Package: p.Name, Relation: one.String(), Version: r.installed[one.Name][0].version}
}

// choose takes the first alternative that there is: in the version that apt
// would install, else in any.
func (r *resolver) choose(ctx context.Context, n need, candidates map[string]choice) (choice, error) {
	for _, one := range n.alternatives {
		if c, ok := candidates[one.Name]; ok && satisfies(one, c.Version) {
			return c, nil
		}
	}
	for _, one := range n.alternatives {
		all, err := r.source.others(ctx, n.kind, one.Name)
		if err != nil {
			return choice{}, err
		}
		for _, c := range all {
			if satisfies(one, c.Version) {
				return c, nil
			}
		}
	}
	return choice{}, r.source.missing(n.kind, n.by, n.alternatives.String())
}

// index is the archive as a [source].
type index struct{ a *Archive }

func (x index) lists(ctx context.Context, kind part) (*lists, error) {
	if kind == headers {
		return x.a.headersLists(ctx)
	}
	return x.a.nativeLists(ctx)
}

func (x index) candidates(ctx context.Context, kind part, names []string) (map[string]choice, error) {
	l, err := x.lists(ctx, kind)
	if err != nil {
		return nil, err
	}
	found, err := l.candidates(ctx, names)
	if err != nil {
		return nil, err
	}
	choices := map[string]choice{}
	for name, p := range found {
		choices[name] = choice{Package: p, from: l}
	}
	return choices, nil
}

func (x index) others(ctx context.Context, kind part, name string) ([]choice, error) {
	l, err := x.lists(ctx, kind)
	if err != nil {
		return nil, err
	}
	all, err := l.versions(ctx, name)
	if err != nil {
		return nil, err
	}
	var choices []choice
	for _, p := range all {
		if p.Name == name {
			choices = append(choices, choice{Package: p, from: l})
		}
	}
	sortNewest(choices)
	return choices, nil
}

func (x index) missing(kind part, p Package, relation string) error {
	arch := x.a.build
	if kind == headers {
		arch = x.a.arch
	}
	return &MissingError{
		Package: p.Name, Relation: relation, Where: "in the archive for " + arch,
		Cure: "the mirror may be in the middle of an update: try again later, or another kernel",
	}
}

// given are .deb files as a [source].
type given struct {
	a    *Archive
	debs map[string][]choice // by name, the newest first
}

func (g given) candidates(ctx context.Context, kind part, names []string) (map[string]choice, error) {
	return nil, nil // apt has no say in it
}

// others are those that can be of use: programs must run here.
func (g given) others(ctx context.Context, kind part, name string) ([]choice, error) {
	var all []choice
	for _, c := range g.debs[name] {
		if kind == headers || c.Architecture == g.a.build || c.Architecture == "all" {
			all = append(all, c)
		}
	}
	return all, nil
}

func (g given) missing(kind part, p Package, relation string) error {
	return &MissingError{
		Package: p.Name, Relation: relation, Where: "among the given packages, nor installed", Cure: "give its .deb as well",
	}
}
