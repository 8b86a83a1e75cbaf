// SPDX-License-Identifier: MIT

package cell

import (
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

	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kernel"
)

var (
	day       = time.Date(2024, 2, 3, 4, 5, 6, 7, time.UTC)
	yesterday = day.AddDate(0, 0, -1)
)

const changelogText = "foosrc (1.0-2) unstable; urgency=low\n\n  * A.\n\n -- J <j@example.org>  Mon, 06 Jan 2020 10:00:00 +0100\n"

func testTree() *target.Kernel {
	return &target.Kernel{Origin: target.Installed, Tree: &kernel.Tree{
		Release: "6.1.0-9-amd64", DebArch: "amd64", Machine: "x86_64", BuildDir: "/lib/modules/6.1.0-9-amd64/build",
		Compiler: kernel.Compiler{Command: "gcc-12", Package: "gcc-12"}, Config: kernel.Config{},
		ImagePackages: []string{"linux-image-6.1.0-9-amd64"}, ModulesDir: "lib/modules",
	}}
}

// testOptions have every program, and evaluate in this process.
func testOptions(t *testing.T) *Options {
	return &Options{
		WorkDir: t.TempDir(), Output: t.TempDir(), FallbackMaint: "F <f@example.org>", Compression: debfile.Zstd, Jobs: 1,
		LookPath: func(name string) (string, error) { return "/usr/bin/" + name, nil },
		Eval: func(ctx context.Context, in dkms.Input, _ func(*exec.Cmd) error) (*dkms.Values, error) {
			return dkms.Eval(ctx, in)
		},
		Now: func() time.Time { return day },
	}
}

// testSource has a dkms.conf with more lines.
func testSource(t *testing.T, name, more string) *source.Source {
	t.Helper()
	return &source.Source{
		Arg: name, Dir: t.TempDir(), Shown: name, Name: name, Version: "1.0", NewestFile: day,
		Conf: dkms.File{Path: name + "/dkms.conf", Text: []byte("PACKAGE_NAME=" + name + "\nPACKAGE_VERSION=1.0\nDEST_MODULE_LOCATION=/updates\n" + more + "\n")},
	}
}

func mustPlan(t *testing.T, s *source.Source, o *Options) *Cell {
	t.Helper()
	c, err := Plan(t.Context(), s, testTree(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClock(t *testing.T) {
	t.Parallel()
	epoch := time.Unix(1, 0)
	dated := &source.Source{NewestFile: day, Debian: source.Debian{ChangelogDate: yesterday.In(time.FixedZone("", 3600))}}
	for _, tt := range []struct {
		name string
		src  *source.Source
		o    *Options
		want time.Time
	}{
		{"SOURCE_DATE_EPOCH", dated, &Options{Epoch: &epoch}, epoch.UTC()},
		{"changelog", dated, &Options{}, yesterday.Truncate(time.Second)},
		{"newest file", &source.Source{NewestFile: day}, &Options{}, day.Truncate(time.Second)},
	} {
		if got := clock(tt.src, tt.o); got != tt.want {
			t.Errorf("%s: clock() = %v; want %v", tt.name, got, tt.want)
		}
	}
}

// TestIdentity goes through what names, versions and relations come from.
func TestIdentity(t *testing.T) {
	t.Parallel()
	deb := source.Debian{
		Binary: "foo-dkms", Source: "foosrc", SourceVersion: "1.0-2", Version: "1.0-2", Maintainer: "J <j@example.org>",
		Changelog: []byte(changelogText), ChangelogDate: yesterday, Copyright: []byte("Mine."),
	}
	for _, tt := range []struct {
		name   string
		deb    source.Debian
		change func(*Options)
		want   string // Name Version Source SourceVersion Maintainer rivals
		log    string // first line of the changelog
	}{
		{"bare", source.Debian{}, func(*Options) {}, "foo|1.0|foo|1.0|F <f@example.org>|foo-dkms", "foo (1.0) unstable; urgency=medium"},
		{"bare, named", source.Debian{}, func(o *Options) { o.Name = "x" }, "x|1.0|x|1.0|F <f@example.org>|foo-dkms", "x (1.0) unstable; urgency=medium"},
		{"bare, revision", source.Debian{}, func(o *Options) { o.Revision = "2" }, "foo|1.0+2|foo|1.0|F <f@example.org>|foo-dkms", "foo (1.0+2) unstable; urgency=medium"},
		{"package", deb, func(*Options) {}, "foo|1.0-2|foosrc|1.0-2|J <j@example.org>|foo-dkms", "foosrc (1.0-2) unstable; urgency=low"},
		{"package, revision", deb, func(o *Options) { o.Revision = "2" }, "foo|1.0-2+2|foosrc|1.0-2|J <j@example.org>|foo-dkms", "foosrc (1.0-2+2) unstable; urgency=medium"},
		{"package, version", deb, func(o *Options) { o.PackageVersion = "3:4" }, "foo|3:4|foosrc|1.0-2|J <j@example.org>|foo-dkms", "foosrc (3:4) unstable; urgency=medium"},
		{"package, maintainer", deb, func(o *Options) { o.Maintainer = "M <m@example.org>" }, "foo|1.0-2|foosrc|1.0-2|M <m@example.org>|foo-dkms", "foosrc (1.0-2) unstable; urgency=low"},
	} {
		s, o := testSource(t, "foo", ""), testOptions(t)
		s.Debian = tt.deb
		tt.change(o)
		c := mustPlan(t, s, o)
		p := &c.Package
		if got := strings.Join([]string{p.Name, p.Version, p.Source, p.SourceVersion, p.Maintainer, strings.Join(p.DKMSPackages, " ")}, "|"); got != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
		if line, rest, _ := strings.Cut(string(p.Changelog), "\n"); line != tt.log || strings.Contains(rest, "\n\n\n") {
			t.Errorf("%s: changelog %q; want it to begin with %s", tt.name, p.Changelog, tt.log)
		}
		if tt.deb.Changelog != nil && !strings.HasSuffix(string(p.Changelog), changelogText) {
			t.Errorf("%s: changelog %q; want the source's in it", tt.name, p.Changelog)
		}
		if (tt.deb.Copyright == nil) != (len(c.Warnings) == 1) {
			t.Errorf("%s: warnings %v", tt.name, c.Warnings)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	none := func(name string) (string, error) { return "", &exec.Error{Name: name, Err: exec.ErrNotFound} }
	for _, tt := range []struct {
		name, conf string
		change     func(*Options)
		want       string
		hint       string
	}{
		{"no programs", "PATCH=a", func(o *Options) { o.LookPath, o.Compression = none, debfile.XZ },
			"gcc-12, which modules of kernel 6.1.0-9-amd64 are built with, is not installed\n" +
				"make, which building modules needs, is not installed\npatch, which a source with PATCH needs, is not installed\n" +
				"xz, which --compression=xz needs, is not installed\nfoo/dkms.conf:4: PATCH: patches/a is not in the source", "install the package gcc-12"},
		{"no maintainer", "", func(o *Options) { o.FallbackMaint = "" }, "foo: no maintainer for package foo-modules-KVER", "set DEBEMAIL (and DEBFULLNAME), or pass --maintainer 'NAME <ADDRESS>'"},
		{"name of another kernel", "PACKAGE_NAME=foo$kernelver", func(*Options) {},
			"foo/dkms.conf:4: PACKAGE_NAME becomes \"foo6.1.0-9-amd64\" for kernel 6.1.0-9-amd64: the source is called foo", ""},
		{"module names that clash", "BUILT_MODULE_NAME=(a b); DEST_MODULE_NAME=(c c); DEST_MODULE_LOCATION=(/updates /updates)", func(*Options) {},
			"foo/dkms.conf:4: DEST_MODULE_NAME[1]: module c.ko is installed already, as index 0", ""},
		{"provides", "", func(o *Options) { o.Provides = []string{"a\nB: c"} }, "", ""},
	} {
		o := testOptions(t)
		tt.change(o)
		_, err := Plan(t.Context(), testSource(t, "foo", tt.conf), testTree(), o)
		if err == nil || tt.want != "" && err.Error() != tt.want {
			t.Errorf("%s: Plan() = %v; want %s", tt.name, err, tt.want)
		}
		var hinted interface{ Hint() string }
		if errors.As(err, &hinted); tt.hint != "" && (hinted == nil || hinted.Hint() != tt.hint) {
			t.Errorf("%s: no hint %q", tt.name, tt.hint)
		}
	}
}

func TestConfThatSpeaks(t *testing.T) {
	t.Parallel()
	c := mustPlan(t, testSource(t, "foo", "echo careful >&2"), testOptions(t))
	if len(c.Warnings) == 0 || !strings.Contains(c.Warnings[0].Error(), "it says, evaluated for kernel 6.1.0-9-amd64: careful") {
		t.Errorf("warnings: %v", c.Warnings)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		confs    [][2]string // name, more
		want     string
		excluded string
		err      string
	}{
		{"as given", [][2]string{{"a", ""}, {"b", ""}}, "a b", "", ""},
		{"needs first", [][2]string{{"a", "BUILD_DEPENDS=c"}, {"b", ""}, {"c", ""}}, "c a b", "", ""},
		{"diamond", [][2]string{{"a", "BUILD_DEPENDS=(b c)"}, {"b", "BUILD_DEPENDS=d"}, {"c", "BUILD_DEPENDS=d"}, {"d", ""}}, "d b c a", "", ""},
		{"unknown", [][2]string{{"a", "BUILD_DEPENDS='b c'"}}, "", "", "a/dkms.conf: BUILD_DEPENDS names b, which is not among the sources\na/dkms.conf: BUILD_DEPENDS names c, which is not among the sources"},
		{"cycle", [][2]string{{"a", "BUILD_DEPENDS=b"}, {"b", "BUILD_DEPENDS=a"}}, "", "", "a/dkms.conf: BUILD_DEPENDS form a cycle: a -> b -> a"},
		{"excluded need nothing", [][2]string{{"a", "BUILD_DEPENDS=b; BUILD_EXCLUSIVE_ARCH=arm"}}, "a", "a", ""},
		{"needs excluded", [][2]string{{"a", "BUILD_DEPENDS=b"}, {"b", "BUILD_DEPENDS=c"}, {"c", "BUILD_EXCLUSIVE_ARCH=arm"}, {"d", ""}}, "c b a d", "c b a", ""},
	} {
		o := testOptions(t)
		var cells []*Cell
		for _, conf := range tt.confs {
			cells = append(cells, mustPlan(t, testSource(t, conf[0], conf[1]), o))
		}
		ordered, err := Order(cells)
		if err != nil || tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: Order() = %v; want %s", tt.name, err, tt.err)
			}
			continue
		}
		var names, excluded []string
		for _, c := range ordered {
			names = append(names, c.Source.Name)
			if c.Conf.Excluded != nil {
				excluded = append(excluded, c.Source.Name)
			}
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
		if got := strings.Join(excluded, " "); got != tt.excluded {
			t.Errorf("%s: excluded: %s; want %s", tt.name, got, tt.excluded)
		}
	}
}

func TestOverrideFiles(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.OverrideDir = t.TempDir()
	var want []string
	for _, base := range []string{"foo", "foo-1.0", "foo-1.0-6.1.0-9-amd64", "foo-1.0-6.1.0-9-amd64-x86_64", "foo--6.1.0-9-amd64", "foo--6.1.0-9-amd64-x86_64"} {
		file := filepath.Join(o.OverrideDir, base+".conf")
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		want = append(want, file)
	}
	files, err := mustPlan(t, testSource(t, "foo", ""), o).files()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files[1:] {
		got = append(got, f.Path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files() (-want +got):\n%s", diff)
	}
}

// TestUnwritableRecord: a package without its record would count as half-done,
// so it goes again.
func TestUnwritableRecord(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.RecordDir = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(o.RecordDir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := mustPlan(t, testSource(t, "foo", ""), o)
	c.result = &Result{}
	r := &Result{Package: &PackageRecord{File: filepath.Join(o.Output, c.Package.FileName())}}
	if err := os.WriteFile(r.Package.File, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	file := r.Package.File
	c.complete(r)
	if _, err := os.Stat(file); r.Status != Failed || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("status %q; the package: %v", r.Status, err)
	}
}

// TestFailedPublish: what was published before stays, with its record; only
// whole new packages take the record's place.
func TestFailedPublish(t *testing.T) {
	t.Parallel()
	const stem, debug = "foo-modules-6.1.0-9-amd64_1.0_amd64", "foo-modules-6.1.0-9-amd64-dbgsym_1.0_amd64.deb"
	lost := func() (io.ReadCloser, error) { return nil, errors.New("lost") }
	good := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }
	for _, tt := range []struct {
		name         string
		module       func() (io.ReadCloser, error)
		debug        func() (io.ReadCloser, error) // nil: no debug symbols
		inTheWay     string                        // a directory of that name
		want         string                        // within the error
		old, written string                        // what is there at the end
	}{
		{"the only package", lost, nil, "", "lost", debug + " " + stem + ".deb " + stem + ".json", ""},
		{"debug symbols", good, lost, "", "lost", debug + " " + stem + ".deb " + stem + ".json", ""},
		{"after debug symbols", lost, good, "", "lost", debug + " " + stem + ".deb " + stem + ".json", ""},
		{"nowhere to put it", good, good, stem + ".deb", "file exists", "", ""},
		{"before the new record", good, good, "", "", "", debug + " " + stem + ".deb"},
		{"none before the new record", good, nil, "", "", "", stem + ".deb"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := mustPlan(t, testSource(t, "foo", ""), testOptions(t))
			for _, name := range []string{stem + ".deb", debug, stem + ".json"} {
				if err := os.WriteFile(filepath.Join(c.opts.Output, name), []byte("old"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if tt.inTheWay != "" {
				file := filepath.Join(c.opts.Output, tt.inTheWay)
				if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o755)); err != nil {
					t.Fatal(err)
				}
			}
			p := &packing{Package: c.Package, record: &Result{}}
			p.Modules = []bmdeb.Module{{Name: "foo", Suffix: ".ko", Size: 1, Open: tt.module}}
			if tt.debug != nil {
				p.debug = []bmdeb.DebugFile{{BuildID: []byte{1, 2, 3}, Size: 1, Open: tt.debug}}
			}
			err := c.publish(p)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("publish() = %v; want %s", err, tt.want)
			}
			old, written := oldAndNew(t, c.opts.Output)
			if old != tt.old || written != tt.written {
				t.Errorf("left: %q, new: %q; want %q and %q", old, written, tt.old, tt.written)
			}
			if r := p.record; (r.Package != nil) != (tt.want == "") || (r.Dbgsym != nil) != (tt.want == "" && tt.debug != nil) {
				t.Errorf("recorded: %v, %v", r.Package, r.Dbgsym)
			}
		})
	}
}

// oldAndNew are the names of the files in dir with the text "old", and of the
// others.
func oldAndNew(t *testing.T, dir string) (old, written string) {
	t.Helper()
	var names [2][]string
	for name := range strings.FieldsSeq(list(t, dir)) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case info.IsDir():
		case info.Size() == 3:
			names[0] = append(names[0], name)
		default:
			names[1] = append(names[1], name)
		}
	}
	return strings.Join(names[0], " "), strings.Join(names[1], " ")
}

func list(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestRemoveWork(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "work")
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"a/b", "a"} {
		if err := os.Chmod(filepath.Join(dir, d), 0o500); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveWork(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]person{
		"J <j@example.org>":              {"J", "j@example.org"},
		"J. Q. Doe <j@example.org>":      {"J. Q. Doe", "j@example.org"},
		"Doe, J (x) <j@example.org>":     {"Doe, J (x)", "j@example.org"},
		"Jürgen Müller <j@example.org>":  {"Jürgen Müller", "j@example.org"},
		"A <a@b.org>, B <b@example.org>": {"A", "a@b.org"},
	} {
		if got := address(in); got != want {
			t.Errorf("address(%q) = %+v; want %+v", in, got, want)
		}
	}
}
