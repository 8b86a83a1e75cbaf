// SPDX-License-Identifier: MIT

package debhelper

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// selection gathers which packages the options ask for.
type selection struct {
	all []*Package

	chosen    []*Package // by -a, -i and -p, in their order
	given     bool       // one of them was used, even if it chose none
	arch      bool       // -a or -i was used on the command line or in DH_OPTIONS
	remaining bool

	requested        []*Package        // by -p, also if it is not built here
	requestedMissing bool              // one of them is not built here
	excluded         map[*Package]bool // by -N, dh, or --remaining-packages
	byDH             map[*Package]bool // by DH_INTERNAL_OPTIONS
}

func (s *selection) addArch(string) error  { return s.addBuilt(Package.isArchDependent) }
func (s *selection) addIndep(string) error { return s.addBuilt(Package.isArchAll) }

func (p Package) isArchAll() bool       { return p.Architecture == "all" }
func (p Package) isArchDependent() bool { return p.Architecture != "all" }

func (s *selection) addBuilt(want func(Package) bool) error {
	s.arch, s.given = true, true
	for _, p := range s.all {
		if p.Built && want(*p) {
			s.chosen = append(s.chosen, p)
		}
	}
	return nil
}

func (s *selection) addPackage(name string) error {
	p, err := s.known(name, "-p/--package")
	if err != nil {
		return err
	}
	s.requested = append(s.requested, p)
	if !p.Built {
		s.requestedMissing = true
		return nil
	}
	s.chosen, s.given = append(s.chosen, p), true
	return nil
}

func (s *selection) exclude(name string) error {
	p, err := s.known(name, "-N/--no-package")
	if err == nil {
		s.excludePackage(p)
	}
	return err
}

func (s *selection) excludePackage(p *Package) {
	if s.excluded == nil {
		s.excluded = map[*Package]bool{}
	}
	s.excluded[p] = true
}

func (s *selection) known(name, option string) (*Package, error) {
	var names []string
	for _, p := range s.all {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return nil, fmt.Errorf("%s: unknown package %s; debian/control has: %s", option, name, strings.Join(names, " "))
}

// keepOnlyChosen is what -a, -i and -p mean in DH_INTERNAL_OPTIONS: they do
// not choose, they take all others out.
func (s *selection) keepOnlyChosen() {
	if s.given {
		s.byDH = map[*Package]bool{}
		for _, p := range s.all {
			if !slices.Contains(s.chosen, p) {
				s.excludePackage(p)
				s.byDH[p] = true
			}
		}
	}
	s.chosen, s.given, s.arch = nil, false, false
}

var (
	errNoneBuilt = errors.New("the packages asked for are not built here: their build profiles or architectures exclude them")
	errNoneKind  = errors.New("-a or -i was given, but no package of that kind is built here")
)

// resolve returns the packages to act on, each once, and why there are none.
// logged tells whether a package's log holds this command already.
func (s *selection) resolve(hostArch func() (string, error), logged func(*Package) (bool, error)) (todo []*Package, warnings []error, err error) {
	if len(s.chosen) == 0 {
		if s.requestedMissing {
			warnings = append(warnings, errNoneBuilt)
		}
		if s.arch {
			warnings = append(warnings, errNoneKind)
		}
		if len(warnings) > 0 {
			return nil, warnings, nil
		}
		for _, p := range s.all {
			if p.Built {
				s.chosen = append(s.chosen, p)
			}
		}
	}
	for _, p := range s.chosen {
		done := false
		if s.remaining {
			if done, err = logged(p); err != nil {
				return nil, nil, err
			}
		}
		if done {
			s.excludePackage(p)
		}
		if !s.excluded[p] && !slices.Contains(todo, p) {
			todo = append(todo, p)
		}
	}
	if len(todo) > 0 {
		return todo, nil, nil
	}
	warning, err := s.whyNone(hostArch)
	return nil, []error{warning}, err
}

// whyNone tells packages that were asked for, but are not to be built in this
// run, from all other reasons.
func (s *selection) whyNone(hostArch func() (string, error)) (warning, err error) {
	if len(s.requested) > 0 && !slices.ContainsFunc(s.requested, func(p *Package) bool { return p.Built && !s.byDH[p] }) {
		return errNoneBuilt, nil
	}
	host, err := hostArch()
	if err != nil {
		return nil, err
	}
	var want []string
	for _, p := range s.all {
		want = append(want, p.Architecture)
	}
	slices.Sort(want)
	return fmt.Errorf("no packages to build; the architecture is %s, debian/control has: %s", host, strings.Join(slices.Compact(want), " ")), nil
}
