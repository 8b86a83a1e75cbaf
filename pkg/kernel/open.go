// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Options of [Open], [OpenDir] and [Tree.CompareCompiler]. The zero value is
// ready.
type Options struct {
	// Run runs dpkg-query and the compiler; nil: (*exec.Cmd).Run.
	Run func(*exec.Cmd) error
	// LookPath finds the compiler that [Tree.CompareCompiler] asks, as the build
	// will; nil: in the PATH of every build, not in the caller's.
	LookPath func(string) (string, error)
	// AdminDir is the dpkg database that knows of the headers. "": that of the
	// system, which is asked only if the root is the system's own modules
	// directory.
	AdminDir string
	// Header, if not nil, is the tree's package, and dpkg is not asked.
	Header *HeaderPackage
	// DebArch is the Architecture of that package; "": the tree's first.
	DebArch string
	// Sysroot is the directory that the tree's package is unpacked below: links
	// are followed as if it were the root, never to the machine's own files. The
	// modules root and the tree lie below it. "": the machine's own root.
	Sysroot string
	// BuildArch is the Debian architecture of the machine that builds; "":
	// [OwnArch]. Modules of a tree that is foreign to it are cross-compiled.
	BuildArch string
	// Getenv is make's environment as .kernelvariables sees it, which decides
	// on the compiler, without the [Tree.CrossVariables]. It must be the
	// environment that the build gets, not the caller's own; nil: empty, as for
	// builds of pkg/kbuild.
	Getenv func(string) string
}

// Open describes the headers of one release below root, the directory that
// holds one directory per release, such as /lib/modules; with a Sysroot either
// of SYSROOT/lib/modules and SYSROOT/usr/lib/modules stands for both. It reads
// files of the tree and asks dpkg-query; it does not look whether the compiler
// is there ([Tree.CheckCompiler] does), nor for the packages that this one
// builds upon. Missing headers are a [*NotFoundError], those of another release
// a [*MismatchError].
func Open(root, release string, o *Options) (*Tree, error) {
	if o == nil {
		o = &Options{}
	}
	if err := CheckRelease(release); err != nil {
		return nil, err
	}
	s, root, err := o.place(root)
	if err != nil {
		return nil, err
	}
	root = s.modulesRoot(root, release)
	t := &Tree{Release: release, BuildDir: filepath.Join(root, release, "build"), ModulesDir: s.modulesDir(root), sysroot: s}
	if reason := s.unusable(root, release); reason != "" {
		return nil, s.notFound(root, release, reason)
	}
	if t.SourceDir, err = s.resolve(t.BuildDir); err != nil {
		return nil, err
	}
	if t.SourceDir != t.BuildDir {
		t.BuildLink = s.seen(t.SourceDir)
	}
	if err := t.checkRelease(); err != nil {
		return nil, err
	}
	return t.describe(o, s == "" && (root == "/lib/modules" || root == "/usr/lib/modules"))
}

// OpenDir describes a tree by its own directory: one that a kernel was built
// in, or that `make modules_prepare` or a header package left. The release is
// what the tree says. dpkg is asked only for directories below /usr/src.
func OpenDir(dir string, o *Options) (*Tree, error) {
	if o == nil {
		o = &Options{}
	}
	s, dir, err := o.place(dir)
	if err != nil {
		return nil, err
	}
	t := &Tree{BuildDir: dir, ModulesDir: "lib/modules", sysroot: s}
	if reason := s.unusableTree(dir); reason != "" {
		return nil, &NotFoundError{Root: dir, Reason: reason}
	}
	if t.SourceDir, err = s.resolve(dir); err != nil {
		return nil, err
	}
	t.BuildLink = s.seen(t.SourceDir)
	file := ""
	if t.Release, file, err = t.ownRelease(); err != nil {
		return nil, err
	}
	if t.Release == "" {
		return nil, &NotFoundError{Root: dir, Reason: dir + " has no include/generated/utsrelease.h"}
	}
	if err := CheckRelease(t.Release); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t.describe(o, s == "" && filepath.Dir(t.SourceDir) == "/usr/src")
}

// place makes the sysroot and a path below it those of the host.
func (o *Options) place(path string) (sysroot, string, error) {
	s, err := openSysroot(o.Sysroot)
	if err != nil {
		return "", "", err
	}
	if path, err = filepath.Abs(path); err != nil || s == "" {
		return s, path, err
	}
	// The sysroot's own name may have links in it.
	named, err := filepath.Abs(o.Sysroot)
	if err != nil {
		return "", "", err
	}
	for _, dir := range []string{string(s), named} {
		if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
			return s, filepath.Join(string(s), rel), nil
		}
	}
	return "", "", fmt.Errorf("%s is not below %s", path, o.Sysroot)
}

// describe fills in what a tree says of itself. own: the system's dpkg may
// know of it.
func (t *Tree) describe(o *Options, own bool) (*Tree, error) {
	t.Flavour = Flavour(t.Release)
	if err := t.setConfig(); err != nil {
		return nil, err
	}
	debArch := o.DebArch
	switch {
	case o.Header != nil:
		t.Header = *o.Header
	case own || o.AdminDir != "":
		debArch = t.setHeader(o)
	}
	if err := t.setArch(debArch, o.BuildArch); err != nil {
		return nil, err
	}
	if err := t.setCompiler(o.Getenv); err != nil {
		return nil, err
	}
	t.setImagePackages()
	t.setSymvers()
	t.setCommonDir()
	t.Pahole = t.Config.On("CONFIG_DEBUG_INFO_BTF_MODULES") && t.sysroot.exists(filepath.Join(t.SourceDir, "vmlinux"))
	return t, nil
}

// List returns the releases below root that have headers, the oldest first in
// dpkg's version order. Directories without them, as an image package alone
// leaves, are passed over.
func List(root string) ([]string, error) { return sysroot("").list(root) }

func (s sysroot) list(root string) ([]string, error) {
	dir, err := s.resolve(root)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var releases []string
	for _, e := range entries {
		if CheckRelease(e.Name()) == nil && s.unusable(root, e.Name()) == "" {
			releases = append(releases, e.Name())
		}
	}
	slices.SortStableFunc(releases, compareReleases)
	return releases, nil
}

// unusable says why there are no headers at root/release/build; "" if there
// are.
func (s sysroot) unusable(root, release string) string {
	dir := filepath.Join(root, release)
	build := filepath.Join(dir, "build")
	if !s.exists(dir) {
		return dir + " does not exist"
	}
	if link, err := os.Readlink(build); err == nil && !s.exists(build) {
		if s != "" {
			return fmt.Sprintf("%s points to %s, which does not exist below %s", build, link, s)
		}
		return fmt.Sprintf("%s points to %s, which does not exist", build, link)
	}
	if !s.exists(build) {
		return build + " does not exist (a kernel image alone has no headers)"
	}
	return s.unusableTree(build)
}

// unusableTree says why build is no tree of headers.
func (s sysroot) unusableTree(build string) string {
	if !s.exists(build) {
		return build + " does not exist"
	}
	if info, err := s.stat(filepath.Join(build, "include")); err != nil || !info.IsDir() {
		return build + " has no directory include"
	}
	if !s.exists(filepath.Join(build, ".config")) && !s.exists(filepath.Join(build, autoConf)) {
		return build + " has no .config"
	}
	return ""
}

func (s sysroot) notFound(root, release, reason string) error {
	e := &NotFoundError{Release: release, Root: root, Reason: reason, Package: "linux-headers-" + release}
	if all, err := s.list(root); err == nil {
		e.Similar = Nearest(release, all)
	}
	return e
}

// Nearest picks at most three of all, each once: those that release is a part
// of, or that are a part of it, then those of its flavour, each the newest
// first.
func Nearest(release string, all []string) []string {
	rank := func(s string) int {
		switch {
		case strings.HasPrefix(s, release) || strings.HasPrefix(release, s):
			return 0
		case Flavour(s) == Flavour(release):
			return 1
		}
		return 2
	}
	near := slices.Clone(all)
	slices.SortStableFunc(near, func(a, b string) int {
		return cmp.Or(rank(a)-rank(b), compareReleases(b, a))
	})
	near = slices.Compact(near)
	return near[:min(len(near), 3)]
}

// checkRelease compares the release with the tree's.
func (t *Tree) checkRelease() error {
	found, file, err := t.ownRelease()
	switch {
	case err != nil:
		return err
	case found == "":
		t.warn("%s: names no release, taking it for %s", t.SourceDir, t.Release)
	case found != t.Release:
		return &MismatchError{Release: t.Release, Found: found, File: file}
	}
	return nil
}

// ownRelease is the release that the tree names, and where. What ends up in a
// module's vermagic is UTS_RELEASE; Debian's include/config/kernel.release
// holds the upstream version, so it is asked only where there is nothing else.
func (t *Tree) ownRelease() (release, file string, err error) {
	for _, f := range []struct{ name, before, after string }{
		{"include/generated/utsrelease.h", "#define UTS_RELEASE \"", "\""},
		{"include/config/kernel.release", "", "\n"},
	} {
		path := filepath.Join(t.SourceDir, f.name)
		data, err := t.sysroot.readFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		_, rest, ok := bytes.Cut(data, []byte(f.before))
		found, _, _ := bytes.Cut(rest, []byte(f.after))
		if !ok || len(found) == 0 {
			return "", "", fmt.Errorf("%s: names no release", path)
		}
		return string(found), path, nil
	}
	return "", "", nil
}

const autoConf = "include/config/auto.conf"

// setConfig reads .config, or auto.conf where there is no other.
func (t *Tree) setConfig() error {
	auto := filepath.Join(t.SourceDir, autoConf)
	path := filepath.Join(t.SourceDir, ".config")
	t.ConfigPath = path
	if t.sysroot.exists(auto) {
		t.ConfigPath = auto
	}
	if !t.sysroot.exists(path) {
		path = auto
	}
	real, err := t.sysroot.within(path)
	if err != nil {
		return err
	}
	t.Config, err = readConfig(real)
	return err
}

func (t *Tree) setSymvers() {
	path := filepath.Join(t.SourceDir, "Module.symvers")
	if !t.sysroot.exists(path) {
		t.warn("%s does not exist: symbols of modules cannot be checked", path)
		return
	}
	var err error
	if t.Symvers, err = t.sysroot.within(path); err != nil {
		t.Warnings = append(t.Warnings, err)
	}
}

// commonRE is how the Makefile of a tree that is not whole finds the rest. The
// kernel's own build writes such a line for O=, Debian's packages bring one.
var commonRE = regexp.MustCompile(`(?m)^include (/[^\s$:]+)/Makefile$`)

// maxMakefile is more than a Makefile of one line needs; the kernel's own, of
// which this is the beginning, includes none by an absolute path.
const maxMakefile = 64 << 10

func (t *Tree) setCommonDir() {
	path, err := t.sysroot.resolve(filepath.Join(t.SourceDir, "Makefile"))
	if err != nil {
		return // in a package of its own
	}
	file, err := os.Open(path)
	if err != nil {
		t.Warnings = append(t.Warnings, err)
		return
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxMakefile))
	if err != nil {
		t.Warnings = append(t.Warnings, err)
	}
	if m := commonRE.FindSubmatch(text); m != nil {
		t.CommonDir = string(m[1])
	}
}
