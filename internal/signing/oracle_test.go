// SPDX-License-Identifier: MIT

package signing

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kmod"
)

// output is what a program prints.
func output(t *testing.T, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v: %s", argv, err, stderr.String())
	}
	return string(out)
}

// files writes key and certificate.
func (s signer) files(t *testing.T) (key, cert string) {
	t.Helper()
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	key, cert = filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw}))
	return key, cert
}

// TestOracleSigners has the signatures made by sign-file, by openssl cms, and
// by openssl pkeyutl from the digest alone, and the result read by dpkg-deb,
// md5sum, modinfo and openssl.
func TestOracleSigners(t *testing.T) {
	testkit.Tools(t, "openssl", "dpkg-deb", "md5sum", "modinfo", "xz")
	signFile := "/lib/modules/" + testkit.Kernels(t)[0] + "/build/scripts/sign-file"
	good, _ := signers(t)
	key, cert := good.files(t)
	p := fooDeb(t)
	p.Compression = debfile.XZ
	p.Files = append(p.Files, memFile(where+"foo-fs.ko.xz", packed(t, someModule("foo_fs"), kmod.XZ)))
	deb := writeDeb(t, t.TempDir(), p)
	dir := filepath.Join(t.TempDir(), "tosign")
	m, err := Extract(t.Context(), &ExtractOptions{Debs: []string{deb}, Out: dir, Hash: sha256Of})
	if err != nil {
		t.Fatal(err)
	}
	foo := m.Packages["foo-modules-"+kver]
	for i, f := range foo.Files {
		file := filepath.Join(dir, "foo-modules-"+kver, f.File)
		switch i {
		case 0: // writes FILE.p7s
			output(t, signFile, "-d", f.Hash, key, cert, file)
		case 1:
			output(t, "openssl", "cms", "-sign", "-binary", "-noattr", "-md", f.Hash, "-in", file, "-signer", cert, "-inkey", key, "-outform", "DER", "-out", file+".sig")
		case 2:
			digest, err := hex.DecodeString(f.Digest)
			if err != nil {
				t.Fatal(err)
			}
			write(t, file+".bin", digest)
			output(t, "openssl", "pkeyutl", "-sign", "-in", file+".bin", "-inkey", key, "-pkeyopt", "digest:"+f.Hash, "-out", file+".raw")
		}
	}
	a, err := Attach(t.Context(), &AttachOptions{Debs: []string{deb}, Signatures: dir, Certificate: good.cert, Revision: "r1", Out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	output(t, "dpkg-deb", "-R", a.Debs[0], root)
	check := exec.Command("md5sum", "-c", "--quiet", "DEBIAN/md5sums")
	check.Dir = root
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("md5sum -c: %v: %s", err, out)
	}
	for _, f := range foo.Files {
		if signer := output(t, "modinfo", "-F", "signer", filepath.Join(root, f.Member)); signer != "gokms test\n" {
			t.Errorf("%s: modinfo says that the signer is %q", f.Member, signer)
		}
		signed := read(t, filepath.Join(root, f.Member))
		data, _, err := new(kmod.Options).Unpack(bytes.NewReader(signed), int64(len(signed)), f.Member)
		if err != nil {
			t.Fatal(err)
		}
		module, der, err := kmod.SplitSignature(data)
		if err != nil || !bytes.Equal(module, read(t, filepath.Join(dir, "foo-modules-"+kver, f.File))) {
			t.Errorf("%s: %v, or other bytes than were extracted", f.Member, err)
		}
		detached := filepath.Join(t.TempDir(), "der")
		write(t, detached, der)
		output(t, "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", detached, "-content", filepath.Join(dir, "foo-modules-"+kver, f.File),
			"-certfile", cert, "-CAfile", cert, "-purpose", "any", "-out", "/dev/null")
	}
	if got := strings.TrimSpace(output(t, "dpkg-deb", "-f", a.Debs[0], "Version")); got != "1:2.0-1+r1" {
		t.Errorf("Version = %s", got)
	}
}

// TestOracleForeignDeb has dpkg-deb write the package that is signed.
func TestOracleForeignDeb(t *testing.T) {
	testkit.Tools(t, "dpkg-deb", "xz", "gzip")
	good, _ := signers(t)
	root := t.TempDir()
	output(t, "dpkg-deb", "-R", writeDeb(t, t.TempDir(), fooDeb(t)), root)
	for _, compression := range []string{"xz", "gzip", "none"} {
		deb := filepath.Join(t.TempDir(), "x.deb")
		output(t, "dpkg-deb", "--root-owner-group", "-Z"+compression, "-b", root, deb)
		dir := filepath.Join(t.TempDir(), "tosign")
		m, err := Extract(t.Context(), &ExtractOptions{Debs: []string{deb}, Out: dir, Hash: sha256Of})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range m.Packages["foo-modules-"+kver].Files {
			write(t, filepath.Join(dir, "foo-modules-"+kver, f.File+".raw"), good.raw(t, f.Digest))
		}
		a, err := Attach(t.Context(), &AttachOptions{Debs: []string{deb}, Signatures: dir, Certificate: good.cert, Revision: "r1", Out: t.TempDir()})
		if err != nil {
			t.Errorf("%s: Attach() = %v", compression, err)
			continue
		}
		output(t, "dpkg-deb", "-c", a.Debs[0])
	}
}

// TestOracleChanges compares with the .changes that dpkg-genchanges makes of
// the signed packages.
func TestOracleChanges(t *testing.T) {
	testkit.Tools(t, "dpkg-genchanges", "dpkg-genbuildinfo", "dpkg-distaddfile")
	s := newStage(t)
	s.options.Debs = s.debs[:1]
	src := filepath.Join(t.TempDir(), "foo")
	for name, text := range map[string]string{
		"control":   "Source: foo\nMaintainer: A <a@example.org>\n\nPackage: foo\nArchitecture: any\nDescription: foo\n",
		"changelog": "foo (1:2.0-1) unstable; urgency=medium\n\n  * First.\n\n -- A <a@example.org>  Fri, 02 Jan 2026 03:04:05 +0000\n",
	} {
		if err := os.MkdirAll(filepath.Join(src, "debian"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(src, "debian", name), []byte(text))
	}
	in := func(argv ...string) {
		t.Helper()
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = src
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", argv, err, out)
		}
	}
	list := func(deb, dir, name string) (changes, info string) {
		t.Helper()
		changes, info = filepath.Join(dir, "foo.changes"), filepath.Join(dir, name)
		write(t, filepath.Join(src, "debian/files"), []byte(filepath.Base(deb)+" kernel optional automatic=yes\n"))
		if _, err := os.Stat(info); err != nil {
			in("dpkg-genbuildinfo", "--build=binary", "-O"+info, "-u"+dir)
		} else {
			in("dpkg-distaddfile", name, "misc", "optional")
		}
		in("dpkg-genchanges", "--build=binary", "-O"+changes, "-u"+dir)
		return changes, info
	}
	changes, info := list(s.debs[0], s.dir, "foo.buildinfo")
	s.options.Changes = []string{changes, info}
	a, err := Attach(t.Context(), &s.options)
	if err != nil {
		t.Fatal(err)
	}
	mended := sums(t, a.Changes[1])
	fresh, _ := list(a.Debs[0], s.out, "foo+sig1.buildinfo")
	if diff := cmp.Diff(sums(t, fresh), mended); diff != "" {
		t.Errorf(".changes (-dpkg-genchanges +Attach):\n%s", diff)
	}
}

// sums are the fields of a .changes that depend on the content of files, their
// lines sorted.
func sums(t *testing.T, path string) map[string][]string {
	t.Helper()
	stanzas, err := control.ParseFile(path)
	if err != nil || len(stanzas) != 1 {
		t.Fatalf("%v, %d stanzas", err, len(stanzas))
	}
	all := map[string][]string{}
	for name := range lists {
		lines := strings.Split(stanzas[0].Get(name), "\n")
		for i, line := range lines { // sections are not of interest
			words := strings.Fields(line)
			if len(words) > 3 {
				lines[i] = strings.Join(append(words[:2:2], words[len(words)-1]), " ")
			}
		}
		slices.Sort(lines)
		all[name] = lines
	}
	return all
}
