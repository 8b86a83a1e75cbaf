// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
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
)

func TestConfigCompression(t *testing.T) {
	for _, tt := range []struct {
		on   string // options that are y
		want string
	}{
		{"", ""},
		{"NONE", ""}, // Debian's 6.1
		{"XZ", "xz"},
		{"GZIP", "gzip"},
		{"ZSTD", "zstd"},
		{"M XZ ALL", "xz"}, // Debian's 6.12
		{"M ZSTD ALL", "zstd"},
		{"M XZ", ""}, // modules_install leaves them alone
		{"XZ ZSTD", "kernel configuration: CONFIG_MODULE_COMPRESS_XZ and CONFIG_MODULE_COMPRESS_ZSTD contradict each other"},
		{"NONE GZIP", "kernel configuration: CONFIG_MODULE_COMPRESS_NONE and CONFIG_MODULE_COMPRESS_GZIP contradict each other"},
	} {
		config := map[string]string{}
		for word := range strings.FieldsSeq(tt.on) {
			config[strings.TrimSuffix("CONFIG_MODULE_COMPRESS_"+word, "_M")] = "y"
		}
		c, err := ConfigCompression(func(name string) string { return config[name] })
		got := string(c)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("ConfigCompression(%s) = %q; want %q", tt.on, got, tt.want)
		}
	}
}

// packable is a module that is neither tiny nor all alike.
func packable() []byte {
	var b bytes.Buffer
	for i := range 40000 {
		fmt.Fprintf(&b, "%d %x\n", i, i*i*7919)
	}
	return append(full(&testkit.ELF{}).Bytes(), b.Bytes()...)
}

func TestCompress(t *testing.T) {
	testkit.Tools(t, "xz", "gzip")
	data := packable()
	for _, c := range []Compression{None, Gzip, XZ, Zstd} {
		path := filepath.Join(t.TempDir(), "m.ko")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := (*Options)(nil).Compress(t.Context(), path, c)
		if err != nil || out != path+c.Ext() {
			t.Errorf("Compress(%q) = %s, %v", c, out, err)
			continue
		}
		packed, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		back, got, err := (*Options)(nil).Unpack(bytes.NewReader(packed), int64(len(packed)), out)
		if got != c || err != nil || !bytes.Equal(back, data) || c != None && len(packed) > len(data)*3/4 {
			t.Errorf("Unpack() of %q = %q, %v, %d bytes of %d", c, got, err, len(packed), len(data))
		}
		t.Setenv("XZ_OPT", "-9e")
		t.Setenv("XZ_DEFAULTS", "--check=sha256")
		again, err := (*Options)(nil).Pack(t.Context(), data, c)
		if err != nil || !bytes.Equal(again, packed) {
			t.Errorf("Pack(%q) with another environment = %v, or other bytes", c, err)
		}
	}
}

// TestOracleCompress compares with what the kernel's build would run.
func TestOracleCompress(t *testing.T) {
	testkit.Tools(t, "xz", "gzip", "zstd")
	path := filepath.Join(t.TempDir(), "m.ko")
	if err := os.WriteFile(path, packable(), 0o644); err != nil {
		t.Fatal(err)
	}
	for c, argv := range map[Compression][]string{
		XZ:   {"xz", "-T1", "--check=crc32", "--lzma2=dict=1MiB", "-c", path},
		Gzip: {"gzip", "-n", "-9", "-c", path},
	} {
		out, err := (*Options)(nil).Compress(t.Context(), path, c)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := os.ReadFile(out)
		if want := output(t, argv...); err != nil || string(packed) != want {
			t.Errorf("Compress(%q) is not what %q makes", c, argv)
		}
	}
	if _, err := (*Options)(nil).Compress(t.Context(), path, Zstd); err != nil {
		t.Fatal(err)
	}
	if got := output(t, "zstd", "-dc", path+".zst"); got != string(packable()) {
		t.Error("zstd -d gives other bytes")
	}
	if list := output(t, "zstd", "-lv", path+".zst"); !strings.Contains(list, "2.00 MiB") || !strings.Contains(list, "XXH64") {
		t.Errorf("zstd -lv = %s; want a window of 2 MiB and a checksum", list)
	}
	if list := output(t, "xz", "-lvv", "--robot", path+".xz"); !strings.Contains(list, "CRC32") || !strings.Contains(list, "dict=1MiB") {
		t.Errorf("xz -lvv = %s; want CRC32 and dict=1MiB", list)
	}
}

// TestCheckXZ has xz make what the kernel would not take.
func TestCheckXZ(t *testing.T) {
	testkit.Tools(t, "xz")
	pack := func(args ...string) []byte {
		cmd := exec.Command("xz", append([]string{"-c", "-T1"}, args...)...)
		cmd.Stdin = bytes.NewReader(packable())
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	good := pack("--check=crc32", "--lzma2=dict=1MiB")
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"good", good, "<nil>"},
		{"sizes in the header", pack("--check=crc32", "--lzma2=dict=1MiB", "-T2", "--block-size=4MiB"), "<nil>"},
		{"check", pack("--lzma2=dict=1MiB"), "xz stream has the check type 4; the kernel takes CRC32 (1)"},
		{"dictionary", pack("--check=crc32"), "xz stream has a dictionary of 8388608 bytes; want 1048576"},
		{"odd dictionary", pack("--check=crc32", "--lzma2=dict=1536KiB"), "xz stream has a dictionary of 1572864 bytes; want 1048576"},
		{"filter", pack("--check=crc32", "--x86", "--lzma2=dict=1MiB"), errXZHeader.Error()},
		{"truncated", good[:15], errXZHeader.Error()},
		{"empty", nil, errXZHeader.Error()},
	} {
		if got := fmt.Sprint(checkXZ(tt.data)); got != tt.want {
			t.Errorf("%s: checkXZ() = %s; want %s", tt.name, got, tt.want)
		}
	}
}

// TestCompressThatDoesNot has compressors that succeed and make something else.
func TestCompressThatDoesNot(t *testing.T) {
	testkit.Tools(t, "xz", "gzip")
	data := full(&testkit.ELF{}).Bytes()
	xz := func(args ...string) func(*exec.Cmd) error {
		return func(cmd *exec.Cmd) error {
			if strings.Contains(strings.Join(cmd.Args, " "), "-dc") {
				return cmd.Run()
			}
			if !slices.Contains(cmd.Args, "--threads=1") { // xz 5.6 has another default
				t.Errorf("xz is run as %q", cmd.Args)
			}
			cmd.Args = append([]string{"xz", "-c"}, args...)
			return cmd.Run()
		}
	}
	for _, tt := range []struct {
		name string
		c    Compression
		run  func(*exec.Cmd) error
		want string
	}{
		{"xz check", XZ, xz("--lzma2=dict=1MiB"), "compress xz: xz stream has the check type 4; the kernel takes CRC32 (1)"},
		{"nothing", Gzip, func(*exec.Cmd) error { return nil }, "compress gzip: result is not gzip"},
		{"other bytes", Gzip, func(c *exec.Cmd) error {
			_, err := c.Stdout.Write(gz(t, []byte("other")))
			return err
		}, "compress gzip: what it unpacks to is not what was compressed"},
		{"failure", Gzip, func(c *exec.Cmd) error {
			fmt.Fprintln(c.Stderr, "gzip: full")
			return errors.New("exit status 1")
		}, "compress gzip: gzip -9nc: exit status 1: gzip: full"},
		{"short", Gzip, func(c *exec.Cmd) error {
			_, err := io.WriteString(c.Stdout, "\x1f\x8b")
			return err
		}, "compress gzip: unpack gzip: unexpected EOF"},
		{"unknown", "lz4", nil, `unknown compression "lz4" of modules`},
	} {
		path := filepath.Join(t.TempDir(), "m.ko")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := (&Options{Run: tt.run}).Compress(t.Context(), path, tt.c)
		if got := fmt.Sprint(err); got != path+": "+tt.want {
			t.Errorf("%s: Compress() = %s; want %s", tt.name, got, tt.want)
		}
		if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
			t.Errorf("%s: Compress() leaves %q", tt.name, left)
		}
	}
	_, err := (*Options)(nil).Pack(t.Context(), gz(t, data), XZ)
	if want := "compress xz: is compressed with gzip already"; err == nil || err.Error() != want {
		t.Errorf("Pack() of what is packed = %v; want %s", err, want)
	}
	var te *ToolError
	if _, err := (&Options{Path: t.TempDir()}).Pack(t.Context(), data, XZ); !errors.As(err, &te) || te.Package != "xz-utils" {
		t.Errorf("Pack() without xz = %v", err)
	}
}

func FuzzXZHeader(f *testing.F) {
	f.Add([]byte("\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01\x10\x00\x00\x00"))
	f.Add([]byte("\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02\xc0\x80\x80\x01\x05\x21\x01\x10\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, dict, err := xzHeader(data); err == nil && dict == 0 {
			t.Fatal("no dictionary, no error")
		}
	})
}
