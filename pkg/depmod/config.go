// SPDX-License-Identifier: MIT

package depmod

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// The words of a search line that are no directory.
const (
	// BuiltIn stands for every file that no other word of the search lines
	// holds.
	BuiltIn = "built-in"
	// ExternalDirs stands for the directories of the external lines.
	ExternalDirs = "external"
)

// AnyKernel is the kernel version of a line for all kernels.
const AnyKernel = "*"

// Origin is the place of a line. Its zero value is depmod's own default.
type Origin struct {
	File string
	Line int // the first, from 1, where the line is continued
}

// String is "FILE:LINE", or "depmod's default".
func (o Origin) String() string {
	if o == (Origin{}) {
		return "depmod's default"
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

// Search is one word of a search line.
type Search struct {
	Dir string // below lib/modules/KVER, or [BuiltIn], or [ExternalDirs]
	Origin
}

// Override is an override line.
type Override struct {
	Module string // as the file is spelled, up to its first "."
	Kernel string // a regular expression, or [AnyKernel]
	Dir    string // below lib/modules/KVER, the one that holds the file
	Origin
}

// External is an external line.
type External struct {
	Kernel string // a regular expression, or [AnyKernel]
	Dir    string // absolute
	Origin
}

// Exclude is one word of an exclude line.
type Exclude struct {
	Name string // of a directory or a file
	Origin
}

// Source is the text of one configuration file.
type Source struct {
	Path string
	Data []byte
}

// Config is a configuration of depmod. The zero value is not usable: without
// any file it is New().
type Config struct {
	Sources   []Source   // what was read, in that order
	Searches  []Search   // the first has the highest priority
	Overrides []Override // the last that fits has the highest priority
	Externals []External // the first that fits has the highest priority
	Excludes  []Exclude

	// Warnings are lines that depmod ignores, or that do not do what they
	// seem to do. Most are a [*textfile.Error].
	Warnings []error
}

// New returns the configuration of the sources, which come in falling order of
// precedence: of those with one base name the first is read. They are read in
// the order of their base names. Without any search line depmod searches
// updates, then all else.
func New(sources ...Source) *Config {
	c := &Config{Sources: visible(sources)}
	for _, s := range c.Sources {
		c.parse(s)
	}
	if c.Searches == nil {
		c.Searches = []Search{{Dir: "updates"}, {Dir: BuiltIn}}
	}
	return c
}

// visible sorts the sources and drops those that another masks.
func visible(sources []Source) []Source {
	byName := func(a, b Source) int { return cmp.Compare(path.Base(a.Path), path.Base(b.Path)) }
	sorted := slices.Clone(sources)
	slices.SortStableFunc(sorted, byName)
	return slices.CompactFunc(sorted, func(a, b Source) bool { return byName(a, b) == 0 })
}

// With returns the configuration that c would be with one more file in one of
// [Dirs]: it replaces the one of the same path, masks those of its name in
// directories of lower precedence, and is masked by those of higher.
func (c *Config) With(s Source) *Config {
	sources := []Source{s}
	for _, old := range c.Sources {
		if unmerged(old.Path) != unmerged(s.Path) {
			sources = append(sources, old)
		}
	}
	slices.SortStableFunc(sources, func(a, b Source) int { return precedence(a.Path) - precedence(b.Path) })
	return New(sources...)
}

// unmerged gives the names below /usr/lib and /lib, one directory since
// Debian 12, one form.
func unmerged(file string) string {
	if rest, ok := strings.CutPrefix(file, "/usr/lib/"); ok {
		return "/lib/" + rest
	}
	return file
}

// precedence is the place in Dirs, the lowest for other directories.
func precedence(file string) int {
	if i := slices.Index(Dirs(), path.Dir(file)); i >= 0 {
		return i
	}
	return len(Dirs())
}
