// SPDX-License-Identifier: MIT

package debfile

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/blakesmith/ar"
	"github.com/gokms/gokms/pkg/control"
	"github.com/google/go-cmp/cmp"
)

// wantListing is the data member of testPackage.
var wantListing = []string{
	"drwxr-xr-x 1714979289 0 .",
	"drwxr-xr-x 1714979289 0 etc",
	"-rw-r--r-- 1714979289 5 8d0d4c8a etc/foo.conf",
	"drwxr-xr-x 1714979289 0 lib",
	"drwxr-xr-x 1714979289 0 lib/modules",
	"drwxr-xr-x 1714979289 0 lib/modules/K",
	"drwxr-xr-x 1714979289 0 lib/modules/K/updates",
	"drwxr-xr-x 1714979289 0 lib/modules/K/updates/dkms",
	"-rw-r--r-- 1714979289 3001 71ba0209 lib/modules/K/updates/dkms/x.ko",
	"drwxr-xr-x 1714979289 0 usr",
	"drwxr-xr-x 1714979289 0 usr/bin",
	"-rwxr-xr-x 1714979289 4 7c9bbe5e usr/bin/future",
	"-rwxr-xr-x 1714806489 4 7c9bbe5e usr/bin/tool",
	"drwxr-xr-x 1714979289 0 usr/share",
	"drwxr-xr-x 1714979289 0 usr/share/doc",
	"drwxr-xr-x 1714979289 0 usr/share/doc/foo",
	`-rw-r--r-- 1714979289 4 80a3ef2f usr/share/doc/foo/back\slash and space`,
	"-rw-r--r-- 1714979289 2 73cb3858 usr/share/doc/foo/copyright",
	"-rw-r--r-- 1714979289 5 bbdbb75b usr/share/doc/foo/" + strings.Repeat("long", 40) + ".txt",
	"drwxr-xr-x 1714979289 0 usr/share/doc-x",
	"-rw-r--r-- 1714979289 0 e3b0c442 usr/share/doc-x/empty",
	"drwxr-x--- 1714979289 0 usr/share/foo",
	"Lrwxrwxrwx 1714979289 0 usr/share/doc/foo/a-link -> copyright",
}

func TestWrite(t *testing.T) {
	t.Parallel()
	for _, c := range []Compression{XZ, "", Zstd, Gzip, None} {
		t.Run("compression_"+string(c), func(t *testing.T) {
			t.Parallel()
			o := &Options{TempDir: t.TempDir(), Run: catRun}
			ro := &ReadOptions{Run: catRun}
			deb := mustWrite(t, testPackage(c), o)
			checkNoFiles(t, o.TempDir)
			if c == Gzip {
				return // catRun does not make what our own reader unpacks
			}
			r, err := readBytes(deb, ro)
			if err != nil {
				t.Fatal(err)
			}
			got, err := listing(r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantListing, got); diff != "" {
				t.Errorf("data member (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteControl(t *testing.T) {
	t.Parallel()
	r := mustRead(t, mustWrite(t, testPackage(None), nil))
	want := []string{"Package", "Version", "Architecture", "Maintainer", "Installed-Size", "Section", "Priority", "Description"}
	var got []string
	for _, f := range r.Control().Fields {
		got = append(got, f.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	// 14 directories, a link and 7 files that hold something, x.ko 3 of
	// them; DEBIAN and three members in it.
	if got := r.Control().Get("Installed-Size"); got != "28" {
		t.Errorf("Installed-Size: %s; want 28", got)
	}
	parts := r.ControlFiles()
	var names []string
	for line := range strings.Lines(parts["md5sums"]) {
		names = append(names, strings.TrimSpace(line[34:]))
	}
	wantNames := []string{"lib/modules/K/updates/dkms/x.ko", "usr/bin/future", "usr/bin/tool", "usr/share/doc-x/empty",
		`usr/share/doc/foo/back\slash and space`, "usr/share/doc/foo/copyright",
		"usr/share/doc/foo/" + strings.Repeat("long", 40) + ".txt"}
	if diff := cmp.Diff(wantNames, names); diff != "" {
		t.Errorf("names in md5sums (-want +got):\n%s", diff)
	}
	if !strings.Contains(parts["md5sums"], "d41d8cd98f00b204e9800998ecf8427e  usr/share/doc-x/empty\n") {
		t.Errorf("md5sums: no right sum of the empty file:\n%s", parts["md5sums"])
	}
	for name, want := range testPackage(None).Scripts {
		if parts[name] != want {
			t.Errorf("%s: %q; want %q", name, parts[name], want)
		}
	}
}

// TestWriteSame holds that neither the order of the files nor the options
// reach the bytes, and that the value stays what it was.
func TestWriteSame(t *testing.T) {
	t.Parallel()
	want := mustWrite(t, testPackage(Zstd), nil)
	for i := range 5 {
		p := testPackage(Zstd)
		rand.Shuffle(len(p.Files), func(i, j int) { p.Files[i], p.Files[j] = p.Files[j], p.Files[i] })
		p.ModTime = p.ModTime.Add(time.Duration(i) * time.Millisecond).In(time.FixedZone("x", 3600*i))
		files, fields := slices.Clone(p.Files), slices.Clone(p.Control.Fields)
		if got := mustWrite(t, p, &Options{Jobs: i, TempDir: t.TempDir()}); !bytes.Equal(got, want) {
			t.Fatal("other bytes")
		}
		ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Open" }, cmp.Ignore())
		if diff := cmp.Diff(files, p.Files, ignore); diff != "" {
			t.Errorf("Files changed (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(fields, p.Control.Fields); diff != "" {
			t.Errorf("Control changed (-before +after):\n%s", diff)
		}
		if len(p.Scripts) != 3 {
			t.Errorf("Scripts changed: %v", p.Scripts)
		}
	}
}

func TestWriteErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(*Package)
		want string
	}{
		{"duplicate", addFile(text("usr/bin/tool", "")), `"usr/bin/tool": listed twice`},
		{"absolute", addFile(text("/etc/x", "")), `"/etc/x": path is absolute`},
		{"dotdot", addFile(text("../x", "")), `"../x": path leads out of the package`},
		{"not_clean", addFile(text("usr/./x", "")), `"usr/./x": path is not clean: want "usr/x"`},
		{"dotdot_inside", addFile(text("usr/../x", "")), `"usr/../x": path is not clean: want "x"`},
		{"empty_path", addFile(text("", "")), `"": no file name`},
		{"top", addFile(File{Path: ".", Mode: fs.ModeDir | 0o700}), `".": no file name`},
		{"newline", addFile(text("a\nb", "")), `"a\nb": control character in path`},
		{"below_file", addFile(text("usr/bin/tool/x", "")), `"usr/bin/tool/x": lies below "usr/bin/tool", which is not a directory`},
		{"below_link", addFile(text("usr/share/doc/foo/a-link/x", "")), `lies below "usr/share/doc/foo/a-link"`},
		{"link_out", addFile(link("usr/x", "../../y")), `"usr/x": link target "../../y" leads out`},
		{"link_empty", addFile(link("usr/x", "")), `"usr/x": symbolic link without target`},
		{"device", addFile(File{Path: "dev/null", Mode: fs.ModeDevice | fs.ModeCharDevice}), `"dev/null": mode Dc---------: neither`},
		{"odd_mode", addFile(File{Path: "x", Mode: fs.ModeAppend, Open: opener("")}), "bits that a package cannot hold"},
		{"no_content", addFile(File{Path: "x"}), `"x": no content: Open is nil`},
		{"negative", addFile(File{Path: "x", Size: -1, Open: opener("")}), `"x": negative size -1`},
		{"dir_size", addFile(File{Path: "x", Mode: fs.ModeDir, Size: 1}), `"x": size 1 for what is not a regular file`},
		{"file_target", addFile(File{Path: "x", Target: "y", Open: opener("")}), `"x": target "y" for what`},
		{"short", addFile(File{Path: "x", Size: 4, Open: opener("abc")}), `"x": size is 3, not 4 as stated`},
		{"long", addFile(File{Path: "x", Size: 2, Open: opener("abc")}), `"x": size is more than the 2 stated`},
		{"open", addFile(File{Path: "x", Open: func() (io.ReadCloser, error) { return nil, errTest }}), `"x": test error`},
		{"read", addFile(File{Path: "x", Size: 1, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(errReader{})), nil
		}}), `"x": test error`},
		{"old", addFile(File{Path: "x", ModTime: time.Unix(-1, 0), Open: opener("")}), `"x": time 1969-12-31T23:59:59Z: want`},
		{"no_clock", func(p *Package) { p.ModTime = time.Time{} }, "time 0001-01-01T00:00:00Z: want one from 1970"},
		{"late_clock", func(p *Package) { p.ModTime = time.Unix(1<<33, 0) }, "want one from 1970 to 2242"},
		{"compression", func(p *Package) { p.Compression = "rar" }, `unknown compression "rar"`},
		{"no_package", setField("Package", ""), "write package without a name: control: no field Package"},
		{"bad_package", setField("Package", "Foo_x"), `control:1: field Package: character '_' in package name`},
		{"capital_package", setField("Package", "Foo"), `control: character 'F' in package name "Foo"`},
		{"newline_in_field", setField("Section", "x\n\nPackage: y"), `control: format control data: field Section: empty line`},
		{"no_fields", func(p *Package) { p.Control = control.Stanza{} }, "control: no field Package"},
		{"no_version", setField("Version", ""), "control: no field Version"},
		{"bad_version", setField("Version", "a 1"), `control:2: field Version: version "a 1"`},
		{"bad_arch", setField("Architecture", "a/../../../evil"), `control: architecture name "a/../../../evil": want small letters`},
		{"no_arch", setField("Architecture", ""), "control: no field Architecture"},
		{"installed_size", setField("Installed-Size", "3"), "control: field Installed-Size is there already"},
		{"script_name", func(p *Package) { p.Scripts["../x"] = "" }, `control member "../x": bad name`},
		{"script_md5sums", func(p *Package) { p.Scripts["md5sums"] = "" }, `control member "md5sums": bad name`},
		{"conffile", func(p *Package) { p.Scripts["conffiles"] = "/etc/none\n" }, `conffiles: "/etc/none" is not a file of the package`},
		{"conffile_link", func(p *Package) { p.Scripts["conffiles"] = "/usr/share/doc/foo/a-link\n" }, "is not a file of the package"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := testPackage(None)
			test.edit(p)
			o := &Options{TempDir: t.TempDir()}
			err := Write(io.Discard, p, o)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "write package ") {
				t.Errorf("Write: %v; want write package ... %s", err, test.want)
			}
			checkNoFiles(t, o.TempDir)
		})
	}
}

func addFile(f File) func(*Package) {
	return func(p *Package) { p.Files = append(p.Files, f) }
}

func setField(name, value string) func(*Package) {
	return func(p *Package) {
		if value == "" {
			p.Control.Del(name)
			return
		}
		p.Control.Set(name, value)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errTest }

// TestWriteCloses holds that each content is closed, and its error reported.
func TestWriteCloses(t *testing.T) {
	t.Parallel()
	var open atomic.Int32
	f := File{Path: "x", Size: 3, Open: func() (io.ReadCloser, error) {
		open.Add(1)
		return &closer{strings.NewReader("abc"), func() error { open.Add(-1); return errTest }}, nil
	}}
	p := testPackage(None)
	addFile(f)(p)
	if err := Write(io.Discard, p, nil); !errors.Is(err, errTest) {
		t.Errorf("Write: %v; want the error of Close", err)
	}
	p.Files[len(p.Files)-1].Size = 2
	if err := Write(io.Discard, p, nil); err == nil || !strings.Contains(err.Error(), "size is more") {
		t.Errorf("Write: %v; want the error of the size", err)
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d files left open", n)
	}
}

type closer struct {
	io.Reader
	close func() error
}

func (c *closer) Close() error { return c.close() }

// fullWriter takes n bytes, as a full disk does.
type fullWriter struct{ n int }

func (w *fullWriter) Write(p []byte) (int, error) {
	if len(p) > w.n {
		n := w.n
		w.n = 0
		return n, syscall.ENOSPC
	}
	w.n -= len(p)
	return len(p), nil
}

// TestWriteFull lets the disk be full at each byte of the archive, those that
// pad a member included.
func TestWriteFull(t *testing.T) {
	t.Parallel()
	write := func(n int) error {
		return writeArchive(&fullWriter{n}, testClock, []member{
			{"odd", 3, strings.NewReader("abc")}, {"even", 2, strings.NewReader("ab")}, {"end", 1, strings.NewReader("a")},
		})
	}
	const size = 8 + 3*60 + 4 + 2 + 2
	for n := range size {
		if err := write(n); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("full at byte %d of %d: %v; want ENOSPC", n, size, err)
		}
	}
	if err := write(size); err != nil {
		t.Errorf("exactly enough room: %v", err)
	}
	if err := Write(&fullWriter{200}, testPackage(Zstd), nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Write: %v; want ENOSPC", err)
	}
}

// TestWriteNoProgram holds that a missing compressor is named with its package.
func TestWriteNoProgram(t *testing.T) {
	t.Parallel()
	for c, want := range map[Compression]string{XZ: "install the package xz-utils", Gzip: "install the package gzip"} {
		o := &Options{TempDir: t.TempDir(), Run: noRun}
		err := Write(io.Discard, testPackage(c), o)
		var hint interface{ Hint() string }
		if !errors.As(err, &hint) || hint.Hint() != want {
			t.Errorf("%s: %v; want the hint %q", c, err, want)
		}
		if !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%s: %v is not exec.ErrNotFound", c, err)
		}
		checkNoFiles(t, o.TempDir)
	}
}

// TestWriteProgram holds how compressors are run and what is told when they fail.
func TestWriteProgram(t *testing.T) {
	t.Parallel()
	p := testPackage(XZ)
	addFile(text("big", strings.Repeat("x", 1<<20)))(p) // more than a pipe holds
	err := Write(io.Discard, p, &Options{Jobs: 7, Run: func(cmd *exec.Cmd) error {
		if diff := cmp.Diff([]string{"LC_ALL=C.UTF-8"}, cmd.Env); diff != "" {
			t.Errorf("environment (-want +got):\n%s", diff)
		}
		io.WriteString(cmd.Stderr, strings.Repeat("noise ", 1000)+"No space left\n")
		return errTest
	}})
	const want = "write package foo-modules: xz -zc6 --check=crc64 --block-size=12MiB --threads=7: test error: "
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "noise No space left") || len(err.Error()) > len(want)+tailSize {
		t.Errorf("error %v; want %s... noise No space left", err, want)
	}
	if !errors.Is(err, errTest) {
		t.Errorf("%v does not wrap the cause", err)
	}
}

func TestThreads(t *testing.T) {
	t.Parallel()
	for jobs, want := range map[int]int{1: 2, 2: 2, 5: 5, 100: maxThreads} {
		if got := (&Options{Jobs: jobs}).threads(); got != want {
			t.Errorf("Jobs %d: %d threads; want %d", jobs, got, want)
		}
	}
	if got := new(Options).threads(); got < 2 {
		t.Errorf("no Jobs: %d threads; want 2 or more", got)
	}
}

// TestArchive compares with an archive that was made by hand, at sizes around
// those of the copy buffer.
func TestArchive(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 2, 3, 256<<10 - 1, 256 << 10, 256<<10 + 1, 768<<10 + 1} {
		content := strings.Repeat("c", size)
		var got bytes.Buffer
		err := writeArchive(&got, time.Unix(0, 0), []member{
			{"debian-binary", 3, &oneByte{strings.NewReader("2.0")}},
			{"data.tar.zst", int64(size), strings.NewReader(content)},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := arBytes(arPart{"debian-binary", "2.0"}, arPart{"data.tar.zst", content})
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("size %d: other bytes (%d; want %d)", size, got.Len(), len(want))
		}
	}
}

// oneByte yields a byte at a time, which [ar.Writer] would pad one by one.
type oneByte struct{ r io.Reader }

func (o *oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func TestArchiveErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		m    member
		want string
	}{
		{member{strings.Repeat("n", 17), 0, strings.NewReader("")}, "name longer than 16 bytes"},
		{member{"big", maxMemberSize + 1, strings.NewReader("")}, "member big: size of 10000000000 bytes does not fit"},
		{member{"neg", -1, strings.NewReader("")}, "does not fit"},
		{member{"short", 4, strings.NewReader("abc")}, "member short: size is 3, not 4"},
		{member{"long", 2, strings.NewReader("abc")}, "member long: " + ar.ErrWriteTooLong.Error()},
		{member{"read", 2, errReader{}}, "member read: test error"},
	} {
		err := writeArchive(io.Discard, testClock, []member{test.m})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %s", test.m.name, err, test.want)
		}
	}
}

// TestHeader holds the fields of an entry that come from nowhere else.
func TestHeader(t *testing.T) {
	t.Parallel()
	got := header(&File{Path: "a/b", Mode: fs.ModeSetuid | 0o755, Size: 3}, testClock)
	want := &tar.Header{Format: tar.FormatGNU, Typeflag: tar.TypeReg, Name: "./a/b", Size: 3,
		Mode: 0o4755, ModTime: testClock, Uname: "root", Gname: "root"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestParseCompression(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Compression{"": XZ, "xz": XZ, "zstd": Zstd, "gzip": Gzip, "none": None} {
		if got, err := ParseCompression(name); got != want || err != nil {
			t.Errorf("ParseCompression(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := ParseCompression("zst"); err == nil {
		t.Error("ParseCompression(zst): no error")
	}
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := dir + "/foo.deb"
	if err := WriteFile(path, testPackage(Zstd), nil); err != nil {
		t.Fatal(err)
	}
	want := mustWrite(t, testPackage(Zstd), nil)
	check := func() {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("content of %s: %d bytes, %v; want %d", path, len(got), err, len(want))
		}
		if names, _ := os.ReadDir(dir); len(names) != 1 {
			t.Errorf("files: %v; want foo.deb", names)
		}
	}
	check()
	// A failure keeps the old one.
	bad := testPackage(Zstd)
	addFile(File{Path: "x", Size: 1, Open: opener("")})(bad)
	if err := WriteFile(path, bad, nil); err == nil {
		t.Error("no error")
	}
	check()
	err := publish(path, func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
		return syscall.ENOSPC
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("publish: %v; want ENOSPC", err)
	}
	check()
	if err := WriteFile(dir+"/none/foo.deb", testPackage(Zstd), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if err := os.Mkdir(dir+"/taken.deb", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(dir+"/taken.deb", testPackage(Zstd), nil); err == nil {
		t.Error("a directory was replaced")
	}
	os.Remove(dir + "/taken.deb")
	check()
}

func TestPartMode(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]fs.FileMode{
		"preinst": 0o755, "postinst": 0o755, "prerm": 0o755, "postrm": 0o755, "config": 0o755,
		"control": 0o644, "md5sums": 0o644, "triggers": 0o644, "conffiles": 0o644,
	} {
		if got := partMode(name); got != want {
			t.Errorf("partMode(%q) = %v; want %v", name, got, want)
		}
	}
}
