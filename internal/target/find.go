// SPDX-License-Identifier: MIT

package target

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/pkg/kernel"
)

// search is one call of [Finder.Find].
type search struct {
	*Finder
	given []*Kernel
	found []*Kernel
	seen  map[string]bool // releases
}

func (s *search) words(ctx context.Context, words []string) ([]*Kernel, error) {
	var errs []error
	for _, word := range words {
		if err := s.word(ctx, word); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s.found, nil
}

func (s *search) word(ctx context.Context, word string) error {
	if glob, ok := strings.CutPrefix(word, AptPrefix); ok {
		return s.glob(ctx, glob)
	}
	if word != All {
		return s.release(ctx, word)
	}
	releases, err := kernel.List(s.ModulesRoot)
	if err != nil || len(releases) == 0 {
		return s.noKernel()
	}
	var errs []error
	for _, r := range releases {
		errs = append(errs, s.release(ctx, r))
	}
	return errors.Join(errs...)
}

func (s *search) add(k *Kernel) {
	if !s.seen[k.Release] {
		s.seen[k.Release] = true
		s.found = append(s.found, k)
	}
}

// release adds the kernel of that name, from where it is found first.
func (s *search) release(ctx context.Context, release string) error {
	if s.seen[release] {
		return nil
	}
	if err := kernel.CheckRelease(release); err != nil {
		return err
	}
	for _, k := range s.given {
		if k.Release == release {
			s.add(k)
			return nil
		}
	}
	missing := &NotFoundError{Release: release}
	for _, look := range []func(context.Context, *NotFoundError) (*Kernel, error){s.installed, s.cached, s.archived} {
		k, err := look(ctx, missing)
		if err != nil {
			return err
		}
		if k != nil {
			s.add(k)
			return nil
		}
	}
	s.similar(missing)
	return missing
}

// installed returns nil, and notes in missing why, if there is no such kernel.
func (s *search) installed(_ context.Context, missing *NotFoundError) (*Kernel, error) {
	t, err := kernel.Open(s.ModulesRoot, missing.Release, s.treeOptions())
	if e, ok := errors.AsType[*kernel.NotFoundError](err); ok {
		missing.places = append(missing.places, e.Reason)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if s.Arch != "" && t.DebArch != s.Arch {
		missing.places = append(missing.places, fmt.Sprintf("the headers in %s are for %s", t.BuildDir, t.DebArch))
		return nil, nil
	}
	return s.installedKernel(t)
}

// cached is as installed, for the cache.
func (s *search) cached(_ context.Context, missing *NotFoundError) (*Kernel, error) {
	if s.Archive == nil {
		if s.NoArchive != nil {
			missing.places = append(missing.places, s.NoArchive.Error())
		}
		if h, ok := errors.AsType[interface {
			error
			Hint() string
		}](s.NoArchive); ok {
			missing.cure = h.Hint()
		}
		return nil, nil
	}
	set, err := s.Archive.Lookup(missing.Release)
	if err != nil {
		return nil, err
	}
	if set == nil {
		missing.places = append(missing.places, "not in the cache")
		return nil, nil
	}
	return s.setKernel(set, Cached)
}

// archived is as installed, for the archive.
func (s *search) archived(ctx context.Context, missing *NotFoundError) (*Kernel, error) {
	if s.Archive == nil {
		return nil, nil
	}
	if s.Offline {
		missing.places = append(missing.places, "--offline keeps from asking the archive")
		return nil, nil
	}
	found, err := s.Archive.Find(ctx, headersPrefix+missing.Release)
	if e, ok := errors.AsType[*archive.NoMatchError](err); ok {
		missing.places = append(missing.places, "not in the archive")
		for _, name := range e.Near {
			missing.archived = append(missing.archived, strings.TrimPrefix(name, headersPrefix))
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	set, err := s.Archive.Fetch(ctx, found[len(found)-1])
	if err != nil {
		return nil, err
	}
	return s.setKernel(set, Archive)
}

// headersPrefix begins the names of header packages.
const headersPrefix = "linux-headers-"

// glob adds the kernels of apt:GLOB: from the archive, or from what of it is
// in the cache, never installed ones.
func (s *search) glob(ctx context.Context, glob string) error {
	switch {
	case glob == "":
		return s.noGlob()
	case s.Archive == nil:
		return s.noArchive()
	case s.Offline:
		return s.globCached(glob)
	}
	packages, err := s.Archive.Find(ctx, glob)
	if e, ok := errors.AsType[*archive.NoMatchError](err); ok {
		return s.noMatch(e)
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range packages {
		set, err := s.Archive.Fetch(ctx, p)
		if err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		k, err := s.setKernel(set, Archive)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.add(k)
	}
	return errors.Join(errs...)
}

// globCached is glob without the archive's index.
func (s *search) globCached(glob string) error {
	sets, err := s.matchingSets(glob)
	if err != nil {
		return err
	}
	if len(sets) == 0 {
		return s.notCached(glob)
	}
	var errs []error
	for _, set := range sets {
		set, err := s.Archive.Lookup(set.Release) // which looks at their files
		if err == nil && set != nil {
			var k *Kernel
			if k, err = s.setKernel(set, Cached); err == nil {
				s.add(k)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// matchingSets are the cached kernels whose header package matches glob.
func (f *Finder) matchingSets(glob string) ([]*archive.Set, error) {
	sets, err := f.Archive.Cached()
	if err != nil {
		return nil, err
	}
	var matching []*archive.Set
	for _, set := range sets {
		if len(set.Packages) == 0 {
			continue
		}
		ok, err := path.Match(glob, set.Packages[0].Name)
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", AptPrefix, glob, err)
		}
		if ok {
			matching = append(matching, set)
		}
	}
	return matching, nil
}
