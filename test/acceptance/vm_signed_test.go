// SPDX-License-Identifier: MIT

package acceptance

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/kmod"
	"github.com/gokms/gokms/test/vm"
)

// signInStages has gokms write what is to be signed in a package, openssl sign it,
// and gokms join the two. It returns the signed package.
func (k testKey) signInStages(t *testing.T, b *built) *built {
	t.Helper()
	dir := scratchDir(t, "signing")
	work, out := filepath.Join(dir, "work"), filepath.Join(dir, "out")
	gokms := command(t, "gokms")
	hostOutput(t, gokms, "sign", "extract", "--cache-dir", filepath.Join(dir, "cache"), "-o", work, b.deb)
	for _, module := range modulesBelow(t, work) {
		hostOutput(t, "openssl", "cms", "-sign", "-binary", "-noattr", "-nocerts", "-md", "sha256", "-outform", "DER",
			"-signer", k.cert, "-inkey", k.key, "-in", module, "-out", module+".p7s")
	}
	hostOutput(t, gokms, "sign", "attach", "--signatures", work, "--sign-cert", k.cert, "--unpublished", "-o", out, b.deb)
	signed := &built{source: b.source}
	signed.open(t, moduleDeb(t, out))
	return signed
}

// signAtOnce builds a package whose modules gokms-mkbmdeb signs.
func (k testKey) signAtOnce(t *testing.T, m *vm.Machine, source string) *built {
	t.Helper()
	// A key is made for each run: the package is not kept.
	dir := scratchDir(t, "signed")
	names := crossContainer(t).Copy(t, "/home/"+ordinary, k.key, k.cert)
	crossContainer(t).Run(t, "chown", ordinary, names[0])
	code, output := mkbmdeb(t, dir, corpusDeb(t, source),
		"-k", "apt:linux-headers-"+m.Kernel.Release, "--sign-key", names[0], "--sign-cert", names[1], "--require-signed")
	if code != 0 {
		t.Fatalf("gokms-mkbmdeb %s: exit %d\n%s", source, code, output)
	}
	b := &built{source: source}
	b.open(t, moduleDeb(t, dir))
	return b
}

// checkSigned wants two packages to hold the same files, but for signatures of
// modules, by a signer.
func checkSigned(t *testing.T, plain, signed *built, signer string) {
	t.Helper()
	files := 0
	must(t, filepath.WalkDir(plain.root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		name, err := filepath.Rel(plain.root, file)
		must(t, err)
		before, err := os.ReadFile(file)
		must(t, err)
		after, err := os.ReadFile(filepath.Join(signed.root, name))
		must(t, err)
		if moduleName(file) == "" {
			if !bytes.Equal(before, after) {
				t.Errorf("%s: %s differs", signed.deb, name)
			}
			return nil
		}
		body, pkcs7, err := kmod.SplitSignature(readModule(t, filepath.Join(signed.root, name)))
		must(t, err)
		if !bytes.Equal(body, readModule(t, file)) || pkcs7 == nil {
			t.Errorf("%s: %s differs from the unsigned module in more than a signature of %d bytes", signed.deb, name, len(pkcs7))
		}
		if got := hostOutput(t, "modinfo", "-F", "signer", filepath.Join(signed.root, name)); got != signer {
			t.Errorf("%s: modinfo calls %q the signer, not %q", name, got, signer)
		}
		return nil
	}))
	if files < 3 {
		t.Errorf("%s holds %d files only", plain.deb, files)
	}
}

// TestVMSignedPackages has a kernel that takes nothing without a signature load
// packages that were signed in two stages and in one.
func TestVMSignedPackages(t *testing.T) {
	acceptance(t)
	testkit.Tools(t, "openssl", "modinfo")
	m := newVM(t, "amd64", "linux-image-amd64")
	ours, wrong := newTestKey(t, "gokms: a key of db"), newTestKey(t, "gokms: a key of nobody")
	cert, err := os.ReadFile(ours.der)
	must(t, err)
	m.Firmware = keyInDB(t, m.Kernel.Arch, cert)

	plain := packageFor(t, m, corpusDeb(t, "vpoll-dkms"))
	staged := ours.signInStages(t, plain)
	checkSigned(t, plain, staged, "gokms: a key of db")
	foreign := wrong.signInStages(t, plain)
	checkSigned(t, plain, foreign, "gokms: a key of nobody")
	once := ours.signAtOnce(t, m, "dm-writeboost-dkms")
	checkSigned(t, packageFor(t, m, corpusDeb(t, "dm-writeboost-dkms")), once, "gokms: a key of db")

	const module = "vpoll"
	c := vm.Case{
		Append: []string{vm.SigEnforce},
		Debs:   []string{staged.deb, once.deb},
		Files: map[string][]byte{
			"/wrong.ko":    readModule(t, filepath.Join(foreign.root, foreign.modules[module])),
			"/unsigned.ko": readModule(t, filepath.Join(plain.root, plain.modules[module])),
		},
		Steps: []vm.Step{vm.Insmod("/wrong.ko"), vm.Insmod("/unsigned.ko"), vm.Modprobe(module), vm.Modprobe("dm-writeboost")},
	}
	r := boot(t, m, c)
	for i, want := range []string{sayings[wrongKey], sayings[unsigned]} {
		if got := r.Results[i]; got.Exit == 0 || !got.Said(want) {
			t.Errorf("%s: exit %d, the kernel says %q; want %q", got.Name, got.Exit, got.Dmesg, want)
		}
	}
	checkLoaded(t, r, staged, module)
	checkLoaded(t, r, once, "dm-writeboost")
	for _, result := range r.Results[2:] {
		for _, got := range result.New {
			if got.Taint != "" && got.Taint != "O" {
				t.Errorf("%s: module %s has taint %s; want none but O", result.Name, got.Name, got.Taint)
			}
		}
	}
	t.Logf("wrong key: %q; two stages: %+v; one: %+v", r.Results[0].Dmesg, r.Results[2].New, r.Results[3].New)
}
