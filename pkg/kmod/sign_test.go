// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
)

// signFile is the one of the first kernel that has headers.
func signFile(t *testing.T) string {
	t.Helper()
	return "/lib/modules/" + testkit.Kernels(t)[0] + "/build/scripts/sign-file"
}

// unsigned writes a copy of a built module.
func unsigned(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(modules(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "gokms_provider.ko")
	if err := os.WriteFile(path, data, 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// onlyThere wants path to be alone in its directory.
func onlyThere(t *testing.T, path string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v are left; want %s alone", left, err, filepath.Base(path))
	}
}

var signingTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestOracleSign(t *testing.T) {
	testkit.Tools(t, "openssl", "xz", "modinfo")
	for name, key := range map[string]testKey{
		"rsa2048": someKey(t), "rsa4096": newRSA(t, "large", 4096), "p256": newECDSA(t, "curve", elliptic.P256()),
	} {
		for _, hash := range []string{"sha256", "sha512", "sha384"} {
			keyFile, certFile := key.files(t)
			path := unsigned(t)
			before := content(t, path)
			s := &Signer{SignFile: signFile(t), Hash: hash, Key: keyFile, Certificate: certFile}
			if hash == "sha384" { // with openssl(1), whose bytes compareSigned holds against sign-file's
				s.SignFile = ""
			}
			if warning, err := s.Check(t.Context(), nil, signingTime); warning != nil || err != nil {
				t.Fatalf("%s: Check() = %v, %v", name, warning, err)
			}
			if err := (*Options)(nil).Sign(t.Context(), path, s); err != nil {
				t.Fatalf("%s: Sign() = %v", name, err)
			}
			onlyThere(t, path)
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
				t.Errorf("mode after Sign() is %v, %v; want 0640", info.Mode(), err)
			}
			compareSigned(t, path, before, key, hash)
		}
	}
}

// compareSigned compares with sign-file, openssl and modinfo.
func compareSigned(t *testing.T, path string, before []byte, key testKey, hash string) {
	t.Helper()
	after := content(t, path)
	module, der, err := SplitSignature(after)
	if err != nil || !bytes.Equal(module, before) || !bytes.Equal(AppendSignature(module, der), after) {
		t.Fatalf("SplitSignature() = %v, or other bytes", err)
	}
	keyFile, certFile := key.files(t)
	plain := filepath.Join(t.TempDir(), "m.ko")
	if err := os.WriteFile(plain, before, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plain+".p7s", der, 0o644); err != nil {
		t.Fatal(err)
	}
	output(t, "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", plain+".p7s", "-content", plain, "-certfile", certFile,
		"-CAfile", certFile, "-purpose", "any", "-out", "/dev/null")
	output(t, signFile(t), hash, keyFile, certFile, plain, plain+".signed")
	if key.cert.PublicKeyAlgorithm.String() == "RSA" && !bytes.Equal(content(t, plain+".signed"), after) {
		t.Error("sign-file makes other bytes")
	}
	if _, err := (*Options)(nil).VerifyFile(plain+".signed", key.cert, hash); err != nil {
		t.Errorf("VerifyFile() of what sign-file made: %v", err)
	}
	packed, err := (*Options)(nil).Compress(t.Context(), path, XZ)
	if err != nil {
		t.Fatal(err)
	}
	p, err := (*Options)(nil).VerifyFile(packed, key.cert, hash)
	if err != nil {
		t.Fatal(err)
	}
	for field, got := range map[string]string{"signer": p.Issuer, "sig_key": p.Key(), "sig_hashalgo": p.Hash} {
		if want := strings.TrimSpace(output(t, "modinfo", "-F", field, packed)); got != want {
			t.Errorf("%s = %q; modinfo says %q", field, got, want)
		}
	}
}

// TestNewPKCS7 compares what is made of a bare signature with sign-file's.
func TestOracleNewPKCS7(t *testing.T) {
	key := someKey(t)
	keyFile, certFile := key.files(t)
	path := unsigned(t)
	output(t, signFile(t), "-d", "sha256", keyFile, certFile, path)
	if want := content(t, path+".p7s"); !bytes.Equal(key.pkcs7(t, content(t, path), "sha256"), want) {
		t.Error("NewPKCS7() and sign-file -d make different bytes")
	}
	output(t, signFile(t), "-k", "-d", "sha256", keyFile, certFile, path)
	p, err := VerifyDetached(content(t, path), content(t, path+".p7s"), key.cert, "sha256")
	if err != nil || !bytes.Equal(p.KeyID, key.cert.SubjectKeyId) {
		t.Errorf("VerifyDetached() of sign-file -k = %+v, %v", p, err)
	}
	attributes := filepath.Join(t.TempDir(), "s.p7s")
	output(t, "openssl", "cms", "-sign", "-binary", "-in", path, "-signer", certFile, "-inkey", keyFile, "-outform", "DER", "-out", attributes)
	if _, err := ParsePKCS7(content(t, attributes)); err == nil || !strings.Contains(err.Error(), "sign with -noattr") {
		t.Errorf("ParsePKCS7() of one with attributes = %v", err)
	}
	output(t, "openssl", "cms", "-sign", "-binary", "-noattr", "-in", path, "-signer", certFile, "-inkey", keyFile, "-outform", "DER", "-out", attributes)
	if _, err := VerifyDetached(content(t, path), content(t, attributes), key.cert, "sha256"); err != nil {
		t.Errorf("VerifyDetached() of one with certificates = %v", err)
	}
}

// wantKeyError wants a [*KeyError], or an error with a Hint, with that text, and an untouched module.
func wantKeyError(t *testing.T, path string, s *Signer, want, hint string) {
	t.Helper()
	before := content(t, path)
	err := (*Options)(nil).Sign(t.Context(), path, s)
	if got := fmt.Sprint(err); !strings.HasSuffix(got, want) {
		t.Errorf("Sign() = %s; want ... %s", got, want)
	}
	var hinted interface{ Hint() string }
	got := ""
	if errors.As(err, &hinted) {
		got = hinted.Hint()
	}
	if got != hint {
		t.Errorf("Sign() = %v has not the hint %q", err, hint)
	}
	if s.PIN != "" {
		for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v %#v %v", *s, *s, s)} {
			if strings.Contains(text, string(s.PIN)) {
				t.Errorf("the PIN is in %s", text)
			}
		}
	}
	if !bytes.Equal(content(t, path), before) {
		t.Error("a failed Sign() changed the module")
	}
	onlyThere(t, path)
}

const (
	pinCure      = "set KBUILD_SIGN_PIN, or name a file that holds it: --sign-pin-file FILE"
	wrongPINCure = "what KBUILD_SIGN_PIN, or the file of --sign-pin-file, holds is wrong: correct it"
)

func TestOraclePassphrase(t *testing.T) {
	testkit.Tools(t, "openssl")
	key := someKey(t)
	plain, cert := key.files(t)
	s := &Signer{SignFile: signFile(t), Hash: "sha256", Certificate: cert}
	for i, kind := range [][]string{{"pkcs8", "-topk8"}, {"rsa", "-aes128", "-traditional"}, {"pkcs8", "-topk8"}, {"rsa", "-aes128", "-traditional"}} {
		if i == 2 {
			s.SignFile = "" // with openssl(1)
		}
		s.Key = filepath.Join(t.TempDir(), "locked key.pem")
		output(t, append([]string{"openssl"}, append(kind, "-in", plain, "-out", s.Key, "-passout", "pass:Geheimnis")...)...)
		path := unsigned(t)
		s.PIN = ""
		wantKeyError(t, path, s, "key "+s.Key+" needs a PIN or passphrase", pinCure)
		s.PIN = "Irrtum"
		wantKeyError(t, path, s, "key "+s.Key+": wrong passphrase", wrongPINCure)
		if _, err := s.Check(t.Context(), nil, signingTime); fmt.Sprint(err) != "key "+s.Key+": wrong passphrase" {
			t.Errorf("Check() = %v; want the reason alone", err)
		}
		s.PIN = "Geheimnis"
		if err := (*Options)(nil).Sign(t.Context(), path, s); err != nil {
			t.Errorf("Sign() with a passphrase = %v", err)
		}
	}
}

func TestOracleSignRefuses(t *testing.T) {
	key, other := someKey(t), newRSA(t, "other", 2048)
	keyFile, certFile := key.files(t)
	_, otherCert := other.files(t)
	good := Signer{SignFile: signFile(t), Hash: "sha256", Key: keyFile, Certificate: certFile}
	text := filepath.Join(t.TempDir(), "text.pem")
	if err := os.WriteFile(text, []byte("no key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		change func(*Signer)
		want   string
		hint   string
	}{
		{func(s *Signer) { s.Certificate = otherCert }, "key " + keyFile + " and certificate " + otherCert + " do not belong together", ""},
		{func(s *Signer) { s.SignFile, s.Certificate = "", otherCert }, "key " + keyFile + " and certificate " + otherCert + " do not belong together", ""},
		{func(s *Signer) { s.SignFile, s.Key = "", text }, "Could not read signing key from " + text, ""},
		{func(s *Signer) { s.Key = "/nonexistent" }, "key: open /nonexistent: no such file or directory", ""},
		{func(s *Signer) { s.Certificate = "/nonexistent" }, "open /nonexistent: no such file or directory", ""},
		{func(s *Signer) { s.Certificate = text }, "not a certificate in PEM or DER: x509: malformed certificate", ""},
		{func(s *Signer) { s.Key = text }, "sign-file: " + text, ""},
		{func(s *Signer) { s.Hash = "sha257" }, `unknown hash "sha257" of CONFIG_MODULE_SIG_HASH`, ""},
		{func(s *Signer) { s.Hash = "" }, "the kernel names no hash for its modules (CONFIG_MODULE_SIG_HASH)", ""},
		{func(s *Signer) { s.SignFile = "/nonexistent" }, "/nonexistent is not there, which signs modules",
			"install the package linux-kbuild-... that the kernel's header package depends on"},
		{func(s *Signer) { s.Key = "pkcs11:token=t?pin-value=1234" }, "the pkcs11: URI of the key holds a pin-value, which every user could read",
			pinCure},
	} {
		s := good
		tt.change(&s)
		path := unsigned(t)
		wantKeyError(t, path, &s, tt.want, tt.hint)
		if _, err := s.Check(t.Context(), nil, signingTime); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("Check() = %v; want %s", err, tt.want)
		}
	}
	path := unsigned(t)
	if err := (*Options)(nil).Sign(t.Context(), path, &good); err != nil {
		t.Fatal(err)
	}
	wantKeyError(t, path, &good, "is signed already", "")
	if err := os.WriteFile(path, gz(t, content(t, path)), 0o644); err != nil {
		t.Fatal(err)
	}
	wantKeyError(t, path, &good, "is compressed with gzip: modules are signed before", "")
}

func TestCheckPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte("1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const reason = " can be read by others than its owner: its mode is "
	for mode, want := range map[os.FileMode]string{
		0o600: "<nil>", 0o400: "<nil>", 0o711: "<nil>", 0o640: path + reason + "0640", 0o604: path + reason + "0604", 0o644: path + reason + "0644",
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(CheckPrivate(path)); got != want {
			t.Errorf("CheckPrivate() of mode %o = %s; want %s", mode, got, want)
		}
	}
	for _, other := range []string{path + ".gone", filepath.Dir(path), "/dev/null"} {
		if err := CheckPrivate(other); err != nil {
			t.Errorf("CheckPrivate(%q) = %v", other, err)
		}
	}
}

func TestValidity(t *testing.T) {
	key := someKey(t)
	for _, tt := range []struct {
		now  time.Time
		want string
	}{
		{signingTime, "<nil>"},
		{keyValidity[0].Add(-1), " is not valid before 2020-01-01 00:00:00 UTC"},
		{keyValidity[1].Add(1), " has expired on 2040-01-01 00:00:00 UTC"},
	} {
		err := CheckValidity(key.cert, tt.now)
		var ve *ValidityError
		if got := fmt.Sprint(err); !strings.HasSuffix(got, tt.want) || err != nil && !errors.As(err, &ve) {
			t.Errorf("CheckValidity(%v) = %s; want %s", tt.now, got, tt.want)
		}
	}
}

// TestSignThatDoesNot has a sign-file that succeeds and makes something else.
func TestSignThatDoesNot(t *testing.T) {
	key, other := someKey(t), someKey(t)
	keyFile, certFile := key.files(t)
	s := &Signer{SignFile: filepath.Join(bin(t, "sign-file"), "sign-file"), Hash: "sha256", Key: keyFile, Certificate: certFile, PIN: "Geheimnis"}
	path := filepath.Join(t.TempDir(), "m.ko")
	if err := os.WriteFile(path, someModule, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		made []byte
		want string
	}{
		{"nothing", nil, "no such file or directory"},
		{"unsigned", someModule, "is not signed"},
		{"no signature", AppendSignature(someModule, []byte("x")), "PKCS#7 signature: not DER: asn1: syntax error: truncated tag or length"},
		{"another hash", AppendSignature(someModule, key.pkcs7(t, someModule, "sha512")), "signature is over the hash sha512, the kernel's is sha256"},
		{"another module", AppendSignature([]byte("x"), key.pkcs7(t, []byte("x"), "sha256")), "the bytes before the signature have changed"},
		{"other bytes", AppendSignature(someModule, key.pkcs7(t, []byte("x"), "sha256")), `than that of ` + certificateName(key.cert)},
		{"another key", AppendSignature(someModule, other.pkcs7(t, someModule, "sha256")), "not by " + certificateName(key.cert)},
		{"good", AppendSignature(someModule, key.pkcs7(t, someModule, "sha256")), "<nil>"},
	} {
		o := &Options{Run: func(cmd *exec.Cmd) error {
			if slices.Contains(cmd.Args, string(s.PIN)) || !slices.Contains(cmd.Env, "KBUILD_SIGN_PIN=Geheimnis") {
				t.Errorf("argv %q, environment %q", cmd.Args, cmd.Env)
			}
			if tt.made == nil {
				return nil
			}
			return os.WriteFile(cmd.Args[len(cmd.Args)-1], tt.made, 0o644)
		}}
		if got := fmt.Sprint(o.Sign(t.Context(), path, s)); !strings.HasSuffix(got, tt.want) {
			t.Errorf("%s: Sign() = %s; want ... %s", tt.name, got, tt.want)
		}
		onlyThere(t, path)
	}
	if err := os.WriteFile(path, someModule, 0o644); err != nil {
		t.Fatal(err)
	}
	err := (&Options{Run: func(cmd *exec.Cmd) error {
		fmt.Fprintln(cmd.Stderr, "it says Geheimnis")
		return errors.New("Geheimnis failed")
	}}).Sign(t.Context(), path, s)
	if err == nil || strings.Contains(err.Error(), "Geheimnis") || !strings.Contains(err.Error(), "it says (secret)") {
		t.Errorf("Sign() = %v; want no PIN in it", err)
	}
}

func TestPIN(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct{ text, want string }{
		"plain": {"4711", "4711"}, "line": {"4711\n", "4711"}, "dos": {"4711\r\n", "4711"}, "blank": {" a b \n", " a b "},
		"empty": {"", ""}, "no text": {"\n", ""}, "two": {"a\nb\n", ""}, "long": {strings.Repeat("a", 2000), ""}, "nul": {"a\x00", ""},
		"longest": {strings.Repeat("a", 1000) + "\r\n", strings.Repeat("a", 1000)}, "longest and more": {strings.Repeat("a", 1000) + "\r\nb", ""},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPIN(path)
		if string(got) != tt.want || (err == nil) != (tt.want != "") || err != nil && strings.Contains(err.Error(), "a\n") {
			t.Errorf("ReadPIN(%q) = %q, %v; want %q", tt.text, string(got), err, tt.want)
		}
	}
	if _, err := ReadPIN("/dev/zero"); err == nil {
		t.Error("ReadPIN() of what does not end is no error")
	}
	if _, err := ReadPIN(filepath.Join(dir, "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadPIN(absent) = %v", err)
	}
	text, err := json.Marshal(Signer{PIN: "4711"})
	if err != nil || strings.Contains(string(text), "4711") {
		t.Errorf("as JSON: %s, %v", text, err)
	}
}

// TestGarbledKey has the wrong passphrase by which a key looks damaged.
func TestGarbledKey(t *testing.T) {
	locked, plain := filepath.Join(t.TempDir(), "locked"), filepath.Join(t.TempDir(), "plain")
	for path, text := range map[string]string{locked: "Proc-Type: 4,ENCRYPTED\n", plain: "x\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	garbled := &programError{text: "failed", said: "asn1 encoding routines::nested asn1 error"}
	for _, tt := range []struct {
		key  string
		pin  PIN
		want string
	}{{locked, "Irrtum", "key " + locked + ": wrong passphrase"}, {locked, "", "failed"}, {plain, "Irrtum", "failed"}} {
		if got := (&Signer{Key: tt.key, PIN: tt.pin}).explain(garbled); got.Error() != tt.want {
			t.Errorf("explain() of %s with PIN %q = %v; want %s", tt.key, string(tt.pin), got, tt.want)
		}
	}
}
