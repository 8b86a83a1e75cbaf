// SPDX-License-Identifier: MIT

package testkit

import (
	"archive/tar"
	"bytes"
	"fmt"
)

// HostileDebs are packages that must be refused, by what is wrong with each:
// "truncated", "order" (data before control), "dotdot", "absolute", "linkout",
// "linkabsolute" and "text". They are made by hand, since our own writer
// refuses to.
func HostileDebs() map[string][]byte {
	version := arMember{"debian-binary", "2.0\n"}
	admin := arMember{"control.tar", tarOf(tar.Header{Name: "./control", Typeflag: tar.TypeReg, Mode: 0o644})}
	data := func(entries ...tar.Header) []byte {
		return ar(version, admin, arMember{"data.tar", tarOf(entries...)})
	}
	top := tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}
	conf := tar.Header{Name: "./dkms.conf", Typeflag: tar.TypeReg, Mode: 0o644}
	good := data(top, conf)
	escaped := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
	link := func(target string) tar.Header {
		return tar.Header{Name: "./link", Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}
	}
	return map[string][]byte{
		"truncated":    good[:len(good)-700],
		"order":        ar(version, arMember{"data.tar", tarOf(top)}, admin),
		"dotdot":       data(top, escaped("./../escaped")),
		"absolute":     data(top, escaped("/tmp/escaped")),
		"linkout":      data(top, link("../../etc")),
		"linkabsolute": data(top, link("/etc/passwd")),
		"text":         []byte("This is not a package.\n"),
	}
}

type arMember struct{ name, content string }

// ar packs members in the format of ar(5).
func ar(members ...arMember) []byte {
	b := bytes.NewBufferString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", m.name, 0, 0, 0, "100644", len(m.content), m.content)
		if len(m.content)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

const controlText = "Package: foo-dkms\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n"

// tarOf packs headers, whatever they say. Each file holds the same text, which
// serves as a control file.
func tarOf(headers ...tar.Header) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Format = tar.FormatGNU
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(controlText))
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err) // a mistake in the table above
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(controlText)); err != nil {
				panic(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}
