// SPDX-License-Identifier: MIT

// Package debsource is the modules side of a Debian source package during its
// build: the .dkms files of its binary packages, and the sources of each module
// staged as NAME-VERSION. dh_gokms puts them into a -dkms package, and
// dh_gokms_modules compiles them.
package debsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gokms/gokms/pkg/changelog"
	"github.com/gokms/gokms/pkg/debhelper"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/version"
)

// Tree is an unpacked source package that is being built.
type Tree struct {
	Session *debhelper.Session
	Dir     string // its top, absolute
	Log     *changelog.Changelog
	Clock   time.Time // SOURCE_DATE_EPOCH, else the changelog's date
	// Eval evaluates a dkms.conf under limits.
	Eval func(context.Context, dkms.Input) (*dkms.Values, error)
}

// Open reads debian/changelog of the source package at dir.
func Open(s *debhelper.Session, dir string) (*Tree, error) {
	log, err := parseChangelog(dir)
	if err != nil {
		return nil, err
	}
	if _, err := log.Version(); err != nil {
		return nil, err
	}
	t := &Tree{Session: s, Dir: dir, Log: log, Clock: s.Clock}
	if t.Clock.IsZero() {
		if t.Clock, err = log.Date(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func parseChangelog(dir string) (*changelog.Changelog, error) {
	const name = "debian/changelog"
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s not found", name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return changelog.Parse(f, name)
}

// Upstream is the upstream version of debian/changelog: no epoch, no revision.
func (t *Tree) Upstream() (string, error) {
	v, err := t.Log.Version()
	return version.Upstream(v), err
}

// path returns where name, relative to the source package, lies.
func (t *Tree) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(t.Dir, name)
}

// Module is one .dkms file of a binary package.
type Module struct {
	Package *debhelper.Package // whose file it is; nil for a file of no package
	File    string             // the dkms.conf, relative to the source package
	Text    []byte             // what is installed as dkms.conf
	Name    string             // PACKAGE_NAME
	Version string             // PACKAGE_VERSION
	Values  *dkms.Values
	Conf    *dkms.Conf // resolved without a kernel

	list string // what lists its sources, "" for none
}

// Dir is the directory below /usr/src that m is installed as.
func (m *Module) Dir() string { return m.Name + "-" + m.Version }

// Choice is what a command line says about modules.
type Choice struct {
	File    string  // for packages without a debian/PKG.dkms; "": none
	Version *string // of -V; nil without it, "" for -V alone
}

// confFile is a file with or about a dkms.conf, and what lists the sources of
// its module.
type confFile struct {
	pkg        *debhelper.Package
	path, list string
}

// Modules returns the modules of p: that of debian/PKG.dkms (or debian/dkms for
// the main package), else of c.File, and those of each debian/PKG.NAME.dkms.
func (t *Tree) Modules(ctx context.Context, p *debhelper.Package, c Choice) ([]*Module, error) {
	files, err := t.confFiles(p, c.File)
	if err != nil {
		return nil, err
	}
	return t.loadAll(ctx, files, c)
}

// AllModules returns the modules of all packages of the source package,
// whether or not they are built now.
func (t *Tree) AllModules(ctx context.Context, c Choice) ([]*Module, error) {
	var files []confFile
	for _, p := range t.Session.AllPackages {
		own, err := t.confFiles(p, "")
		if err != nil {
			return nil, err
		}
		files = append(files, own...)
	}
	return t.loadAll(ctx, files, c)
}

// Module returns the module of one file, whichever package has it, if any.
func (t *Tree) Module(ctx context.Context, file string, c Choice) (*Module, error) {
	for _, p := range t.Session.AllPackages {
		own, err := t.confFiles(p, "")
		if err != nil {
			return nil, err
		}
		for _, f := range own {
			if f.path == filepath.Clean(file) {
				return t.load(ctx, f, c)
			}
		}
	}
	return t.load(ctx, confFile{path: filepath.Clean(file)}, c)
}

func (t *Tree) loadAll(ctx context.Context, files []confFile, c Choice) ([]*Module, error) {
	var modules []*Module
	var errs []error
	for _, f := range files {
		m, err := t.load(ctx, f, c)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		modules = append(modules, m)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return modules, nil
}

// OneName refuses two modules of one PACKAGE_NAME, which dkms could not tell
// apart.
func OneName(modules []*Module) error {
	byName := map[string]*Module{}
	for _, m := range modules {
		if other := byName[m.Name]; other != nil {
			return fmt.Errorf("%s and %s both have the PACKAGE_NAME %s", other.File, m.File, m.Name)
		}
		byName[m.Name] = m
	}
	return nil
}

// HasConf reports whether p has a debian/PKG.dkms, in whose place no other
// file is taken.
func (t *Tree) HasConf(p *debhelper.Package) (bool, error) {
	file, err := t.Session.PkgFile(p, "dkms")
	return file != "", err
}

func (t *Tree) confFiles(p *debhelper.Package, instead string) ([]confFile, error) {
	var files []confFile
	main, err := t.Session.PkgFile(p, "dkms")
	if err != nil {
		return nil, err
	}
	if main == "" {
		main = instead
	}
	if main != "" {
		list, err := t.Session.PkgFile(p, "gokms")
		if err != nil {
			return nil, err
		}
		files = append(files, confFile{p, main, list})
	}
	if t.Session.Name != "" { // one of the named files was the main one
		return files, nil
	}
	named, err := t.Session.NamedPkgFiles(p, "dkms")
	if err != nil {
		return nil, err
	}
	lists, err := t.Session.NamedPkgFiles(p, "gokms")
	if err != nil {
		return nil, err
	}
	for _, n := range named {
		f := confFile{pkg: p, path: n.File}
		for _, l := range lists {
			if l.Name == n.Name {
				f.list = l.File
			}
		}
		files = append(files, f)
	}
	return files, nil
}
