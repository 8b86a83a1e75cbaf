// SPDX-License-Identifier: MIT

package debhelper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// world is a source package on disk and programs that are not run.
type world struct {
	dir    string
	stdout bytes.Buffer
	ran    []string
	compat string            // what dh_assistant answers
	fails  map[string]string // program -> what it says on stderr
}

// newWorld writes files over those of tree.
func newWorld(t *testing.T, edit map[string]string) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), compat: `"13"`}
	writeTree(t, w.dir, edit)
	return w
}

func (w *world) run(cmd *exec.Cmd) error {
	w.ran = append(w.ran, strings.Join(cmd.Args, " "))
	name := filepath.Base(cmd.Args[0])
	if name == "dh_assistant" && slices.Contains(cmd.Env, "DH_OPTIONS=-v") {
		return errors.New("DH_OPTIONS are not for dh_assistant")
	}
	if text, ok := w.fails[name]; ok {
		fmt.Fprint(cmd.Stderr, text)
		return errors.New("exit status 2")
	}
	switch name {
	case "dpkg-architecture":
		fmt.Fprint(cmd.Stdout, "DEB_HOST_ARCH=amd64\nDEB_HOST_ARCH_OS=linux\nDEB_TARGET_ARCH=s390x\n")
	case "dh_assistant":
		if cmd.Args[1] == "active-compat-level" {
			fmt.Fprintf(cmd.Stdout, `{"declared-compat-level":1,"active-compat-level":%s}`, w.compat)
		} else if cmd.Args[1] == "supported-compat-levels" {
			fmt.Fprint(cmd.Stdout, `{"MIN_COMPAT_LEVEL":7,"LOWEST_NON_DEPRECATED_COMPAT_LEVEL":10,"MAX_COMPAT_LEVEL":15}`)
		}
	}
	return nil
}

func (w *world) env(environ []string, args ...string) Env {
	return Env{Args: args, Environ: environ, Dir: w.dir, Stdout: &w.stdout, Run: w.run}
}

func (w *world) init(t *testing.T, environ []string, args ...string) *Session {
	t.Helper()
	s, err := Init(context.Background(), Command{Name: "dh_t", Version: "1"}, w.env(environ, args...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

func names(s *Session) string {
	var all []string
	for _, p := range s.Packages {
		all = append(all, strings.TrimPrefix(p.Name, "probe-"))
	}
	return strings.Join(all, " ")
}

func TestSelection(t *testing.T) {
	for _, tt := range []struct {
		args, env, want, warning string
	}{
		{want: "all any linux nodoc udeb"},
		{args: "-a", want: "any linux nodoc udeb"},
		{args: "-i", want: "all"},
		{args: "-i -a", want: "all any linux nodoc udeb"},
		{args: "-pprobe-linux -pprobe-any", want: "linux any"},
		{args: "-Nprobe-any -Nprobe-all", want: "linux nodoc udeb"},
		{args: "-i", env: "DEB_BUILD_PROFILES=stage1", want: "all stage1"},
		{args: "-pprobe-foreign", warning: "not built here"},
		{args: "-pprobe-stage1", warning: "not built here"},
		{args: "-pprobe-any -Nprobe-any", warning: "no packages to build; the architecture is amd64"},
		{args: "-a", env: "DH_INTERNAL_OPTIONS=-i", warning: "no packages to build"},
		{args: "-pprobe-any -pprobe-all", env: "DH_INTERNAL_OPTIONS=-i", want: "all"},
		{env: "DH_INTERNAL_OPTIONS=-pprobe-any\x1e-pprobe-linux\x1e--nope", want: "any linux", warning: "unknown option: nope"},
		{env: "DH_OPTIONS=-pprobe-any --nope", want: "any", warning: "ignored unknown options in DH_OPTIONS"},
		{args: "-pprobe-all", env: "DH_INTERNAL_OPTIONS=-a", warning: "not built here"},
		{args: "-O-pnope -O-pprobe-any", want: "any", warning: "unknown package nope"},
		{args: "-a", env: "DEB_HOST_ARCH=s390x", want: "any linux foreign"},
	} {
		w := newWorld(t, nil)
		s := w.init(t, []string{tt.env}, strings.Fields(tt.args)...)
		if got := names(s); got != tt.want {
			t.Errorf("%q with %q acts on %q; want %q", tt.args, tt.env, got, tt.want)
		}
		if got := fmt.Sprint(s.Warnings); !strings.Contains(got, tt.warning) || (got == "[]") != (tt.warning == "") {
			t.Errorf("%q with %q warns %v; want %q", tt.args, tt.env, got, tt.warning)
		}
	}
}

func TestInitErrors(t *testing.T) {
	stanza := func(text string) map[string]string {
		return map[string]string{"debian/control": "Source: probe\n\n" + text}
	}
	for _, tt := range []struct {
		name, args, env, want string
		edit                  map[string]string
	}{
		{name: "unknown option", args: "-q --nope", want: "unknown option: q\nunknown option: nope\nunknown option or error during option parsing; aborting"},
		{name: "unknown package", args: "-px", want: "-p/--package: unknown package x; debian/control has: probe-all probe-any"},
		{name: "unknown package of -N", args: "-Nx", want: "-N/--no-package: unknown package x"},
		{name: "-P", args: "-Px -i -pprobe-any", want: "-P was given, but there is more than one package to act on: probe-all, probe-any"},
		{name: "-s", args: "-s", want: "-s/--same-arch was removed in compat 12"},
		{name: "no control", edit: map[string]string{"debian/control": ""}, want: "debian/control not found"},
		{name: "bad control", edit: stanza("Package: a-b\nArchitecture\n"), want: "debian/control:4: "},
		{name: "duplicate", edit: stanza("Package: a-b\nArchitecture: all\n\nArchitecture: any\nPackage: a-b\n"), want: "debian/control:7: field Package: duplicate entry for a-b"},
		{name: "bad name", edit: stanza("Package: ../b\nArchitecture: all\n"), want: "debian/control:3: field Package: "},
		{name: "bad profiles", edit: stanza("Package: a-b\nArchitecture: all\nBuild-Profiles: stage1\n"), want: "debian/control:5: field Build-Profiles: "},
		{name: "bad type", edit: stanza("Package: a-b\nArchitecture: all\nX-DH-Build-For-Type: build\n"), want: `debian/control:5: field X-DH-Build-For-Type: unknown value "build"`},
		{name: "bad clock", env: "SOURCE_DATE_EPOCH=yesterday", want: `SOURCE_DATE_EPOCH: "yesterday"`},
		{name: "help", args: "-h", want: "usage asked for"},
		{name: "help without control", args: "-vh", edit: map[string]string{"debian/control": ""}, want: "usage asked for"},
	} {
		w := newWorld(t, tt.edit)
		_, err := Init(context.Background(), Command{Name: "dh_t"}, w.env([]string{tt.env}, strings.Fields(tt.args)...))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v; want %q", tt.name, err, tt.want)
		}
	}
}

func TestFailingTools(t *testing.T) {
	w := newWorld(t, nil)
	w.fails = map[string]string{"dpkg-architecture": "no cc\n"}
	_, err := Init(context.Background(), Command{Name: "dh_t"}, w.env(nil))
	if err == nil || err.Error() != "dpkg-architecture: no cc" {
		t.Errorf("Init with a failing dpkg-architecture: %v", err)
	}
	w.fails = map[string]string{"dh_assistant": "bad\n"}
	s := w.init(t, nil)
	for name, call := range map[string]func() error{
		"Compat":       func() error { _, err := s.Compat(); return err },
		"ReadList":     func() error { _, err := s.ReadList("debian/probe"); return err },
		"LogInstalled": func() error { return s.LogInstalled(s.Packages[0], "x") },
		"Finish":       s.Finish,
	} {
		if err := call(); err == nil || !strings.HasPrefix(err.Error(), "dh_assistant ") || !strings.HasSuffix(err.Error(), ": bad") {
			t.Errorf("%s with a failing dh_assistant: %v", name, err)
		}
	}
}

func TestPackageFields(t *testing.T) {
	s := newWorld(t, nil).init(t, nil)
	p := s.AllPackages[len(s.AllPackages)-1]
	if p.Name != "probe-udeb" || !p.IsUdeb() || s.AllPackages[0].IsUdeb() || !p.Built || s.AllPackages[3].Built {
		t.Errorf("packages are %+v", s.AllPackages)
	}
	if s.MainPackage != "probe-all" || s.Control.Source.Get("Section") != "kernel" {
		t.Errorf("main package %q, source %v", s.MainPackage, s.Control.Source)
	}
	if got := s.PackageTmpDir(p); got != "debian/probe-udeb" {
		t.Errorf("files of %s go to %s", p.Name, got)
	}
	one := newWorld(t, nil).init(t, nil, "-pprobe-any", "-P", "debian/x")
	if got := one.PackageTmpDir(one.Packages[0]); got != "debian/x" {
		t.Errorf("with -P files go to %s", got)
	}
	cross := newWorld(t, map[string]string{"debian/control": strings.Replace(foreignOnly, "s390x\n", "s390x\nX-DH-Build-For-Type: target\n", 1)}).init(t, nil)
	arch, err := cross.BinaryArch(cross.AllPackages[0])
	if arch != "s390x" || err != nil || !cross.AllPackages[0].Built {
		t.Errorf("cross package: %q, %v, %+v", arch, err, cross.AllPackages[0])
	}
}

func TestVerbosity(t *testing.T) {
	for _, tt := range []struct {
		env, args             string
		verbose, quiet, noAct string
	}{
		{verbose: "0", quiet: "0", noAct: "0"},
		{args: "-v", verbose: "1", quiet: "0", noAct: "0"},
		{env: "DH_VERBOSE=0", verbose: "1", quiet: "0", noAct: "0"},
		{env: "DH_QUIET=1", verbose: "0", quiet: "1", noAct: "0"},
		{env: "DH_QUIET=1", args: "-v", verbose: "1", quiet: "0", noAct: "0"},
		{env: "DH_QUIET=1 DH_VERBOSE=1", verbose: "1", quiet: "0", noAct: "0"},
		{env: "DH_QUIET= DH_VERBOSE=", verbose: "0", quiet: "0", noAct: "0"},
		{env: "DEB_BUILD_OPTIONS=terse", verbose: "0", quiet: "1", noAct: "0"},
		{env: "DH_NO_ACT=1", verbose: "0", quiet: "0", noAct: "1"},
		{args: "--no-act", verbose: "0", quiet: "0", noAct: "1"},
	} {
		s := newWorld(t, nil).init(t, strings.Fields(tt.env), strings.Fields(tt.args)...)
		got := flags(s.Verbose, s.Quiet, s.NoAct)
		if want := []string{tt.verbose, tt.quiet, tt.noAct}; !slices.Equal(got, want) {
			t.Errorf("%q %q: verbose, quiet, no-act = %v; want %v", tt.env, tt.args, got, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	s := newWorld(t, nil).init(t, []string{
		"DEB_BUILD_OPTIONS=nocheck  noddebs parallel=0", "DEB_BUILD_PROFILES=a b", "DH_ALWAYS_EXCLUDE=:CVS:", "SOURCE_DATE_EPOCH=1", "SOURCE_DATE_EPOCH=5",
	}, "-X", ".o")
	if s.Build.Parallel() != 1 || !s.Build.NoAutoDbgsym() || !s.Build.Has("nocheck") || s.Build.Has("nodoc") {
		t.Errorf("build options %v", s.Build)
	}
	if !s.Excluded("a/CVS/b") || !s.Excluded("x.o") || s.Excluded("x") {
		t.Errorf("excludes %v", s.Exclude)
	}
	if !slices.Equal(s.Profiles(), []string{"a", "b"}) || s.Clock.Unix() != 5 {
		t.Errorf("profiles %v, clock %v", s.Profiles(), s.Clock)
	}
}

func TestColors(t *testing.T) {
	for _, tt := range []struct{ env, want string }{
		{"", "auto"}, {"NO_COLOR=", "never"}, {"NO_COLOR=1 DPKG_COLORS=auto", "auto"},
		{"DPKG_COLORS=always DH_COLORS=never", "never"}, {"DH_COLORS=always", "always"}, {"DH_COLORS=odd", "never"},
	} {
		s := newWorld(t, nil).init(t, strings.Fields(tt.env))
		if got := s.Colors(); got != tt.want {
			t.Errorf("Colors with %q = %q; want %q", tt.env, got, tt.want)
		}
	}
}

func TestArchitectureIsAskedOnce(t *testing.T) {
	w := newWorld(t, nil)
	s := w.init(t, []string{"DEB_HOST_ARCH_OS=", "DEB_HOST_ARCH_BITS=64"})
	for _, variable := range []string{"DEB_HOST_ARCH", "DEB_HOST_ARCH_OS", "DEB_HOST_ARCH_BITS", "DEB_TARGET_ARCH"} {
		if value, known, err := s.Architecture(variable); value == "" || !known || err != nil {
			t.Errorf("Architecture(%s) = %q, %v, %v", variable, value, known, err)
		}
	}
	if _, known, err := s.Architecture("DEB_NOPE"); known || err != nil {
		t.Errorf("Architecture(DEB_NOPE) is known: %v, %v", known, err)
	}
	if !slices.Equal(w.ran, []string{"dpkg-architecture"}) {
		t.Errorf("ran %v", w.ran)
	}
}

func TestCompat(t *testing.T) {
	for _, tt := range []struct {
		answer         string
		want           int
		wantErr, warns string
	}{
		{answer: `"13"`, want: 13},
		{answer: `12`, want: 12},
		{answer: `14`, want: 14},
		{answer: `9`, want: 9, warns: "compat level 9 is deprecated; use 10 or later"},
		{answer: `6`, wantErr: "compat level 6 is not supported; debhelper knows 7 to 15"},
		{answer: `"99"`, wantErr: "not supported"},
		{answer: `null`, wantErr: "no compat level declared"},
		{answer: `"x"`, wantErr: `compat level "x" is not a number`},
		{answer: `}`, wantErr: "dh_assistant active-compat-level: invalid"},
	} {
		w := newWorld(t, nil)
		w.compat = tt.answer
		s := w.init(t, nil)
		for range 2 {
			got, err := s.Compat()
			if got != tt.want || (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("Compat of %s = %d, %v; want %d, %q", tt.answer, got, err, tt.want, tt.wantErr)
			}
		}
		if got := fmt.Sprint(s.Warnings); got != "["+tt.warns+"]" {
			t.Errorf("Compat of %s warns %s; want %q", tt.answer, got, tt.warns)
		}
	}
}

func TestFinish(t *testing.T) {
	for _, tt := range []struct {
		name, env, args, compat string
		edit                    map[string]string
		want                    string
	}{
		{name: "compat 13"},
		{name: "compat 10", compat: "10"},
		{name: "compat 9", compat: "9", want: "dh_other\ndh_t\n"},
		{name: "none", compat: "null", want: "dh_other\ndh_t\n"},
		{name: "override", env: "DH_INTERNAL_OVERRIDE=dh_t", want: "dh_other\ndh_t\n"},
		{name: "override, other package", env: "DH_INTERNAL_OVERRIDE=dh_t", args: "-pprobe-all"},
		{name: "no-act", env: "DH_INTERNAL_OVERRIDE=dh_t", args: "--no-act"},
		{name: "remaining", env: "DH_INTERNAL_OVERRIDE=dh_t", args: "--remaining-packages", edit: map[string]string{"debian/probe-any.debhelper.log": "dh_t\n"}, want: "dh_t\n"},
	} {
		edit := tt.edit
		if edit == nil {
			edit = map[string]string{"debian/probe-any.debhelper.log": "dh_other\n"}
		}
		w := newWorld(t, edit)
		if tt.compat != "" {
			w.compat = tt.compat
		}
		s := w.init(t, []string{tt.env}, strings.Fields(tt.args)...)
		if err := s.Finish(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		want := tt.want
		if want == "" {
			want = edit["debian/probe-any.debhelper.log"]
		}
		if got := w.read(t, "debian/probe-any.debhelper.log"); got != want {
			t.Errorf("%s: log is %q; want %q", tt.name, got, want)
		}
	}
}

func TestLogInstalledInPieces(t *testing.T) {
	w := newWorld(t, nil)
	s := w.init(t, []string{"DH_OPTIONS=-v"})
	paths := slices.Repeat([]string{strings.Repeat("x", 10000)}, 7)
	if err := s.LogInstalled(s.Packages[1], paths...); err != nil {
		t.Fatal(err)
	}
	calls, found := w.ran[1:], 0
	for _, call := range calls {
		found += strings.Count(call, paths[0])
		if !strings.HasPrefix(call, "dh_assistant log-installed-files -pprobe-any --on-behalf-of-cmd=dh_t -- x") {
			t.Errorf("ran %.80s", call)
		}
	}
	if len(calls) != 2 || found != 7 {
		t.Errorf("%d calls with %d paths; want 2 with 7", len(calls), found)
	}
}
