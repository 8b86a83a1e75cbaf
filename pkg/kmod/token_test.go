// SPDX-License-Identifier: MIT

package kmod

import (
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// token makes a SoftHSM token "gokms" with PIN 4711 that holds the key as
// "signer", and returns the variable that leads to it.
func token(t *testing.T, key testKey) string {
	t.Helper()
	testkit.Tools(t, "softhsm2-util", "openssl")
	if engines, _ := filepath.Glob("/usr/lib/*/engines-3/pkcs11.so"); len(engines) == 0 {
		testkit.Missing(t, "package libengine-pkcs11-openssl")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key.key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", der)
	for _, args := range [][]string{
		{"--init-token", "--free", "--label", "gokms", "--so-pin", "12345678", "--pin", "4711"},
		{"--import", filepath.Join(dir, "key.pem"), "--token", "gokms", "--label", "signer", "--id", "01", "--pin", "4711"},
	} {
		cmd := exec.Command("softhsm2-util", args...)
		cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+conf)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", cmd.Args, err, out)
		}
	}
	return "SOFTHSM2_CONF=" + conf
}

func TestOracleToken(t *testing.T) {
	key, other := someKey(t), newRSA(t, "other", 2048)
	_, cert := key.files(t)
	_, otherCert := other.files(t)
	good := Signer{
		Hash: "sha256", Key: "pkcs11:token=gokms;object=signer", Certificate: cert, PIN: "4711",
		Env: []string{token(t, key), "PKCS11_MODULE_PATH=/usr/lib/softhsm/libsofthsm2.so"},
	}
	if warning, err := good.Check(t.Context(), nil, signingTime); warning != nil || err != nil {
		t.Fatalf("Check() = %v, %v", warning, err)
	}
	path := unsigned(t)
	before := content(t, path)
	if err := (*Options)(nil).Sign(t.Context(), path, &good); err != nil {
		t.Fatal(err)
	}
	onlyThere(t, path)
	compareSigned(t, path, before, key, "sha256") // the bytes are sign-file's own
	const uri = "pkcs11:token=gokms;object="
	for _, tt := range []struct {
		change     func(*Signer)
		want, hint string
	}{
		{func(s *Signer) { s.PIN = "9999" }, "key " + uri + "signer: wrong PIN", wrongPINCure},
		{func(s *Signer) { s.PIN = "" }, "key " + uri + "signer needs a PIN or passphrase", pinCure},
		{func(s *Signer) { s.Key = uri + "gone" }, "key " + uri + "gone: no token has such a key", "p11tool --list-all lists tokens and keys"},
		{func(s *Signer) { s.Key = "pkcs11:token=gone;object=x" }, "key pkcs11:token=gone;object=x: no token has such a key", "p11tool --list-all lists tokens and keys"},
		{func(s *Signer) { s.Certificate = otherCert }, "key " + uri + "signer and certificate " + otherCert + " do not belong together", ""},
		{func(s *Signer) { s.Env = append(s.Env, "OPENSSL_ENGINES=/nonexistent") }, "the engine pkcs11 of OpenSSL is not installed", "install the package libengine-pkcs11-openssl"},
	} {
		s := good
		s.Env = append([]string(nil), good.Env...)
		tt.change(&s)
		wantKeyError(t, unsigned(t), &s, tt.want, tt.hint)
	}
	var te *ToolError
	o := &Options{Path: t.TempDir()}
	if err := o.Sign(t.Context(), unsigned(t), &good); !errors.As(err, &te) || te.Hint() != "install the package openssl" {
		t.Errorf("Sign() without openssl = %v", err)
	}
}
