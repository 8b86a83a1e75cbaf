// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Options of [Open] and [Tree.CompareCompiler]. The zero value is ready.
type Options struct {
	// Run runs dpkg-query and the compiler; nil: (*exec.Cmd).Run.
	Run func(*exec.Cmd) error
	// LookPath finds the compiler that [Tree.CompareCompiler] asks, as the build
	// will; nil: exec.LookPath, in the caller's PATH.
	LookPath func(string) (string, error)
	// AdminDir is the dpkg database that knows of the headers. "": that of the
	// system, which is asked only if the root is the system's own modules
	// directory.
	AdminDir string
	// Getenv is make's environment as .kernelvariables sees it (DEB_HOST_ARCH,
	// DEB_BUILD_ARCH, DEB_HOST_GNU_TYPE, CROSS_COMPILE), which decides on the
	// compiler. It must be the environment that the build gets, not the
	// caller's own; nil: empty, as for builds of pkg/kbuild.
	Getenv func(string) string
}

// Open describes the headers of one release below root, the directory that
// holds one directory per release, such as /lib/modules. It reads files of the
// tree and asks dpkg-query; it does not look whether the compiler is there
// ([Tree.CheckCompiler] does). Missing headers are a [*NotFoundError], those of
// another release a [*MismatchError].
func Open(root, release string, o *Options) (*Tree, error) {
	if o == nil {
		o = &Options{}
	}
	if err := CheckRelease(release); err != nil {
		return nil, err
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	t := &Tree{Release: release, Flavour: Flavour(release), BuildDir: filepath.Join(root, release, "build")}
	if reason := unusable(root, release); reason != "" {
		return nil, notFound(root, release, reason)
	}
	if t.SourceDir, err = filepath.EvalSymlinks(t.BuildDir); err != nil {
		return nil, err
	}
	if err := t.checkRelease(); err != nil {
		return nil, err
	}
	if err := t.setConfig(); err != nil {
		return nil, err
	}
	if err := t.setArch(t.setHeader(root, o)); err != nil {
		return nil, err
	}
	if err := t.setCompiler(o.Getenv); err != nil {
		return nil, err
	}
	t.setImagePackages()
	t.setSymvers()
	return t, nil
}

// List returns the releases below root that have headers, the oldest first in
// dpkg's version order. Directories without them, as an image package alone
// leaves, are passed over.
func List(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var releases []string
	for _, e := range entries {
		if CheckRelease(e.Name()) == nil && unusable(root, e.Name()) == "" {
			releases = append(releases, e.Name())
		}
	}
	slices.SortStableFunc(releases, compareReleases)
	return releases, nil
}

// unusable says why there are no headers at root/release/build; "" if there
// are.
func unusable(root, release string) string {
	dir := filepath.Join(root, release)
	build := filepath.Join(dir, "build")
	if !exists(dir) {
		return dir + " does not exist"
	}
	if link, err := os.Readlink(build); err == nil && !exists(build) {
		return fmt.Sprintf("%s points to %s, which does not exist", build, link)
	}
	if !exists(build) {
		return build + " does not exist (a kernel image alone has no headers)"
	}
	if info, err := os.Stat(filepath.Join(build, "include")); err != nil || !info.IsDir() {
		return build + " has no directory include"
	}
	if !exists(filepath.Join(build, ".config")) && !exists(filepath.Join(build, autoConf)) {
		return build + " has no .config"
	}
	return ""
}

// exists follows links. What cannot be looked at counts as there, so that the
// error of opening it is the one that is reported.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func notFound(root, release, reason string) error {
	e := &NotFoundError{Release: release, Root: root, Reason: reason, Package: "linux-headers-" + release}
	if all, err := List(root); err == nil {
		e.Similar = similar(release, all)
	}
	return e
}

// similar picks at most three of all: those that release is a part of, or
// that are a part of it, then those of its flavour, each the newest first.
func similar(release string, all []string) []string {
	rank := func(s string) int {
		switch {
		case strings.HasPrefix(s, release) || strings.HasPrefix(release, s):
			return 0
		case Flavour(s) == Flavour(release):
			return 1
		}
		return 2
	}
	out := slices.Clone(all)
	slices.Reverse(out)
	slices.SortStableFunc(out, func(a, b string) int { return rank(a) - rank(b) })
	return out[:min(len(out), 3)]
}

// checkRelease compares the release with the tree's. What ends up in a
// module's vermagic is UTS_RELEASE; Debian's include/config/kernel.release
// holds the upstream version, so it is asked only where there is nothing else.
func (t *Tree) checkRelease() error {
	for _, f := range []struct{ name, before, after string }{
		{"include/generated/utsrelease.h", "#define UTS_RELEASE \"", "\""},
		{"include/config/kernel.release", "", "\n"},
	} {
		path := filepath.Join(t.SourceDir, f.name)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, rest, ok := bytes.Cut(data, []byte(f.before))
		found, _, _ := bytes.Cut(rest, []byte(f.after))
		if !ok || len(found) == 0 {
			return fmt.Errorf("%s: names no release", path)
		}
		if string(found) != t.Release {
			return &MismatchError{Release: t.Release, Found: string(found), File: path}
		}
		return nil
	}
	t.warn("%s: names no release, taking it for %s", t.SourceDir, t.Release)
	return nil
}

const autoConf = "include/config/auto.conf"

// setConfig reads .config, or auto.conf where there is no other.
func (t *Tree) setConfig() error {
	auto := filepath.Join(t.SourceDir, autoConf)
	path := filepath.Join(t.SourceDir, ".config")
	t.ConfigPath = path
	if exists(auto) {
		t.ConfigPath = auto
	}
	if !exists(path) {
		path = auto
	}
	var err error
	t.Config, err = readConfig(path)
	return err
}

func (t *Tree) setSymvers() {
	path := filepath.Join(t.SourceDir, "Module.symvers")
	if exists(path) {
		t.Symvers = path
		return
	}
	t.warn("%s does not exist: symbols of modules cannot be checked", path)
}
