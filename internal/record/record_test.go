// SPDX-License-Identifier: MIT

package record

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/archive"
)

var zeros = strings.Repeat("0", 64)

// sample is a whole record.
func sample() *Record {
	return &Record{
		Format: Format, Gokms: "0.1", Arguments: []string{"--name=a<b"}, Environment: map[string]string{"SOURCE_DATE_EPOCH": "1"},
		Inputs:  []Input{{Option: "--copyright", Path: "/c", SHA256: zeros}},
		Sources: []Source{{Argument: "foo", Kind: Directory, Path: "/foo", SHA256: zeros, Date: 1700000000}},
		Kernels: []Kernel{{
			Release: "6.1.0-1-amd64", Architecture: "amd64", Origin: "archive",
			Headers:  []Headers{{Package: archive.Package{Name: "linux-headers-6.1.0-1-amd64", Version: "6.1-1", Architecture: "amd64", SHA256: zeros}}},
			Compiler: Tool{Command: "gcc-12", Version: "gcc-12 12.2"},
		}},
		Tools:    []Tool{{Command: "xz", Version: "xz 5"}},
		Packages: []Package{{File: "foo-modules_1_amd64.deb", Name: "foo-modules", Version: "1", Architecture: "amd64", SHA256: zeros}},
	}
}

func TestWriteRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "record.json")
	for range 2 { // over the first
		if err := Write(path, sample()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(path)
	if diff := cmp.Diff(sample(), got); err != nil || diff != "" {
		t.Errorf("%v; (-written +read):\n%s", err, diff)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v beside the record", entries, err)
	}
	if err := Write(filepath.Join(path, "x"), sample()); err == nil {
		t.Error("a record in a file is no error")
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Record)
		want   string
	}{
		{"format", func(r *Record) { r.Format = 2 }, "no record of a build in format 1: its format is 2"},
		{"empty", func(r *Record) { r.Sources = nil }, "0 sources, 1 kernels, 1 packages: want at least one of each"},
		{"sum", func(r *Record) { r.Sources[0].SHA256 = "00" }, `source foo: sha256 "00" is none`},
		{"input", func(r *Record) { r.Inputs[0].SHA256 = "" }, `--copyright: sha256 "" is none`},
		{"result", func(r *Record) { r.Packages[0].SHA256 = zeros + "0" }, `package foo-modules_1_amd64.deb: sha256 "` + zeros + `0" is none`},
		{"file", func(r *Record) { r.Packages[0].File = "../x" }, `package file "../x": want a name without a directory`},
		{"release", func(r *Record) { r.Kernels[0].Release = "-x" }, `kernel release "-x" begins with "-"`},
		{"no headers", func(r *Record) { r.Kernels[0].Headers = nil }, "kernel 6.1.0-1-amd64: neither packages nor trees of headers"},
		{"header", func(r *Record) { r.Kernels[0].Headers[0].SHA256 = "" }, `package linux-headers-6.1.0-1-amd64: sha256 "" is none`},
		{"program", func(r *Record) { r.Kernels[0].Compiler.Command = "../../tmp/cc" }, `tool "../../tmp/cc": want the name of a program`},
		{"tool", func(r *Record) { r.Tools[0].Command = "/tmp/xz" }, `tool "/tmp/xz": want the name of a program`},
		{"tool's package", func(r *Record) { r.Tools[0].Package = "--admindir=/x" }, `tool xz: package name "--admindir=/x" does not begin with a letter or digit`},
		{"header's name", func(r *Record) { r.Kernels[0].Headers[0].Name = "-o" }, `package name "-o" does not begin with a letter or digit`},
		{"header's version", func(r *Record) { r.Kernels[0].Headers[0].Version = "1 2" }, `package linux-headers-6.1.0-1-amd64: version "1 2": character " " in upstream version`},
		{"header's architecture", func(r *Record) { r.Kernels[0].Headers[0].Architecture = "a/../b" }, `package linux-headers-6.1.0-1-amd64: architecture name "a/../b": want small letters, digits and "-"`},
		{"given", func(r *Record) { r.Kernels[0].Given = "h" }, `kernel 6.1.0-1-amd64: given "h": want an absolute path`},
		{"tree", func(r *Record) { r.Kernels[0].Trees = []Tree{{Path: "/t"}} }, `tree /t: sha256 "" is none`},
	} {
		r := sample()
		tt.change(r)
		path := filepath.Join(t.TempDir(), "r")
		if err := Write(path, r); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || err.Error() != path+": "+tt.want {
			t.Errorf("%s: %v; want %s", tt.name, err, tt.want)
		}
	}
	if _, err := Read("/nonexistent/r"); err == nil || err.Error() != "/nonexistent/r: no such file or directory" {
		t.Errorf("no file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"format":1,"sources":[{"sha256":"` + zeros + `"}],"kernels":[{"release":"6.1","trees":[{"sha256":"` + zeros + `"}]}],"packages":[{"file":"a","sha256":"` + zeros + `"}]}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parse(text)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "r")
		if err := Write(path, r); err != nil {
			t.Fatal(err)
		}
		again, err := Read(path)
		if diff := cmp.Diff(r, again, cmp.Transformer("nilmaps", func(m map[string]string) int { return len(m) })); err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

// TestSum changes a tree and wants to know by its sum.
func TestSum(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("a/b.c", "int b;\n")
	sum := func() string {
		s, err := Sum(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := sum()
	for _, tt := range []struct {
		name    string
		do      func() error
		changes bool
	}{
		{"git", func() error { write(".git/HEAD", "x"); return nil }, false},
		{"own results", func() error {
			write("foo-modules-6.1_1_amd64.deb", "x")
			write("foo-modules-6.1_1_amd64.failed.log", "x")
			return nil
		}, false},
		{"another mode", func() error { return os.Chmod(filepath.Join(dir, "a/b.c"), 0o600) }, false},
		{"executable", func() error { return os.Chmod(filepath.Join(dir, "a/b.c"), 0o700) }, true},
		{"content", func() error { write("a/b.c", "int c;\n"); return nil }, true},
		{"link", func() error { return os.Symlink("b.c", filepath.Join(dir, "a/l")) }, true},
		{"directory", func() error { return os.Mkdir(filepath.Join(dir, "empty"), 0o755) }, true},
		{"renamed", func() error { return os.Rename(filepath.Join(dir, "a/b.c"), filepath.Join(dir, "a/d.c")) }, true},
	} {
		before := sum()
		if err := tt.do(); err != nil {
			t.Fatal(err)
		}
		if (sum() != before) != tt.changes {
			t.Errorf("%s: changed %v; want %v", tt.name, sum() != before, tt.changes)
		}
	}
	if first == sum() {
		t.Error("all changes together give the first sum")
	}
	write("file", "abc")
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-4
	if s, err := Sum(t.Context(), filepath.Join(dir, "file")); err != nil || s != abc {
		t.Errorf("sum of a file: %s, %v", s, err)
	}
}

func TestTool(t *testing.T) {
	t.Parallel()
	a := Asker{
		LookPath: func(name string) (string, error) {
			if name == "none" {
				return "", exec.ErrNotFound
			}
			return "/bin/" + name, nil
		},
		Run: func(cmd *exec.Cmd) error {
			if cmd.Args[0] == "dpkg-query" {
				_, err := cmd.Stdout.Write([]byte("12.2.0-14\n"))
				return err
			}
			_, err := cmd.Stdout.Write([]byte(strings.Join(cmd.Args, " ") + " 12.2\nmore\n"))
			return err
		},
	}
	got := a.Tool(t.Context(), "gcc-12", "gcc-12")
	want := Tool{Command: "gcc-12", Version: "/bin/gcc-12 --version 12.2", Package: "gcc-12", PackageVersion: "12.2.0-14"}
	if got != want {
		t.Errorf("tool %+v; want %+v", got, want)
	}
	if got := a.Tool(t.Context(), "none", "none"); got != (Tool{Command: "none", Package: "none"}) {
		t.Errorf("a tool that is not there: %+v", got)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	was := Tool{Command: "gcc-12", Version: "12.2", Package: "gcc-12", PackageVersion: "1"}
	for _, tt := range []struct {
		now  Tool
		want string
	}{
		{was, ""},
		{Tool{Version: "12.2"}, ""},
		{Tool{}, "gcc-12 is not installed; it was 12.2"},
		{Tool{Version: "12.3", PackageVersion: "2"}, "gcc-12 is 12.3; it was 12.2"},
		{Tool{Version: "12.2", PackageVersion: "2"}, "gcc-12 is of gcc-12 2; it was of 1"},
	} {
		if got := was.Compare(tt.now); got != tt.want {
			t.Errorf("%+v: %q; want %q", tt.now, got, tt.want)
		}
	}
}

// TestArguments reads what records may have as arguments, and what no more than
// a hostile one has.
func TestArguments(t *testing.T) {
	t.Parallel()
	const (
		none  = "it is no option that a record may have"
		form  = "it is not in the form of a record"
		bare  = "the record has no checksum of what is there"
		isRel = "want an absolute path"
	)
	for _, tt := range []struct{ arg, want string }{
		{"--name=--output=/x", ""},
		{"--coexist", ""},
		{"--directive=MAKE=id > x; false", ""},
		{"--modules-root=/m", ""},
		{"--copyright=/c", ""},
		{"--depmod-config=/d", ""},
		{"--depmod-config=/d/", ""},
		{"--depmod-config=/d/e", bare},
		{"--copyright=/etc/shadow", bare},
		{"--overrides=/c", bare},
		{"--copyright=c", isRel},
		{"--modules-root=m", isRel},
		{"--coexist=no", form},
		{"--name", form},
		{"--sandbox=off", none}, {"--record=/x", none}, {"--log-dir=/x", none}, {"--output=/x", none}, {"--cache-dir=/x", none},
		{"--apt-options=-o x=y", none}, {"--sign-key=/k", none}, {"--sign-pin-file=/k", none}, {"--keep-build", none},
		{"-n", none}, {"-o/x", none}, {"--", none}, {"", none}, {"name=x", none}, {"---name=x", none}, {"MAKE=x", none},
	} {
		r := sample()
		r.Arguments = []string{tt.arg}
		r.Inputs = append(r.Inputs, Input{Option: "--depmod-config", Path: "/d/etc/depmod.d", SHA256: zeros})
		want := ""
		if tt.want != "" {
			want = fmt.Sprintf("argument %q: %s", tt.arg, tt.want)
		}
		if err := errors.Join(r.check()...); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%q: %v; want %q", tt.arg, err, want)
		}
	}
}
