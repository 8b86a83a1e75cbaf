// SPDX-License-Identifier: MIT

// Package debsource is the modules side of a Debian source package during its
// build: the .dkms files of its binary packages, and the sources of each module
// staged as NAME-VERSION. dh_gokms puts them into a -dkms package, and
// dh_gokms_modules compiles them.
package debsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/changelog"
	"github.com/gokms/gokms/pkg/debhelper"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/textfile"
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
	t := &Tree{Session: s, Dir: dir, Log: log, Clock: s.Clock}
	if t.Clock.IsZero() {
		if t.Clock, err = log.Date(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func parseChangelog(dir string) (*changelog.Changelog, error) {
	f, err := os.Open(filepath.Join(dir, "debian", "changelog"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return changelog.Parse(f, "debian/changelog")
}

// Upstream is the upstream version of debian/changelog: no epoch, no revision.
func (t *Tree) Upstream() (string, error) {
	v, err := t.Log.Version()
	return version.Upstream(v), err
}

// Module is one .dkms file of a binary package.
type Module struct {
	Package *debhelper.Package
	File    string // the dkms.conf, relative to the source package
	Stem    string // PKG, or PKG.NAME for debian/PKG.NAME.dkms
	Text    []byte // what is installed as dkms.conf
	Name    string // PACKAGE_NAME
	Version string // PACKAGE_VERSION
	Values  *dkms.Values
	Conf    *dkms.Conf // resolved without a kernel
}

// Choice is what a command line says about modules.
type Choice struct {
	File    string  // in place of debian/PKG.dkms; "": none
	Version *string // of -V; nil without it, "" for -V alone
}

// Modules returns the modules of p: those of debian/PKG.dkms (or debian/dkms
// for the main package) and of each debian/PKG.NAME.dkms.
func (t *Tree) Modules(ctx context.Context, p *debhelper.Package, c Choice) ([]*Module, error) {
	files, err := t.confFiles(p, c)
	if err != nil {
		return nil, err
	}
	var modules []*Module
	byName := map[string]*Module{}
	for _, f := range files {
		m, err := t.load(ctx, p, f, c)
		if err != nil {
			return nil, err
		}
		if other := byName[m.Name]; other != nil {
			return nil, fmt.Errorf("%s and %s both have the PACKAGE_NAME %s", other.File, m.File, m.Name)
		}
		byName[m.Name] = m
		modules = append(modules, m)
	}
	return modules, nil
}

// confFile is a dkms.conf and the stem of what goes with it.
type confFile struct{ path, stem string }

func (t *Tree) confFiles(p *debhelper.Package, c Choice) ([]confFile, error) {
	if c.File != "" {
		return []confFile{{c.File, p.Name}}, nil
	}
	var files []confFile
	main, err := t.Session.PkgFile(p, "dkms")
	if err != nil {
		return nil, err
	}
	if main != "" {
		files = append(files, confFile{main, p.Name})
	}
	more, err := filepath.Glob(filepath.Join(t.Dir, "debian", p.Name+".*.dkms"))
	if err != nil {
		return nil, err
	}
	for _, path := range more {
		stem := strings.TrimSuffix(filepath.Base(path), ".dkms")
		if t.owner(stem) == p.Name {
			files = append(files, confFile{"debian/" + filepath.Base(path), stem})
		}
	}
	return files, nil
}

// owner is the package that a stem belongs to: the longest name that it begins
// with, since names of packages hold dots, too.
func (t *Tree) owner(stem string) string {
	best := ""
	for _, p := range t.Session.AllPackages {
		if (stem == p.Name || strings.HasPrefix(stem, p.Name+".")) && len(p.Name) > len(best) {
			best = p.Name
		}
	}
	return best
}

func (t *Tree) load(ctx context.Context, p *debhelper.Package, f confFile, c Choice) (*Module, error) {
	path, text, err := t.readConf(f.path)
	if err != nil {
		return nil, err
	}
	m := &Module{Package: p, File: path, Stem: f.stem}
	v, err := t.Upstream()
	if err != nil {
		return nil, err
	}
	if c.Version != nil && *c.Version != "" {
		v = *c.Version
	}
	m.Text = bytes.ReplaceAll(text, []byte(versionPlaceholder), []byte(v))
	env := dkms.Env{SourceTree: "/usr/src", DKMSTree: "/var/lib/dkms", InstallTree: "/lib/modules", Dir: "/"}
	in := dkms.Input{Files: []dkms.File{{Path: path, Source: filepath.Join(t.Dir, path), Text: m.Text}}, Env: env}
	if m.Values, err = t.Eval(ctx, in); err != nil {
		return nil, err
	}
	if m.Name, m.Version, err = m.Values.Identity(); err != nil {
		return nil, err
	}
	if err := t.checkVersion(m, c); err != nil {
		return nil, err
	}
	m.Conf, err = dkms.Resolve(m.Values, env, nil)
	return m, err
}

// versionPlaceholder stands for the version in a .dkms file.
const versionPlaceholder = "#MODULE_VERSION#"

// checkVersion refuses what dkms or kbuild cannot work with, and a -V that the
// file contradicts. A version that is written in the file stands otherwise: it
// differs from the changelog's in many packages, for good reasons.
func (t *Tree) checkVersion(m *Module, c Choice) error {
	if strings.Contains(m.Version, ":") {
		return m.Values.Errorf("PACKAGE_VERSION", 0, "PACKAGE_VERSION %q holds an epoch, and make cannot build in a directory with a colon", m.Version)
	}
	if c.Version != nil && *c.Version != "" && *c.Version != m.Version {
		return m.Values.Errorf("PACKAGE_VERSION", 0, "PACKAGE_VERSION is %q, but -V says %q", m.Version, *c.Version)
	}
	return nil
}

// assignment is how a file shows that it is a dkms.conf itself.
var assignment = regexp.MustCompile(`(?m)^[^#\n]*\bPACKAGE_NAME(\[[0-9]+\])?\+?=`)

// readConf reads a .dkms file, or the one file that it names instead.
func (t *Tree) readConf(path string) (string, []byte, error) {
	text, err := os.ReadFile(filepath.Join(t.Dir, path))
	if err != nil {
		return "", nil, err
	}
	if assignment.Match(text) || len(bytes.TrimSpace(text)) == 0 {
		return path, text, nil
	}
	entries, err := t.Session.ReadList(path)
	if err != nil {
		return "", nil, err
	}
	var found []string
	for _, e := range entries {
		for _, word := range e.Words {
			matches := t.Session.Glob(word, ".", "debian/tmp")
			if len(matches) == 0 {
				return "", nil, &notConf{e.Errorf("%q is no file, and %s assigns no PACKAGE_NAME", word, path)}
			}
			found = append(found, matches...)
		}
	}
	if len(found) != 1 {
		return "", nil, textfile.Errorf(path, 0, "it has to name one dkms.conf, not %d", len(found))
	}
	conf := filepath.Clean(found[0])
	text, err = os.ReadFile(filepath.Join(t.Dir, conf))
	return conf, text, err
}

// notConf is a .dkms file that is neither a dkms.conf nor a list.
type notConf struct{ error }

func (e *notConf) Unwrap() error { return e.error }

// Hint says what the file is to be.
func (e *notConf) Hint() string {
	return `a .dkms file is a dkms.conf with PACKAGE_NAME="..." or names the one that the source has`
}

// skippedTargets are rules that dh does not run any more when dh_dkms is
// replaced.
var skippedTargets = regexp.MustCompile(`^(override_|execute_before_|execute_after_)dh_dkms(-arch|-indep)?\b`)

// CheckRules refuses a debian/rules that still has targets for dh_dkms: dh
// would pass over them without a word.
func (t *Tree) CheckRules() error {
	text, err := os.ReadFile(filepath.Join(t.Dir, "debian", "rules"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "#") {
			continue
		}
		targets, _, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		for _, target := range strings.Fields(targets) {
			if skippedTargets.MatchString(target) {
				errs = append(errs, &hinted{
					textfile.Errorf("debian/rules", i+1, "target %s is never run: dh calls dh_gokms, not dh_dkms", target),
					"rename it to " + strings.Replace(target, "dh_dkms", "dh_gokms", 1) + ", and dh_dkms inside to dh_gokms",
				})
			}
		}
	}
	return errors.Join(errs...)
}

// hinted is an error with its cure.
type hinted struct {
	error
	cure string
}

func (e *hinted) Unwrap() error { return e.error }
func (e *hinted) Hint() string  { return e.cure }

// names returns what is in dir, nil if it is not there.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return slices.Clip(all), err
}
