// SPDX-License-Identifier: MIT

package debhelper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/textfile"
)

// ExitError is the exit code of a debhelper command that fails. (debhelper's
// own mean 255 as well; when they look for a terminal to colour their message
// they end with 25.)
const ExitError = 255

// Command is what a dh_* command is.
type Command struct {
	Name    string // "dh_gokms"
	Version string // shown beside Name in maintainer scripts
	Flags   []Flag // of its own
}

// Session is one run of a command on a source package.
type Session struct {
	Options

	Tool        Command
	Control     *control.Template
	AllPackages []*Package   // of debian/control, in its order, built or not
	Packages    []*Package   // to act on; none: end with exit code 0
	Build       BuildOptions // from DEB_BUILD_OPTIONS
	Warnings    []error      // of Init

	// Clock is the latest modification time that an installed file may have:
	// SOURCE_DATE_EPOCH, zero (no limit) if that is not set. dh sets it; a
	// command run without dh may take it from debian/changelog.
	Clock time.Time

	ctx          context.Context // of the command that this session is
	env          Env
	selection    selection
	architecture map[string]string
	compat       *compatLevel
}

// Package is a binary package of debian/control.
type Package struct {
	Name         string
	Architecture string // as declared: "all", "any", "linux-any amd64"
	Type         string // "deb", "udeb"
	For          string // "host", or "target" with X-DH-Build-For-Type
	Built        bool   // its architecture and build profiles fit this build
	Stanza       control.Stanza
}

// IsUdeb reports whether p is for the Debian installer.
func (p *Package) IsUdeb() bool { return p.Type == "udeb" }

// Init does what every debhelper command begins with. Programs that the
// session runs end with ctx. Without an error but with no Packages there is
// nothing to do, and Warnings say why. With [ErrHelp] and other errors the
// session is there too, for its Warnings.
func Init(ctx context.Context, tool Command, env Env) (*Session, error) {
	s := &Session{Tool: tool, ctx: ctx, env: env}
	s.Build = words(s.getenv("DEB_BUILD_OPTIONS"))
	var err error
	if s.Clock, err = s.sourceDate(); err != nil {
		return s, err
	}
	controlErr := s.readControl()
	s.selection.all = s.AllPackages
	err = s.parse(append(s.shared(), tool.Flags...), env.Args)
	switch {
	case controlErr != nil && !errors.Is(err, ErrHelp):
		s.Warnings = nil
		return s, controlErr
	case err != nil:
		return s, err
	}
	todo, warnings, err := s.selection.resolve(s.HostArch, s.logged)
	s.warn(warnings...)
	if err != nil {
		return s, err
	}
	s.Packages = todo
	return s, s.finishOptions()
}

func (s *Session) warn(errs ...error) { s.Warnings = append(s.Warnings, errs...) }

const controlFile = "debian/control"

func (s *Session) readControl() error {
	f, err := os.Open(s.path(controlFile))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s not found; this is not the top directory of a source package", controlFile)
	}
	if err != nil {
		return s.inTree(err)
	}
	defer f.Close()
	if s.Control, err = control.ParseTemplate(f, controlFile); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, stanza := range s.Control.Packages {
		p, err := s.newPackage(stanza)
		if err != nil {
			return err
		}
		if seen[p.Name] {
			return s.controlError(stanza, "Package", fmt.Errorf("duplicate entry for %s", p.Name))
		}
		seen[p.Name] = true
		s.AllPackages = append(s.AllPackages, p)
	}
	return nil
}

func (s *Session) newPackage(stanza control.Stanza) (*Package, error) {
	p := &Package{Name: stanza.Get("Package"), Architecture: stanza.Unfold("Architecture"), Type: "deb", For: "host", Stanza: stanza}
	if err := control.ValidPackageName(p.Name); err != nil {
		return nil, s.controlError(stanza, "Package", err)
	}
	for _, name := range []string{"Package-Type", "X-Package-Type", "XC-Package-Type", "XB-Package-Type", "XBC-Package-Type"} {
		if f, ok := stanza.Lookup(name); ok {
			p.Type = f.Value
		}
	}
	if f, ok := stanza.Lookup("X-DH-Build-For-Type"); ok {
		p.For = f.Value
	}
	if p.For != "host" && p.For != "target" {
		return nil, s.controlError(stanza, "X-DH-Build-For-Type", fmt.Errorf("unknown value %q", p.For))
	}
	profiles, err := control.ParseProfiles(stanza.Unfold("Build-Profiles"))
	if err != nil {
		return nil, s.controlError(stanza, "Build-Profiles", err)
	}
	if !profiles.Match(s.Profiles()) {
		return p, nil
	}
	p.Built, err = s.fits(p)
	return p, err
}

// fits reports whether this build is for p's architecture.
func (s *Session) fits(p *Package) (bool, error) {
	if p.Architecture == "all" || p.Architecture == "any" {
		return true, nil
	}
	arch, err := s.archOf(p, "ARCH")
	if err != nil {
		return false, err
	}
	for _, pattern := range words(p.Architecture) {
		if control.MatchArch(arch, pattern) {
			return true, nil
		}
	}
	return false, nil
}

// archOf returns DEB_HOST_what, or DEB_TARGET_what for a cross compiler's
// package.
func (s *Session) archOf(p *Package, what string) (string, error) {
	if p.For == "target" {
		return s.mustArchitecture("DEB_TARGET_" + what)
	}
	return s.mustArchitecture("DEB_HOST_" + what)
}

// BinaryArch returns the architecture that p's .deb will have.
func (s *Session) BinaryArch(p *Package) (string, error) {
	if p.Architecture == "all" {
		return "all", nil
	}
	return s.archOf(p, "ARCH")
}

func (s *Session) controlError(stanza control.Stanza, field string, err error) error {
	f, _ := stanza.Lookup(field)
	return textfile.Errorf(controlFile, f.Line, "field %s: %w", field, err)
}

// PackageTmpDir returns the directory that p's files go to, relative to the
// source package: debian/PKG, or what -P says.
func (s *Session) PackageTmpDir(p *Package) string {
	if s.TmpDir != "" {
		return s.TmpDir
	}
	return "debian/" + p.Name
}
