// SPDX-License-Identifier: MIT

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/pkg/kmod"
)

// signFile is the sign-file of some installed kernel, "" if there is none.
func signFile() string {
	files, err := filepath.Glob("/lib/modules/*/build/scripts/sign-file")
	if err != nil || len(files) == 0 {
		return ""
	}
	return files[0]
}

// canSign says whether all is there that the scripts for signing need. With
// GOKMS_REQUIRE=1 it has to be.
func canSign() (bool, error) {
	var missing []string
	for _, name := range []string{"openssl", "softhsm2-util", "modinfo", "dpkg-deb"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, "program "+name)
		}
	}
	if engines, err := filepath.Glob("/usr/lib/*/engines-3/pkcs11.so"); err != nil || len(engines) == 0 {
		missing = append(missing, "package libengine-pkcs11-openssl")
	}
	if signFile() == "" {
		missing = append(missing, "kernel headers below /lib/modules")
	}
	if len(missing) > 0 && os.Getenv("GOKMS_REQUIRE") == "1" {
		return false, fmt.Errorf("GOKMS_REQUIRE=1 and missing: %s", strings.Join(missing, ", "))
	}
	return len(missing) == 0, nil
}

// key NAME KIND YEAR makes NAME.key and the certificate NAME.crt, valid until
// the end of that year.
func key(ts *testscript.TestScript, neg bool, args []string) {
	kinds := map[string]func() (crypto.Signer, error){
		"rsa":     func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
		"p256":    func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"ed25519": func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err },
	}
	if neg || len(args) != 3 || kinds[args[1]] == nil {
		ts.Fatalf("usage: key NAME rsa|p256|ed25519 YEAR")
	}
	signer, err := kinds[args[1]]()
	ts.Check(err)
	until, err := time.Parse("2006", args[2])
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4), Subject: pkix.Name{CommonName: "Key " + args[0]},
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: until.AddDate(1, 0, 0).Add(-time.Second),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	ts.Check(err)
	for _, f := range []struct {
		ext, kind string
		data      []byte
	}{{".key", "PRIVATE KEY", private}, {".crt", "CERTIFICATE", cert}} {
		text := pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.data})
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+f.ext), text, 0o600))
	}
}

// TestHidePIN is not parallel: it changes the process.
func TestHidePIN(t *testing.T) {
	defer unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	for _, tt := range []struct {
		environ   []string
		sandboxed bool
		want      int
	}{
		{nil, false, 1},
		{[]string{"KBUILD_SIGN_PIN=1"}, true, 1},
		{[]string{"KBUILD_SIGN_PIN=1"}, false, 0},
	} {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		err := (&command{env: &cli.Env{Environ: tt.environ}, sandboxed: tt.sandboxed}).hidePIN()
		if got, gotErr := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); got != tt.want || err != nil || gotErr != nil {
			t.Errorf("%q, sandboxed %v: hidePIN() = %v, dumpable %d; want %d", tt.environ, tt.sandboxed, err, got, tt.want)
		}
	}
}

func TestModuleOptions(t *testing.T) {
	t.Parallel()
	pin := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pin, []byte("1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		environ []string
		args    []string
		want    moduleOptions
		err     string
	}{
		{"defaults", nil, nil, moduleOptions{}, ""},
		{"no-verify", nil, []string{"--no-verify=crc", "--no-verify", "btf"}, moduleOptions{noVerify: []string{"crc", "btf"}}, ""},
		{"no such check", nil, []string{"--no-verify=crc,btf"}, moduleOptions{},
			`--no-verify "crc,btf": want one of ` + strings.Join(kmod.Checks(), ", ")},
		{"no-dbgsym", nil, []string{"--no-dbgsym"}, moduleOptions{noDbgsym: true}, ""},
		{"noautodbgsym", []string{"DEB_BUILD_OPTIONS=parallel=2 noautodbgsym"}, nil, moduleOptions{noDbgsym: true}, ""},
		{"noddebs", []string{"DEB_BUILD_OPTIONS=noddebs"}, nil, moduleOptions{noDbgsym: true}, ""},
		{"key", []string{"KBUILD_SIGN_PIN=77", "SOFTHSM2_CONF=/s"}, []string{"--sign-key=k", "--sign-cert", "c", "--require-signed"},
			moduleOptions{sign: &cell.Signing{Key: "/work dir/k", Certificate: "/work dir/c", PIN: "77", Env: []string{"SOFTHSM2_CONF=/s"}, Required: true}}, ""},
		{"token", []string{"KBUILD_SIGN_PIN=77"}, []string{"--sign-key=pkcs11:token=t", "--sign-cert", "/c", "--sign-pin-file", pin},
			moduleOptions{sign: &cell.Signing{Key: "pkcs11:token=t", Certificate: "/c", PIN: "1234"}}, ""},
		{"no key", nil, []string{"--sign-cert=c", "--sign-pin-file=p", "--require-signed"}, moduleOptions{},
			"--sign-cert wants a key: --sign-key is missing\n--sign-pin-file wants a key: --sign-key is missing\n--require-signed wants a key: --sign-key is missing"},
		{"no certificate", nil, []string{"--sign-key=k"}, moduleOptions{}, "--sign-key wants the key's certificate: --sign-cert is missing"},
		{"PIN in the URI", nil, []string{"--sign-key=pkcs11:token=t?pin-value=1234", "--sign-cert=c"}, moduleOptions{},
			"--sign-key: the pkcs11: URI of the key holds a pin-value, which every user could read"},
		{"no PIN file", nil, []string{"--sign-key=k", "--sign-cert=c", "--sign-pin-file=/gone"}, moduleOptions{},
			"--sign-pin-file: open /gone: no such file or directory"},
	} {
		o, err := parse(t, tt.environ, append(tt.args, "src")...)
		if text := fmt.Sprint(err); err != nil && text != tt.err || err == nil && tt.err != "" {
			t.Errorf("%s: %v; want %s", tt.name, err, tt.err)
		}
		if tt.err != "" {
			continue
		}
		if diff := cmp.Diff(tt.want.noVerify, o.noVerify); diff != "" || o.noDbgsym != tt.want.noDbgsym {
			t.Errorf("%s: %+v", tt.name, o.moduleOptions)
		}
		if slices.Contains(o.words, "--no-dbgsym") != o.noDbgsym {
			t.Errorf("%s: recorded: %q", tt.name, o.words)
		}
		switch got, want := o.sign, tt.want.sign; {
		case got == nil || want == nil:
			if got != want {
				t.Errorf("%s: sign %+v; want %+v", tt.name, got, want)
			}
		case got.Key != want.Key || got.Certificate != want.Certificate || got.PIN != want.PIN || got.Required != want.Required || !slices.Equal(got.Env, want.Env):
			t.Errorf("%s: sign %+v; want %+v", tt.name, got, want)
		}
	}
}
