// SPDX-License-Identifier: MIT

package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/version"
	"golang.org/x/sync/errgroup"
)

// maxParallel is how many packages are fetched at a time: one is unpacked
// while others come.
const maxParallel = 3

// Fetch brings the headers that a package of [Archive.Find] begins into the
// cache, unless they are there. Of headers, Name is enough: then they are
// those that apt would install.
func (a *Archive) Fetch(ctx context.Context, headers Package) (*Set, error) {
	set, err := a.Lookup(release(headers))
	if err != nil {
		return nil, err
	}
	if set != nil && (headers.SHA256 == "" && a.o.Offline || set.Packages[0].SHA256 == headers.SHA256) {
		return set, nil
	}
	if a.o.Offline {
		return nil, &OfflineError{What: strings.TrimSpace(headers.Name + " " + headers.Version)}
	}
	a.sweep()
	if headers.SHA256 == "" {
		if headers, err = a.newest(ctx, headers.Name); err != nil {
			return nil, err
		}
	}
	set, err = a.fetch(ctx, headers)
	if err != nil && isStale(err) {
		set, err = a.fetchAgain(ctx, headers, err)
	}
	if err != nil {
		return nil, err
	}
	return set, a.publish(set)
}

// fetchAgain updates the lists, which promise what is not there, and fetches
// what they name then.
func (a *Archive) fetchAgain(ctx context.Context, headers Package, cause error) (*Set, error) {
	changed := false
	for _, lists := range []func(context.Context) (*lists, error){a.headersLists, a.nativeLists} {
		l, err := lists(ctx)
		if err != nil {
			return nil, err
		}
		c, err := l.refresh(ctx)
		if err != nil {
			return nil, err
		}
		changed = changed || c
	}
	if !changed {
		return nil, cause
	}
	headers, err := a.newest(ctx, headers.Name)
	if err != nil {
		return nil, err
	}
	return a.fetch(ctx, headers)
}

// goneRE is what apt says of a file or version that is not there any more.
var goneRE = regexp.MustCompile(`404 +Not Found|File not found|was not found|Unable to locate package|Can't find a source`)

// isGone says whether the archive answers and does not have it.
func isGone(err error) bool {
	e, ok := errors.AsType[*AptError](err)
	return ok && goneRE.MatchString(e.Output)
}

// isStale says whether newer lists may be the cure.
func isStale(err error) bool {
	_, missing := errors.AsType[*MissingError](err)
	return missing || isGone(err)
}

// newest is the version of a package that apt would install.
func (a *Archive) newest(ctx context.Context, name string) (Package, error) {
	if err := control.ValidPackageName(name); err != nil {
		return Package{}, err
	}
	l, err := a.headersLists(ctx)
	if err != nil {
		return Package{}, err
	}
	for {
		found, err := l.candidates(ctx, []string{name})
		if err != nil {
			return Package{}, err
		}
		if p, ok := found[name]; ok {
			return p, nil
		}
		changed, err := l.refresh(ctx)
		if err != nil {
			return Package{}, err
		}
		if !changed {
			return Package{}, a.noSuch(ctx, l, name)
		}
	}
}

// noSuch is the error for a name that the archive does not have.
func (a *Archive) noSuch(ctx context.Context, l *lists, name string) error {
	names, err := l.names(ctx, "")
	if err != nil {
		return err
	}
	if suffix := "-dkms"; strings.HasSuffix(name, suffix) {
		names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, suffix) })
	}
	return &NoMatchError{Glob: name, Arch: a.arch, Near: nearest(name, names), Err: l.updateErr()}
}

// fetch resolves and fetches, without a look at what kernels are cached.
func (a *Archive) fetch(ctx context.Context, p Package) (*Set, error) {
	l, err := a.headersLists(ctx)
	if err != nil {
		return nil, err
	}
	r, err := a.resolver(ctx, index{a}, libraries)
	if err != nil {
		return nil, err
	}
	if err := r.resolve(ctx, choice{Package: p, from: l}); err != nil {
		return nil, err
	}
	return a.keep(ctx, r)
}

// resolver returns one for which packages of these kinds need not be had if
// they are installed.
func (a *Archive) resolver(ctx context.Context, s source, installed ...part) (*resolver, error) {
	in, err := a.queryInstalled(ctx)
	if err != nil {
		return nil, err
	}
	return &resolver{a: a, source: s, installed: in, partsInstalled: installed}, nil
}

// keep brings what was resolved into the cache.
func (a *Archive) keep(ctx context.Context, r *resolver) (*Set, error) {
	entries := make([]*entry, len(r.choices))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallel)
	for i, c := range r.choices {
		group.Go(func() (err error) {
			entries[i], err = a.keepOne(ctx, c)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return newSet(entries, r.assumed), nil
}

func newSet(entries []*entry, assumed []string) *Set {
	set := &Set{Release: entries[0].Release, Installed: assumed}
	if set.Release == "" {
		set.Release = release(entries[0].Package)
	}
	for _, e := range entries {
		set.Packages = append(set.Packages, e.Package)
	}
	return set
}

// keepOne brings one package into the cache, unless it is there.
func (a *Archive) keepOne(ctx context.Context, c choice) (*entry, error) {
	var e *entry
	there := func() (is bool, err error) {
		e, err = a.readEntry(c.SHA256, byTime)
		return e != nil, err
	}
	err := a.make(ctx, c.SHA256, a.debDir(c.SHA256), there, func(dir string) (err error) {
		deb := c.file
		if deb == "" {
			if deb, err = a.download(ctx, c.from, c.Package, dir); err != nil {
				return err
			}
			defer os.Remove(deb)
		}
		return a.unpack(ctx, deb, dir, c.SHA256)
	})
	if err != nil {
		return nil, err
	}
	if is, err := there(); !is || err != nil {
		return nil, errors.Join(err, fmt.Errorf("%s: vanished from the cache", a.debDir(c.SHA256)))
	}
	e.Size = c.Size
	return e, nil
}

// FetchExact brings packages of these very versions and hashes into the cache:
// what a record of a build says, that kernel's headers first. What the record
// does not know of, because the machine that wrote it had it installed, is
// fetched in any version. The kernel does not become one that [Archive.Lookup]
// finds.
func (a *Archive) FetchExact(ctx context.Context, packages []Package) (*Set, error) {
	if len(packages) == 0 {
		return nil, errors.New("no packages of kernel headers to fetch")
	}
	a.sweep()
	var choices []choice
	for _, p := range packages {
		e, err := a.exact(ctx, p)
		if err != nil {
			return nil, err
		}
		choices = append(choices, choice{Package: e.Package})
	}
	r, err := a.resolver(ctx, index{a}, headers, tools, libraries)
	if err != nil {
		return nil, err
	}
	if a.o.Offline {
		r.source = given{a: a}
	}
	if err := r.resolve(ctx, choices...); err != nil {
		return nil, err
	}
	return a.keep(ctx, r)
}

// exact fetches one version of a package.
func (a *Archive) exact(ctx context.Context, p Package) (*entry, error) {
	if err := checkExact(&p); err != nil {
		return nil, err
	}
	e, err := a.readEntry(p.SHA256, byContent)
	if e != nil || err != nil {
		return e, err
	}
	if a.o.Offline {
		return nil, &OfflineError{What: p.Name + " " + p.Version}
	}
	if err := a.discard(ctx, p.SHA256); err != nil {
		return nil, err
	}
	lists := a.headersLists
	if p.Architecture == a.build {
		lists = a.nativeLists
	}
	l, err := lists(ctx)
	if err != nil {
		return nil, err
	}
	for {
		e, err := a.keepOne(ctx, choice{Package: p, from: l})
		if err == nil || !isGone(err) {
			return e, err
		}
		if changed, rerr := l.refresh(ctx); rerr != nil || !changed {
			return nil, &GoneError{p.Name, p.Version, p.SHA256, errors.Join(err, rerr)}
		}
	}
}

// checkExact refuses what no package could be asked for by.
func checkExact(p *Package) error {
	p.SHA256 = strings.ToLower(p.SHA256)
	if err := errors.Join(control.ValidPackageName(p.Name), version.Validate(p.Version)); err != nil {
		return err
	}
	if !sha256RE.MatchString(p.SHA256) {
		return fmt.Errorf("package %s: bad SHA256 %q", p.Name, p.SHA256)
	}
	return nil
}

// Unpack brings given .deb files into the cache: one kernel's headers and what
// they depend on. What is not among them must be installed: [Set].Installed
// names it. Files that have nothing to do with headers are left alone. The
// kernel does not become one that [Archive.Lookup] finds.
func (a *Archive) Unpack(ctx context.Context, debs []string) (*Set, error) {
	a.sweep()
	byName, kernels := map[string][]choice{}, []choice(nil)
	for _, deb := range debs {
		c, err := openGiven(deb)
		if err != nil {
			return nil, err
		}
		if partOf(c.Name) == other {
			continue
		}
		if _, c.SHA256, err = debfile.Sum(deb); err != nil {
			return nil, err
		}
		byName[c.Name] = append(byName[c.Name], c)
		sortNewest(byName[c.Name])
		if partOf(c.Name) != headers || c.Architecture == "all" || isShared(c.Name) {
			continue
		}
		e, err := a.keepOne(ctx, c)
		if err != nil {
			return nil, err
		}
		if e.Release != "" {
			kernels = append(kernels, c)
		}
	}
	if len(kernels) != 1 {
		return nil, notOne(kernels)
	}
	r, err := a.resolver(ctx, given{a, byName}, headers, tools, libraries)
	if err != nil {
		return nil, err
	}
	if err := r.resolve(ctx, kernels[0]); err != nil {
		return nil, err
	}
	return a.keep(ctx, r)
}

// openGiven reads what a .deb says of itself.
func openGiven(deb string) (choice, error) {
	r, err := debfile.Open(deb)
	if err != nil {
		return choice{}, err
	}
	defer r.Close()
	p, err := newPackage(r.Control())
	if err != nil {
		return choice{}, fmt.Errorf("%s: %w", deb, err)
	}
	return choice{Package: p, file: deb}, nil
}

func notOne(kernels []choice) error {
	if len(kernels) == 0 {
		return errors.New("none of the given packages holds the headers of a kernel (lib/modules/*/build)")
	}
	var names []string
	for _, c := range kernels {
		names = append(names, c.Name)
	}
	return fmt.Errorf("the given packages hold the headers of more than one kernel: %s", strings.Join(names, ", "))
}

// Deb downloads one package, in the version that apt would install, into the
// cache and returns the path of the .deb. Offline it is the newest that is
// there.
func (a *Archive) Deb(ctx context.Context, name string) (string, error) {
	if err := control.ValidPackageName(name); err != nil {
		return "", err
	}
	if a.o.Offline {
		return a.cachedDeb(name)
	}
	a.sweep()
	p, err := a.newest(ctx, name)
	if err != nil {
		return "", err
	}
	path, err := a.keepDeb(ctx, p)
	if err == nil || !isGone(err) {
		return path, err
	}
	l, lerr := a.headersLists(ctx)
	if lerr != nil {
		return "", lerr
	}
	if changed, rerr := l.refresh(ctx); rerr != nil || !changed {
		return "", errors.Join(err, rerr)
	}
	if p, err = a.newest(ctx, name); err != nil {
		return "", err
	}
	return a.keepDeb(ctx, p)
}

// DebExact is Deb for the package of this very name, version, architecture and
// hash: what a record of a build says.
func (a *Archive) DebExact(ctx context.Context, p Package) (string, error) {
	if err := checkExact(&p); err != nil {
		return "", err
	}
	path := a.debPath(p)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if a.o.Offline {
		return "", &OfflineError{What: p.Name + " " + p.Version}
	}
	a.sweep()
	path, err := a.keepDeb(ctx, p)
	if err == nil || !isGone(err) {
		return path, err
	}
	l, lerr := a.headersLists(ctx)
	if lerr != nil {
		return "", lerr
	}
	if changed, rerr := l.refresh(ctx); rerr != nil || !changed {
		return "", &GoneError{p.Name, p.Version, p.SHA256, errors.Join(err, rerr)}
	}
	if path, err = a.keepDeb(ctx, p); isGone(err) {
		err = &GoneError{p.Name, p.Version, p.SHA256, err}
	}
	return path, err
}

// debPath is where a package is kept as it is.
func (a *Archive) debPath(p Package) string {
	return filepath.Join(a.o.CacheDir, "packages", p.SHA256, fmt.Sprintf("%s_%s_%s.deb", p.Name, noEpoch(p.Version), p.Architecture))
}

// keepDeb downloads a package as it is.
func (a *Archive) keepDeb(ctx context.Context, p Package) (path string, err error) {
	l, err := a.headersLists(ctx)
	if err != nil {
		return "", err
	}
	path = a.debPath(p)
	there := func() (bool, error) { _, err := os.Stat(path); return err == nil, nil }
	return path, a.make(ctx, p.SHA256, filepath.Dir(path), there, func(dir string) error {
		deb, err := a.download(ctx, l, p, dir)
		if err != nil {
			return err
		}
		if err := os.Chmod(deb, 0o644); err != nil {
			return err
		}
		return os.Rename(deb, filepath.Join(dir, filepath.Base(path)))
	})
}

// noEpoch is a version as file names have it.
func noEpoch(v string) string {
	if epoch := version.Epoch(v); epoch != "" {
		return strings.TrimPrefix(v, epoch+":")
	}
	return v
}

// cachedDeb finds the newest version of a package among the downloaded ones.
func (a *Archive) cachedDeb(name string) (string, error) {
	debs, err := filepath.Glob(filepath.Join(quoteGlob(a.o.CacheDir), "packages", "*", name+"_*.deb"))
	if err != nil {
		return "", err
	}
	var best choice
	for _, deb := range debs {
		c, err := openGiven(deb)
		if err != nil {
			return "", err
		}
		if (c.Architecture == a.arch || c.Architecture == "all") && (best.file == "" || version.Compare(c.Version, best.Version) > 0) {
			best = c
		}
	}
	if best.file == "" {
		return "", &OfflineError{What: name}
	}
	return best.file, nil
}
