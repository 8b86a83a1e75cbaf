// SPDX-License-Identifier: MIT

package debhelper

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// PkgFile returns p's configuration file called name, relative to the source
// package, "" if there is none. The first of these that is a file:
// debian/PKG.name.ARCH, debian/PKG.name.OS, debian/PKG.name, and for the main
// package debian/name. With --name=N, "N.name" stands for name in all of them.
func (s *Session) PkgFile(p *Package, name string) (string, error) {
	if s.Name != "" {
		name = s.Name + "." + name
	}
	tries, err := s.perArchitecture(p, "debian/"+p.Name+"."+name)
	if err != nil {
		return "", err
	}
	if p.Name == s.MainPackage {
		tries = append(tries, "debian/"+name)
	}
	for _, try := range tries {
		if s.isFile(try) {
			return try, nil
		}
	}
	return "", nil
}

// NamedFile is a configuration file whose name tells what it is about.
type NamedFile struct {
	Name string
	File string // relative to the source package
}

// NamedPkgFiles returns p's files debian/PKG.NAME.name, for each NAME the most
// special one as [Session.PkgFile] would choose, sorted by NAME. Files of a
// package called "PKG.NAME" are not among them.
func (s *Session) NamedPkgFiles(p *Package, name string) ([]NamedFile, error) {
	prefix, suffix := "debian/"+p.Name+".", "."+name
	found, err := filepath.Glob(quoteGlob(s.path(prefix)) + "*" + quoteGlob(suffix) + "*")
	if err != nil {
		return nil, err
	}
	var all []NamedFile
	for _, file := range found {
		middle, after, _ := strings.Cut(strings.TrimPrefix(file, s.path(prefix)), suffix)
		if after != "" && after[0] != '.' || s.ofOtherPackage(p, middle) {
			continue
		}
		tries, err := s.perArchitecture(p, prefix+middle+suffix)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(tries, s.isFile); i >= 0 {
			all = append(all, NamedFile{middle, tries[i]})
		}
	}
	slices.SortFunc(all, func(a, b NamedFile) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b NamedFile) bool { return a.Name == b.Name }), nil
}

// ofOtherPackage reports whether debian/PKG.middle.* belongs to a package
// whose name begins with "PKG.".
func (s *Session) ofOtherPackage(p *Package, middle string) bool {
	return slices.ContainsFunc(s.AllPackages, func(q *Package) bool {
		rest, ok := strings.CutPrefix(q.Name, p.Name+".")
		return ok && strings.HasPrefix(middle+".", rest+".")
	})
}

// perArchitecture lists file with the suffixes that are worth a look, the most
// special first. dpkg-architecture is asked only if some suffix is in use.
func (s *Session) perArchitecture(p *Package, file string) ([]string, error) {
	special, err := filepath.Glob(quoteGlob(s.path(file)) + ".*")
	if err != nil {
		return nil, err
	}
	special = slices.DeleteFunc(special, func(f string) bool { return strings.HasSuffix(f, ".debhelper") })
	if len(special) == 0 {
		return []string{file}, nil
	}
	arch, err := s.archOf(p, "ARCH")
	if err != nil {
		return nil, err
	}
	system, err := s.archOf(p, "ARCH_OS")
	if err != nil {
		return nil, err
	}
	return []string{file + "." + arch, file + "." + system, file}, nil
}

// quoteGlob takes the meaning from special characters for [filepath.Glob].
func quoteGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func (s *Session) isFile(name string) bool {
	info, err := os.Stat(s.path(name))
	return err == nil && info.Mode().IsRegular()
}
