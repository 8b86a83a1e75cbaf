// SPDX-License-Identifier: MIT

package signing

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kmod"
)

const (
	kver  = "6.1.0-56-amd64"
	where = "lib/modules/" + kver + "/updates/dkms/"
)

// signer is a key with a certificate, made for one run.
type signer struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newSigner(t testing.TB, name string) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, cert}
}

// The key of the packages, and another with the same names.
var testSigners struct {
	sync.Once
	good, other signer
}

func signers(t testing.TB) (good, other signer) {
	testSigners.Do(func() { testSigners.good, testSigners.other = newSigner(t, "gokms test"), newSigner(t, "gokms test") })
	return testSigners.good, testSigners.other
}

// raw signs a digest in hexadecimal.
func (s signer) raw(t testing.TB, digest string) []byte {
	t.Helper()
	sum, err := hex.DecodeString(digest)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := s.key.Sign(rand.Reader, sum, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func (s signer) pkcs7(t testing.TB, digest string) []byte {
	t.Helper()
	der, err := kmod.NewPKCS7(s.cert, "sha256", s.raw(t, digest))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// memFile is a regular file of a package.
func memFile(path string, data []byte) debfile.File {
	return debfile.File{
		Path: path, Mode: 0o644, Size: int64(len(data)), ModTime: clock.Add(-time.Hour),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}
}

var clock = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func field(name, value string) control.Field { return control.Field{Name: name, Value: value} }

// stanza is that of a module package.
func stanza(name, version string, more ...control.Field) control.Stanza {
	return control.Stanza{Fields: append([]control.Field{
		field("Package", name), field("Version", version), field("Architecture", "amd64"), field("Maintainer", "A <a@example.org>"),
	}, append(more, field("Description", "modules\nof a test"))...)}
}

// someModule is a module that was never compiled.
func someModule(name string) []byte { return testkit.Module(kver, "name="+name) }

// packed compresses without any program.
func packed(t testing.TB, data []byte, c kmod.Compression) []byte {
	t.Helper()
	out, err := (*kmod.Options)(nil).Pack(t.Context(), data, c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fooDeb is the package foo, with two modules.
func fooDeb(t testing.TB) *debfile.Package {
	return &debfile.Package{
		Control: stanza("foo-modules-"+kver, "1:2.0-1",
			field("Depends", "linux-image-"+kver+", bar-modules-"+kver+" (= 1.0), other (= 1.0)"),
			field("Provides", "foo-modules (= 1:2.0-1), foo-api (= 7)")),
		Scripts: map[string]string{"postinst": "#!/bin/sh\n:\n", "triggers": "activate x\n"},
		Files: []debfile.File{
			memFile(where+"foo.ko", someModule("foo")),
			memFile(where+"foo-net.ko.zst", packed(t, someModule("foo_net"), kmod.Zstd)),
			memFile("usr/share/doc/foo/changelog.gz", []byte("no gzip\n")),
			{Path: "usr/share/doc/foo/link", Mode: fs.ModeSymlink | 0o777, Target: "changelog.gz"},
			{Path: "var/lib/foo", Mode: fs.ModeDir | 0o700, ModTime: clock.Add(-2 * time.Hour)},
		},
		ModTime: clock, Compression: debfile.Zstd,
	}
}

// barDeb is the package bar, which has no Source of its own.
func barDeb(testing.TB) *debfile.Package {
	return &debfile.Package{
		Control: stanza("bar-modules-"+kver, "1.0", field("Source", "bar")),
		Files:   []debfile.File{memFile(where+"bar.ko", someModule("bar"))},
		ModTime: clock, Compression: debfile.None,
	}
}

// dbgsymDeb is the one of foo's debug symbols.
func dbgsymDeb(testing.TB) *debfile.Package {
	return &debfile.Package{
		Control: stanza("foo-modules-"+kver+"-dbgsym", "1:2.0-1", field("Source", "foo (2.0-1)"),
			field("Depends", "foo-modules-"+kver+" (= 1:2.0-1)")),
		Files:   []debfile.File{memFile("usr/lib/debug/.build-id/ab/cd.debug", []byte("symbols"))},
		ModTime: clock, Compression: debfile.Zstd,
	}
}

// writeDeb writes p into dir and returns its path.
func writeDeb(t testing.TB, dir string, p *debfile.Package) string {
	t.Helper()
	version := p.Control.Get("Version")
	if version == "1:2.0-1" {
		version = "2.0-1"
	}
	path := filepath.Join(dir, p.Control.Get("Package")+"_"+version+"_amd64.deb")
	if err := debfile.WriteFile(path, p, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

// patched is a copy of an uncompressed package with other text of the same
// length, such as [debfile.Write] refuses.
func patched(t testing.TB, deb, old, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(deb))
	data := read(t, deb)
	if len(old) != len(text) || !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s: cannot make %q of %q", deb, text, old)
	}
	write(t, path, bytes.ReplaceAll(data, []byte(old), []byte(text)))
	return path
}

func sha256Of(string) (string, error) { return "sha256", nil }

// stage is the input of an Attach that works: three packages, extracted and
// signed.
type stage struct {
	dir, out string
	debs     []string
	manifest *Manifest
	options  AttachOptions
}

func newStage(t testing.TB) *stage {
	t.Helper()
	good, _ := signers(t)
	s := &stage{dir: t.TempDir()}
	for _, p := range []*debfile.Package{fooDeb(t), barDeb(t), dbgsymDeb(t)} {
		s.debs = append(s.debs, writeDeb(t, s.dir, p))
	}
	signed := filepath.Join(s.dir, "tosign")
	var err error
	if s.manifest, err = Extract(t.Context(), &ExtractOptions{Debs: s.debs, Out: signed, Hash: sha256Of}); err != nil {
		t.Fatal(err)
	}
	s.out = filepath.Join(s.dir, "out")
	s.options = AttachOptions{Debs: s.debs, Signatures: signed, Certificate: good.cert, Revision: "sig1", Out: s.out}
	for name, p := range s.manifest.Packages {
		for i, f := range p.Files {
			data, suffix := good.pkcs7(t, f.Digest), []string{".sig", ".p7s"}[i%2]
			if name == "bar-modules-"+kver {
				data, suffix = good.raw(t, f.Digest), ".raw"
			}
			write(t, s.signature(name, f.File, suffix), data)
		}
	}
	return s
}

func (s *stage) signature(pkg, file, suffix string) string {
	return filepath.Join(s.options.Signatures, pkg, file+suffix)
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tree is what lies below dir: path to hash.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if e.IsDir() {
			all[rel+"/"] = ""
			return err
		}
		data, rerr := os.ReadFile(path)
		sum := sha256.Sum256(data)
		all[rel] = hex.EncodeToString(sum[:])
		return rerr
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
