// SPDX-License-Identifier: MIT

package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/dkms"
)

const (
	conf          = "PACKAGE_NAME=foo\nPACKAGE_VERSION=1.0\n"
	changelogText = "foosrc (1.0-2) unstable; urgency=low\n\n  * A.\n\n -- J <j@example.org>  Mon, 06 Jan 2020 10:00:00 +0100\n"
)

var changelogDate = time.Date(2020, 1, 6, 9, 0, 0, 0, time.UTC)

// write makes files below dir; a name that ends in .gz is compressed.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			if _, err := io.WriteString(z, text); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			text = b.String()
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// options are those of a test: the source tree is dir/src, and what is
// evaluated is the test's own, so that no child is needed.
func options(t *testing.T, dir string) Options {
	return Options{
		Dir: dir, SourceTree: filepath.Join(dir, "src"), WorkDir: t.TempDir(), DocDir: filepath.Join(dir, "doc"),
		Eval: func(ctx context.Context, in dkms.Input) (*dkms.Values, error) { return dkms.Eval(ctx, in) },
		Run: func(cmd *exec.Cmd) error {
			if cmd.Args[0] == "dpkg-query" {
				return errors.New("no such package")
			}
			return cmd.Run()
		},
	}
}

// dpkgQuery answers as dpkg-query does: owner is what -S prints.
func dpkgQuery(t *testing.T, owner string) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error {
		t.Helper()
		if !strings.Contains(strings.Join(cmd.Env, "\n")+"\n", "LC_ALL=C.UTF-8\n") {
			t.Errorf("%v: not in a known language", cmd.Args)
		}
		answer := owner
		if cmd.Args[1] == "-W" {
			answer = "foo-dkms\n1.0-2+b1\nfoosrc (1.0-2)\nJ <j@example.org>\nhttps://example.org\nfoo (DKMS)\n Drives foo.\n .\n Well."
			if got := cmd.Args[len(cmd.Args)-1]; got != "foo-dkms" && got != "foo-dkms:all" {
				t.Errorf("asked for package %s", got)
			}
		}
		_, err := io.WriteString(cmd.Stdout, answer)
		return err
	}
}

// maintained puts another maintainer into what dpkg-query answers.
func maintained(run func(*exec.Cmd) error, maintainer string) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error {
		var answer bytes.Buffer
		out := cmd.Stdout
		cmd.Stdout = &answer
		if err := run(cmd); err != nil {
			return err
		}
		_, err := io.WriteString(out, strings.Replace(answer.String(), "J <j@example.org>", maintainer, 1))
		return err
	}
}

func TestInstalledIdentity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"src/foo-1.0/dkms.conf": conf, "src/foo-1.0/foo.c": "", "elsewhere/foo/dkms.conf": conf,
		"doc/foo-dkms/changelog.Debian.gz": changelogText, "doc/foo-dkms/copyright": "Mine.\n",
	})
	full := Debian{
		Binary: "foo-dkms", Source: "foosrc", SourceVersion: "1.0-2", Version: "1.0-2+b1",
		Maintainer: "J <j@example.org>", Homepage: "https://example.org", Description: "Drives foo.\n.\nWell.",
		Changelog: []byte(changelogText), ChangelogDate: changelogDate, Copyright: []byte("Mine.\n"),
	}
	for _, tt := range []struct {
		name, arg, owner string
		want             Debian
	}{
		{"owned", "foo/1.0", "foo-dkms: /usr/src/foo-1.0/dkms.conf\n", full},
		{"with architecture", "src/foo-1.0", "foo-dkms:all: /usr/src/foo-1.0/dkms.conf\n", full},
		{"two owners", "foo/1.0", "a, b: /usr/src/foo-1.0/dkms.conf\n", Debian{}},
		{"diverted", "foo/1.0", "diversion by x from: /f\ndiversion by x to: /g\n", Debian{}},
		{"outside of the tree", "elsewhere/foo", "foo-dkms: /f\n", Debian{}},
	} {
		o := options(t, dir)
		o.Run = dpkgQuery(t, tt.owner)
		got, err := Resolve(t.Context(), tt.arg, o)
		if err != nil || len(got) != 1 {
			t.Errorf("%s: Resolve() = %v, %v", tt.name, got, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got[0].Debian, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestDebianTree has what is odd: several packages, a name of its own, a
// folder whose name a glob would take for a pattern.
func TestDebianTree(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "[a]*")
	write(t, dir, map[string]string{
		"p/debian/changelog": changelogText, "p/debian/copyright": "Mine.\n",
		"p/debian/control": "Source: foosrc\nMaintainer: J\n <j@example.org>\nHomepage: https://example.org\n\n" +
			"Package: foo-dkms\nArchitecture: all\nDescription: x\n Of foo.\n\nPackage: bar-dkms\nArchitecture: all\nHomepage: https://bar.example.org\nDescription: y\n Of bar.\n",
		"p/debian/foo-dkms.dkms":     "PACKAGE_NAME=foo\nPACKAGE_VERSION=#MODULE_VERSION#\n",
		"p/debian/bar-dkms.two.dkms": "PACKAGE_NAME=bar\nPACKAGE_VERSION=2\n",
		"p/debian/dkms":              "PACKAGE_NAME=third\nPACKAGE_VERSION=3\n",
		"p/foo.c":                    "x", "p/sub/bar.c": "y", "p/.git/config": "z", "p/dkms.conf.d": "",
	})
	got, err := Resolve(t.Context(), "p", options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ Name, Version, Binary, Maintainer, Homepage, Description, Conf, Shown string }
	var rows []row
	for _, s := range got {
		rows = append(rows, row{s.Name, s.Version, s.Debian.Binary, s.Debian.Maintainer, s.Debian.Homepage, s.Debian.Description, s.Conf.Path, s.Shown})
		var files []string
		err := filepath.WalkDir(s.Dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, strings.TrimPrefix(path, s.Dir+"/"))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if s.Conf.Source != filepath.Join(s.Dir, "dkms.conf") {
			t.Errorf("$BASH_SOURCE of %s: %s", s.Name, s.Conf.Source)
		}
		if diff := cmp.Diff([]string{"dkms.conf", "dkms.conf.d", "foo.c", "sub/bar.c"}, files); diff != "" {
			t.Errorf("files of %s (-want +got):\n%s", s.Name, diff)
		}
	}
	want := []row{
		{"bar", "2", "bar-dkms", "J <j@example.org>", "https://bar.example.org", "Of bar.", "p/debian/bar-dkms.two.dkms", "p"},
		{"foo", "1.0", "foo-dkms", "J <j@example.org>", "https://example.org", "Of foo.", "p/debian/foo-dkms.dkms", "p"},
		{"third", "3", "foo-dkms", "J <j@example.org>", "https://example.org", "Of foo.", "p/debian/dkms", "p"},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestDeb(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tree := t.TempDir()
	write(t, tree, map[string]string{
		"usr/src/foo-1.0/dkms.conf": conf, "usr/src/foo-1.0/foo.c": "",
		"usr/share/doc/foo-dkms/changelog.Debian.gz": changelogText, "usr/share/doc/foo-dkms/copyright": "Mine.\n",
	})
	p := &debfile.Package{ModTime: changelogDate.Add(time.Hour), Compression: debfile.Zstd, Control: control.Stanza{Fields: []control.Field{
		{Name: "Package", Value: "foo-dkms"}, {Name: "Source", Value: "foosrc (1.0-2)"}, {Name: "Version", Value: "1.0-2+b1"},
		{Name: "Architecture", Value: "all"}, {Name: "Maintainer", Value: "J <j@example.org>"},
		{Name: "Description", Value: "foo\nDrives foo."},
	}}}
	err := filepath.WalkDir(tree, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		rel := strings.TrimPrefix(path, tree+"/")
		p.Files = append(p.Files, debfile.File{Path: rel, Mode: 0o644, Size: info.Size(), ModTime: p.ModTime,
			Open: func() (io.ReadCloser, error) { return os.Open(path) }})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := debfile.WriteFile(filepath.Join(dir, "foo.deb"), p, nil); err != nil {
		t.Fatal(err)
	}
	got, err := Resolve(t.Context(), "foo.deb", options(t, dir))
	if err != nil || len(got) != 1 {
		t.Fatalf("Resolve() = %v, %v", got, err)
	}
	want := Debian{
		Binary: "foo-dkms", Source: "foosrc", SourceVersion: "1.0-2", Version: "1.0-2+b1", Maintainer: "J <j@example.org>",
		Description: "Drives foo.", Changelog: []byte(changelogText), ChangelogDate: changelogDate, Copyright: []byte("Mine.\n"),
	}
	if diff := cmp.Diff(want, got[0].Debian, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	s := got[0]
	if s.Conf.Path != "foo.deb:usr/src/foo-1.0/dkms.conf" || s.Shown != "foo.deb:usr/src/foo-1.0" || !s.NewestFile.Equal(p.ModTime) {
		t.Errorf("conf %s, shown as %s, newest file %s", s.Conf.Path, s.Shown, s.NewestFile)
	}
}

// TestComputedName has a name that only an evaluation can tell, and a bad one,
// whose line is wanted all the same.
func TestComputedName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"a/dkms.conf": "x=foo\nPACKAGE_NAME=$x\nPACKAGE_VERSION=$(cat ${BASH_SOURCE%/*}/version)\n",
		"a/version":   "1\n",
		"b/dkms.conf": "\n\nPACKAGE_NAME=a/b\nPACKAGE_VERSION=1\n",
	})
	got, err := Resolve(t.Context(), "a", options(t, dir))
	if err != nil || got[0].Name != "foo" || got[0].Version != "1" {
		t.Errorf("Resolve(a) = %+v, %v", got, err)
	}
	_, err = Resolve(t.Context(), "b", options(t, dir))
	if want := `b/dkms.conf:3: PACKAGE_NAME: "a/b" has a /`; err == nil || err.Error() != want {
		t.Errorf("Resolve(b): %v; want %s", err, want)
	}
}

// TestReadsNoHuge refuses what is no dkms.conf without reading it.
func TestReadsNoHuge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"a/dkms.conf": ""})
	if err := os.Truncate(filepath.Join(dir, "a/dkms.conf"), maxConf+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Resolve(t.Context(), "a", options(t, dir)); err == nil || !strings.Contains(err.Error(), "too many for a dkms.conf") {
		t.Errorf("Resolve() = %v", err)
	}
}
