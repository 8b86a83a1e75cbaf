// SPDX-License-Identifier: MIT

// Package record is what gokms-mkbmdeb --record writes and gokms rebuild reads:
// all that went into a run, so that it can be done again and give the same
// bytes.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/pkg/kernel"
)

// Format is the version of the format that is written, and the only one read.
const Format = 1

// Record is one run.
type Record struct {
	Format int    `json:"format"`
	Gokms  string `json:"gokms"` // version of the program
	// Arguments are the options that settle what is built, with absolute paths:
	// neither sources and kernels, nor a sandbox, keys of signatures, where
	// results and fetched headers go, or how much is told. [Option] knows them,
	// and others are not read.
	Arguments []string `json:"arguments"`
	// Environment are the variables that settle it, as far as they were set:
	// those of [Variables].
	Environment map[string]string `json:"environment,omitempty"`
	Inputs      []Input           `json:"inputs,omitempty"` // that Arguments name
	Sources     []Source          `json:"sources"`
	Kernels     []Kernel          `json:"kernels"`
	Tools       []Tool            `json:"tools,omitempty"` // besides the compilers
	Packages    []Package         `json:"packages"`        // the results; files without directories
}

// Variables are those of the environment that may enter a package.
var Variables = []string{"SOURCE_DATE_EPOCH", "DEBFULLNAME", "DEBEMAIL"}

// Input is a file or directory that an option names.
type Input struct {
	Option string `json:"option"` // --copyright
	Path   string `json:"path"`   // absolute
	SHA256 string `json:"sha256"` // see [Sum]
}

// Source is one SOURCE argument.
type Source struct {
	Argument       string `json:"argument"`                  // as given
	Kind           string `json:"kind"`                      // "directory", "deb", or "archive" for apt:NAME
	Path           string `json:"path"`                      // absolute; of the .deb in the cache for "archive"
	Package        string `json:"package,omitempty"`         // the -dkms package that it is, or is of
	PackageVersion string `json:"package_version,omitempty"` // its version
	SHA256         string `json:"sha256"`                    // see [Sum]
	// Date is the time of all files in the packages, in seconds since 1970.
	Date int64 `json:"date"`
}

// The kinds of sources.
const (
	Directory = "directory"
	Deb       = "deb"
	Archive   = "archive"
)

// Kernel is one kernel that was built for.
type Kernel struct {
	Release      string `json:"release"`
	Architecture string `json:"architecture"` // Debian's name
	Origin       string `json:"origin"`       // installed, cached, archive or given
	// Headers are the packages that hold the headers and programs of kbuild, the
	// flavour's first. Those that were installed have no SHA256, as dpkg does not
	// know it.
	Headers []Headers `json:"headers,omitempty"`
	// Trees are the directories of headers that come in no package, and Given
	// is what --headers named, if it did.
	Trees    []Tree `json:"trees,omitempty"`
	Given    string `json:"given,omitempty"`
	Compiler Tool   `json:"compiler"`
}

// Headers is one package that a kernel's headers are in.
type Headers struct {
	archive.Package
	// MD5Sums is the SHA-256 of dpkg's list of the files of an installed
	// package; "" for one that was fetched.
	MD5Sums string `json:"md5sums,omitempty"`
}

// Tree is a directory of headers.
type Tree struct {
	Path   string `json:"path"`   // absolute
	SHA256 string `json:"sha256"` // see [Sum]
}

// Tool is a program that made part of the result.
type Tool struct {
	Command string `json:"command"` // gcc-12
	Version string `json:"version"` // the first line of its --version
	Package string `json:"package,omitempty"`
	// PackageVersion is that of Package if that is installed.
	PackageVersion string `json:"package_version,omitempty"`
}

// Package is one result.
type Package struct {
	File         string `json:"file"` // without a directory
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	SHA256       string `json:"sha256"`
}

// Read reads and checks a record. Its errors begin with path.
func Read(path string) (*Record, error) {
	text, err := os.ReadFile(path)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("%s: %w", path, e.Err)
	}
	if err != nil {
		return nil, err
	}
	r, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func parse(text []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("no record of a build: %w", err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("no record of a build in format %d: its format is %d", Format, r.Format)
	}
	return &r, errors.Join(r.check()...)
}

var sumRE = regexp.MustCompile(`^[0-9a-f]{64}$`)

// check refuses what nothing could be made again from.
func (r *Record) check() []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	sum := func(what, value string) {
		if !sumRE.MatchString(value) {
			bad("%s: sha256 %q is none", what, value)
		}
	}
	if len(r.Sources) == 0 || len(r.Kernels) == 0 || len(r.Packages) == 0 {
		bad("%d sources, %d kernels, %d packages: want at least one of each", len(r.Sources), len(r.Kernels), len(r.Packages))
	}
	for _, arg := range r.Arguments {
		if err := r.checkArgument(arg); err != nil {
			errs = append(errs, err)
		}
	}
	for _, s := range r.Sources {
		sum("source "+s.Argument, s.SHA256)
	}
	for _, in := range r.Inputs {
		sum(in.Option, in.SHA256)
	}
	for _, p := range r.Packages {
		sum("package "+p.File, p.SHA256)
		if p.File == "" || filepath.Base(p.File) != p.File {
			bad("package file %q: want a name without a directory", p.File)
		}
	}
	for _, k := range r.Kernels {
		if err := kernel.CheckRelease(k.Release); err != nil {
			errs = append(errs, err)
		}
		if k.Given != "" && !filepath.IsAbs(k.Given) {
			bad("kernel %s: given %q: want an absolute path", k.Release, k.Given)
		}
		if len(k.Headers)+len(k.Trees) == 0 {
			bad("kernel %s: neither packages nor trees of headers", k.Release)
		}
		for _, h := range k.Headers {
			sum("package "+h.Name, h.SHA256+h.MD5Sums)
			errs = append(errs, checkHeaders(h))
		}
		for _, t := range k.Trees {
			sum("tree "+t.Path, t.SHA256)
		}
		errs = append(errs, checkTool(k.Compiler))
	}
	for _, t := range r.Tools {
		errs = append(errs, checkTool(t))
	}
	return errs
}

// Write writes r to path as a whole or not at all.
func Write(path string, r *Record) (err error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".gokms-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if _, err := file.Write(text.Bytes()); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := errors.Join(file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
