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
	hostOutput(t, gokms, "sign", "extract", "--hash", "sha256", "-o", work, b.deb)
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

const ourSigner = "gokms: a key of db"

// signedPackages are loaded by kernels with modules that are compressed, and
// that are not: the first is signed in two stages, the second when it is built.
var signedPackages = []struct {
	name, kernel         string
	staged, stagedModule string
	once, onceModule     string
}{
	{"6.1", "linux-image-amd64", "vpoll-dkms", "vpoll", "dm-writeboost-dkms", "dm-writeboost"},
	{"6.12", "linux-image-6.12-amd64", "rtpengine-kernel-dkms", "xt_RTPENGINE", "acpi-call-dkms", "acpi_call"},
}

// TestVMSignedPackages has kernels that take nothing without a signature load
// packages that were signed.
func TestVMSignedPackages(t *testing.T) {
	acceptance(t)
	testkit.Tools(t, "openssl", "modinfo")
	ours, wrong := newTestKey(t, ourSigner), newTestKey(t, "gokms: a key of nobody")
	cert, err := os.ReadFile(ours.der)
	must(t, err)
	for _, row := range signedPackages {
		t.Run(row.name, func(t *testing.T) {
			m := newVM(t, "amd64", row.kernel)
			m.Firmware = keyInDB(t, m.Kernel.Arch, cert)

			plain := packageFor(t, m, corpusDeb(t, row.staged))
			staged := ours.signInStages(t, plain)
			checkSigned(t, plain, staged, ourSigner)
			foreign := wrong.signInStages(t, plain)
			checkSigned(t, plain, foreign, "gokms: a key of nobody")
			once := ours.signAtOnce(t, m, row.once)
			checkSigned(t, packageFor(t, m, corpusDeb(t, row.once)), once, ourSigner)

			r := boot(t, m, vm.Case{
				Append: []string{vm.SigEnforce},
				Debs:   []string{staged.deb, once.deb},
				Files: map[string][]byte{
					"/wrong.ko":    readModule(t, filepath.Join(foreign.root, foreign.modules[row.stagedModule])),
					"/unsigned.ko": readModule(t, filepath.Join(plain.root, plain.modules[row.stagedModule])),
				},
				Steps: []vm.Step{vm.Insmod("/wrong.ko"), vm.Insmod("/unsigned.ko"), load(row.stagedModule), load(row.onceModule)},
			})
			for i, want := range []string{sayings[wrongKey], sayings[unsigned]} {
				if got := r.Results[i]; got.Exit == 0 || !got.Said(want) {
					t.Errorf("%s: exit %d, the kernel says %q; want %q", got.Name, got.Exit, got.Dmesg, want)
				}
			}
			t.Logf("%s with a wrong key: %q; without: %q; %s and %s loaded", row.stagedModule, r.Results[0].Dmesg, r.Results[1].Dmesg, row.stagedModule, row.onceModule)
			checkTrusted(t, r, staged, row.stagedModule)
			checkTrusted(t, r, once, row.onceModule)
		})
	}
}

// checkTrusted is checkLoaded for a module whose signature the kernel trusts.
func checkTrusted(t *testing.T, r *vm.Report, b *built, name string) {
	t.Helper()
	checkLoaded(t, r, b, name)
	if got := r.Result(load(name).Name).Loaded(name); got != nil && got.Taint != "O" {
		t.Errorf("%s: module %s has taint %s; want O", b.source, name, got.Taint)
	}
}
