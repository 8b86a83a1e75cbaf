// SPDX-License-Identifier: MIT

package debfile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gokms/gokms/pkg/control"
)

var testClock = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

// testStanza is a control stanza that dpkg-deb takes.
func testStanza() control.Stanza {
	return control.Stanza{Fields: []control.Field{
		{Name: "Package", Value: "foo-modules"},
		{Name: "Version", Value: "1.0-1"},
		{Name: "Architecture", Value: "all"},
		{Name: "Maintainer", Value: "A B <a@example.org>"},
		{Name: "Section", Value: "kernel"},
		{Name: "Priority", Value: "optional"},
		{Name: "Description", Value: "one line\nand a long\n.\ntext"},
	}}
}

// text is a regular file of mode 0644.
func text(path, content string) File {
	return File{Path: path, Mode: 0o644, Size: int64(len(content)), Open: opener(content)}
}

func opener(content string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
}

func link(path, target string) File {
	return File{Path: path, Mode: fs.ModeSymlink | 0o777, Target: target}
}

// testPackage holds one of each kind, in no order.
func testPackage(c Compression) *Package {
	return &Package{
		Control: testStanza(),
		Scripts: map[string]string{
			"postinst":  "#!/bin/sh\nexit 0\n",
			"conffiles": "/etc/foo.conf\n",
			"triggers":  "interest-noawait /usr/share/foo\n",
		},
		Files: []File{
			link("usr/share/doc/foo/a-link", "copyright"),
			text("usr/share/doc/foo/copyright", "x\n"),
			text("usr/share/doc-x/empty", ""),
			text("lib/modules/K/updates/dkms/x.ko", strings.Repeat("k", 3001)),
			{Path: "usr/share/foo", Mode: fs.ModeDir | 0o750},
			text("usr/share/doc/foo/"+strings.Repeat("long", 40)+".txt", "long\n"),
			text("usr/share/doc/foo/back\\slash and space", "odd\n"),
			text("etc/foo.conf", "conf\n"),
			{Path: "usr/bin/tool", Mode: 0o755, Size: 4, Open: opener("tool"),
				ModTime: testClock.Add(-48 * time.Hour)},
			{Path: "usr/bin/future", Mode: 0o755, Size: 4, Open: opener("tool"),
				ModTime: testClock.Add(48 * time.Hour)},
		},
		ModTime:     testClock,
		Compression: c,
	}
}

// mustWrite returns the bytes of p.
func mustWrite(t testing.TB, p *Package, o *Options) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := Write(&buf, p, o); err != nil {
		t.Fatalf("Write: %v", err)
	}
	return buf.Bytes()
}

// mustRead opens a package that lies in memory.
func mustRead(t testing.TB, deb []byte) *Reader {
	t.Helper()
	r, err := readBytes(deb, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readBytes(deb []byte, o *ReadOptions) (*Reader, error) {
	return NewReader(bytes.NewReader(deb), int64(len(deb)), "x.deb", o)
}

// listing is the data member as lines "mode time hash path [-> target]".
func listing(r *Reader) ([]string, error) {
	var lines []string
	err := r.Walk(func(e Entry, content io.Reader) error {
		h := sha256.New()
		n, err := io.Copy(h, content)
		if err != nil {
			return err
		}
		if n != e.Size {
			return fmt.Errorf("%s: read %d of %d", e.Path, n, e.Size)
		}
		line := fmt.Sprintf("%v %d %d", e.Mode, e.ModTime.Unix(), e.Size)
		if e.Mode.IsRegular() {
			line += fmt.Sprintf(" %x", h.Sum(nil)[:4])
		}
		line += " " + e.Path
		if e.Target != "" {
			line += " -> " + e.Target
		}
		if e.Link != "" {
			line += " = " + e.Link
		}
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

// arPart is a member of an archive that is made by hand.
type arPart struct {
	name, content string
}

// arBytes packs members as ar(5) says, whatever their names.
func arBytes(parts ...arPart) []byte {
	buf := bytes.NewBufferString(arMagic)
	for _, p := range parts {
		fmt.Fprintf(buf, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", p.name, 0, 0, 0, "100644", len(p.content), p.content)
		if len(p.content)%2 == 1 {
			buf.WriteByte('\n')
		}
	}
	return buf.Bytes()
}

// tarBytes packs headers, whatever they say. A regular file holds as many "x"
// as its size says.
func tarBytes(headers ...tar.Header) string {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, h := range headers {
		if h.Format == tar.FormatUnknown {
			h.Format = tar.FormatGNU
		}
		if h.Mode == 0 && h.Typeflag != tar.TypeXGlobalHeader {
			h.Mode = 0o755
		}
		if err := tw.WriteHeader(&h); err != nil {
			panic(err)
		}
		if h.Typeflag == tar.TypeReg {
			io.WriteString(tw, strings.Repeat("x", int(h.Size)))
		}
	}
	if err := tw.Close(); err != nil {
		panic(err)
	}
	return buf.String()
}

func dirEntry(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name} }

func regEntry(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: 3}
}

func symEntry(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}

func hardEntry(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}
}

func gz(content string) string {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	io.WriteString(zw, content)
	zw.Close()
	return buf.String()
}

// controlTar is a control member that dpkg-deb takes.
func controlTar() string {
	const control = "Package: foo\nVersion: 1.0\nArchitecture: all\n" +
		"Maintainer: A <a@example.org>\nDescription: x\n"
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755})
	tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./control", Mode: 0o644, Size: int64(len(control))})
	io.WriteString(tw, control)
	tw.Close()
	return buf.String()
}

// debBytes is a package with the given data member.
func debBytes(headers ...tar.Header) []byte {
	return arBytes(arPart{"debian-binary", "2.0\n"},
		arPart{"control.tar.gz", gz(controlTar())},
		arPart{"data.tar.gz", gz(tarBytes(headers...))})
}

// noRun stands for a machine without compressors.
func noRun(cmd *exec.Cmd) error {
	return &exec.Error{Name: cmd.Path, Err: exec.ErrNotFound}
}

// catRun stands for a compressor that does nothing.
func catRun(cmd *exec.Cmd) error {
	_, err := io.Copy(cmd.Stdout, cmd.Stdin)
	return err
}

// checkNoFiles wants dir to be empty.
func checkNoFiles(t *testing.T, dir string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

var errTest = errors.New("test error")
