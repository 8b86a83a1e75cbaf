// SPDX-License-Identifier: MIT

package signing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kmod"
)

func TestExtract(t *testing.T) {
	s := newStage(t)
	text := read(t, filepath.Join(s.options.Signatures, ManifestFile))
	m, err := ReadManifest(filepath.Join(s.options.Signatures, ManifestFile))
	if diff := cmp.Diff(s.manifest, m); diff != "" || err != nil {
		t.Errorf("ReadManifest() = %v (-want +got):\n%s", err, diff)
	}
	if len(m.Packages) != 2 {
		t.Errorf("manifest = %s; want two packages", text)
	}
	foo := m.Packages["foo-modules-"+kver]
	module := someModule("foo_net")
	digest, err := kmod.Digest(module, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	_, sum, err := debfile.Sum(s.debs[0])
	if err != nil {
		t.Fatal(err)
	}
	want := &Package{Deb: filepath.Base(s.debs[0]), Version: "1:2.0-1", Architecture: "amd64", SHA256: sum, Files: []File{{
		SigType: "linux-module", File: where + "foo-net.ko", Member: where + "foo-net.ko.zst", Kernel: kver, Size: len(module),
		SHA256: fmt.Sprintf("%x", digest), Hash: "sha256", Digest: fmt.Sprintf("%x", digest),
	}, foo.Files[1]}}
	if diff := cmp.Diff(want, foo); diff != "" {
		t.Errorf("package (-want +got):\n%s", diff)
	}
	if got := read(t, filepath.Join(s.options.Signatures, "foo-modules-"+kver, where, "foo-net.ko")); !bytes.Equal(got, module) {
		t.Error("extracted are other bytes")
	}
}

func TestExtractRefuses(t *testing.T) {
	dir := t.TempDir()
	bar := writeDeb(t, dir, barDeb(t))
	good, _ := signers(t)
	digest, err := kmod.Digest(someModule("bar"), "sha256")
	if err != nil {
		t.Fatal(err)
	}
	deb := func(change func(p *debfile.Package)) string {
		p := barDeb(t)
		change(p)
		return writeDeb(t, t.TempDir(), p)
	}
	for _, tt := range []struct {
		name string
		debs []string
		hash string
		want string // within the error
	}{
		{"signed", []string{deb(func(p *debfile.Package) {
			p.Files = []debfile.File{memFile(where+"bar.ko", kmod.AppendSignature(someModule("bar"), good.pkcs7(t, fmt.Sprintf("%x", digest))))}
		})}, "sha256", where + `bar.ko: is signed already: by "gokms test", key 12:67`},
		{"signed in an odd way", []string{deb(func(p *debfile.Package) {
			p.Files = []debfile.File{memFile(where+"bar.ko", kmod.AppendSignature(someModule("bar"), []byte("x")))}
		})}, "sha256", where + `bar.ko: is signed already`},
		{"no module", []string{deb(func(p *debfile.Package) { p.Files = nil })}, "sha256", "has no module to sign"},
		{"debug symbols only", []string{writeDeb(t, t.TempDir(), dbgsymDeb(t))}, "sha256", "no module to sign"},
		{"wrong name", []string{deb(func(p *debfile.Package) { p.Files[0].Path += ".zst" })}, "sha256", "is compressed otherwise than its name says"},
		{"twice", []string{bar, bar}, "sha256", "is the package bar-modules-" + kver + ", as "},
		{"no package", []string{filepath.Join(dir, "gone.deb")}, "sha256", "no such file"},
		{"architecture", []string{patched(t, bar, "Architecture: amd64", "Architecture: a/../")}, "sha256", `architecture name "a/../"`},
		{"hash", []string{bar}, "crc32", where + `bar.ko: unknown hash "crc32" of CONFIG_MODULE_SIG_HASH`},
		{"no hash", []string{bar}, "", "no headers of " + kver},
	} {
		out := filepath.Join(t.TempDir(), "out")
		hash := func(release string) (string, error) {
			if tt.hash == "" {
				return "", errors.New("no headers of " + release)
			}
			return tt.hash, nil
		}
		_, err := Extract(t.Context(), &ExtractOptions{Debs: tt.debs, Out: out, Hash: hash})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Extract() = %v; want %s", tt.name, err, tt.want)
		}
		if left := tree(t, filepath.Dir(out)); len(left) != 1 {
			t.Errorf("%s: Extract() leaves %v", tt.name, left)
		}
	}
	if _, err := Extract(t.Context(), &ExtractOptions{Debs: []string{bar}, Out: dir, Hash: sha256Of}); err == nil || err.Error() != dir+": directory is not empty" {
		t.Errorf("Extract() into a directory with files = %v", err)
	}
}

func TestAttach(t *testing.T) {
	s := newStage(t)
	before := tree(t, s.dir)
	a, err := Attach(t.Context(), &s.options)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		filepath.Join(s.out, "foo-modules-"+kver+"_2.0-1+sig1_amd64.deb"), filepath.Join(s.out, "bar-modules-"+kver+"_1.0+sig1_amd64.deb"),
		filepath.Join(s.out, "foo-modules-"+kver+"-dbgsym_2.0-1+sig1_amd64.deb"),
	}
	if diff := cmp.Diff(&Attached{Debs: want}, a); diff != "" {
		t.Errorf("Attach() (-want +got):\n%s", diff)
	}
	after := tree(t, s.dir)
	for path, sum := range before {
		if after[path] != sum {
			t.Errorf("Attach() changed %s", path)
		}
	}
	if len(after) != len(before)+1+len(want) {
		t.Errorf("Attach() leaves %v", after)
	}
	good, _ := signers(t)
	for i, path := range a.Debs {
		if err := Compare(s.debs[i], path, Programs{}); err != nil {
			t.Error(err)
		}
		d, err := openDeb(path, Programs{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.modules(func(m module) error {
			_, err := kmod.VerifySigned(m.content, good.cert, "sha256")
			return err
		}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for i, fields := range []map[string]string{
		{"Source": "foo-modules-" + kver + " (1:2.0-1)", "Version": "1:2.0-1+sig1", "Provides": "foo-modules (= 1:2.0-1+sig1), foo-api (= 7)",
			"Depends": "linux-image-" + kver + ", bar-modules-" + kver + " (= 1.0+sig1), other (= 1.0)"},
		{"Source": "bar (1.0)", "Version": "1.0+sig1"},
		{"Source": "foo (2.0-1)", "Version": "1:2.0-1+sig1", "Depends": "foo-modules-" + kver + " (= 1:2.0-1+sig1)"},
	} {
		r, err := debfile.Open(a.Debs[i])
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for name, value := range fields {
			if got := r.Control().Get(name); got != value {
				t.Errorf("%s: %s = %q; want %q", a.Debs[i], name, got, value)
			}
		}
	}
	again := s.options
	again.Out = filepath.Join(s.dir, "again")
	b, err := Attach(t.Context(), &again)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Debs {
		if !bytes.Equal(read(t, a.Debs[i]), read(t, b.Debs[i])) {
			t.Errorf("%s differs the second time", b.Debs[i])
		}
	}
}

// TestAttachSameVersion has a package without modules come out as it was, and
// one with modules with its own name.
func TestAttachSameVersion(t *testing.T) {
	s := newStage(t)
	s.options.Revision = ""
	a, err := Attach(t.Context(), &s.options)
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range a.Debs {
		if filepath.Base(path) != filepath.Base(s.debs[i]) {
			t.Errorf("%s became %s", s.debs[i], path)
		}
		if same := bytes.Equal(read(t, path), read(t, s.debs[i])); same != (i == 2) {
			t.Errorf("%s: same bytes: %v", path, same)
		}
	}
	s.options.Out = s.dir
	before := tree(t, s.dir)
	if _, err := Attach(t.Context(), &s.options); err == nil || !strings.HasSuffix(err.Error(), "would be overwritten by the signed package") {
		t.Errorf("Attach() into the directory of the packages = %v", err)
	}
	if diff := cmp.Diff(before, tree(t, s.dir)); diff != "" {
		t.Errorf("Attach() into the directory of the packages (-before +after):\n%s", diff)
	}
}

// TestRepack writes packages as they are: the bytes must be the same.
func TestRepack(t *testing.T) {
	for _, p := range []*debfile.Package{fooDeb(t), barDeb(t), dbgsymDeb(t)} {
		path := writeDeb(t, t.TempDir(), p)
		d, err := openDeb(path, Programs{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		c := d.Control()
		c.Del("Installed-Size")
		j := &job{AttachOptions: &AttachOptions{}, tmp: t.TempDir()}
		out := filepath.Join(t.TempDir(), "x.deb")
		if err := j.repack(t.Context(), d, c, nil, out); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(read(t, path), read(t, out)) {
			t.Errorf("%s: other bytes", path)
		}
	}
}

func TestAttachRefuses(t *testing.T) {
	_, other := signers(t)
	const foo, bar = "foo-modules-" + kver, "bar-modules-" + kver
	sig := func(s *stage) string { return s.signature(foo, where+"foo-net.ko", ".sig") }
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *stage)
		want   string // within the error
	}{
		{"partial", func(t *testing.T, s *stage) { remove(t, sig(s)) },
			foo + "_2.0-1_amd64.deb: " + where + "foo-net.ko.zst: no signature: none of "},
		{"twice", func(t *testing.T, s *stage) { write(t, s.signature(foo, where+"foo-net.ko", ".p7s"), read(t, sig(s))) },
			where + "foo-net.ko.zst: has more than one signature: "},
		{"another module's", func(t *testing.T, s *stage) { write(t, sig(s), read(t, s.signature(foo, where+"foo.ko", ".p7s"))) },
			"foo-net.ko.sig: signature does not fit the content"},
		{"another key's, of the same name", func(t *testing.T, s *stage) {
			write(t, sig(s), other.pkcs7(t, s.manifest.Packages[foo].Files[0].Digest))
		}, "foo-net.ko.sig: signature does not fit the content"},
		{"another certificate", func(t *testing.T, s *stage) { s.options.Certificate = newSigner(t, "somebody").cert },
			`signature is by another key: by "gokms test", serial number 12:67, not by the certificate of "somebody"`},
		{"raw by another key", func(t *testing.T, s *stage) {
			write(t, s.signature(bar, where+"bar.ko", ".raw"), other.raw(t, s.manifest.Packages[bar].Files[0].Digest))
		}, "bar.ko.raw: signature does not fit the content"},
		{"text", func(t *testing.T, s *stage) { write(t, sig(s), []byte("no signature\n")) }, "foo-net.ko.sig: PKCS#7 signature: not DER"},
		{"empty", func(t *testing.T, s *stage) { write(t, sig(s), nil) }, "foo-net.ko.sig: PKCS#7 signature: not DER"},
		{"appended already", func(t *testing.T, s *stage) {
			write(t, sig(s), kmod.AppendSignature(someModule("foo_net"), read(t, sig(s))))
		}, "foo-net.ko.sig: PKCS#7 signature: not DER"},
		{"huge", func(t *testing.T, s *stage) { write(t, sig(s), make([]byte, maxSignature+1)) }, "foo-net.ko.sig: 1048577 bytes are too many for a signature"},
		{"directory", func(t *testing.T, s *stage) {
			remove(t, sig(s))
			if err := os.Mkdir(sig(s), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "foo-net.ko.sig: not a regular file"},
		{"stray", func(t *testing.T, s *stage) { write(t, filepath.Join(s.options.Signatures, "x.ko.sig"), []byte("x")) },
			"x.ko.sig: signature belongs to no module of the packages"},
		{"another build", func(t *testing.T, s *stage) {
			p := fooDeb(t)
			p.Files[2] = memFile("usr/share/doc/foo/changelog.gz", []byte("other\n"))
			writeDeb(t, s.dir, p)
		}, foo + "_2.0-1_amd64.deb: is another build of " + foo + " than the one that was extracted"},
		{"not extracted", func(t *testing.T, s *stage) { edit(t, s, func(m *Manifest) { delete(m.Packages, foo) }) },
			"manifest.json does not name the package " + foo},
		{"module not extracted", func(t *testing.T, s *stage) {
			edit(t, s, func(m *Manifest) { m.Packages[foo].Files = m.Packages[foo].Files[1:] })
		}, where + "foo-net.ko.zst: manifest.json does not name it"},
		{"another hash", func(t *testing.T, s *stage) {
			edit(t, s, func(m *Manifest) { m.Packages[foo].Files[0].Hash = "sha512" })
		},
			"signature is over the hash sha256, the kernel's is sha512"},
		{"other bytes", func(t *testing.T, s *stage) { edit(t, s, func(m *Manifest) { m.Packages[foo].Files[0].SHA256 = "ab" }) },
			where + "foo-net.ko.zst: is not the module that was extracted"},
		{"schema", func(t *testing.T, s *stage) { edit(t, s, func(m *Manifest) { m.Schema = "x" }) }, `manifest.json: schema is "x": want "gokms-signing/1"`},
		{"no manifest", func(t *testing.T, s *stage) { remove(t, filepath.Join(s.options.Signatures, ManifestFile)) }, "manifest.json: no such file"},
		{"broken manifest", func(t *testing.T, s *stage) { write(t, filepath.Join(s.options.Signatures, ManifestFile), []byte("{")) }, "manifest.json: unexpected end"},
		{"empty package in the manifest", func(t *testing.T, s *stage) {
			write(t, filepath.Join(s.options.Signatures, ManifestFile), []byte(`{"schema":"gokms-signing/1","packages":{"`+foo+`":null}}`))
		}, "manifest.json: says nothing about the package " + foo},
		{"revision", func(_ *testing.T, s *stage) { s.options.Revision = "a b" }, `revision "a b": want letters, digits`},
		{"revision with a hyphen", func(_ *testing.T, s *stage) { s.options.Revision = "a-1" }, `revision "a-1": want letters, digits`},
		{"twice the same package", func(_ *testing.T, s *stage) { s.options.Debs = append(s.options.Debs, s.debs[0]) }, "is the package " + foo + ", as "},
		{"two of one name", func(t *testing.T, s *stage) {
			s.options.Revision = ""
			dir := filepath.Join(s.dir, "b")
			same := filepath.Join(dir, filepath.Base(s.debs[0]))
			if err := errors.Join(os.Mkdir(dir, 0o755), os.Rename(s.debs[1], same)); err != nil {
				t.Fatal(err)
			}
			s.options.Debs = []string{s.debs[0], same}
		}, "/b/" + foo + "_2.0-1_amd64.deb: has the name of "},
		{"no changes", func(_ *testing.T, s *stage) { s.options.Changes = []string{filepath.Join(s.dir, "x.changes")} }, "x.changes: no such file"},
		{"two problems", func(t *testing.T, s *stage) {
			remove(t, sig(s))
			remove(t, s.signature(bar, where+"bar.ko", ".raw"))
		}, "none of"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			tt.change(t, s)
			before := tree(t, s.dir)
			_, err := Attach(t.Context(), &s.options)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Attach() = %v; want %s", err, tt.want)
			}
			if tt.name == "two problems" && strings.Count(err.Error(), "no signature") != 2 {
				t.Errorf("Attach() = %v; want both problems", err)
			}
			if diff := cmp.Diff(before, tree(t, s.dir)); diff != "" {
				t.Errorf("Attach() changes (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAttachCancelled(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Attach(ctx, &s.options); !errors.Is(err, context.Canceled) {
		t.Errorf("Attach() = %v; want %v", err, context.Canceled)
	}
	if _, err := os.Stat(s.out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Attach() leaves %v", tree(t, s.out))
	}
}

// TestAttachPublishes has the second of the results not be put in place.
func TestAttachPublishes(t *testing.T) {
	s := newStage(t)
	if err := os.MkdirAll(filepath.Join(s.out, "bar-modules-"+kver+"_1.0+sig1_amd64.deb"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := tree(t, s.dir)
	if _, err := Attach(t.Context(), &s.options); err == nil {
		t.Error("Attach() over a directory = nil")
	}
	if diff := cmp.Diff(before, tree(t, s.dir)); diff != "" {
		t.Errorf("Attach() over a directory changes (-before +after):\n%s", diff)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// edit changes the manifest.
func edit(t *testing.T, s *stage, change func(*Manifest)) {
	t.Helper()
	change(s.manifest)
	text, err := json.Marshal(s.manifest)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.options.Signatures, ManifestFile), text)
}

func TestCompare(t *testing.T) {
	old := writeDeb(t, t.TempDir(), fooDeb(t))
	for _, tt := range []struct {
		name   string
		change func(*debfile.Package)
		want   string // within the error; "": none
	}{
		{"same", func(*debfile.Package) {}, ""},
		{"version", func(p *debfile.Package) { p.Control.Set("Version", "1:2.0-1+x") }, ""},
		{"signature", func(p *debfile.Package) {
			p.Files[0] = memFile(where+"foo.ko", kmod.AppendSignature(someModule("foo"), []byte("x")))
		}, ""},
		{"module", func(p *debfile.Package) { p.Files[0] = memFile(where+"foo.ko", someModule("fop")) }, where + "foo.ko: mode -rw-r--r--"},
		{"file", func(p *debfile.Package) { p.Files[2] = memFile(p.Files[2].Path, []byte("no gzip!")) }, "usr/share/doc/foo/changelog.gz: mode"},
		{"mode", func(p *debfile.Package) { p.Files[0].Mode = 0o755 }, where + "foo.ko: mode -rwxr-xr-x"},
		{"time", func(p *debfile.Package) { p.Files[0].ModTime = clock }, where + "foo.ko: mode"},
		{"target", func(p *debfile.Package) { p.Files[3].Target = "x" }, "usr/share/doc/foo/link: mode"},
		{"less", func(p *debfile.Package) { p.Files = p.Files[1:] }, where + "foo.ko: not there; was mode"},
		{"more", func(p *debfile.Package) { p.Files = append(p.Files, memFile("etc/x", nil)) }, "etc/: "},
		{"script", func(p *debfile.Package) { p.Scripts["postinst"] = "#!/bin/sh\nrm -rf /\n" }, "control member postinst: "},
		{"new script", func(p *debfile.Package) { p.Scripts["prerm"] = "#!/bin/sh\n" }, "control member prerm: "},
		{"field", func(p *debfile.Package) { p.Control.Set("Section", "kernel") }, "control field Section: "},
		{"relation", func(p *debfile.Package) { p.Control.Set("Depends", "evil (= 1)") }, "control field Depends: "},
		{"source", func(p *debfile.Package) { p.Control.Set("Source", "evil") }, "control field Source: "},
	} {
		p := fooDeb(t)
		tt.change(p)
		path := filepath.Join(t.TempDir(), "new.deb")
		if err := debfile.WriteFile(path, p, nil); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(Compare(old, path, Programs{}))
		want := path + ": differs from " + old + ": " + strings.TrimSuffix(tt.want, "/: ")
		if tt.want == "" && got != "<nil>" || tt.want != "" && !strings.HasPrefix(got, want) {
			t.Errorf("%s: Compare() = %s; want %q", tt.name, got, want)
		}
	}
}

const changes = `Format: 1.8
Source: foo
Version: 2.0-1
Changes:
 foo (2.0-1) unstable; urgency=medium
 .
   * First.
Checksums-Sha1:
 1 2 foo_2.0-1.dsc
 1 2 foo-modules-6.1.0-56-amd64_2.0-1_amd64.deb
Checksums-Sha256:
 1 2 foo_2.0-1.buildinfo
 1 2 foo-modules-6.1.0-56-amd64_2.0-1_amd64.deb
Files:
 1 2 kernel optional foo_2.0-1.dsc
 1 2 kernel optional foo-modules-6.1.0-56-amd64_2.0-1_amd64.deb
`

func TestChanges(t *testing.T) {
	s := newStage(t)
	for name, text := range map[string]string{
		"foo.changes":         changes,
		"foo_2.0-1.buildinfo": "Format: 1.0\nSource: foo\nChecksums-Sha256:\n 1 2 foo-modules-6.1.0-56-amd64_2.0-1_amd64.deb\n",
	} {
		write(t, filepath.Join(s.dir, name), []byte(text))
		s.options.Changes = append(s.options.Changes, filepath.Join(s.dir, name))
	}
	a, err := Attach(t.Context(), &s.options)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{filepath.Join(s.out, "foo_2.0-1+sig1.buildinfo"), filepath.Join(s.out, "foo+sig1.changes")}, a.Changes); diff != "" {
		t.Errorf("Changes (-want +got):\n%s", diff)
	}
	line := func(path, algorithm, more string) string {
		size, sum, err := digestOf(path, lists[algorithm]())
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s %d%s %s\n", sum, size, more, filepath.Base(path))
	}
	info := a.Changes[0]
	const deb = "1 2 foo-modules-6.1.0-56-amd64_2.0-1_amd64.deb\n"
	want := strings.Replace(changes, deb, line(a.Debs[0], "Checksums-Sha1", ""), 1)
	want = strings.Replace(want, deb, line(a.Debs[0], "Checksums-Sha256", ""), 1)
	want = strings.Replace(want, "1 2 foo_2.0-1.buildinfo\n", line(info, "Checksums-Sha256", ""), 1)
	want = strings.Replace(want, strings.Replace(deb, " foo", " kernel optional foo", 1), line(a.Debs[0], "Files", " kernel optional"), 1)
	if diff := cmp.Diff(want, string(read(t, a.Changes[1]))); diff != "" {
		t.Errorf(".changes (-want +got):\n%s", diff)
	}
	if got := string(read(t, info)); !strings.Contains(got, line(a.Debs[0], "Checksums-Sha256", "")) {
		t.Errorf(".buildinfo = %s", got)
	}
}

func TestChangesRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"signed": {"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + changes, "is signed with OpenPGP: the signature would become wrong"},
		"other":  {strings.ReplaceAll(changes, "foo-modules", "baz-modules"), "lists none of the packages"},
		"text":   {"hello\n", "x.changes:1: "},
		"two":    {changes + "\n" + changes, "has 2 stanzas: want one"},
		"empty":  {"", "has 0 stanzas: want one"},
	} {
		s := newStage(t)
		path := filepath.Join(s.dir, "x.changes")
		write(t, path, []byte(tt.text))
		write(t, filepath.Join(s.dir, "foo_2.0-1.buildinfo"), []byte("Format: 1.0\nChecksums-Sha256:\n 1 2 "+filepath.Base(s.debs[0])+"\n"))
		s.options.Changes = []string{path}
		if _, err := Attach(t.Context(), &s.options); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Attach() = %v; want %s", name, err, tt.want)
		}
		if _, err := os.Stat(s.out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: Attach() leaves %v", name, tree(t, s.out))
		}
	}
}

// TestChangesOfOthers has a .changes that lists more than is given.
func TestChangesOfOthers(t *testing.T) {
	const dbgsym = "foo-modules-" + kver + "-dbgsym_2.0-1_amd64.deb"
	const buildinfo = "Format: 1.0\nChecksums-Sha256:\n 1 2 foo-modules-" + kver + "_2.0-1_amd64.deb\n"
	withDbgsym := changes + " 1 2 debug optional " + dbgsym + "\n"
	for _, tt := range []struct {
		name, changes string
		change        func(*stage)
		want          string // within the error; "": none
		made          string // names of new lists
	}{
		{"taken along", changes, func(*stage) {}, "", "foo_2.0-1+sig1.buildinfo foo_2.0-1+sig1_amd64.changes"},
		{"unpublished", changes, func(s *stage) { s.options.Revision = "" }, "", "foo_2.0-1.buildinfo foo_2.0-1_amd64.changes"},
		{"not there", changes, func(s *stage) { os.Remove(filepath.Join(s.dir, "foo_2.0-1.buildinfo")) },
			"foo_2.0-1_amd64.changes: lists foo_2.0-1.buildinfo, which does not lie beside it", ""},
		{"elsewhere", strings.ReplaceAll(changes, "foo_2.0-1.b", "tosign/foo.b"), func(s *stage) {
			write(t, filepath.Join(s.options.Signatures, "foo.buildinfo"), []byte(buildinfo))
		}, "lists tosign/foo.buildinfo, which does not", ""},
		{"beside the old ones", changes, func(s *stage) { s.options.Out = s.dir }, "", "foo_2.0-1+sig1.buildinfo foo_2.0-1+sig1_amd64.changes"},
		{"with symbols", withDbgsym, func(*stage) {}, "", "foo_2.0-1+sig1.buildinfo foo_2.0-1+sig1_amd64.changes"},
		{"without symbols", withDbgsym, func(s *stage) { s.options.Debs = s.debs[:2] },
			dbgsym + " depends on foo-modules-" + kver + " (= 1:2.0-1), which becomes 1:2.0-1+sig1", ""},
		{"symbols not there", withDbgsym, func(s *stage) { s.options.Debs = s.debs[:2]; os.Remove(s.debs[2]) },
			dbgsym + " depends on foo-modules-" + kver + " (= 1:2.0-1), which becomes 1:2.0-1+sig1", ""},
		{"without symbols, unpublished", withDbgsym, func(s *stage) { s.options.Debs, s.options.Revision = s.debs[:2], "" }, "",
			"foo_2.0-1.buildinfo foo_2.0-1_amd64.changes"},
		{"another package", changes + " 1 2 kernel optional bar-modules-" + kver + "_1.0_amd64.deb\n", func(s *stage) { s.options.Debs = s.debs[:1] }, "",
			"foo_2.0-1+sig1.buildinfo foo_2.0-1+sig1_amd64.changes"},
		{"two of one name", changes, func(s *stage) {
			same := filepath.Join(s.dir, "b", filepath.Base(s.debs[0]))
			os.Mkdir(filepath.Dir(same), 0o755)
			os.Rename(s.debs[1], same)
			s.options.Debs = []string{s.debs[0], same}
		}, "/b/foo-modules-" + kver + "_2.0-1_amd64.deb: has the name of ", ""},
		{"symbols only", changes, func(s *stage) { s.options.Debs = s.debs[2:] }, "no module to sign", ""},
	} {
		s := newStage(t)
		path := filepath.Join(s.dir, "foo_2.0-1_amd64.changes")
		write(t, path, []byte(tt.changes))
		write(t, filepath.Join(s.dir, "foo_2.0-1.buildinfo"), []byte(buildinfo))
		s.options.Changes = []string{path}
		tt.change(s)
		a, err := Attach(t.Context(), &s.options)
		if tt.want != "" {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: Attach() = %v; want %s", tt.name, err, tt.want)
			}
			if _, err := os.Stat(s.out); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: Attach() leaves %v", tt.name, tree(t, s.out))
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: Attach() = %v", tt.name, err)
			continue
		}
		var made []string
		for _, path := range a.Changes {
			made = append(made, filepath.Base(path))
		}
		if got := strings.Join(made, " "); got != tt.made {
			t.Errorf("%s: Attach() makes %s; want %s", tt.name, got, tt.made)
		}
		_, sum, err := digestOf(a.Changes[0], lists["Checksums-Sha256"]())
		if text := string(read(t, a.Changes[1])); err != nil || !strings.Contains(text, "\n "+sum+" ") || strings.Contains(text, "foo_2.0-1.buildinfo") != (s.options.Revision == "") {
			t.Errorf("%s: the new .changes does not list the new .buildinfo:\n%s", tt.name, text)
		}
	}
}

// TestPublishTakesBack has something in the way of the last file.
func TestPublishTakesBack(t *testing.T) {
	s := newStage(t)
	foo := filepath.Join(s.out, "foo-modules-"+kver+"_2.0-1+sig1_amd64.deb")
	if err := os.MkdirAll(filepath.Join(s.out, "foo-modules-"+kver+"-dbgsym_2.0-1+sig1_amd64.deb", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, foo, []byte("older"))
	before := tree(t, s.out)
	if _, err := Attach(t.Context(), &s.options); err == nil || !strings.HasSuffix(err.Error(), "dbgsym_2.0-1+sig1_amd64.deb: is in the way: not a regular file") {
		t.Errorf("Attach() = %v", err)
	}
	if diff := cmp.Diff(before, tree(t, s.out)); diff != "" {
		t.Errorf("Attach() leaves (-want +got):\n%s", diff)
	}
}

func TestFailureLeavesNoDirectory(t *testing.T) {
	s := newStage(t)
	s.options.Changes = []string{filepath.Join(s.dir, "absent.changes")}
	if _, err := Attach(t.Context(), &s.options); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Attach() = %v", err)
	}
	if _, err := os.Stat(s.out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory for the results is left: %v", err)
	}
}

func TestHint(t *testing.T) {
	inner := &Error{Err: errors.New("x"), Cure: "do y"}
	for want, e := range map[string]*Error{"do y": {Err: fmt.Errorf("z: %w", inner)}, "do w": {Err: inner, Cure: "do w"}, "": {Err: errors.New("x")}} {
		if got := e.Hint(); got != want {
			t.Errorf("Hint() = %q; want %q", got, want)
		}
	}
}

func TestHugeMember(t *testing.T) {
	t.Parallel()
	for size, want := range map[int64]string{kmod.MaxSize + 1: "1073741825 bytes are more than a module can have", kmod.MaxSize: "<nil>"} {
		e := debfile.Entry{File: debfile.File{Path: where + "foo.ko", Mode: 0o644, Size: size}}
		_, err := readMember(e, strings.NewReader(""))
		if fmt.Sprint(err) != want {
			t.Errorf("readMember() of %d bytes = %v; want %s", size, err, want)
		}
		_, err = contentSum(e, strings.NewReader(""), Programs{})
		if fmt.Sprint(err) != want {
			t.Errorf("contentSum() of %d bytes = %v; want %s", size, err, want)
		}
	}
}

// TestJoinOtherBytes has a package that changes behind the verification.
func TestJoinOtherBytes(t *testing.T) {
	t.Parallel()
	d, err := openDeb(writeDeb(t, t.TempDir(), barDeb(t)), Programs{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	j := &job{AttachOptions: &AttachOptions{}, tmp: t.TempDir()}
	err = j.repack(t.Context(), d, d.Control(), map[string]verified{where + "bar.ko": {pkcs7: []byte("x")}}, filepath.Join(t.TempDir(), "x.deb"))
	if want := d.path + ": " + where + "bar.ko: has changed since its signature was verified"; err == nil || err.Error() != want {
		t.Errorf("repack() = %v; want %s", err, want)
	}
}
