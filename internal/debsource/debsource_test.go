// SPDX-License-Identifier: MIT

package debsource

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/debhelper"
	"github.com/gokms/gokms/pkg/dkms"
)

const controlText = `Source: foo
Maintainer: Jane Doe <jane@example.org>
Build-Depends: debhelper-compat (= 13)

Package: foo-dkms
Architecture: all
Description: x
`

const changelogText = `foo (2:1.2-3) unstable; urgency=medium

  * x

 -- Jane Doe <jane@example.org>  Tue, 14 Nov 2023 22:13:20 +0000
`

// open makes a source package of files and opens it.
func open(t *testing.T, files map[string]string, args ...string) *Tree {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{"debian/control": controlText, "debian/changelog": changelogText}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := debhelper.Init(t.Context(), debhelper.Command{Name: "dh_test"}, debhelper.Env{Dir: dir, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Open(s, dir)
	if err != nil {
		t.Fatal(err)
	}
	tree.Eval = dkms.Eval
	return tree
}

func TestCheckRules(t *testing.T) {
	for _, tt := range []struct{ name, rules, err string }{
		{"none", "", ""},
		{"plain", "%:\n\tdh $@\n", ""},
		{"ours", "override_dh_gokms:\n\tdh_gokms -V\n", ""},
		{"in a recipe", "a:\n\toverride_dh_dkms: x\n", ""},
		{"in a comment", "# override_dh_dkms: x\n", ""},
		{"another name", "override_dh_dkms2: x\noverride_dh_dkms-foo:\nmy_override_dh_dkms:\n", ""},
		{"no target", "X = override_dh_dkms\n", ""},
		{"override", "\n\noverride_dh_dkms:\n", "debian/rules:3: target override_dh_dkms is never run: dh calls dh_gokms, not dh_dkms"},
		{"arch", "override_dh_dkms-arch:", "debian/rules:1: target override_dh_dkms-arch is never run: dh calls dh_gokms, not dh_dkms"},
		{"hooks", "execute_before_dh_dkms execute_after_dh_dkms : a\n",
			"debian/rules:1: target execute_before_dh_dkms is never run: dh calls dh_gokms, not dh_dkms\n" +
				"debian/rules:1: target execute_after_dh_dkms is never run: dh calls dh_gokms, not dh_dkms"},
		{"double colon", "override_dh_dkms::\n", "debian/rules:1: target override_dh_dkms is never run: dh calls dh_gokms, not dh_dkms"},
	} {
		files := map[string]string{"debian/rules": tt.rules}
		if tt.rules == "" {
			delete(files, "debian/rules")
		}
		err := open(t, files).CheckRules()
		if got := message(err); got != tt.err {
			t.Errorf("%s: CheckRules = %q; want %q", tt.name, got, tt.err)
		}
	}
	for _, field := range []string{"Build-Depends-Indep", "Build-Depends-Arch"} {
		tree := open(t, map[string]string{"debian/control": strings.Replace(controlText, "\n\n", "\n"+field+": dh-sequence-dkms\n\n", 1)})
		if err := tree.CheckRules(); message(err) != "debian/control:1: Build-Depends has dh-sequence-dkms, which does what dh_gokms does" {
			t.Errorf("%s: CheckRules = %v", field, err)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestOneName(t *testing.T) {
	a, b, c := &Module{File: "a", Name: "x"}, &Module{File: "b", Name: "y"}, &Module{File: "c", Name: "x"}
	if err := OneName([]*Module{a, b}); err != nil {
		t.Error(err)
	}
	if err := OneName([]*Module{a, b, c}); message(err) != "a and c both have the PACKAGE_NAME x" {
		t.Errorf("OneName = %v", err)
	}
}

func TestUnbuildable(t *testing.T) {
	const conf = "PACKAGE_NAME=p\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=snd-foo\nDEST_MODULE_LOCATION[0]=/extra\nBUILT_MODULE_NAME[1]=bar\nDEST_MODULE_LOCATION[1]=/extra\n"
	for _, tt := range []struct{ name, file, text, more, want string }{
		{"both", "Makefile", "obj-m := snd-foo.o bar.o\n", "", ""},
		{"other hyphens", "Kbuild", "obj-m += snd_foo.o\nobj-m += bar.o", "", ""},
		{"below", "sub/dir/Makefile.in", "obj-m := snd-foo.o bar.o\n", "", ""},
		{"one", "Makefile", "obj-m := bar.o\n", "", "snd-foo"},
		{"part of a name", "Makefile", "obj-m := snd-foobar.o foobar.o\n", "", "snd-foo bar"},
		{"no makefile", "foo.c", "snd-foo bar", "", "snd-foo bar"},
		{"MAKE says", "foo.c", "", "MAKE='make snd-foo.ko bar.ko'\n", ""},
		{"PRE_BUILD says", "foo.c", "", "PRE_BUILD='gen snd-foo bar'\n", ""},
		{"configure", "configure.ac", "NAMES='snd-foo bar'", "", ""},
	} {
		tree := open(t, map[string]string{"debian/foo-dkms.dkms": conf + tt.more, "src/" + tt.file: tt.text})
		modules, err := tree.AllModules(t.Context(), Choice{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := tree.Unbuildable(modules[0], "src")
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: Unbuildable = %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

// TestStageKeepsOthers: what is in the way is never replaced, whatever the
// sources are.
func TestStageKeepsOthers(t *testing.T) {
	conf := "PACKAGE_NAME=foo\nPACKAGE_VERSION=1\nDEST_MODULE_LOCATION=/extra\n"
	tree := open(t, map[string]string{
		"debian/foo-dkms.dkms": conf, "src/Makefile": "new", "src/foo.c": "new",
		"out/foo-1/dkms.conf": "old",
	})
	modules, err := tree.AllModules(t.Context(), Choice{})
	if err != nil {
		t.Fatal(err)
	}
	plan := func(ours ...string) []string {
		t.Helper()
		s, err := tree.PlanStage(modules[0], "out", ours...)
		if err != nil {
			t.Fatal(err)
		}
		var to []string
		for _, f := range s.files {
			to = append(to, f.to)
		}
		return to
	}
	both := []string{"out/foo-1/Makefile", "out/foo-1/foo.c"}
	if diff := cmp.Diff(both, plan()); diff != "" {
		t.Errorf("with a dkms.conf there: %s", diff)
	}
	if err := os.WriteFile(filepath.Join(tree.Dir, "out/foo-1/other"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := plan(); got != nil {
		t.Errorf("with sources there: %q", got)
	}
	if diff := cmp.Diff(both, plan("out/foo-1/other")); diff != "" {
		t.Errorf("with our own there: %s", diff)
	}
}

// TestCorpus takes the dkms.conf of each -dkms package of Debian as a
// debian/PKG.dkms: each is accepted, and none of the modules is taken for one
// that cannot be built.
func TestCorpus(t *testing.T) {
	testkit.Tools(t, "dpkg-deb")
	for _, deb := range testkit.Corpus(t) {
		name, _, _ := strings.Cut(filepath.Base(deb), "_")
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if out, err := exec.Command("dpkg-deb", "--extract", deb, dir).CombinedOutput(); err != nil {
				t.Fatalf("dpkg-deb: %v\n%s", err, out)
			}
			confs, err := filepath.Glob(filepath.Join(dir, "usr/src/*/dkms.conf"))
			if err != nil || len(confs) == 0 {
				t.Fatalf("no dkms.conf: %v", err)
			}
			for _, conf := range confs {
				checkCorpusConf(t, conf)
			}
		})
	}
}

func checkCorpusConf(t *testing.T, conf string) {
	t.Helper()
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	tree := open(t, map[string]string{"debian/foo-dkms.dkms": string(text)})
	modules, err := tree.AllModules(t.Context(), Choice{})
	if err != nil {
		t.Fatal(err)
	}
	m := modules[0]
	if want := filepath.Base(filepath.Dir(conf)); m.Dir() != want {
		t.Errorf("directory %s; want %s", m.Dir(), want)
	}
	missing, err := tree.Unbuildable(m, filepath.Dir(conf))
	if err != nil {
		t.Fatal(err)
	}
	if len(missing) > 0 {
		t.Errorf("no makefile for %q", missing)
	}
	if len(m.Conf.Modules) == 0 {
		t.Errorf("no modules")
	}
}

// harmless is a line that runs no program.
var harmless = regexp.MustCompile("^(#.*|[A-Z_]+=('[^'$`]*'|\"[^\"$`\\\\]*\"|[-+.:~@#A-Za-z0-9_]*)?[ \t]*(#[^\\\\]*)?)?\r?$")

// FuzzLoad: whatever a .dkms holds, its name and version are fit
// for a directory.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"PACKAGE_NAME=foo\nPACKAGE_VERSION=#MODULE_VERSION#\nDEST_MODULE_LOCATION=/extra\n",
		"PACKAGE_NAME='a b'\nPACKAGE_VERSION=1:2\n", "PACKAGE_NAME=x\r\nPACKAGE_VERSION=@V@\r\n",
		"PACKAGE_NAME=foo # c\nPACKAGE_VERSION=\"1#MODULE_VERSION#\"\n", "src/dkms.conf\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for line := range strings.Lines(text) {
			if !harmless.MatchString(strings.TrimSuffix(line, "\n")) {
				return
			}
		}
		tree := open(t, map[string]string{"debian/foo-dkms.dkms": text})
		modules, err := tree.AllModules(t.Context(), Choice{})
		if err != nil {
			return
		}
		for _, m := range modules {
			if !filepath.IsLocal(m.Dir()) || strings.ContainsAny(m.Dir(), "/: \n\r") || slices.Contains([]string{m.Name, m.Version}, "") {
				t.Errorf("directory %q", m.Dir())
			}
		}
	})
}
