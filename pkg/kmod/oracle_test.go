// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// built is where the modules of testdata/module were compiled, once per run.
var built struct {
	sync.Once
	dir, release string
	err          error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// modules are the two modules of testdata/module, built for the first kernel
// that has headers.
func modules(t *testing.T) []string {
	t.Helper()
	testkit.Tools(t, "make", "gcc", "modinfo", "nm", "readelf")
	releases := testkit.Kernels(t)
	built.Do(func() {
		built.release = releases[0]
		if built.dir, built.err = os.MkdirTemp("", "kmod-test-"); built.err != nil {
			return
		}
		if built.err = os.CopyFS(built.dir, os.DirFS("testdata/module")); built.err != nil {
			return
		}
		out, err := exec.Command("make", "-C", "/lib/modules/"+built.release+"/build", "M="+built.dir).CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("make: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return []string{filepath.Join(built.dir, "gokms_provider.ko"), filepath.Join(built.dir, "gokms-everything.ko")}
}

// output is what a program prints.
func output(t *testing.T, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v", argv, err)
	}
	return string(out)
}

// compressed makes path.EXT beside path and returns its name.
func compressed(t *testing.T, path, ext string) string {
	t.Helper()
	argv := map[string][]string{
		".xz":  {"xz", "-k", "-f", "--check=crc32", "--lzma2=dict=1MiB"},
		".gz":  {"gzip", "-k", "-f", "-9"},
		".zst": {"zstd", "-q", "-f", "--ultra", "-20"},
	}[ext]
	testkit.Tools(t, argv[0])
	output(t, append(argv, path)...)
	return path + ext
}

func TestOracleModinfo(t *testing.T) {
	for _, path := range modules(t) {
		files := []string{path}
		for _, ext := range []string{".xz", ".gz", ".zst"} {
			files = append(files, compressed(t, path, ext))
		}
		for _, file := range files {
			m, err := Open(file)
			if err != nil {
				t.Fatal(err)
			}
			// Debian's kmod is built without zlib and finds no .ko.gz.
			if filepath.Ext(file) == ".gz" {
				file = path
			}
			compareModinfo(t, file, m.Info())
		}
	}
}

// compareModinfo compares every field and the parameters with modinfo's.
func compareModinfo(t *testing.T, path string, info Info) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range info.Fields {
		if f.Key == "parm" || seen[f.Key] {
			continue
		}
		seen[f.Key] = true
		want := output(t, "modinfo", "-0", "-F", f.Key, path)
		if got := strings.Join(append(info.Values(f.Key), ""), "\x00"); got != want {
			t.Errorf("%s: %s = %q; modinfo says %q", path, f.Key, got, want)
		}
	}
	var parms, order string
	for _, p := range info.Params {
		parms += p.Name + ":" + p.Description
		if p.Type != "" {
			parms += " (" + p.Type + ")"
		}
		parms += "\x00"
	}
	if want := output(t, "modinfo", "-0", "-F", "parm", path); parms != want {
		t.Errorf("%s: Params = %q; modinfo says %q", path, parms, want)
	}
	for _, f := range info.Fields {
		if f.Key != "parm" && f.Key != "parmtype" {
			order += f.Key + "=" + f.Value + "\x00"
		}
	}
	_, want, _ := strings.Cut(output(t, "modinfo", "-0", path), "\x00")
	want, _, _ = strings.Cut(want, "parm:")
	if order != want {
		t.Errorf("%s: Fields = %q; modinfo says %q", path, order, want)
	}
}

// TestOracleTyped compares the fields of Info that are made from others.
func TestOracleTyped(t *testing.T) {
	for _, path := range modules(t) {
		m, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		i := m.Info()
		for key, got := range map[string][]string{
			"name": {i.Name}, "vermagic": {i.Vermagic}, "license": {i.License}, "author": i.Authors, "alias": i.Aliases,
			"firmware": i.Firmware, "import_ns": i.ImportNS, "depends": {strings.Join(i.Depends, ",")},
		} {
			want := output(t, "modinfo", "-0", "-F", key, path)
			if all := strings.Join(append(slices.Clone(got), ""), "\x00"); all != want {
				t.Errorf("%s: %s = %q; modinfo says %q", path, key, all, want)
			}
		}
		if err := m.CheckRelease(built.release); err != nil {
			t.Error(err)
		}
		if m.CheckRelease(built.release+"x") == nil {
			t.Errorf("CheckRelease(%sx) = nil", built.release)
		}
	}
	m, err := Open(modules(t)[1])
	if err != nil {
		t.Fatal(err)
	}
	i := m.Info()
	if i.Version != "1.2.3-rc4 (beta)" || i.Description != "Grüße, 日本: a = b; it's 100 %" || i.SrcVersion == "" || len(i.Params) != 5 {
		t.Errorf("Info() = %+v", i)
	}
}

func TestOracleSymbols(t *testing.T) {
	paths := modules(t)
	vmlinux := symvers(t, "/lib/modules/"+built.release+"/build/Module.symvers")
	own := symvers(t, filepath.Join(filepath.Dir(paths[0]), "Module.symvers"))
	for _, path := range paths {
		m, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var needs, undefined []string
		for _, n := range m.Needs {
			needs = append(needs, n.Name)
			want, ok := vmlinux[n.Name]
			if !ok {
				want, ok = own[n.Name]
			}
			if n.HasCRC != ok || ok && n.CRC != want.CRC {
				t.Errorf("%s: needs %+v; Module.symvers has %+v", path, n, want)
			}
			if n.Weak != (n.Name == "gokms_nobody_has_this") {
				t.Errorf("%s: %s: Weak = %v", path, n.Name, n.Weak)
			}
		}
		for line := range strings.Lines(output(t, "nm", "-u", path)) {
			undefined = append(undefined, strings.Fields(line)[1])
		}
		slices.Sort(needs)
		slices.Sort(undefined)
		if !slices.Equal(needs, undefined) {
			t.Errorf("%s: needs %q; nm -u says %q", path, needs, undefined)
		}
		if layout := (Version{"module_layout", vmlinux["module_layout"].CRC}); !slices.Contains(m.Versions, layout) {
			t.Errorf("%s: Versions = %v; want %v among them", path, m.Versions, layout)
		}
	}
	m, err := Open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range m.Exports {
		if e != own[e.Name] {
			t.Errorf("exports %+v; Module.symvers has %+v", e, own[e.Name])
		}
	}
	if len(m.Exports) != len(own) || len(own) != 4 {
		t.Errorf("%d exports; Module.symvers has %d", len(m.Exports), len(own))
	}
}

// symvers reads a Module.symvers.
func symvers(t *testing.T, path string) map[string]Export {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Export{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(data), "\n"), "\n") {
		f := strings.Split(line, "\t")
		crc, err := strconv.ParseUint(f[0], 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		all[f[1]] = Export{f[1], uint32(crc), true, f[3] == "EXPORT_SYMBOL_GPL", f[4]}
	}
	return all
}

func TestOracleReadelf(t *testing.T) {
	for _, path := range modules(t) {
		for _, strip := range []string{"", "strip"} {
			file := filepath.Join(t.TempDir(), filepath.Base(path))
			output(t, "cp", path, file)
			if strip != "" {
				if err := Strip(t.Context(), file, nil); err != nil {
					t.Fatal(err)
				}
			}
			m, err := Open(file)
			if err != nil {
				t.Fatal(err)
			}
			header, sections, notes := output(t, "readelf", "-hW", file), output(t, "readelf", "-SW", file), output(t, "readelf", "-nW", file)
			if id := hex.EncodeToString(m.BuildID); id == "" || !strings.Contains(notes, "Build ID: "+id) {
				t.Errorf("%s: BuildID = %q; readelf says %s", file, id, notes)
			}
			if m.Debug != strings.Contains(sections, " .debug_") || m.Debug == (strip != "") {
				t.Errorf("%s: Debug = %v; readelf says %s", file, m.Debug, sections)
			}
			if m.BTF != strings.Contains(sections, " .BTF ") {
				t.Errorf("%s: BTF = %v; readelf says %s", file, m.BTF, sections)
			}
			if class := strings.TrimPrefix(m.Class.String(), "ELFCLASS"); !strings.Contains(header, "ELF"+class) {
				t.Errorf("%s: Class = %v; readelf says %s", file, m.Class, header)
			}
		}
	}
}

func TestOracleStrip(t *testing.T) {
	for name, o := range map[string]*Options{"strip": {}, "llvm-strip": {LLVM: "1"}} {
		testkit.Tools(t, name)
		for _, path := range modules(t) {
			ours, theirs := filepath.Join(t.TempDir(), "m.ko"), filepath.Join(t.TempDir(), "m.ko")
			output(t, "cp", path, ours)
			output(t, "cp", path, theirs)
			output(t, name, "-g", theirs)
			if err := Strip(t.Context(), ours, o); err != nil {
				t.Fatal(err)
			}
			a, err := os.ReadFile(ours)
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(theirs)
			if err != nil {
				t.Fatal(err)
			}
			original, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a, b) || int64(len(a)) >= original.Size() {
				t.Errorf("Strip(%s) by %s gives %d bytes; the program itself %d of %d", path, name, len(a), len(b), original.Size())
			}
		}
	}
}

func TestOracleSignature(t *testing.T) {
	testkit.Tools(t, "openssl")
	path := modules(t)[0]
	signer := "/lib/modules/" + built.release + "/build/scripts/sign-file"
	testkit.Tools(t, signer)
	dir := t.TempDir()
	key, cert, signed := filepath.Join(dir, "key"), filepath.Join(dir, "cert"), filepath.Join(dir, "gokms_provider.ko")
	output(t, "openssl", "req", "-new", "-x509", "-nodes", "-days", "2", "-subj", "/CN=kmod test", "-newkey", "rsa:2048", "-keyout", key, "-outform", "DER", "-out", cert)
	output(t, signer, "sha256", key, cert, path, signed)
	m, err := Open(signed)
	if err != nil {
		t.Fatal(err)
	}
	original, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s := m.Signature
	if s == nil || !s.PKCS7() || s.Offset != original.Size() || s.Len < 256 {
		t.Fatalf("Signature = %+v; want one that begins at %d", s, original.Size())
	}
	if signer := output(t, "modinfo", "-F", "signer", signed); strings.TrimSpace(signer) != "kmod test" {
		t.Errorf("modinfo -F signer = %q", signer)
	}
	if err := Strip(t.Context(), signed, nil); err != nil {
		t.Fatal(err)
	}
	if m, err := Open(signed); err != nil || m.Signature != nil {
		t.Errorf("after strip: Signature = %v, %v; want none", m.Signature, err)
	}
}

// TestOracleTruncated cuts a real module at places all over it.
func TestOracleTruncated(t *testing.T) {
	data, err := os.ReadFile(modules(t)[1])
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(data)-1; n += len(data)/500 + 1 {
		if _, err := read(data[:n], "m.ko"); err == nil {
			t.Errorf("Read() of %d bytes of %d = nil; want an error", n, len(data))
		}
	}
}
