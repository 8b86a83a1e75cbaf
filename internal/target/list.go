// SPDX-License-Identifier: MIT

package target

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/version"
)

// Entry is one kernel at one place.
type Entry struct {
	Release      string `json:"release"`
	Origin       Origin `json:"origin"`       // installed, cached, archive or given
	Architecture string `json:"architecture"` // Debian's name
	// Package and Version are those of the header package; "" where the headers
	// are of none.
	Package string `json:"package"`
	Version string `json:"version"`
	// Compiler is the command that modules are compiled with. Of a kernel of the
	// archive it is what the package depends on, "" if that names none.
	Compiler string `json:"compiler"`
	// CompilerPackage ships it; "" where that is unknown.
	CompilerPackage string `json:"compiler_package"`
	CompilerFound   bool   `json:"compiler_found"` // whether a build would find it
	Tree            string `json:"tree,omitempty"` // directory of the headers; "" in the archive
}

// List tells the kernels that words of apt:GLOB stand for; without words those
// that are given, installed, in the cache, and what the archive's metapackage
// depends on today. A kernel of the archive is left out where the same version
// is nearer. Entries are sorted by release. Warnings are what could not be
// looked at.
func (f *Finder) List(ctx context.Context, words []string) (entries []Entry, warnings, err error) {
	for _, word := range words {
		if !strings.HasPrefix(word, AptPrefix) {
			return nil, nil, hinted{fmt.Errorf("%q: want %sGLOB", word, AptPrefix), "for one kernel: " + AptPrefix + headersPrefix + word}
		}
	}
	if len(words) == 0 {
		entries, warnings, err = f.listAll(ctx)
	} else {
		entries, err = f.listGlobs(ctx, words)
	}
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return version.Compare(a.Release, b.Release) })
	return entries, warnings, nil
}

// listAll is List without words.
func (f *Finder) listAll(ctx context.Context) (entries []Entry, warnings, err error) {
	given, err := f.given(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, k := range given {
		entries = append(entries, f.entry(k))
	}
	installed, errs := f.listInstalled()
	entries = append(entries, installed...)
	if f.Archive == nil {
		return entries, errors.Join(append(errs, f.NoArchive)...), nil
	}
	sets, err := f.Archive.Cached()
	if err != nil {
		errs = append(errs, err)
	}
	cached, err := f.listSets(sets)
	entries, errs = append(entries, cached...), append(errs, err)
	if f.Offline {
		return entries, errors.Join(errs...), nil
	}
	packages, err := f.Archive.Find(ctx, metapackages(f.arch()))
	if err != nil {
		errs = append(errs, err)
	}
	return f.withArchived(entries, packages), errors.Join(errs...), nil
}

func (f *Finder) listInstalled() (entries []Entry, errs []error) {
	releases, err := kernel.List(f.ModulesRoot)
	if err != nil {
		return nil, nil // nothing is installed
	}
	for _, r := range releases {
		t, err := kernel.Open(f.ModulesRoot, r, f.treeOptions())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if f.Arch == "" || t.DebArch == f.Arch {
			entries = append(entries, f.entry(&Kernel{Tree: t, Origin: Installed}))
		}
	}
	return entries, errs
}

// listSets tells those of the architecture asked for.
func (f *Finder) listSets(sets []*archive.Set) (entries []Entry, err error) {
	var errs []error
	for _, set := range sets {
		k, err := f.setKernel(set, Cached)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if f.Arch == "" || k.DebArch == f.Arch {
			entries = append(entries, f.entry(k))
		}
	}
	return entries, errors.Join(errs...)
}

// listGlobs is List with words.
func (f *Finder) listGlobs(ctx context.Context, words []string) ([]Entry, error) {
	if f.Archive == nil {
		return nil, f.noArchive()
	}
	var all []Entry
	var errs []error
	for _, word := range words {
		entries, err := f.listGlob(ctx, strings.TrimPrefix(word, AptPrefix))
		if err != nil {
			errs = append(errs, err)
		}
		for _, e := range entries {
			if !slices.Contains(all, e) {
				all = append(all, e)
			}
		}
	}
	return all, errors.Join(errs...)
}

func (f *Finder) listGlob(ctx context.Context, glob string) ([]Entry, error) {
	if glob == "" {
		return nil, f.noGlob()
	}
	if f.Offline {
		sets, err := f.matchingSets(glob)
		if err == nil && len(sets) == 0 {
			err = f.notCached(glob)
		}
		if err != nil {
			return nil, err
		}
		return f.listSets(sets)
	}
	packages, err := f.Archive.Find(ctx, glob)
	if err != nil {
		return nil, err
	}
	sets, err := f.Archive.Cached()
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, p := range packages {
		if i := slices.IndexFunc(sets, func(s *archive.Set) bool { return holds(s, p) }); i >= 0 {
			cached, err := f.listSets(sets[i : i+1])
			if err != nil {
				return nil, err
			}
			entries = append(entries, cached...)
			continue
		}
		entries = append(entries, f.archiveEntry(p))
	}
	return entries, nil
}

// holds says whether p is the header package of set.
func holds(set *archive.Set, p archive.Package) bool {
	return len(set.Packages) > 0 && set.Packages[0].Name == p.Name && set.Packages[0].SHA256 == p.SHA256
}

// withArchived adds packages of the archive, unless the same version is there
// already.
func (f *Finder) withArchived(entries []Entry, packages []archive.Package) []Entry {
	for _, p := range packages {
		if !slices.ContainsFunc(entries, func(e Entry) bool { return e.Package == p.Name && e.Version == p.Version }) {
			entries = append(entries, f.archiveEntry(p))
		}
	}
	return entries
}

// arch is the Debian architecture of the kernels that are looked for.
func (f *Finder) arch() string {
	if f.Arch != "" {
		return f.Arch
	}
	return kernel.OwnArch()
}

// metapackages is the glob of those that depend on an architecture's kernels of
// today. Debian names the plain flavours of most by the architecture, and here
// are the others (debian/config/ARCH/defines of its source package linux).
func metapackages(arch string) string {
	flavours := map[string]string{
		"i386": "686*", "armhf": "armmp*", "armel": "[mr]*", "ppc64el": "powerpc64le*",
		"mipsel": "[45lmo]*", "mips64el": "[5lmo]*",
	}
	if glob := flavours[arch]; glob != "" {
		return headersPrefix + glob
	}
	return headersPrefix + arch
}

// entry describes a tree.
func (f *Finder) entry(k *Kernel) Entry {
	return Entry{
		Release: k.Release, Origin: k.Origin, Architecture: k.DebArch,
		Package: k.Header.Name, Version: k.Header.Version,
		Compiler: k.Compiler.Command, CompilerPackage: k.Compiler.Package,
		CompilerFound: k.CheckCompiler(f.lookPath) == nil, Tree: k.SourceDir,
	}
}

// archiveEntry describes what is not unpacked by what it depends on.
func (f *Finder) archiveEntry(p archive.Package) Entry {
	e := Entry{
		Release: strings.TrimPrefix(p.Name, headersPrefix), Origin: Archive, Architecture: p.Architecture,
		Package: p.Name, Version: p.Version,
	}
	e.Compiler, e.CompilerPackage = compilerFor(p, kernel.OwnArch())
	e.CompilerFound = e.Compiler != "" && f.has(e.Compiler)
	return e
}

// compilerRE is a compiler among the dependencies of headers: gcc-12, or
// Debian's linux-compiler-gcc-12-x86, which depends on it.
var compilerRE = regexp.MustCompile(`^(?:linux-compiler-)?((?:gcc|clang)-[0-9]+)(?:-[a-z0-9-]+)?$`)

// compilerFor is the compiler that p depends on, as it is called on a machine
// of the architecture build, and its package there.
func compilerFor(p archive.Package, build string) (command, pkg string) {
	for relation := range strings.FieldsFuncSeq(p.Depends, func(r rune) bool { return r == ',' || r == '|' }) {
		name, _, _ := strings.Cut(strings.TrimSpace(relation), " ")
		name, _, _ = strings.Cut(name, ":")
		m := compilerRE.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		arch, known := kernel.ArchOf(p.Architecture)
		if !known || p.Architecture == build || strings.HasPrefix(m[1], "clang") {
			return m[1], m[1]
		}
		return arch.CrossPrefix() + m[1], m[1] + "-" + strings.ReplaceAll(arch.GNUType, "_", "-")
	}
	return "", ""
}
