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
