// SPDX-License-Identifier: MIT

package debsource

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Unbuildable returns those modules of m that no makefile below dir and no
// command of m's mentions.
func (t *Tree) Unbuildable(m *Module, dir string) ([]string, error) {
	var text strings.Builder
	text.WriteString(m.Conf.Make + "\n" + strings.Join(m.Conf.Scripts.PreBuild, " ") + "\n")
	err := filepath.WalkDir(t.path(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !isMakefile(d.Name()) {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(&text, io.LimitReader(f, 1<<20))
		return err
	})
	if err != nil {
		return nil, err
	}
	// For kbuild "-" and "_" in the name of a module are the same.
	mentioned := strings.ReplaceAll(text.String(), "-", "_")
	var missing []string
	for _, module := range m.Conf.Modules {
		name := regexp.QuoteMeta(strings.ReplaceAll(module.BuiltName, "-", "_"))
		if !regexp.MustCompile(`(^|\W)` + name + `(\W|$)`).MatchString(mentioned) {
			missing = append(missing, module.BuiltName)
		}
	}
	return missing, nil
}

// isMakefile tells whether kbuild, make or what generates their files reads
// a file of that name.
func isMakefile(name string) bool {
	base := strings.TrimSuffix(name, ".in")
	return strings.HasPrefix(base, "Makefile") || strings.HasPrefix(base, "Kbuild") || base == "makefile" ||
		base == "GNUmakefile" || strings.HasSuffix(base, ".mk") || strings.HasPrefix(name, "configure")
}
