// SPDX-License-Identifier: MIT

package status

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

const kver = "6.1.0-1-amd64"

var unexported = cmp.AllowUnexported(packed{})

// compressed runs a compressor.
func compressed(t testing.TB, data []byte, argv ...string) []byte {
	t.Helper()
	testkit.Tools(t, argv[0])
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", argv[0], err)
	}
	return out
}

// readAll reads an initramfs of these bytes.
func readAll(t testing.TB, data []byte, wanted ...string) (contents, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range wanted {
		names[name] = true
	}
	return (&Options{}).readInitramfs(t.Context(), path, kver, names)
}

// TestInitramfsFormats reads one initramfs in all the forms that it can have.
func TestInitramfsFormats(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("module", 1000)
	ours := "lib/modules/" + kver + "/updates/dkms/"
	main := testkit.CPIO(
		testkit.CPIOFile{Name: "usr", Mode: 0o40755},
		file("usr/"+ours+"foo-bar.ko", content), file(ours+"other.ko.zst", "not asked for"),
		file("lib/modules/6.1.0-2-amd64/foo-bar.ko", "of another kernel"), file(ours+"foo_bar.txt", "no module"),
		testkit.CPIOFile{Name: ours + "link/foo-bar.ko", Mode: 0o120777, Content: "../foo-bar.ko"},
	)
	early := append(testkit.CPIO(file("kernel/x86/microcode/x.bin", "microcode")), make([]byte, 512)...)
	sum := digest(sha256.Sum256([]byte(content)))
	want := contents{"foo_bar": {{"updates/dkms/foo-bar.ko", sum}}, "other": {{file: "updates/dkms/other.ko.zst"}}}
	for _, tt := range []struct {
		name string
		argv []string
	}{
		{"plain", nil}, {"gzip", []string{"gzip"}}, {"zstd", []string{"zstd", "-q"}}, {"zstd -19 --long", []string{"zstd", "-q", "-19", "--long=27"}},
		{"xz", []string{"xz", "--check=crc32"}}, {"lzma", []string{"lzma"}}, {"bzip2", []string{"bzip2"}},
		{"lz4 -l", []string{"lz4", "-l", "-q"}}, {"lz4", []string{"lz4", "-q"}}, {"lzop", []string{"lzop"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			packed := main
			if tt.argv != nil {
				packed = compressed(t, main, tt.argv...)
			}
			got, err := readAll(t, slices.Concat(early, packed), "foo_bar")
			if diff := cmp.Diff(want, got, unexported); diff != "" || err != nil {
				t.Fatalf("modules differ (-want +got): %v\n%s", err, diff)
			}
			if tt.argv == nil {
				return
			}
			if got, err := readAll(t, slices.Concat(early, packed[:len(packed)-4]), "foo_bar"); err == nil {
				t.Errorf("cut short: %v; want an error", got)
			}
		})
	}
}

// TestInitramfsModules holds what becomes of single entries.
func TestInitramfsModules(t *testing.T) {
	t.Parallel()
	dir := "lib/modules/" + kver + "/"
	sum := func(text string) digest { return sha256.Sum256([]byte(text)) }
	link := func(name, content string) testkit.CPIOFile {
		return testkit.CPIOFile{Name: dir + name, Content: content, Inode: 7, Links: 3}
	}
	for _, tt := range []struct {
		name string
		data []byte
		want contents
		err  string
	}{
		{name: "two files of one module", data: testkit.CPIO(file(dir+"a/foo.ko", "1"), file(dir+"b/foo.ko", "2")),
			want: contents{"foo": {{"a/foo.ko", sum("1")}, {"b/foo.ko", sum("2")}}}},
		{name: "one content of several names", data: testkit.CPIO(link("a/foo.ko", ""), link("b/bar.ko", ""), link("c/foo.ko", "x"), file(dir+"d/foo.ko", "y")),
			want: contents{"foo": {{"c/foo.ko", sum("x")}, {"a/foo.ko", sum("x")}, {"d/foo.ko", sum("y")}}, "bar": {{"b/bar.ko", sum("x")}}}},
		{name: "content comes with a name that is no module", data: testkit.CPIO(link("a/foo.ko", ""), link("x", "x")),
			want: contents{"foo": {{"a/foo.ko", sum("x")}}}},
		{name: "compressed", data: testkit.CPIO(file(dir+"a/foo.ko.xz", string(compressed(t, []byte("1"), "xz", "--check=crc32")))),
			want: contents{"foo": {{"a/foo.ko.xz", sum("1")}}}},
		{name: "damaged", data: testkit.CPIO(file(dir+"a/foo.ko.xz", "\xfd7zXZ\x00")), err: "foo.ko.xz: "},
		{name: "unknown compression", data: []byte("hello world"), err: `it begins "hello "`},
		{name: "empty", data: nil, err: "it holds no files"},
		{name: "zeros", data: make([]byte, 4096), err: "it holds no files"},
		{name: "outside", data: testkit.CPIO(file("../"+dir+"foo.ko", "1"), file("lib/modules/../../"+dir+"x/foo.ko", "2"), file("x/"+dir+"foo.ko", "2")),
			want: contents{"foo": {{"foo.ko", sum("1")}, {"x/foo.ko", sum("2")}}}},
	} {
		got, err := readAll(t, tt.data, "foo")
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v; want %q", tt.name, err, tt.err)
			}
			continue
		}
		for name := range tt.want {
			if name != "foo" && got[name] != nil { // not asked for: the digest is not promised
				got[name] = tt.want[name]
			}
		}
		if diff := cmp.Diff(tt.want, got, unexported); diff != "" || err != nil {
			t.Errorf("%s: modules differ (-want +got): %v\n%s", tt.name, err, diff)
		}
	}
}

func TestInitramfsEnds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "initrd")
	data := compressed(t, testkit.CPIO(file("a", "1")), "xz")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stopped"))
	if _, err := (&Options{}).readInitramfs(ctx, path, kver, nil); err == nil {
		t.Error("cancelled: no error")
	}
	o := &Options{Run: func(*exec.Cmd) error { return errors.New("does not run") }}
	if _, err := o.readInitramfs(t.Context(), path, kver, nil); err == nil || !strings.Contains(err.Error(), "xz: does not run") {
		t.Errorf("a program that does not run: %v", err)
	}
	if _, err := (&Options{}).readInitramfs(t.Context(), t.TempDir(), kver, nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	l := &limited{strings.NewReader("abc"), 2}
	b := make([]byte, 8)
	if n, err := l.Read(b); n != 2 || err != nil {
		t.Errorf("Read() = %d, %v; want 2", n, err)
	}
	if _, err := l.Read(b); err == nil {
		t.Error("Read() beyond the bound: no error")
	}
}

// FuzzInitramfs wants nothing but an end.
func FuzzInitramfs(f *testing.F) {
	main := testkit.CPIO(file("lib/modules/"+kver+"/foo.ko", "1"))
	f.Add(main)
	for _, argv := range [][]string{{"gzip"}, {"zstd", "-q"}, {"bzip2"}} {
		f.Add(append(testkit.CPIO(file("early", "x")), compressed(f, main, argv...)...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, magic := range []string{"\xfd7zXZ", "\x5d\x00\x00", "\x02\x21", "\x04\x22", "\x89LZO"} {
			if bytes.Contains(data, []byte(magic)) {
				t.Skip("a process for each would be slow")
			}
		}
		i := newInitramfs(kver, map[string]bool{"foo": true}, nil)
		i.limit = 1 << 20
		_ = i.read(t.Context(), bytes.NewReader(data))
	})
}
