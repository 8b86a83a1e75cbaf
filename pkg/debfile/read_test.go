// SPDX-License-Identifier: MIT

package debfile

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/gokms/gokms/internal/testkit"
)

// accepted are odd packages that dpkg takes, with what is in them.
var accepted = []struct {
	name string
	deb  []byte
	want []string
}{
	{"plain", debBytes(dirEntry("./"), regEntry("./f")), []string{".", "f"}},
	{"empty_data", debBytes(), nil},
	{"no_top", debBytes(dirEntry("./usr/"), regEntry("./usr/f")), []string{"usr", "usr/f"}},
	{"no_dot_slash", debBytes(dirEntry("usr/"), regEntry("usr/f")), []string{"usr", "usr/f"}},
	{"hard_link", debBytes(dirEntry("./"), regEntry("./f"), hardEntry("./g", "./f")), []string{".", "f", "g"}},
	{"links_inside", debBytes(dirEntry("./"), dirEntry("./d/"), symEntry("./d/up", "../d/x"), symEntry("./dangling", "nothing")),
		[]string{".", "d", "d/up", "dangling"}},
	{"long_name", debBytes(dirEntry("./"), regEntry("./"+strings.Repeat("n", 200))), []string{".", strings.Repeat("n", 200)}},
	{"dots_in_name", debBytes(dirEntry("./"), regEntry("./..f")), []string{".", "..f"}},
	{"ustar", debBytes(dirEntry("./"), tar.Header{Typeflag: tar.TypeReg, Name: "./f", Format: tar.FormatUSTAR}), []string{".", "f"}},
	{"trailing_garbage", append(debBytes(dirEntry("./"), regEntry("./f")), "garbage"...), []string{".", "f"}},
	{"member_behind_data", append(debBytes(dirEntry("./"), regEntry("./f")), arBytes(arPart{"extra", "x"})[len(arMagic):]...),
		[]string{".", "f"}},
	{"skipped_member", arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"_gpg", "x"}, arPart{"control.tar", controlTar()},
		arPart{"_more", "yy"}, arPart{"data.tar", tarBytes(dirEntry("./"))}), []string{"."}},
	{"slash_names", arBytes(arPart{"debian-binary/", "2.0\n"}, arPart{"control.tar/", controlTar()},
		arPart{"data.tar/", tarBytes(dirEntry("./"))}), []string{"."}},
	{"minor_version", arBytes(arPart{"debian-binary", "2.1\nmore\n"}, arPart{"control.tar", controlTar()},
		arPart{"data.tar", tarBytes(dirEntry("./"))}), []string{"."}},
	{"zst", dataMember(".zst", zst(tarBytes(dirEntry("./"), regEntry("./f")))), []string{".", "f"}},
	{"tar_without_end", dataMember("", cut(tarBytes(dirEntry("./"), regEntry("./f")), 1536)), []string{".", "f"}},
}

func zst(content string) string {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	defer enc.Close()
	return string(enc.EncodeAll([]byte(content), nil))
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, test := range accepted {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := readBytes(test.deb, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Control().Get("Package"); got != "foo" {
				t.Errorf("Package: %q; want foo", got)
			}
			var got []string
			err = r.Walk(func(e Entry, content io.Reader) error {
				got = append(got, e.Path)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			if err := r.Extract(t.TempDir()); err != nil {
				t.Errorf("Extract: %v", err)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	deb := filepath.Join(dir, "foo.deb")
	if err := os.WriteFile(deb, mustWrite(t, testPackage(None), nil), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Open(deb)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"postinst": "#!/bin/sh\nexit 0\n"}
	got := r.ControlFiles()
	for name := range got {
		if name != "postinst" {
			delete(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ControlFiles (-want +got):\n%s", diff)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := r.Walk(func(Entry, io.Reader) error { return nil }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Walk behind Close: %v; want %v", err, os.ErrClosed)
	}
	if _, err := Open(filepath.Join(dir, "none.deb")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of nothing: %v", err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Open of a directory: %v", err)
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	for ext, want := range map[string]Compression{"": None, ".zst": Zstd} {
		content := controlTar()
		if ext != "" {
			content = zst(content)
		}
		deb := arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"control.tar" + ext, content}, arPart{"data.tar", tarBytes(dirEntry("./"))})
		r, err := NewReader(bytes.NewReader(deb), int64(len(deb)), "x.deb", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Compression(); got != want {
			t.Errorf("Compression() of control.tar%s = %q; want %q", ext, got, want)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	p := testPackage(Zstd)
	p.Files = append(p.Files, text("bomb", strings.Repeat("0", 1<<20)))
	deb := mustWrite(t, p, nil)
	for _, test := range []struct {
		limit int64
		want  string
	}{
		{1 << 20, "x.deb: member data.tar.zst: unpacks to more than the limit of 1048576 bytes"},
		{2 << 20, ""},
		{0, ""},
	} {
		r, err := readBytes(deb, &ReadOptions{Limit: test.limit})
		if err != nil {
			t.Fatal(err)
		}
		_, err = listing(r)
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("limit %d: %v; want %q", test.limit, err, test.want)
		}
	}
}

// TestControlLimit holds that a control member cannot be a bomb either.
func TestControlLimit(t *testing.T) {
	t.Parallel()
	bomb := tarBytes(dirEntry("./"), tar.Header{Typeflag: tar.TypeReg, Name: "./x", Size: maxControl + 1})
	deb := arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"control.tar.zst", zst(bomb)}, arPart{"data.tar", tarBytes()})
	const want = "x.deb: member control.tar.zst: unpacks to more than the limit of 67108864 bytes"
	if _, err := readBytes(deb, nil); err == nil || err.Error() != want {
		t.Errorf("error %v; want %s", err, want)
	}
}

// TestWalkStops holds that a walk that is given up leaves no goroutine and no
// program behind, whatever the compression.
func TestWalkStops(t *testing.T) {
	for _, c := range []Compression{XZ, Zstd, Gzip, None} {
		t.Run(string(c), func(t *testing.T) {
			o, ro := &Options{}, &ReadOptions{}
			if c == XZ {
				o.Run, ro.Run = catRun, catRun // the pure ring has no xz(1)
			} else if c == Gzip {
				testkit.Tools(t, "gzip")
			}
			p := testPackage(c)
			p.Files = append(p.Files, text("a-big-file", strings.Repeat("0123456789abcdef", 1<<16)))
			r, err := readBytes(mustWrite(t, p, o), ro)
			if err != nil {
				t.Fatal(err)
			}
			before := runtime.NumGoroutine()
			for range 20 {
				err := r.Walk(func(e Entry, content io.Reader) error {
					if e.Path == "a-big-file" {
						return errTest
					}
					return nil
				})
				if err != errTest {
					t.Fatalf("Walk: %v; want %v", err, errTest)
				}
			}
			for i := 0; runtime.NumGoroutine() > before; i++ {
				if i == 100 {
					t.Fatalf("%d goroutines; %d before", runtime.NumGoroutine(), before)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

// TestDecoderFails holds that what the program says is what the user reads.
func TestDecoderFails(t *testing.T) {
	t.Parallel()
	deb := dataMember(".xz", "not xz")
	for _, test := range []struct {
		name string
		run  func(*exec.Cmd) error
		want string
	}{
		{"missing", noRun, "x.deb: member data.tar.xz: program xz not found"},
		{"fails", func(cmd *exec.Cmd) error {
			io.WriteString(cmd.Stdout, tarBytes(dirEntry("./"))[:1024])
			io.WriteString(cmd.Stderr, "xz: it is broken\n")
			return errTest
		}, "x.deb: member data.tar.xz: xz -dc --format=xz --memlimit-decompress=268435456: test error: xz: it is broken"},
	} {
		r, err := readBytes(deb, &ReadOptions{Run: test.run})
		if err != nil {
			t.Fatal(err)
		}
		err = r.Walk(func(Entry, io.Reader) error { return nil })
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: %v; want %s", test.name, err, test.want)
		}
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	deb := debBytes(dirEntry("./"),
		tar.Header{Typeflag: tar.TypeDir, Name: "./ro/", Mode: 0o555, ModTime: testClock},
		tar.Header{Typeflag: tar.TypeReg, Name: "./ro/suid", Mode: 0o6777, Size: 3, ModTime: testClock},
		tar.Header{Typeflag: tar.TypeReg, Name: "./ro/none", Mode: 0o010, Size: 1, ModTime: testClock},
		hardEntry("./hard", "./ro/suid"), symEntry("./sym", "ro/suid"))
	dir := t.TempDir()
	if err := mustRead(t, deb).Extract(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "ro"), 0o755) })
	want := map[string]fs.FileMode{
		"ro": fs.ModeDir | 0o555, "ro/suid": 0o777, "ro/none": 0o010, "hard": 0o777, "sym": fs.ModeSymlink | 0o777,
	}
	for name, mode := range want {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode() != mode {
			t.Errorf("%s: mode %v; want %v", name, info.Mode(), mode)
		}
		if name != "sym" && !info.ModTime().Equal(testClock) {
			t.Errorf("%s: time %v; want %v", name, info.ModTime(), testClock)
		}
	}
	if err := mustRead(t, deb).Extract(dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("Extract into a full directory: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	for _, test := range hostile {
		f.Add(test.deb)
	}
	for _, test := range accepted {
		f.Add(test.deb)
	}
	f.Fuzz(func(t *testing.T, deb []byte) {
		if len(deb) > 1<<14 {
			return
		}
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(bytes.NewReader(deb), int64(len(deb)), "x.deb", &ReadOptions{Run: catRun, Limit: 1 << 20})
		if err != nil {
			return
		}
		err = r.Extract(dir)
		if names, _ := os.ReadDir(outer); len(names) != 1 {
			t.Errorf("written outside: %v", names)
		}
		if err != nil {
			return
		}
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type()&^(fs.ModeDir|fs.ModeSymlink) != 0 {
				t.Errorf("%s: type %v", path, d.Type())
			}
			return nil
		})
	})
}
