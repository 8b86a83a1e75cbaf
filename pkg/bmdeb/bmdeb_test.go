// SPDX-License-Identifier: MIT

package bmdeb

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/pkg/kernel"
)

const kver = "6.1.0-56-amd64"

// example is the package that the i40e example yields.
func example() *Package {
	return &Package{
		Name: "i40e", Version: "2.4.6-1", Source: "i40e", SourceVersion: "2.4.6-1",
		Maintainer: "A Maintainer <a@example.org>", Homepage: "https://example.org/i40e",
		Description: "Words of the source.\n.\nMore words.",
		Kernel: &kernel.Tree{
			Release: kver, DebArch: "amd64", ModulesDir: "lib/modules",
			Header:        kernel.HeaderPackage{Source: "linux", SourceVersion: "6.1.192-2"},
			ImagePackages: []string{"linux-image-" + kver, "linux-image-" + kver + "-unsigned"},
		},
		Modules:      []Module{module("i40e")},
		DKMSPackages: []string{"i40e-dkms"},
		Changelog:    []byte("changelog"), Copyright: []byte("copyright"),
		ModTime: time.Unix(1500000000, 0),
	}
}

func module(name string) Module {
	return Module{Name: name, Suffix: ".ko", Size: 2, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("ko")), nil
	}}
}

func TestControlOfTheExample(t *testing.T) {
	stanza, err := example().Control()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range stanza.Fields {
		got = append(got, f.Name+": "+f.Value)
	}
	want := []string{
		"Package: i40e-modules-6.1.0-56-amd64",
		"Source: i40e",
		"Version: 2.4.6-1",
		"Architecture: amd64",
		"Maintainer: A Maintainer <a@example.org>",
		"Depends: linux-image-6.1.0-56-amd64 | linux-image-6.1.0-56-amd64-unsigned",
		"Conflicts: i40e-dkms",
		"Replaces: i40e-dkms",
		"Provides: i40e-modules (= 2.4.6-1)",
		"Built-Using: linux (= 6.1.192-2)",
		"Section: kernel",
		"Priority: optional",
		"Homepage: https://example.org/i40e",
		"Description: i40e kernel module for Linux 6.1.0-56-amd64\n" +
			"This package contains the kernel module i40e, compiled for Linux\n" +
			"6.1.0-56-amd64 and ready to be loaded: neither dkms, nor a compiler, nor\n" +
			"kernel headers are needed.\n.\ni40e-dkms, which it was built from, says of itself:\n.\nWords of the source.\n.\nMore words.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Control() differs (-want +got):\n%s", diff)
	}
}

func TestFields(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Package)
		field  string
		want   string
	}{
		{"revision makes source version differ", func(p *Package) { p.Version = "2.4.6-1+r1" }, "Source", "i40e (2.4.6-1)"},
		{"siblings", func(p *Package) { p.Siblings = []Sibling{{"base", "1-1"}} }, "Depends",
			"linux-image-6.1.0-56-amd64 | linux-image-6.1.0-56-amd64-unsigned, base-modules-6.1.0-56-amd64 (= 1-1)"},
		{"coexist has no rivals", func(p *Package) { p.Coexist = true }, "Conflicts", ""},
		{"who provides the dkms package does not conflict with it",
			func(p *Package) { p.Provides = []string{"i40e-dkms (= 2.4.6-1)"} }, "Conflicts", ""},
		{"provides", func(p *Package) { p.Provides = []string{"x"} }, "Provides", "i40e-modules (= 2.4.6-1), x"},
		{"no header package", func(p *Package) { p.Kernel.Header = kernel.HeaderPackage{} }, "Built-Using", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := example()
			tt.change(p)
			stanza, err := p.Control()
			if err != nil {
				t.Fatal(err)
			}
			if got := stanza.Get(tt.field); got != tt.want {
				t.Errorf("%s = %q; want %q", tt.field, got, tt.want)
			}
		})
	}
}

func TestSynopsisStaysBelow80(t *testing.T) {
	p := example()
	p.Name = strings.Repeat("long", 12)
	stanza, err := p.Control()
	if err != nil {
		t.Fatal(err)
	}
	synopsis, _, _ := strings.Cut(stanza.Get("Description"), "\n")
	if len(synopsis) >= 80 || !strings.Contains(synopsis, kver) {
		t.Errorf("synopsis = %q (%d bytes)", synopsis, len(synopsis))
	}
}

func TestFiles(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Package)
		want   []string
	}{
		{"example", func(*Package) {}, []string{
			"lib/modules/6.1.0-56-amd64/updates/dkms/i40e.ko",
			"usr/share/doc/i40e-modules-6.1.0-56-amd64/changelog.Debian.gz",
			"usr/share/doc/i40e-modules-6.1.0-56-amd64/copyright"}},
		{"native, coexisting, merged /usr, no copyright", func(p *Package) {
			p.Version, p.SourceVersion, p.Coexist, p.Kernel.ModulesDir, p.Copyright = "2.4.6", "2.4.6", true, "usr/lib/modules", nil
		}, []string{
			"usr/lib/modules/6.1.0-56-amd64/updates/gokms/i40e.ko",
			"usr/share/doc/i40e-modules-6.1.0-56-amd64/changelog.gz"}},
		{"dest-dir", func(p *Package) { p.DestDir, p.Copyright = "extra", nil }, []string{
			"lib/modules/6.1.0-56-amd64/extra/i40e.ko",
			"usr/share/doc/i40e-modules-6.1.0-56-amd64/changelog.Debian.gz"}},
		{"lines for depmod", func(p *Package) { p.DepmodConf, p.Copyright = []byte("override\n"), nil }, []string{
			"lib/modules/6.1.0-56-amd64/updates/dkms/i40e.ko",
			"usr/lib/depmod.d/i40e-modules-6.1.0-56-amd64.conf",
			"usr/share/doc/i40e-modules-6.1.0-56-amd64/changelog.Debian.gz"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := example()
			tt.change(p)
			deb, err := p.Deb()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range deb.Files {
				got = append(got, f.Path)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("files differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDebRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Package)
		want   string
	}{
		{"no modules", func(p *Package) { p.Modules = nil }, "no modules"},
		{"two of a name", func(p *Package) { p.Modules = append(p.Modules, module("i40e")) }, "two modules named i40e"},
		{"destination outside", func(p *Package) { p.DestDir = "../x" }, `directory for modules "../x"`},
		{"absolute destination", func(p *Package) { p.DestDir = "/x" }, `directory for modules "/x"`},
		{"version", func(p *Package) { p.Version = "a b" }, "version"},
		{"relation", func(p *Package) { p.Provides = []string{"a (="} }, "Provides"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := example()
			tt.change(p)
			if _, err := p.Deb(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Deb() = %v; want an error with %q", err, tt.want)
			}
		})
	}
}

func TestModuleName(t *testing.T) {
	for _, tt := range []struct{ in, want, err string }{
		{in: "v4l2loopback", want: "v4l2loopback"},
		{in: "librem_ec_acpi", want: "librem-ec-acpi"},
		{in: "jool-dkms", want: "jool"},
		{in: "RTL8812AU", want: "rtl8812au"},
		{in: "a b", err: `PACKAGE_NAME "a b"`},
		{in: "-x", err: `PACKAGE_NAME "-x"`},
	} {
		got, err := ModuleName(tt.in)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("ModuleName(%q) = %q, %v; want %q, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, tt := range []struct{ in, want, err string }{
		{in: "0.12.7", want: "0.12.7"},
		{in: "v1.2", want: "1.2"},
		{in: "1.0_rc1", want: "1.0~rc1"},
		{in: "1.9.1-5", want: "1.9.1-5"},
		{in: "very", err: `PACKAGE_VERSION "very"`},
		{in: "1 2", err: `PACKAGE_VERSION "1 2"`},
	} {
		got, err := Version(tt.in)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("Version(%q) = %q, %v; want %q, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestFileNameHasNoEpoch(t *testing.T) {
	p := example()
	p.Version = "2:1.0-1"
	if got, want := p.FileName(), "i40e-modules-6.1.0-56-amd64_1.0-1_amd64.deb"; got != want {
		t.Errorf("FileName() = %q; want %q", got, want)
	}
}

func TestScriptsAreShell(t *testing.T) {
	p := example()
	p.Kernel.Release = `o'dd"$(touch x)`
	p.Modules = []Module{module("a'b"), module("c-d_e.f")}
	for name, text := range scripts(p) {
		cmd := exec.Command("sh", "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("sh -n %s: %v: %s\n%s", name, err, out, text)
		}
	}
}

// TestScriptsRunDepmod runs the scripts with DPKG_ROOT and a stand-in depmod.
func TestScriptsRunDepmod(t *testing.T) {
	for _, tt := range []struct {
		script, arg string
		kernel      bool
		want        bool
	}{
		{"postinst", "configure", true, true},
		{"postinst", "configure", false, false},
		{"postinst", "abort-upgrade", true, false},
		{"postrm", "remove", true, true},
		{"postrm", "remove", false, false},
		{"postrm", "purge", true, false},
		{"postrm", "upgrade", true, false},
	} {
		root, bin := t.TempDir(), t.TempDir()
		ran := filepath.Join(bin, "ran")
		stub := "#!/bin/sh\necho \"$@\" > " + ran + "\n"
		if err := os.WriteFile(filepath.Join(bin, "depmod"), []byte(stub), 0o755); err != nil {
			t.Fatal(err)
		}
		if tt.kernel {
			dir := filepath.Join(root, "lib/modules", kver)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "modules.order"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("sh", "-s", tt.arg)
		cmd.Stdin = strings.NewReader(scripts(example())[tt.script])
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "DPKG_ROOT=" + root}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v: %s", tt.script, tt.arg, err, out)
		}
		args, err := os.ReadFile(ran)
		if got := err == nil; got != tt.want {
			t.Errorf("%s %s (kernel there: %v): depmod ran: %v; want %v", tt.script, tt.arg, tt.kernel, got, tt.want)
		}
		if want := "-b " + root + "/ " + kver + "\n"; tt.want && string(args) != want {
			t.Errorf("depmod %q; want %q", args, want)
		}
	}
}

func TestPatternsMatchOwnFilesOnly(t *testing.T) {
	p := example()
	p.Modules, p.DestDir = []Module{module("v4l2-loop.back")}, DefaultDestDir
	for _, tt := range []struct {
		pattern, line string
		want          bool
	}{
		{namePattern(p), "usr/lib/modules/K/kernel/v4l2_loop.back.ko", true},
		{namePattern(p), "usr/lib/modules/K/kernel/v4l2-loop.back.ko.xz", true},
		{namePattern(p), "usr/lib/modules/K/kernel/v4l2-loopxback.ko", false},
		{namePattern(p), "usr/lib/modules/K/kernel/my-v4l2-loop.back.ko", false},
		{pathPattern(p), "usr/lib/modules/K/updates/dkms/v4l2-loop.back.ko", true},
		{pathPattern(p), "usr/lib/modules/K/kernel/v4l2-loop.back.ko", false},
	} {
		cmd := exec.Command("grep", "-q", "-E", tt.pattern)
		cmd.Stdin = strings.NewReader(tt.line + "\n")
		if got := cmd.Run() == nil; got != tt.want {
			t.Errorf("grep -E %q on %q = %v; want %v", tt.pattern, tt.line, got, tt.want)
		}
	}
}

func TestDebugDeb(t *testing.T) {
	p := example()
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("d")), nil }
	deb, err := p.DebugDeb([]DebugFile{
		{BuildID: []byte{0xfe, 1, 2}, Size: 1, Open: open}, {BuildID: []byte{0xab, 0xcd}, Size: 1, Open: open},
		{BuildID: []byte{0xfe, 1, 2}, Size: 1, Open: open},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range deb.Files {
		got = append(got, f.Path+" "+f.Target)
	}
	want := []string{
		"usr/lib/debug/.build-id/fe/0102.debug ",
		"usr/lib/debug/.build-id/ab/cd.debug ",
		"usr/share/doc/i40e-modules-6.1.0-56-amd64-dbgsym i40e-modules-6.1.0-56-amd64",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files differ (-want +got):\n%s", diff)
	}
	for field, want := range map[string]string{
		"Package": "i40e-modules-6.1.0-56-amd64-dbgsym", "Auto-Built-Package": "debug-symbols", "Section": "debug",
		"Depends": "i40e-modules-6.1.0-56-amd64 (= 2.4.6-1)", "Build-Ids": "abcd fe0102", "Source": "i40e",
	} {
		if got := deb.Control.Get(field); got != want {
			t.Errorf("%s = %q; want %q", field, got, want)
		}
	}
	if got, want := p.DebugFileName(), "i40e-modules-6.1.0-56-amd64-dbgsym_2.4.6-1_amd64.deb"; got != want {
		t.Errorf("DebugFileName() = %q; want %q", got, want)
	}
	if _, err := p.DebugDeb([]DebugFile{{BuildID: []byte{1}, Open: open}}); err == nil {
		t.Error("DebugDeb with a build-id of one byte = nil")
	}
}

func TestCheckProvides(t *testing.T) {
	for text, want := range map[string]bool{
		"a-modules": true, "a-modules (= 1.0-1)": true,
		"": false, "a|b": false, "a | b": false, "a, b": false, "a,": false, "a (>= 1)": false, "a [amd64]": false,
		"a <!x>": false, "${a:b}": false, "a (= -)": false, "a:any": false, "A_b": false, "a\nEvil: x": false,
	} {
		if err := CheckProvides(text); (err == nil) != want {
			t.Errorf("CheckProvides(%q) = %v; want accepted: %v", text, err, want)
		}
	}
}
