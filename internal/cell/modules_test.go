// SPDX-License-Identifier: MIT

package cell

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/sandbox"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/kmod"
)

const release = "6.1.0-9-amd64"

// verifiable is a cell for a kernel that verification knows.
func verifiable(t *testing.T, name string, options ...string) *Cell {
	t.Helper()
	c := mustPlan(t, testSource(t, name, ""), testOptions(t))
	k := *c.Kernel.Tree
	k.Symvers = filepath.Join(t.TempDir(), "Module.symvers")
	if err := os.WriteFile(k.Symvers, []byte("0x1\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	k.Config = kernel.Config{"CONFIG_X86_64": "y", "CONFIG_SMP": "y", "CONFIG_MODULE_UNLOAD": "y"}
	for _, o := range options {
		k.Config[o] = "y"
	}
	c.Kernel = &target.Kernel{Tree: &k, Origin: target.Installed}
	c.Package.Kernel = &k
	return c
}

// built writes modules as a build leaves them.
func built(t *testing.T, modules ...testkit.Made) []kbuild.Module {
	t.Helper()
	var all []kbuild.Module
	for i, m := range modules {
		m.Release = release
		path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.ko", i))
		if err := os.WriteFile(path, m.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		name := "foo"
		for _, f := range m.Fields {
			if value, ok := strings.CutPrefix(f, "name="); ok {
				name = value
			}
		}
		all = append(all, kbuild.Module{Module: dkms.Module{BuiltName: name, DestName: name}, Path: path})
	}
	return all
}

func TestAddModules(t *testing.T) {
	t.Parallel()
	testkit.Tools(t, "xz")
	for _, tt := range []struct {
		name, option, suffix, compression string
	}{
		{"none", "CONFIG_MODULE_COMPRESS_NONE", ".ko", ""},
		{"xz", "CONFIG_MODULE_COMPRESS_XZ", ".ko.xz", "xz"},
		{"zstd", "CONFIG_MODULE_COMPRESS_ZSTD", ".ko.zst", "zstd"},
	} {
		c := verifiable(t, "foo", tt.option)
		c.compression = kmod.Compression(tt.compression)
		p := &packing{Package: c.Package, record: &Result{}}
		m := testkit.Made{Needs: map[string]uint32{"printk": 1}, Fields: []string{"version=1.2", "srcversion=ABC"}}
		other := m
		other.Fields = append([]string{"name=bar"}, m.Fields...)
		if err := c.addModules(t.Context(), p, built(t, m, other)); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if len(p.Modules) != 2 || p.Modules[0].Name != "foo" || p.Modules[1].Name != "bar" || p.Modules[0].Suffix != tt.suffix {
			t.Fatalf("%s: modules %+v", tt.name, p.Modules)
		}
		r := p.record.Modules[0]
		want := ModuleRecord{
			Name: "foo", File: "lib/modules/" + release + "/updates/dkms/foo" + tt.suffix, Version: "1.2", SrcVersion: "ABC",
			Vermagic: release + " SMP mod_unload ", Compression: tt.compression, SHA256: r.SHA256,
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("%s: record (-want +got):\n%s", tt.name, diff)
		}
		f, err := p.Modules[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil || int64(len(data)) != p.Modules[0].Size {
			t.Errorf("%s: %d bytes, %v; want %d", tt.name, len(data), err, p.Modules[0].Size)
		}
		v := p.record.Verified
		if diff := cmp.Diff(&VerifiedRecord{Checks: kmod.Checks(), Partial: []string{"override"}}, v); diff != "" {
			t.Errorf("%s: verified (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestPlanShowsCompression(t *testing.T) {
	t.Parallel()
	k := testTree()
	k.Config = kernel.Config{"CONFIG_MODULE_COMPRESS": "y", "CONFIG_MODULE_COMPRESS_ALL": "y", "CONFIG_MODULE_COMPRESS_XZ": "y"}
	c, err := Plan(t.Context(), testSource(t, "foo", ""), k, testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Describe()
	if want := "lib/modules/" + release + "/updates/dkms/foo.ko.xz"; err != nil || d.Modules[0].File != want {
		t.Errorf("Describe() = %+v, %v; want %s", d, err, want)
	}
	k.ConfigPath, k.Config["CONFIG_MODULE_COMPRESS_ZSTD"] = "/boot/config", "y"
	if _, err := Plan(t.Context(), testSource(t, "foo", ""), k, testOptions(t)); err == nil || !strings.HasPrefix(err.Error(), "/boot/config: kernel configuration: CONFIG_MODULE_COMPRESS_XZ and ") {
		t.Errorf("Plan() with two compressions: %v", err)
	}
}

// TestVerifyTogether: modules of a package, and those that it depends on,
// provide symbols to each other.
func TestVerifyTogether(t *testing.T) {
	t.Parallel()
	user := testkit.Made{Needs: map[string]uint32{"deep": 0}, Fields: []string{"depends=deep"}}
	c := verifiable(t, "foo")
	add := func() error {
		return c.addModules(t.Context(), &packing{Package: c.Package, record: &Result{}}, built(t, user))
	}
	const want = "foo.ko: symbol deep: exported by neither the kernel, this package nor those that it depends on [symbols]"
	if err := add(); err == nil || err.Error() != want {
		t.Errorf("alone: %v; want %s", err, want)
	}
	direct, deep := verifiable(t, "direct"), verifiable(t, "deep")
	deep.exports = map[string]kmod.Provided{"deep": {Export: kmod.Export{Name: "deep"}, Module: "deep.ko"}}
	direct.Depends, c.Depends = []*Cell{deep}, []*Cell{direct, deep}
	if err := add(); err != nil {
		t.Errorf("with what it depends on: %v", err)
	}
	if n := len(c.allDepends()); n != 2 {
		t.Errorf("allDepends() has %d cells; want 2", n)
	}
}

func TestVerifyFindings(t *testing.T) {
	t.Parallel()
	c := verifiable(t, "foo")
	c.opts.NoVerify = []string{"symbols", "btf"}
	many := testkit.Made{Needs: map[string]uint32{}, Fields: []string{"license=MIT", "vermagic=x "}}
	for i := range 25 {
		many.Needs[fmt.Sprintf("s%02d", i)] = 0
	}
	r := &Result{}
	err := c.addModules(t.Context(), &packing{Package: c.Package, record: r}, built(t, many))
	if e, ok := errors.AsType[*VerifyError](err); !ok || len(e.Findings) != 1 || e.Findings[0].Check != "vermagic" {
		t.Errorf("addModules() = %v", err)
	}
	if v := r.Verified; len(v.Errors) != 1 || len(v.Notes) != 1 || v.Notes[0].Check != "license" ||
		strings.Join(v.Skipped, " ") != "symbols btf" || len(v.Checks) != len(kmod.Checks())-2 {
		t.Errorf("verified: %+v", v)
	}
	if len(r.Warnings) != 0 {
		t.Errorf("notes of what was refused are told: %q", r.Warnings)
	}
	c.opts.NoVerify = []string{"vermagic"}
	err = c.addModules(t.Context(), &packing{Package: c.Package, record: &Result{}}, built(t, many))
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != mostFindings+2 || lines[0] != "modules do not pass verification:" || !strings.HasPrefix(lines[20], "foo.ko: symbol s19: ") || lines[21] != "and 5 more" {
		t.Errorf("addModules() = %v", err)
	}

	c.opts.NoVerify = []string{"vermagic", "symbols"}
	r = &Result{}
	if err := c.addModules(t.Context(), &packing{Package: c.Package, record: r}, built(t, many)); err != nil {
		t.Fatal(err)
	}
	want := []string{`foo/1.0 for 6.1.0-9-amd64: foo.ko: license "MIT" is none that the kernel knows as free: it will be tainted [license]`}
	if diff := cmp.Diff(want, r.Warnings); diff != "" || len(c.Warnings) == 0 || c.Warnings[len(c.Warnings)-1].Error() != want[0] {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestSignFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kbuild := filepath.Join(dir, "cache/linux-kbuild-6.1")
	if err := os.MkdirAll(filepath.Join(kbuild, "scripts"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(kbuild, "scripts/sign-file")
	k := &target.Kernel{Tree: &kernel.Tree{SourceDir: "/usr/src/linux-headers"}, Libraries: []string{"/run/gokms/lib/a", "/run/gokms/lib/b"}}
	if got := libraryPath(k); got != nil {
		t.Errorf("libraryPath() of installed libraries = %q", got)
	}
	k.Mounts = []sandbox.Mount{{Host: dir, Path: "/usr/src/x"}, {Host: kbuild, Path: "/usr/lib/linux-kbuild-6.1"}, {Host: "/c/b", Path: "/run/gokms/lib/b"}}
	if got := signFile(k); got != "/usr/src/linux-headers/scripts/sign-file" {
		t.Errorf("signFile() of headers = %s", got)
	}
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := signFile(k); got != file {
		t.Errorf("signFile() of a kbuild that is not installed = %s", got)
	}
	if got := strings.Join(libraryPath(k), " "); got != "LD_LIBRARY_PATH=/c/b" {
		t.Errorf("libraryPath() = %q", got)
	}
	// Only programs of the machine and its archive get the key.
	for origin, want := range map[target.Origin]string{
		target.Installed: file + " LD_LIBRARY_PATH=/c/b A=b", target.Archive: file + " LD_LIBRARY_PATH=/c/b A=b",
		target.Cached: file + " LD_LIBRARY_PATH=/c/b A=b", target.Given: " A=b",
	} {
		k.Origin = origin
		s := (&Signing{Key: "k", Env: []string{"A=b"}}).signer(k)
		if got := s.SignFile + " " + strings.Join(s.Env, " "); got != want {
			t.Errorf("signer() for headers that are %s = %s; want %s", origin, got, want)
		}
		if s := (&Signing{Key: "pkcs11:object=k"}).signer(k); s.SignFile != "" || s.Env != nil {
			t.Errorf("signer() for a token and headers that are %s = %s, %q", origin, s.SignFile, s.Env)
		}
	}
}

// TestStaleDebugSymbols: those of an earlier build go with a package without.
func TestStaleDebugSymbols(t *testing.T) {
	t.Parallel()
	c := mustPlan(t, testSource(t, "foo", ""), testOptions(t))
	file := filepath.Join(c.opts.Output, c.Package.DebugFileName())
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &packing{Package: c.Package, record: &Result{}}
	p.Modules = []bmdeb.Module{{Name: "foo", Suffix: ".ko", Size: 1, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }}}
	if err := c.publish(p); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) || p.record.Dbgsym != nil {
		t.Errorf("%s is there still: %v", file, err)
	}
}
