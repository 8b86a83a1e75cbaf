// SPDX-License-Identifier: MIT

package kbuild

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Path is one place, as the host and as the build sees it. The two are equal
// without a sandbox.
type Path struct {
	Host, Build string
}

// Same is a place that the build sees where the host has it.
func Same(path string) Path { return Path{Host: path, Build: path} }

// Join returns the place below p.
func (p Path) Join(elem ...string) Path {
	return Path{
		Host:  filepath.Join(append([]string{p.Host}, elem...)...),
		Build: filepath.Join(append([]string{p.Build}, elem...)...),
	}
}

// Layout holds every directory of one build. The names are dkms's own.
type Layout struct {
	DKMSTree   Path // /var/lib/dkms as the build would like to see it
	SourceTree Path // /usr/src
	TmpDir     Path
	Headers    Path // the kernel's build directory, /lib/modules/KVER/build
	Name       string
	Version    string

	// Mounts are further places that the build sees elsewhere than the host
	// does, for [Layout.ToHost]: unpacked header trees, sources of siblings.
	Mounts []Path
}

// The neutral places, which are those of dkms on a default machine. What a
// module embeds of its build's paths is mapped to them.
const (
	neutralDKMSTree   = "/var/lib/dkms"
	neutralSourceTree = "/usr/src"
	neutralTmpDir     = "/tmp/gokms"
)

// neutral is l with dkms's own directories. Outside of a sandbox /tmp is the
// host's, which the one for temporary files must not be taken for.
func (l Layout) neutral() Layout {
	l.DKMSTree, l.SourceTree = Same(neutralDKMSTree), Same(neutralSourceTree)
	if l.TmpDir.Host == l.TmpDir.Build {
		l.TmpDir = Same(neutralTmpDir)
	} else {
		l.TmpDir = Same(l.TmpDir.Build)
	}
	return l
}

// BuildDir is where the copy of the source is compiled:
// DKMSTree/NAME/VERSION/build.
func (l Layout) BuildDir() Path { return l.DKMSTree.Join(l.Name, l.Version, "build") }

// SourceDir is where the build finds its unchanged source:
// SourceTree/NAME-VERSION.
func (l Layout) SourceDir() Path { return l.SourceTree.Join(l.Name + "-" + l.Version) }

// ToHost returns text with every path of the build replaced by the host's, the
// longest first: those that the build sees, and those that [Layout.ToLog]
// writes. SourceTree as a whole is not mapped: the host's own /usr/src holds
// header trees that the build sees in the same place.
func (l Layout) ToHost(text string) string {
	var renames []rename
	neutral := l.neutral()
	for _, p := range []struct{ is, log Path }{
		{l.BuildDir(), neutral.BuildDir()},
		{l.SourceDir(), neutral.SourceDir()},
		{l.DKMSTree, neutral.DKMSTree},
		{l.TmpDir, neutral.TmpDir},
	} {
		renames = append(renames, rename{p.is.Build, p.is.Host}, rename{p.log.Build, p.is.Host})
	}
	for _, p := range append([]Path{l.Headers}, l.Mounts...) {
		renames = append(renames, rename{p.Build, p.Host})
	}
	return replacePaths(text, renames)
}

// ToLog returns text with every path of the host replaced by the one that the
// build sees in a sandbox, where there is one or not: logs of two builds of the
// same say the same.
func (l Layout) ToLog(text string) string { return replacePaths(text, l.logged()) }

// logged lists what ToLog replaces.
func (l Layout) logged() []rename {
	var renames []rename
	neutral := l.neutral()
	for _, p := range []struct{ is, log Path }{
		{l.DKMSTree, neutral.DKMSTree}, {l.SourceTree, neutral.SourceTree}, {l.TmpDir, neutral.TmpDir},
	} {
		// What getcwd(2) tells where there is no sandbox is without links.
		if real, err := filepath.EvalSymlinks(p.is.Host); err == nil {
			renames = append(renames, rename{real, p.log.Build})
		}
		renames = append(renames, rename{p.is.Build, p.log.Build}, rename{p.is.Host, p.log.Build})
	}
	for _, p := range l.Mounts { // make tells where the headers are without links
		renames = append(renames, rename{p.Host, p.Build})
	}
	return renames
}

// rename is a path that is replaced by another.
type rename struct{ from, to string }

// replacePaths replaces whole paths and the beginnings of longer ones.
func replacePaths(text string, renames []rename) string {
	renames = slices.DeleteFunc(slices.Clone(renames), func(r rename) bool { return r.from == r.to || r.from == "" })
	if len(renames) == 0 {
		return text
	}
	slices.SortStableFunc(renames, func(a, b rename) int { return cmp.Compare(len(b.from), len(a.from)) })
	var out strings.Builder
	for i := 0; i < len(text); {
		if r, ok := pathAt(text, i, renames); ok {
			out.WriteString(r.to)
			i += len(r.from)
			continue
		}
		out.WriteByte(text[i])
		i++
	}
	return out.String()
}

// pathAt finds the path that stands, whole, at text[i].
func pathAt(text string, i int, renames []rename) (rename, bool) {
	if text[i] != '/' || !pathStart(text[:i]) {
		return rename{}, false
	}
	for _, r := range renames {
		rest, ok := strings.CutPrefix(text[i:], r.from)
		if ok && (rest == "" || rest[0] == '/' || !pathByte(rest[0])) {
			return r, true
		}
	}
	return rename{}, false
}

// pathStart tells whether a path may begin after before: not in the middle of
// another one, but after the -I and -L of a compiler's arguments.
func pathStart(before string) bool {
	if before == "" {
		return true
	}
	if last := before[len(before)-1]; !pathByte(last) && last != '/' && last != '.' {
		return true
	}
	option := before[max(0, len(before)-3):]
	return strings.HasSuffix(option, " -I") || strings.HasSuffix(option, " -L")
}

// pathByte tells whether c continues a file name. A dot does not count: a
// sentence may end behind a path.
func pathByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-+~", c) >= 0
}

// check finds what a build could only run into later.
func (l Layout) check() error {
	if l.Name == "" || l.Version == "" {
		return errors.New("build layout without name or version")
	}
	for _, p := range []Path{l.DKMSTree, l.SourceTree, l.TmpDir, l.Headers} {
		if !filepath.IsAbs(p.Host) || !filepath.IsAbs(p.Build) {
			return fmt.Errorf("build layout: %q (%q to the build) is not absolute", p.Host, p.Build)
		}
	}
	for _, dir := range []string{l.BuildDir().Build, l.SourceDir().Build} {
		if err := CheckPath(dir); err != nil {
			return fmt.Errorf("build directory: %w", err)
		}
	}
	return nil
}

// CheckPath refuses a path, or a name in one, that the kernel's Makefiles
// cannot work in: make splits at blanks, its rules at colons, and expands the
// rest; none can be quoted.
func CheckPath(path string) error {
	const forbidden = " \t\n:#$'\"\\%="
	if strings.ContainsAny(path, forbidden) {
		return fmt.Errorf("%q: make cannot work in a path with any of %q", path, forbidden)
	}
	return nil
}
