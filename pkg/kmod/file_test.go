// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// minimal is the least that is a module.
var minimal = testkit.Section{Name: ".modinfo", Data: "license=GPL\x00vermagic=6.1.0-56-amd64 SMP preempt mod_unload modversions \x00"}

func read(data []byte, path string) (*File, error) {
	return (*Options)(nil).Read(bytes.NewReader(data), int64(len(data)), path)
}

// full has symbols of every kind, in the layout of f's class and order.
func full(f *testkit.ELF) *testkit.ELF {
	f.Sections = []testkit.Section{
		minimal,
		{Name: "__versions", Data: crcEntry(f, "module_layout", 0x11111111) + crcEntry(f, "kmalloc", 0x22222222)},
		{Name: "__version_ext_crcs", Data: u32(f, 0x22222222) + u32(f, 0x33333333)},
		{Name: "__version_ext_names", Data: "kmalloc\x00" + strings.Repeat("long_", 20) + "\x00"},
		{Name: "__ksymtab", Data: strings.Repeat("\x00", 12)},
		{Name: "__ksymtab_gpl", Data: strings.Repeat("\x00", 24)},
		{Name: "__kcrctab", Data: u32(f, 0x44444444)},
		{Name: "__kcrctab_gpl", Data: u32(f, 0x55555555) + u32(f, 0x66666666)},
		{Name: "__ksymtab_strings", Data: "plain\x00\x00gpl\x00\x00ns\x00SPACE\x00"},
		{Name: ".note.gnu.build-id", Data: u32(f, 4) + u32(f, 3) + u32(f, 3) + "GNU\x00abc\x00", Kind: elf.SHT_NOTE},
		{Name: ".debug_info", Data: "x"},
		{Name: ".gplsection", Data: "x"},
		{Name: ".BTF", Data: "x"},
	}
	f.Symbols = []testkit.Symbol{
		{Name: "local"},
		{Name: "kmalloc", Bind: elf.STB_GLOBAL},
		{Name: strings.Repeat("long_", 20), Bind: elf.STB_GLOBAL},
		{Name: "maybe", Bind: elf.STB_WEAK},
		{Name: "__ksymtab_plain", Section: "__ksymtab"},
		{Name: "__kstrtabns_plain", Section: "__ksymtab_strings", Value: 6},
		{Name: "__crc_plain", Section: "__kcrctab"},
		{Name: "__ksymtab_gpl", Section: "__ksymtab_gpl"},
		{Name: "__crc_gpl", Section: "ABS", Value: 0x77777777},
		{Name: "__ksymtab_ns", Section: "__ksymtab_gpl", Value: 12},
		{Name: "__kstrtabns_ns", Section: "__ksymtab_strings", Value: 15},
		{Name: "__crc_ns", Section: "__kcrctab_gpl", Value: 4},
		{Name: "__ksymtab_nocrc", Section: "__ksymtab"},
		{Name: "__ksymtab_of_gpl", Section: ".gplsection"},
	}
	return f
}

func TestReadSymbols(t *testing.T) {
	for _, f := range []*testkit.ELF{
		{},
		{Class: elf.ELFCLASS32, Machine: elf.EM_ARM},
		{Big: binary.BigEndian, Machine: elf.EM_S390},
	} {
		m, err := read(full(f).Bytes(), "m.ko")
		if err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("long_", 20)
		want := &File{
			Path: "m.ko", Class: f.Class, Machine: f.Machine, Order: f.Order(),
			BuildID: []byte("abc"), Debug: true, BTF: true,
			Versions: []Version{{"module_layout", 0x11111111}, {"kmalloc", 0x22222222}, {long, 0x33333333}},
			Needs: []Need{{Name: "local"}, {"kmalloc", 0x22222222, true, false}, {long, 0x33333333, true, false},
				{Name: "maybe", Weak: true}},
			Exports: []Export{{"plain", 0x44444444, true, false, ""}, {"gpl", 0x77777777, true, true, ""},
				{"ns", 0x66666666, true, true, "SPACE"}, {Name: "nocrc"}, {Name: "of_gpl"}},
		}
		diff := cmp.Diff(want, m, cmp.FilterPath(func(p cmp.Path) bool {
			return slices.Contains([]string{".info", ".layout", ".Order"}, p.Last().String())
		}, cmp.Ignore()))
		if diff != "" || m.Order != want.Order {
			t.Errorf("%v %v: Read() (-want +got):\n%s", f.Class, f.Machine, diff)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	odd := func(change func(*testkit.ELF)) []byte {
		f := full(&testkit.ELF{})
		change(f)
		return f.Bytes()
	}
	set := func(name, data string) func(*testkit.ELF) {
		return func(f *testkit.ELF) {
			for i := range f.Sections {
				if f.Sections[i].Name == name {
					f.Sections[i].Data = data
				}
			}
		}
	}
	good := full(&testkit.ELF{}).Bytes()
	signed := string(good) + "sig" + "\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\xff\xff" + sigMagic
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "file is empty"},
		{"text", []byte("hello, world: this is not an ELF file at all"), "not an ELF file"},
		{"header only", good[:64], "ELF file is truncated"},
		{"executable", odd(func(f *testkit.ELF) { f.Kind = elf.ET_EXEC }), "ELF type is ET_EXEC, a module's is ET_REL"},
		{"machine", odd(func(f *testkit.ELF) { f.Machine = elf.EM_SPARCV9 }), "machine EM_SPARCV9 is none of Debian's"},
		{"object file", (&testkit.ELF{Sections: []testkit.Section{{Name: ".text"}}}).Bytes(), "no section .modinfo: not a kernel module"},
		{"versions", odd(set("__versions", "x")), "section __versions is not a table of 64-byte entries"},
		{"ext names", odd(set("__version_ext_names", "x\x00")), "section __version_ext_names has fewer names than there are CRCs"},
		{"ext crcs", odd(set("__version_ext_crcs", "12345678")), ""},
		{"ext crcs odd", odd(set("__version_ext_crcs", "123456789")), "sections __version_ext_crcs and __version_ext_names do not fit together"},
		{"ext crcs few", odd(set("__version_ext_crcs", "1234")), "sections __version_ext_crcs and __version_ext_names do not fit together"},
		{"short crc", odd(set("__kcrctab_gpl", "1234567")), `exported symbol "ns": CRC lies outside of its section`},
		{"crc outside", odd(set("__kcrctab_gpl", "1")), `exported symbol "ns": __crc_ns lies outside of its section`},
		{"note", odd(set(".note.gnu.build-id", "1")), "section .note.gnu.build-id is not a GNU note"},
		{"note too short", odd(set(".note.gnu.build-id", "\x04\x00\x00\x00\x05\x00\x00\x00\x03\x00\x00\x00GNU\x00abc")), "section .note.gnu.build-id is truncated"},
		{"signature", []byte(signed), "signature is longer than the file"},
		{"not gzip", []byte("\x1f\x8bxxxxxxxxxxxx"), "unpack gzip: gzip: invalid header"},
		{"not zstd", []byte("\x28\xb5\x2f\xfdxxxxxxxxx"), "unpack zstd: "},
	} {
		_, err := read(tt.data, "m.ko")
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: Read() = %v", tt.name, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "m.ko: "+tt.want) {
			t.Errorf("%s: Read() = %v; want m.ko: %s", tt.name, err, tt.want)
		}
	}
}

func TestReadTruncated(t *testing.T) {
	good := full(&testkit.ELF{}).Bytes()
	for n := range good {
		if _, err := read(good[:n], "m.ko"); err == nil {
			t.Fatalf("Read() of %d bytes of %d = nil; want an error", n, len(good))
		}
	}
}

// TestReadCorrupted breaks each byte in turn. What comes out does not matter:
// it must come, without a panic.
func TestReadCorrupted(t *testing.T) {
	for _, f := range []*testkit.ELF{{}, {Class: elf.ELFCLASS32, Machine: elf.EM_ARM}} {
		data := full(f).Bytes()
		for n, old := range data {
			for _, c := range []byte{0, 1, 0x7f, 0x80, 0xff} {
				data[n] = c
				if m, err := read(data, "m.ko"); (m == nil) == (err == nil) {
					t.Fatalf("Read() with byte %d = %#x: %v, %v; want one of them", n, c, m, err)
				}
			}
			data[n] = old
		}
	}
}

func TestReadSignature(t *testing.T) {
	good := full(&testkit.ELF{}).Bytes()
	signed := string(good) + "nnnkkssss" + "\x01\x04\x02\x03\x02\x00\x00\x00\x00\x00\x00\x04" + sigMagic
	m, err := read([]byte(signed), "m.ko")
	if err != nil {
		t.Fatal(err)
	}
	want := &Signature{Algo: 1, Hash: 4, IDType: 2, SignerLen: 3, KeyIDLen: 2, Len: 4, Offset: int64(len(good))}
	if diff := cmp.Diff(want, m.Signature); diff != "" || !m.Signature.PKCS7() {
		t.Errorf("Signature (-want +got):\n%s", diff)
	}
	if m, err := read(good, "m.ko"); err != nil || m.Signature != nil {
		t.Errorf("Signature of an unsigned module = %v, %v; want nil", m.Signature, err)
	}
}

func TestInfo(t *testing.T) {
	m, err := read((&testkit.ELF{Sections: []testkit.Section{{Name: ".modinfo", Data: "\x00author=A\x00\x00author=B=C\x00parm=x:first: one\x00parmtype=x:int\x00" +
		"parmtype=y:bool\x00parm=odd\x00depends=a,b\x00alias=p*\x00alias=q\x00firmware=f.bin\x00import_ns=NS\x00version=1\x00version=2\x00" +
		"retpoline=Y\x00intree=Y\x00description=gr\xc3\xbc\xc3\x9fe\x00srcversion=ABC\x00lonely\x00license=GPL v2"}}}).Bytes(), "/x/some-mod.ko.xz")
	if err != nil {
		t.Fatal(err)
	}
	got := m.Info()
	if len(got.Fields) != 19 || got.Fields[17] != (Field{"lonely", ""}) {
		t.Errorf("Fields = %q; want 19, the 18th without a value", got.Fields)
	}
	got.Fields = nil
	want := Info{
		Name: "some_mod", Version: "1", SrcVersion: "ABC", License: "GPL v2", Description: "grüße",
		Authors: []string{"A", "B=C"}, Depends: []string{"a", "b"}, Aliases: []string{"p*", "q"},
		Firmware: []string{"f.bin"}, Params: []Param{{"y", "bool", ""}, {"x", "int", "first: one"}},
		ImportNS: []string{"NS"}, Retpoline: true, Intree: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Info() (-want +got):\n%s", diff)
	}
}

func TestCheckRelease(t *testing.T) {
	for _, tt := range []struct{ vermagic, want string }{
		{"6.1.0-56-amd64 SMP preempt mod_unload modversions ", ""},
		{"6.1.0-56-amd64", ""},
		{"6.1.0-55-amd64 SMP ", `m.ko: built for kernel 6.1.0-55-amd64, not 6.1.0-56-amd64 (vermagic "6.1.0-55-amd64 SMP ")`},
		{"6.1.0-56-amd64x SMP", `m.ko: built for kernel 6.1.0-56-amd64x, not 6.1.0-56-amd64 (vermagic "6.1.0-56-amd64x SMP")`},
		{"", "m.ko: has no vermagic, so it does not load into kernel 6.1.0-56-amd64"},
	} {
		m := &File{Path: "m.ko", info: Info{Vermagic: tt.vermagic}}
		err := m.CheckRelease("6.1.0-56-amd64")
		var re *ReleaseError
		if tt.want == "" && err != nil || tt.want != "" && (!errors.As(err, &re) || err.Error() != tt.want) {
			t.Errorf("CheckRelease() with vermagic %q = %v; want %q", tt.vermagic, err, tt.want)
		}
	}
	v := ParseVermagic("6.1.0-56-amd64 SMP preempt mod_unload ")
	if diff := cmp.Diff(Vermagic{"6.1.0-56-amd64", []string{"SMP", "preempt", "mod_unload"}}, v); diff != "" {
		t.Errorf("ParseVermagic() (-want +got):\n%s", diff)
	}
}

func gz(t testing.TB, data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t testing.TB, data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

func TestCompressedByContent(t *testing.T) {
	good := full(&testkit.ELF{}).Bytes()
	xz := []byte("\xfd7zXZ\x00 and what a fake xz turns into the module")
	unxz := func(c *exec.Cmd) error {
		if in, err := io.ReadAll(c.Stdin); err != nil || !bytes.Equal(in, xz) {
			t.Errorf("xz is given %q, %v", in, err)
		}
		_, err := c.Stdout.Write(good)
		return err
	}
	path := bin(t, "xz")
	for _, tt := range []struct {
		data []byte
		want Compression
	}{{good, None}, {gz(t, good), Gzip}, {zst(t, good), Zstd}, {xz, XZ}} {
		// The name says gzip whatever the content is.
		m, err := (&Options{Run: unxz, Path: path}).Read(bytes.NewReader(tt.data), int64(len(tt.data)), "m.ko.gz")
		if err != nil {
			t.Errorf("Read(%q) = %v", tt.want, err)
			continue
		}
		if m.Compression != tt.want || m.Info().Name != "m" || len(m.Exports) != 5 {
			t.Errorf("Read(%q) = %q, name %q, %d exports", tt.want, m.Compression, m.Info().Name, len(m.Exports))
		}
	}
}

func TestCompressedLimits(t *testing.T) {
	huge := make([]byte, 1<<20)
	big := &Options{MaxSize: 1<<20 - 1, Path: bin(t, "xz"), Run: func(c *exec.Cmd) error {
		_, err := c.Stdout.Write(huge)
		return err
	}}
	for name, data := range map[string][]byte{"gzip": gz(t, huge), "zstd": zst(t, huge), "xz": []byte("\xfd7zXZ\x00")} {
		_, err := big.Read(bytes.NewReader(data), int64(len(data)), "m.ko")
		if !errors.Is(err, errTooLarge) {
			t.Errorf("%s: Read() = %v; want %v", name, err, errTooLarge)
		}
	}
	cut := gz(t, huge)
	if _, err := read(cut[:len(cut)-9], "m.ko"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Read(truncated gzip) = %v; want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestXZMissing(t *testing.T) {
	o := &Options{Path: bin(t)}
	_, err := o.Read(strings.NewReader("\xfd7zXZ\x00"), 6, "m.ko.xz")
	var te *ToolError
	if !errors.As(err, &te) || te.Hint() != "install the package xz-utils" || err.Error() != "m.ko.xz: unpack xz: xz is not installed" {
		t.Errorf("Read() = %v; want a ToolError for xz-utils", err)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a-b.ko")
	if err := os.WriteFile(path, full(&testkit.ELF{}).Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if m, err := Open(path); err != nil || m.Info().Name != "a_b" {
		t.Errorf("Open(%s) = %v, %v", path, m, err)
	}
	if _, err := Open(path + ".gone"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open(absent) = %v; want not exist", err)
	}
	if _, err := Open(dir); err == nil || err.Error() != dir+": not a regular file" {
		t.Errorf("Open(directory) = %v", err)
	}
}

// bin is a directory with programs that do nothing.
func bin(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// moduleFile writes a module into a new directory, which becomes the working
// directory.
func moduleFile(t *testing.T, name string, sections ...testkit.Section) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile(name, (&testkit.ELF{Sections: sections}).Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestStrip(t *testing.T) {
	for _, tt := range []struct {
		o        *Options
		path     string
		tool     string
		wantHint string
	}{
		{&Options{}, "m.ko", "strip -g m.ko", "install the package binutils"},
		{&Options{}, "-m.ko", "strip -g ./-m.ko", "install the package binutils"},
		{&Options{LLVM: "1"}, "m.ko", "llvm-strip -g m.ko", "install the package llvm"},
		{&Options{LLVM: "-14"}, "m.ko", "llvm-strip-14 -g m.ko", "install the package llvm-14"},
		{&Options{CrossPrefix: "aarch64-linux-gnu-"}, "m.ko", "aarch64-linux-gnu-strip -g m.ko", "install the package binutils-aarch64-linux-gnu"},
		{&Options{CrossPrefix: "x86_64-linux-gnu-"}, "m.ko", "x86_64-linux-gnu-strip -g m.ko", "install the package binutils-x86-64-linux-gnu"},
	} {
		moduleFile(t, tt.path)
		name, _, _ := strings.Cut(tt.tool, " ")
		tt.o.Path = bin(t, name)
		var argv, path string
		tt.o.Run = func(c *exec.Cmd) error { argv, path = strings.Join(c.Args, " "), c.Path; return nil }
		if err := Strip(t.Context(), tt.path, tt.o); err != nil || argv != tt.tool || path != filepath.Join(tt.o.Path, name) {
			t.Errorf("Strip() runs %s as %q, %v; want %q", path, argv, err, tt.tool)
		}
		if err := tt.o.Check(); err != nil {
			t.Errorf("Check() with %s = %v", tt.tool, err)
		}
		tt.o.Path = bin(t)
		var te *ToolError
		if err := Strip(t.Context(), tt.path, tt.o); !errors.As(err, &te) || te.Hint() != tt.wantHint || !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("Strip() without %s = %v; want hint %q", tt.tool, err, tt.wantHint)
		}
		if err := tt.o.Check(); !errors.As(err, &te) || te.Hint() != tt.wantHint {
			t.Errorf("Check() without %s = %v; want hint %q", tt.tool, err, tt.wantHint)
		}
	}
	o := &Options{Path: bin(t, "strip"), Run: func(c *exec.Cmd) error {
		fmt.Fprintln(c.Stderr, "strip: file format not recognized")
		return errors.New("exit status 1")
	}}
	want := "strip -g /m.ko: exit status 1: strip: file format not recognized"
	if err := Strip(t.Context(), "/m.ko", o); err == nil || err.Error() != want {
		t.Errorf("Strip() = %v; want %s", err, want)
	}
}

// TestStripThatDoesNot has strips that succeed and leave something behind.
func TestStripThatDoesNot(t *testing.T) {
	o := &Options{Path: bin(t, "strip")}
	for _, tt := range []struct {
		section testkit.Section
		want    string
	}{
		{testkit.Section{Name: ".debug_info"}, "m.ko: has a section .debug_info after strip -g"},
		{testkit.Section{Name: ".zdebug_line"}, "m.ko: has a section .zdebug_line after strip -g"},
		{testkit.Section{Name: ".modinfo"}, "<nil>"},
	} {
		moduleFile(t, "m.ko", tt.section)
		if got := fmt.Sprint(Strip(t.Context(), "m.ko", o)); got != tt.want {
			t.Errorf("Strip() of %s = %s; want %s", tt.section.Name, got, tt.want)
		}
	}
	if err := os.WriteFile("m.ko", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Strip(t.Context(), "m.ko", o); err == nil || !strings.HasPrefix(err.Error(), "after strip: ") {
		t.Errorf("Strip() that empties the file = %v", err)
	}
}

// TestProgramsAreNotTheCallers has a PATH of the caller's whose programs do
// nothing, and looks at what the real ones see of the environment.
func TestProgramsAreNotTheCallers(t *testing.T) {
	testkit.Tools(t, "strip", "objcopy")
	callers := bin(t, "strip", "objcopy", "xz")
	t.Setenv("PATH", callers)
	t.Setenv("LD_PRELOAD", "x")
	moduleFile(t, "m.ko")
	var saw []string
	o := &Options{Run: func(c *exec.Cmd) error {
		if filepath.Dir(c.Path) == callers {
			t.Errorf("%s was run", c.Path)
		}
		saw = append(append(saw, c.Args[0]), c.Env...)
		return nil
	}}
	if err := Strip(t.Context(), "m.ko", o); err != nil {
		t.Fatal(err)
	}
	if err := SplitDebug(t.Context(), "m.ko", "out", o); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"strip", "LC_ALL=C.UTF-8", "PATH=" + DefaultPath,
		"objcopy", "LC_ALL=C.UTF-8", "PATH=" + DefaultPath,
	}
	if diff := cmp.Diff(want, saw); diff != "" {
		t.Errorf("programs and their environment (-want +got):\n%s", diff)
	}
}

func FuzzRead(f *testing.F) {
	for _, e := range []*testkit.ELF{{}, {Class: elf.ELFCLASS32, Machine: elf.EM_386}, {Big: binary.BigEndian, Machine: elf.EM_S390}} {
		good := full(e).Bytes()
		f.Add(good)
		f.Add(gz(f, good))
		f.Add(append(good, "sig\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x03"+sigMagic...))
	}
	o := &Options{MaxSize: 1 << 20, Run: func(*exec.Cmd) error { return errors.New("no xz here") }}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := o.Read(bytes.NewReader(data), int64(len(data)), "m.ko")
		if (m == nil) == (err == nil) {
			t.Fatalf("Read() = %v, %v; want one of them", m, err)
		}
	})
}
