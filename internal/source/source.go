// SPDX-License-Identifier: MIT

// Package source turns a SOURCE argument into a module source on disk: its
// directory, its dkms.conf, and what is known of the Debian package it is from.
//
// A SOURCE is a directory with a dkms.conf, a directory with a debian/ folder
// holding *.dkms files, NAME/VERSION, NAME-VERSION or NAME below a source
// tree, or a -dkms .deb. Nothing outside [Options.WorkDir] is written.
package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/dkms"
)

// Source is one module source.
type Source struct {
	Arg     string    // as the user gave it
	Dir     string    // the module's files, absolute: the user's own, or a copy in WorkDir
	Shown   string    // Dir as messages name it: where the user has it
	Conf    dkms.File // its dkms.conf, #MODULE_VERSION# replaced
	Name    string    // PACKAGE_NAME, without a kernel evaluated
	Version string    // PACKAGE_VERSION, likewise
	Debian  Debian
	// Warnings are about the source as a whole, whatever kernel it is for.
	Warnings []error
	// NewestFile is the modification time of the newest file below Dir, without
	// what version control and gokms itself keep there.
	NewestFile time.Time
}

// Debian is what the Debian package that a source came in says of itself. All
// of it may be empty.
type Debian struct {
	Binary        string // the -dkms package
	Source        string // its source package
	SourceVersion string // version of the source package
	Version       string // version of Binary
	Maintainer    string
	Homepage      string
	Description   string // extended description, as in the control field
	Changelog     []byte // text of debian/changelog
	ChangelogDate time.Time
	Copyright     []byte
}

// Options say where to look.
type Options struct {
	Dir        string   // relative arguments are relative to it
	SourceTree string   // where NAME/VERSION is found: /usr/src
	SourceDir  string   // the module's files, where a debian/ folder does not tell; "" to find out
	Maintainer string   // the user's own, which goes before that of the source: what that says is not judged then
	DocDir     string   // changelogs and copyrights of installed packages; "": /usr/share/doc
	Outputs    []string // where results will appear; a source that holds one of them is copied, so that no build sees another's
	WorkDir    string   // an empty directory of the caller's for what must be unpacked; who evaluates must get there
	// Eval evaluates a dkms.conf without a kernel, under limits.
	Eval func(context.Context, dkms.Input) (*dkms.Values, error)
	Run  func(*exec.Cmd) error // nil: (*exec.Cmd).Run
}

// Resolve returns the module sources that arg stands for: at least one, and
// several for a package with several dkms.conf files. Errors name arg or the
// file, and many have a Hint.
func Resolve(ctx context.Context, arg string, o Options) ([]*Source, error) {
	if o.Run == nil {
		o.Run = (*exec.Cmd).Run
	}
	r := &resolver{Options: o, arg: arg}
	path := arg
	if !filepath.IsAbs(path) {
		path = filepath.Join(o.Dir, path)
	}
	info, err := os.Stat(path)
	switch {
	case arg == "":
		return nil, errors.New("empty source argument")
	case err == nil && info.IsDir():
		return r.directory(ctx, path)
	case err == nil:
		return r.file(ctx, path)
	case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrInvalid):
		return nil, err
	}
	return r.registered(ctx)
}

// file takes an argument that is no directory.
func (r *resolver) file(ctx context.Context, path string) ([]*Source, error) {
	switch {
	case strings.HasSuffix(path, ".deb"):
		return r.deb(ctx, path)
	case strings.HasSuffix(path, ".dsc"):
		return nil, r.opaque()
	case filepath.Base(path) == "dkms.conf":
		return nil, &Error{Err: fmt.Errorf("%s: a file, not a source", r.arg), Cure: "pass its directory, " + filepath.Dir(r.arg)}
	case filepath.Ext(path) == ".dkms" && filepath.Base(filepath.Dir(path)) == "debian":
		return nil, &Error{Err: fmt.Errorf("%s: a file, not a source", r.arg), Cure: "pass the directory of debian/, " + filepath.Dir(filepath.Dir(r.arg))}
	}
	return nil, &Error{Err: fmt.Errorf("%s: neither a directory nor a .deb", r.arg), Cure: r.kinds()}
}

// kinds says what a SOURCE is.
func (r *resolver) kinds() string {
	return "a SOURCE is a directory with a dkms.conf or debian/*.dkms, a -dkms .deb, or NAME/VERSION below " + r.SourceTree
}

// resolver is one argument on its way.
type resolver struct {
	Options
	arg string
}

// opaque is the error for a Debian source whose debian/rules would have to run
// for its version and files to be known.
func (r *resolver) opaque() error {
	return &Error{
		Err:  fmt.Errorf("%s: version and files of this Debian source are known only to its debian/rules", r.arg),
		Cure: "build it with dpkg-buildpackage -A and pass the resulting -dkms .deb",
	}
}

// load finishes a source: s.Dir, s.Conf.Path and s.Debian are set.
func (r *resolver) load(ctx context.Context, s *Source) (*Source, error) {
	s.Arg = r.arg
	if s.Conf.Text == nil {
		text, err := readConf(s.Conf.Path, s.Conf.Path)
		if err != nil {
			return nil, err
		}
		s.Conf.Text = text
	}
	if s.Conf.Source == "" {
		s.Conf.Source = s.Conf.Path
	}
	s.Conf.Path = r.shown(s.Conf.Path)
	if s.Shown == "" {
		s.Shown = r.shown(s.Dir)
	}
	if upstream := s.Debian.upstream(); upstream != "" {
		s.Conf.Text = bytes.ReplaceAll(s.Conf.Text, []byte(dkms.VersionPlaceholder), []byte(upstream))
	}
	if err := r.identify(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// identify finds PACKAGE_NAME and PACKAGE_VERSION, by evaluation without a
// kernel where they are no plain values.
func (r *resolver) identify(ctx context.Context, s *Source) error {
	name, version, err := dkms.Peek(s.Conf.Path, s.Conf.Text)
	values := &dkms.Values{File: s.Conf.Path, Elements: map[string][]dkms.Element{
		"PACKAGE_NAME": {{Value: name}}, "PACKAGE_VERSION": {{Value: version}},
	}}
	if errors.Is(err, dkms.ErrNotStatic) {
		values, err = r.evaluate(ctx, s)
	}
	if err != nil {
		return err
	}
	if s.Name, s.Version, err = values.Identity(); err == nil {
		return nil
	}
	// Only an evaluation knows the lines of what is wrong.
	values, evalErr := r.evaluate(ctx, s)
	if evalErr != nil {
		return evalErr
	}
	if _, _, evalErr = values.Identity(); evalErr != nil {
		return evalErr
	}
	return err
}

// evaluate evaluates the dkms.conf without a kernel.
func (r *resolver) evaluate(ctx context.Context, s *Source) (*dkms.Values, error) {
	return r.Eval(ctx, dkms.Input{Files: []dkms.File{s.Conf}, Env: dkms.Env{SourceTree: r.SourceTree, Dir: "/"}})
}

// maxConf is the largest dkms.conf, in bytes, that is read.
const maxConf = 1 << 20

// readConf reads the dkms.conf at path, which messages call shown.
func readConf(path, shown string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", shown)
	case info.Size() > maxConf:
		return nil, fmt.Errorf("%s: %d bytes are too many for a dkms.conf", shown, info.Size())
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = &os.PathError{Op: e.Op, Path: shown, Err: e.Err}
	}
	return text, err
}

// shown is path as messages name it: relative to the working directory where
// the user's argument was.
func (r *resolver) shown(path string) string {
	rel, err := filepath.Rel(r.Options.Dir, path)
	if err != nil || filepath.IsAbs(r.arg) || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}

// Error is a problem with a source and what cures it.
type Error struct {
	Err  error
	Cure string
}

// Error returns what Err says.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Hint returns the cure.
func (e *Error) Hint() string { return e.Cure }
