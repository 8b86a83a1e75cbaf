// SPDX-License-Identifier: MIT

package target

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/internal/record"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/proc"
)

// Identify describes k for the record of a build. It reads all of the headers:
// a record must not name packages that others were built with.
func (f *Finder) Identify(ctx context.Context, k *Kernel) (record.Kernel, error) {
	r := record.Kernel{Release: k.Release, Architecture: k.DebArch, Origin: string(k.Origin), Given: k.Given}
	r.Compiler = record.Tool{Command: k.Compiler.Command}
	if k.Compiler.Known() {
		r.Compiler = record.Asker{Run: f.Run, LookPath: f.lookPath}.Tool(ctx, k.Compiler.Command, k.Compiler.Package)
	}
	names := slices.DeleteFunc(slices.Clone(k.Assumed), isLibrary)
	for _, p := range k.Packages {
		switch {
		case isLibrary(p.Name):
		case p.SHA256 == "":
			names = append(names, p.Name)
		default:
			if err := f.verify(ctx, p); err != nil {
				return r, err
			}
			r.Headers = append(r.Headers, record.Headers{Package: p})
		}
	}
	installed, err := f.installedPackages(ctx, names)
	r.Headers = append(r.Headers, installed...)
	if err != nil || len(r.Headers) > 0 {
		return r, err
	}
	for _, m := range k.Mounts {
		sum, err := record.Sum(ctx, m.Host)
		if err != nil {
			return r, err
		}
		r.Trees = append(r.Trees, record.Tree{Path: m.Host, SHA256: sum})
	}
	return r, nil
}

// verify compares a package of the cache with what was unpacked.
func (f *Finder) verify(ctx context.Context, p archive.Package) error {
	if f.Archive == nil || p.Root == "" {
		return nil
	}
	return f.Archive.Verify(ctx, p)
}

// identityFormat asks dpkg-query for one line a package.
const identityFormat = `${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${Depends}\n`

// installedPackages describes packages that are installed, and what headers
// depend on: other headers and the programs of kbuild.
func (f *Finder) installedPackages(ctx context.Context, names []string) ([]record.Headers, error) {
	var all []record.Headers
	seen := map[string]bool{}
	for len(names) > 0 {
		var next []string
		found, err := f.queryInstalled(ctx, names)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			seen[name] = true
		}
		for _, h := range found {
			all = append(all, h)
			next = append(next, headerDependencies(h.Depends)...)
		}
		names = slices.DeleteFunc(next, func(name string) bool { return seen[name] })
		slices.Sort(names)
		names = slices.Compact(names)
	}
	return all, nil
}

// headerDependencies are the packages in a Depends field that hold headers or
// programs of kbuild.
func headerDependencies(depends string) []string {
	relations, err := control.ParseRelations(depends)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(relations.Names(), isLibrary)
}

// isLibrary says whether a package holds neither headers nor programs of
// kbuild. What these are linked with does not enter modules, and is replaced by
// every security update.
func isLibrary(name string) bool {
	return !strings.HasPrefix(name, headersPrefix) && !strings.HasPrefix(name, "linux-kbuild-") && name != pahole
}

// queryInstalled passes over packages that are not installed. To dpkg-query a
// name may as well be a pattern.
func (f *Finder) queryInstalled(ctx context.Context, names []string) ([]record.Headers, error) {
	for _, name := range names {
		if err := control.ValidPackageName(name); err != nil {
			return nil, err
		}
	}
	cmd := exec.CommandContext(ctx, "dpkg-query", append([]string{"--admindir=" + f.adminDir(), "-W", "-f=" + identityFormat, "--"}, names...)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=" + proc.SearchPath}
	run := f.Run
	if run == nil {
		run = (*exec.Cmd).Run
	}
	if err := run(cmd); err != nil && out.Len() == 0 { // it ends with 1 where one is not known
		return nil, fmt.Errorf("dpkg-query knows none of the packages %s: %w", strings.Join(names, ", "), err)
	}
	var all []record.Headers
	for line := range strings.Lines(out.String()) {
		field := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(field) != 6 {
			return nil, fmt.Errorf("dpkg-query printed %q", line)
		}
		if field[1] == "" {
			continue // known by name only
		}
		h := record.Headers{Package: archive.Package{
			Name: field[0], Version: field[1], Architecture: field[2], Source: field[3], SourceVersion: field[4], Depends: field[5],
		}}
		var err error
		if h.MD5Sums, err = f.md5sums(h.Name, h.Architecture); err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

func (f *Finder) adminDir() string {
	if f.AdminDir == "" {
		return "/var/lib/dpkg"
	}
	return f.AdminDir
}

// md5sums is the SHA-256 of dpkg's list of a package's files. dpkg adds the
// architecture to the names of some.
func (f *Finder) md5sums(name, arch string) (string, error) {
	for _, file := range []string{name, name + ":" + arch} {
		text, err := os.ReadFile(filepath.Join(f.adminDir(), "info", file+".md5sums"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%x", sha256.Sum256(text)), nil
	}
	return "", fmt.Errorf("dpkg has no list of checksums of the package %s: it cannot be recorded", name)
}

// recorded are the kernels of a record, in the very packages that it names. Of
// trees, which are in no package, the command line tells.
func (f *Finder) recorded(ctx context.Context, path string) ([]*Kernel, error) {
	r, err := record.Read(path)
	if err != nil {
		return nil, errors.Unwrap(err) // path was said
	}
	var kernels []*Kernel
	var errs []error
	for _, k := range r.Kernels {
		if len(k.Headers) == 0 {
			continue
		}
		found, err := f.exactly(ctx, k)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		kernels = append(kernels, found)
	}
	return kernels, errors.Join(errs...)
}

// exactly finds the kernel of a record.
func (f *Finder) exactly(ctx context.Context, k record.Kernel) (*Kernel, error) {
	if err := f.sameInstalled(ctx, k); err != nil {
		return nil, err
	}
	var fetched []archive.Package
	for _, h := range k.Headers {
		if h.SHA256 != "" {
			fetched = append(fetched, h.Package)
		}
	}
	if len(fetched) == 0 {
		t, err := kernel.Open(f.ModulesRoot, k.Release, f.treeOptions())
		if err != nil {
			return nil, err
		}
		return f.installedKernel(t)
	}
	if f.Archive == nil {
		return nil, f.noArchive()
	}
	set, err := f.Archive.FetchExact(ctx, fetched)
	if err != nil {
		return nil, err
	}
	return f.setKernel(set, Given)
}

// sameInstalled compares the packages that were installed with those that are.
func (f *Finder) sameInstalled(ctx context.Context, k record.Kernel) error {
	var errs []error
	var absent []record.Headers
	for _, h := range k.Headers {
		if h.SHA256 != "" {
			continue
		}
		if err := control.ValidPackageName(h.Name); err != nil {
			errs = append(errs, err)
			continue
		}
		now, err := f.queryInstalled(ctx, []string{h.Name})
		switch {
		case err != nil || len(now) == 0:
			absent = append(absent, h)
		case now[0].Version != h.Version:
			errs = append(errs, fmt.Errorf("package %s is installed in version %s; it was %s", h.Name, now[0].Version, h.Version))
		case now[0].MD5Sums != h.MD5Sums:
			errs = append(errs, fmt.Errorf("package %s %s is installed with other files than it was", h.Name, h.Version))
		}
	}
	if len(absent) > 0 {
		errs = append(errs, notInstalled(absent))
	}
	return errors.Join(errs...)
}

// notInstalled is one error for all packages that were installed and are not.
func notInstalled(packages []record.Headers) error {
	var names, words []string
	for _, h := range packages {
		names = append(names, h.Name+" "+h.Version)
		words = append(words, h.Name+"="+h.Version)
	}
	err := fmt.Errorf("package %s is not installed; it was, in version %s", packages[0].Name, packages[0].Version)
	if len(packages) > 1 {
		err = fmt.Errorf("packages that were installed are not: %s", strings.Join(names, ", "))
	}
	return hinted{err, "install " + strings.Join(words, " ")}
}
