// SPDX-License-Identifier: MIT

package kmod

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// testKey is a key with its self-signed certificate, made for one run.
type testKey struct {
	key  crypto.Signer
	cert *x509.Certificate
}

var keyValidity = [2]time.Time{time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)}

func newKey(t testing.TB, name string, key crypto.Signer, err error) testKey {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"gokms"}},
		NotBefore: keyValidity[0], NotAfter: keyValidity[1], SubjectKeyId: []byte("the key of " + name),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return testKey{key, cert}
}

func newRSA(t testing.TB, name string, bits int) testKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	return newKey(t, name, key, err)
}

func newECDSA(t testing.TB, name string, curve elliptic.Curve) testKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	return newKey(t, name, key, err)
}

// rsaKey is the key of the tests that do not mind which.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func someKey(t testing.TB) testKey {
	key, err := rsaKey()
	return newKey(t, "gokms test", key, err)
}

// sign returns the bare signature of data.
func (k testKey) sign(t testing.TB, data []byte, hash string) []byte {
	t.Helper()
	h, err := hashNamed(hash)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := k.key.Sign(rand.Reader, h.sum(data), h.hash)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// pkcs7 returns the detached signature of data.
func (k testKey) pkcs7(t testing.TB, data []byte, hash string) []byte {
	t.Helper()
	der, err := NewPKCS7(k.cert, hash, k.sign(t, data, hash))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// files writes key.pem and cert.pem into a directory of their own.
func (k testKey) files(t testing.TB) (key, cert string) {
	t.Helper()
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		t.Fatal(err)
	}
	key, cert = filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	writePEM(t, key, "PRIVATE KEY", der)
	writePEM(t, cert, "CERTIFICATE", k.cert.Raw)
	return key, cert
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withKeyOf is the certificate of k with the public key of other.
func withKeyOf(k, other testKey) *x509.Certificate {
	cert := *k.cert
	cert.PublicKey, cert.PublicKeyAlgorithm = other.cert.PublicKey, other.cert.PublicKeyAlgorithm
	return &cert
}
