// SPDX-License-Identifier: MIT

package source

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
)

// writeDeb packs files with the given control fields.
func writeDeb(t *testing.T, path string, files map[string]string, fields ...control.Field) {
	t.Helper()
	p := &debfile.Package{ModTime: changelogDate, Compression: debfile.Zstd, Control: control.Stanza{Fields: fields}}
	for name, text := range files {
		p.Files = append(p.Files, debfile.File{
			Path: name, Mode: 0o644, Size: int64(len(text)), ModTime: p.ModTime,
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		})
	}
	if err := debfile.WriteFile(path, p, nil); err != nil {
		t.Fatal(err)
	}
}

// says is what an error says, "" for none.
func says(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestDebFields has control fields that dpkg-deb takes and no package of ours
// can have.
func TestDebFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, value, want string }{
		{"Package", "foo-dkms", ""},
		{"Package", "FOO", `X.deb: control: Package: character 'F' in package name "FOO"`},
		{"Source", "foosrc", ""},
		{"Source", "foosrc  (1:2)", ""},
		{"Source", "../../etc (1)", `X.deb: control: Source: package name "../../etc" does not begin with a letter or digit`},
		{"Source", "foosrc (1", `X.deb: control: Source: "foosrc (1" is not of the form NAME (VERSION)`},
		{"Source", "foosrc (1_2)", `X.deb: control: Source: version "1_2": character "_" in upstream version`},
		{"Maintainer", "x", `X.deb: control: Maintainer: "x" is not of the form NAME <ADDRESS>`},
		{"Maintainer", "J\n<j@example.org>", `X.deb: control: Maintainer: "J\n<j@example.org>" is not of the form NAME <ADDRESS>`},
		{"Homepage", "https:\n//example.org", `X.deb: control: Homepage: "https:\n//example.org" is more than one line`},
	} {
		c := control.Stanza{Fields: []control.Field{
			{Name: "Package", Value: "foo-dkms"}, {Name: "Version", Value: "1.0-2"}, {Name: "Maintainer", Value: "J <j@example.org>"},
		}}
		c.Set(tt.name, tt.value)
		r := &resolver{}
		if _, err := r.binaryIdentity(c, "X.deb"); says(err) != tt.want {
			t.Errorf("%s: %q: %v; want %s", tt.name, tt.value, err, tt.want)
		}
		r.Maintainer = "K <k@example.org>"
		if _, err := r.binaryIdentity(c, "X.deb"); tt.name == "Maintainer" && err != nil {
			t.Errorf("%s: %q: %v; there is another", tt.name, tt.value, err)
		}
	}
}

// TestTreeFields has debian/ folders that contradict themselves or say what no
// package can.
func TestTreeFields(t *testing.T) {
	t.Parallel()
	const head, binary = "Source: foosrc\nMaintainer: J <j@example.org>\n", "\nPackage: foo-dkms\nArchitecture: all\n"
	for _, tt := range []struct {
		name       string
		more       map[string]string
		want, warn string
	}{
		{"good", nil, "", ""},
		{"no control", map[string]string{"debian/control": "-"}, "", ""},
		{"maintainer", map[string]string{"debian/control": "Source: foosrc\n\n# c\n\nSection: kernel\n"}, "debian/control:5: stanza without the field Package", ""},
		{"maintainer", map[string]string{"debian/control": "Source: foosrc\n# c\nMaintainer: x\n" + binary}, `debian/control:3: Maintainer: "x" is not of the form NAME <ADDRESS>`, ""},
		{"folded", map[string]string{"debian/control": "Source: foosrc\nMaintainer: J\n <j@example.org>\n" + binary}, "", ""},
		{"package", map[string]string{"debian/control": head + strings.Replace(binary, "foo-", "Foo-", 1)}, `debian/control:4: Package: character 'F' in package name "Foo-dkms"`, ""},
		{"homepage", map[string]string{"debian/control": head + binary + "Homepage: a\n b\n"}, `debian/control:6: Homepage: "a\nb" is more than one line`, ""},
		{"two things", map[string]string{"debian/control": "Source: ..\nMaintainer: x\n" + binary},
			"debian/control:1: Source: package name \"..\" does not begin with a letter or digit\ndebian/control:2: Maintainer: \"x\" is not of the form NAME <ADDRESS>", ""},
		{"other source", map[string]string{"debian/control": "Maintainer: J <j@example.org>\nSource: i40e\n" + binary}, "debian/changelog:1: source package foosrc, but debian/control:2 says i40e", ""},
		{"capitals", map[string]string{"debian/changelog": "\nFoo" + changelogText[3:]}, `debian/changelog:2: source package: character 'F' in package name "Foosrc"`, ""},
		{"no such package", map[string]string{"debian/control": head + strings.Replace(binary, "foo-", "bar-", 1)}, "", "debian/foo-dkms.dkms: debian/control has no package foo-dkms"},
	} {
		for _, file := range []string{"debian/foo-dkms.dkms", "dkms.conf"} {
			dir := t.TempDir()
			files := map[string]string{"debian/changelog": changelogText, "debian/control": head + binary, "foo.c": "", file: conf}
			maps.Copy(files, tt.more)
			if files["debian/control"] == "-" {
				delete(files, "debian/control")
			}
			write(t, dir, files)
			got, err := Resolve(t.Context(), ".", options(t, dir))
			if says(err) != tt.want {
				t.Errorf("%s, %s: %v; want %s", tt.name, file, err, tt.want)
			}
			if err != nil || file == "dkms.conf" {
				continue
			}
			warned := ""
			for _, w := range got[0].Warnings {
				warned += w.Error()
			}
			if warned != tt.warn {
				t.Errorf("%s: warnings %q; want %q", tt.name, warned, tt.warn)
			}
		}
	}
}

// TestOwner prefers the package that a file is named after.
func TestOwner(t *testing.T) {
	t.Parallel()
	var all []control.Stanza
	for _, name := range []string{"foo.two", "foo", "bar"} {
		all = append(all, control.Stanza{Fields: []control.Field{{Name: "Package", Value: name}}})
	}
	for conf, want := range map[string]string{
		"debian/foo.dkms": "foo", "debian/foo.two.dkms": "foo.two", "debian/foo.three.dkms": "foo", "debian/dkms": "foo.two",
		"debian/fo.dkms": "", "debian/dkms.dkms": "",
	} {
		got, ok := owner(conf, all)
		if got.Get("Package") != want || ok != (want != "") {
			t.Errorf("owner(%s) = %q, %v; want %q", conf, got.Get("Package"), ok, want)
		}
	}
}

// TestInstalledFields does not take from dpkg what no package can have.
func TestInstalledFields(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"src/foo-1.0/dkms.conf": conf})
	answer := dpkgQuery(t, "foo-dkms: /f\n")
	o := options(t, dir)
	o.Run = maintained(answer, "<root@localhost>")
	_, err := Resolve(t.Context(), "foo/1.0", o)
	if want := `package foo-dkms: control: Maintainer: "<root@localhost>" is not of the form NAME <ADDRESS>`; says(err) != want {
		t.Errorf("Resolve() = %v; want %s", err, want)
	}
}

// TestConfInDeb has a dkms.conf in a package that is none; messages have its
// name there.
func TestConfInDeb(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fields := []control.Field{
		{Name: "Package", Value: "foo-dkms"}, {Name: "Version", Value: "1"}, {Name: "Architecture", Value: "all"},
		{Name: "Maintainer", Value: "J <j@example.org>"}, {Name: "Description", Value: "foo"},
	}
	writeDeb(t, filepath.Join(dir, "X.deb"), map[string]string{"usr/src/foo-1.0/dkms.conf/x": ""}, fields...)
	p := &debfile.Package{ModTime: changelogDate, Compression: debfile.Zstd, Control: control.Stanza{Fields: fields}, Files: []debfile.File{
		{Path: "usr/src/foo-1.0/dkms.conf", Mode: os.ModeSymlink, Target: "none"},
	}}
	if err := debfile.WriteFile(filepath.Join(dir, "Y.deb"), p, nil); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{
		"X.deb": "X.deb:usr/src/foo-1.0/dkms.conf: not a regular file",
		"Y.deb": "stat Y.deb:usr/src/foo-1.0/dkms.conf: no such file or directory",
	} {
		if _, err := Resolve(t.Context(), arg, options(t, dir)); says(err) != want {
			t.Errorf("Resolve(%s) = %v; want %s", arg, err, want)
		}
	}
}
