// SPDX-License-Identifier: MIT

package archive

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/version"
)

// headersPrefix begins the names of header packages, of metapackages and of
// what flavours share.
const headersPrefix = "linux-headers-"

// Find lists the header packages of the archive whose name matches glob
// (path.Match), metapackages replaced by what they depend on, each kernel in
// the version that apt would install, the oldest kernel first. If none matches
// it is a [*NoMatchError].
func (a *Archive) Find(ctx context.Context, glob string) ([]Package, error) {
	if _, err := path.Match(glob, ""); err != nil {
		return nil, fmt.Errorf("pattern %q of package names: %w", glob, err)
	}
	if a.o.Offline {
		return nil, &OfflineError{What: glob}
	}
	l, err := a.headersLists(ctx)
	if err != nil {
		return nil, err
	}
	found, err := a.find(ctx, l, glob)
	if err != nil || len(found) > 0 {
		return found, err
	}
	changed, err := l.refresh(ctx)
	if err != nil {
		return nil, err
	}
	if changed {
		if found, err = a.find(ctx, l, glob); err != nil || len(found) > 0 {
			return found, err
		}
	}
	names, err := l.names(ctx, headersPrefix)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, isShared)
	return nil, &NoMatchError{Glob: glob, Arch: a.arch, Near: nearest(glob, names), Err: l.updateErr()}
}

func (a *Archive) find(ctx context.Context, l *lists, glob string) ([]Package, error) {
	names, err := l.names(ctx, "linux-")
	if err != nil {
		return nil, err
	}
	// What the matching ones depend on is asked for in the same call.
	names = slices.DeleteFunc(names, func(name string) bool { return partOf(name) == other })
	if _, err := l.candidates(ctx, names); err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		ok, _ := path.Match(glob, name) // a good pattern
		return !ok || !strings.HasPrefix(name, headersPrefix)
	})
	kernels := map[string]Package{}
	if err := a.kernels(ctx, l, names, kernels); err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(kernels), func(x, y Package) int {
		return compareReleases(release(x), release(y))
	}), nil
}

// release is that of a header package, by its name.
func release(p Package) string { return strings.TrimPrefix(p.Name, headersPrefix) }

// isShared tells by the name what several flavours share: Debian's
// linux-headers-6.1.0-56-common and -common-rt.
func isShared(name string) bool {
	return strings.HasSuffix(name, "-common") || strings.Contains(name, "-common-")
}

// maxDepth bounds metapackages of metapackages.
const maxDepth = 5

// kernels puts the named packages into found, or what the metapackages among
// them depend on.
func (a *Archive) kernels(ctx context.Context, l *lists, names []string, found map[string]Package) error {
	for range maxDepth {
		packages, err := l.candidates(ctx, names)
		if err != nil {
			return err
		}
		depends, err := headerRelations(packages)
		if err != nil {
			return err
		}
		below, err := l.candidates(ctx, slices.Sorted(maps.Keys(depends.names)))
		if err != nil {
			return err
		}
		names = nil
		for _, p := range packages {
			meta := false
			for _, r := range depends.of[p.Name] {
				q, ok := below[r.Name]
				if !ok && !isShared(r.Name) || ok && isKernel(q) && !satisfies(r, q.Version) {
					return index{a}.missing(headers, p, r.String())
				}
				if ok && isKernel(q) {
					meta = true
					names = append(names, r.Name)
				}
			}
			if !meta && isKernel(p) {
				found[p.Name] = p
			}
		}
		if names == nil {
			return nil
		}
	}
	return fmt.Errorf("metapackages of kernel headers depend on each other: %s", strings.Join(names, ", "))
}

// isKernel says whether p is a kernel's headers or a metapackage: what
// flavours share is for all architectures.
func isKernel(p Package) bool {
	return strings.HasPrefix(p.Name, headersPrefix) && p.Architecture != "all" && !isShared(p.Name)
}

// relationsOf are relations to header packages.
type relationsOf struct {
	of    map[string][]control.Relation // by package
	names map[string]bool
}

func headerRelations(packages map[string]Package) (relationsOf, error) {
	all := relationsOf{map[string][]control.Relation{}, map[string]bool{}}
	for _, p := range packages {
		relations, err := control.ParseRelations(p.Depends)
		if err != nil {
			return all, fmt.Errorf("package %s: Depends: %w", p.Name, err)
		}
		for _, alternatives := range relations {
			if r := alternatives[0]; strings.HasPrefix(r.Name, headersPrefix) {
				all.of[p.Name] = append(all.of[p.Name], r)
				all.names[r.Name] = true
			}
		}
	}
	return all, nil
}

// maxNear is how many names a hint lists.
const maxNear = 5

// nearest returns the names most like glob, the best first; of those equally
// alike the shortest, which have no flavour, then the newest kernel.
func nearest(glob string, names []string) []string {
	far := map[string]int{}
	for _, name := range names {
		if d := distance(glob, name); d <= len(glob)/2 {
			far[name] = d
		}
	}
	near := slices.SortedFunc(maps.Keys(far), func(x, y string) int {
		return cmp.Or(far[x]-far[y], len(x)-len(y), compareReleases(y, x))
	})
	return near[:min(len(near), maxNear)]
}

// distance is how many bytes must be changed, added or taken away for glob to
// match name (Levenshtein's distance with "*" for free).
func distance(glob, name string) int {
	row := make([]int, len(name)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(glob) {
		star := glob[i] == '*'
		diagonal := row[0]
		if !star {
			row[0]++
		}
		for j := range len(name) {
			substitute := diagonal
			if glob[i] != name[j] && glob[i] != '?' {
				substitute++
			}
			diagonal = row[j+1]
			switch {
			case star:
				row[j+1] = min(diagonal, row[j])
			default:
				row[j+1] = min(substitute, diagonal+1, row[j]+1)
			}
		}
	}
	return row[len(name)]
}

// sortNewest puts the newest version first.
func sortNewest(choices []choice) {
	slices.SortStableFunc(choices, func(x, y choice) int { return version.Compare(y.Version, x.Version) })
}
