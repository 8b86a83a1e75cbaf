// SPDX-License-Identifier: MIT

package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kernel"
)

// given are the kernels of --headers: those of trees in order, then those of
// packages, the oldest first.
func (f *Finder) given(ctx context.Context) ([]*Kernel, error) {
	var kernels []*Kernel
	var debs []string
	var errs []error
	for _, path := range f.Headers {
		found, packages, err := f.givenPath(ctx, path)
		for _, err := range parts(err) {
			errs = append(errs, fmt.Errorf("--headers %s: %w", path, err))
		}
		kernels = append(kernels, found...)
		debs = append(debs, packages...)
	}
	if len(debs) > 0 {
		found, err := f.givenDebs(ctx, debs)
		if err != nil {
			errs = append(errs, err)
		}
		kernels = append(kernels, found...)
	}
	return kernels, errors.Join(append(errs, f.checkGiven(kernels)...)...)
}

// parts are the errors that err joins.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, parts(e)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// checkGiven refuses two kernels of one name, and those of another
// architecture than --arch.
func (f *Finder) checkGiven(kernels []*Kernel) []error {
	var errs []error
	byRelease := map[string]*Kernel{}
	for _, k := range kernels {
		if f.Arch != "" && k.DebArch != f.Arch {
			errs = append(errs, fmt.Errorf("%s: headers are for %s, not %s", k.SourceDir, k.DebArch, f.Arch))
		}
		if other := byRelease[k.Release]; other != nil {
			errs = append(errs, fmt.Errorf("headers of kernel %s are given twice: %s and %s", k.Release, other.SourceDir, k.SourceDir))
		}
		byRelease[k.Release] = k
	}
	return errs
}

// givenPath finds out what one --headers names. Packages are returned as files.
func (f *Finder) givenPath(ctx context.Context, path string) (kernels []*Kernel, debs []string, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, nil, cause(err)
	case !info.IsDir() && strings.HasSuffix(path, ".deb"):
		return nil, []string{path}, nil
	case !info.IsDir():
		kernels, err := f.recorded(ctx, path)
		if _, ok := errors.AsType[*json.SyntaxError](err); ok {
			err = errors.New("neither a directory, a .deb nor a record of a build")
		}
		return kernels, nil, err
	case isTree(path):
		k, err := f.bareTree(path)
		return one(k), nil, err
	}
	if kernels, err = f.unpackedRoot(path); err != nil || len(kernels) > 0 {
		return kernels, nil, err
	}
	debs, err = filepath.Glob(filepath.Join(quoteGlob(path), "*.deb"))
	if err == nil && len(debs) == 0 {
		err = hinted{
			fmt.Errorf("no headers: there is no .config, lib/modules/*/build, usr/src/%s* or *.deb", headersPrefix),
			"name a directory that a kernel was built in, one that header packages are unpacked in, or the packages",
		}
	}
	return nil, debs, err
}

// cause is what is wrong with a path that is named already.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func one(k *Kernel) []*Kernel {
	if k == nil {
		return nil
	}
	return []*Kernel{k}
}

// isTree says whether dir looks like one that a kernel was built in.
func isTree(dir string) bool {
	for _, name := range []string{".config", "include/config/auto.conf"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return isDir(filepath.Join(dir, "include"))
		}
	}
	return false
}

// bareTree opens a tree that is seen where it is.
func (f *Finder) bareTree(dir string) (*Kernel, error) {
	t, err := kernel.OpenDir(dir, f.treeOptions())
	if err != nil {
		return nil, err
	}
	var l layout
	l.link(filepath.Join(modules, t.Release, "build"), t.SourceDir)
	if err := l.hostDirs([]string{t.SourceDir}); err != nil {
		return nil, err
	}
	t.Warnings = append(t.Warnings, l.warnings...)
	k := &Kernel{Tree: t, Origin: Given, Given: dir, Mounts: l.mounts, Links: l.links}
	return k, rootHint(f.complete(k), dir)
}

// rootHint names the directory that packages are unpacked in where err is that
// of one tree of it, which lacks the others.
func rootHint(err error, dir string) error {
	root, ok := strings.CutSuffix(filepath.Dir(dir), "/usr/src")
	if err == nil || !ok || root == "" {
		return err
	}
	if e, ok := err.(hinted); ok {
		err = e.error
	}
	return hinted{err, "name the directory that all the packages are unpacked in: --headers " + root}
}

// unpackedRoot opens all kernels that packages unpacked below root hold; nil
// if there are none.
func (f *Finder) unpackedRoot(root string) ([]*Kernel, error) {
	o := f.treeOptions()
	o.Sysroot = root
	releases, err := kernel.ListBelow(root)
	if err != nil {
		return nil, err
	}
	var trees []*kernel.Tree
	for _, r := range releases {
		t, err := kernel.Open(filepath.Join(root, "lib/modules"), r, o)
		if err != nil {
			return nil, err
		}
		trees = append(trees, t)
	}
	if len(trees) == 0 {
		if trees, err = sourceTrees(root, o); err != nil {
			return nil, err
		}
	}
	var kernels []*Kernel
	for _, t := range trees {
		k := &Kernel{Tree: t, Origin: Given, Given: root}
		if err := f.unpacked(k, []string{root}); err != nil {
			return nil, err
		}
		kernels = append(kernels, k)
	}
	return kernels, nil
}

// sourceTrees opens the trees in root/usr/src.
func sourceTrees(root string, o *kernel.Options) ([]*kernel.Tree, error) {
	src, names, err := listBelow(root, "/usr/src")
	if err != nil {
		return nil, err
	}
	var trees []*kernel.Tree
	for _, name := range names {
		dir := filepath.Join(src, name)
		if !strings.HasPrefix(name, headersPrefix) || !isTree(dir) {
			continue // what several flavours share
		}
		t, err := kernel.OpenDir(dir, o)
		if err != nil {
			return nil, err
		}
		trees = append(trees, t)
	}
	return trees, nil
}

// givenDebs unpacks packages and opens the kernels in them.
func (f *Finder) givenDebs(ctx context.Context, debs []string) ([]*Kernel, error) {
	if f.Archive == nil {
		return nil, f.noArchive()
	}
	flavours, others, err := sortDebs(debs)
	if err != nil {
		return nil, err
	}
	if len(flavours) == 0 {
		return nil, fmt.Errorf("--headers: none of the %d packages holds lib/modules/*/build", len(debs))
	}
	var kernels []*Kernel
	var errs []error
	for _, flavour := range flavours {
		set, err := f.Archive.Unpack(ctx, append([]string{flavour}, others...))
		if err == nil {
			var k *Kernel
			if k, err = f.setKernel(set, Given); err == nil {
				kernels = append(kernels, k)
				continue
			}
		}
		errs = append(errs, err)
	}
	return kernels, errors.Join(errs...)
}

// sortDebs tells the packages that hold one kernel's headers from those that
// they share.
func sortDebs(debs []string) (flavours, others []string, err error) {
	var errs []error
	for _, deb := range debs {
		whole, err := holdsBuild(deb)
		switch {
		case err != nil:
			errs = append(errs, err)
		case whole:
			flavours = append(flavours, deb)
		default:
			others = append(others, deb)
		}
	}
	slices.Sort(flavours)
	return flavours, others, errors.Join(errs...)
}

// buildRE is the path of the link or directory that makes headers those of a
// kernel.
var buildRE = regexp.MustCompile(`^(usr/)?lib/modules/[^/]+/build$`)

var errFound = errors.New("found")

// holdsBuild says whether a package is that of a kernel's flavour. What the
// flavours share is not looked into: it is large.
func holdsBuild(deb string) (bool, error) {
	r, err := debfile.Open(deb)
	if err != nil {
		return false, err
	}
	defer r.Close()
	control := r.Control()
	if !strings.HasPrefix(control.Get("Package"), headersPrefix) || control.Get("Architecture") == "all" {
		return false, nil
	}
	err = r.Walk(func(e debfile.Entry, _ io.Reader) error {
		if buildRE.MatchString(strings.Trim(strings.TrimPrefix(e.Path, "./"), "/")) {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

// treeOptions are those that all trees are opened with.
func (f *Finder) treeOptions() *kernel.Options {
	return &kernel.Options{Run: f.Run, LookPath: f.LookPath}
}

// setKernel opens the kernel of packages that are in the cache.
func (f *Finder) setKernel(set *archive.Set, origin Origin) (*Kernel, error) {
	if len(set.Packages) == 0 || set.Packages[0].Root == "" {
		return nil, fmt.Errorf("kernel %s: its packages are not unpacked", set.Release)
	}
	p := set.Packages[0]
	o := f.treeOptions()
	o.Sysroot, o.DebArch = p.Root, p.Architecture
	o.Header = &kernel.HeaderPackage{Name: p.Name, Version: p.Version, Source: p.Source, SourceVersion: p.SourceVersion}
	t, err := kernel.Open(filepath.Join(p.Root, "lib/modules"), set.Release, o)
	if err != nil {
		return nil, err
	}
	k := &Kernel{Tree: t, Origin: origin, Packages: set.Packages, Assumed: set.Installed}
	var roots []string
	for _, p := range set.Packages {
		if p.Root != "" {
			roots = append(roots, p.Root)
		}
	}
	return k, f.unpacked(k, roots)
}

// unpacked says where a sandbox puts what is unpacked below roots.
func (f *Finder) unpacked(k *Kernel, roots []string) error {
	var l layout
	for _, root := range roots {
		if err := l.packageRoot(root); err != nil {
			return err
		}
	}
	l.build(k.Tree)
	k.Mounts, k.Links = l.mounts, l.links
	if err := f.addPrograms(k); err != nil {
		return err
	}
	return f.complete(k)
}

// installedKernel is a tree at its place.
func (f *Finder) installedKernel(t *kernel.Tree) (*Kernel, error) {
	l := layout{installed: slices.Contains([]string{modules, "/usr" + modules}, filepath.Clean(f.ModulesRoot))}
	if err := l.hostTree(t); err != nil {
		return nil, err
	}
	t.Warnings = append(t.Warnings, l.warnings...)
	k := &Kernel{Tree: t, Origin: Installed, Mounts: l.mounts, Links: l.links}
	if h := t.Header; h.Name != "" {
		k.Packages = []archive.Package{{
			Name: h.Name, Version: h.Version, Architecture: t.DebArch, Source: h.Source, SourceVersion: h.SourceVersion,
		}}
	}
	return k, nil
}
