// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var someModule = []byte("the bytes of a module")

func TestPKCS7(t *testing.T) {
	keys := map[string]testKey{
		"rsa2048": someKey(t), "rsa4096": newRSA(t, "large", 4096),
		"p256": newECDSA(t, "p256", elliptic.P256()), "p384": newECDSA(t, "p384", elliptic.P384()),
	}
	for name, key := range keys {
		for _, h := range hashAlgorithms {
			if h.name == "sha1" && !strings.HasPrefix(name, "rsa") {
				continue // Go verifies no such signature
			}
			der := key.pkcs7(t, someModule, h.name)
			p, err := VerifyDetached(someModule, der, key.cert, h.name)
			if err != nil {
				t.Errorf("%s, %s: VerifyDetached() = %v", name, h.name, err)
				continue
			}
			if p.Hash != h.name || p.Issuer != key.cert.Subject.CommonName || p.Serial.Cmp(key.cert.SerialNumber) != 0 {
				t.Errorf("%s: %+v; want hash %s, issuer %q, serial %v", name, p, h.name, key.cert.Subject.CommonName, key.cert.SerialNumber)
			}
			clear(der)
			if err := p.Verify(someModule, key.cert); err != nil {
				t.Errorf("%s, %s: Verify() needs what was parsed: %v", name, h.name, err)
			}
			if p.Verify([]byte("other bytes"), key.cert) == nil {
				t.Errorf("%s, %s: Verify() of other bytes = nil", name, h.name)
			}
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	key, other := someKey(t), newRSA(t, "other", 2048)
	imposter := key // the names of key, another key
	imposter.key = other.key
	der := key.pkcs7(t, someModule, "sha256")
	for _, tt := range []struct {
		name   string
		module string
		der    []byte
		cert   testKey
		hash   string
		want   string
	}{
		{"good", string(someModule), der, key, "sha256", "<nil>"},
		{"module", "x", der, key, "sha256", "signature does not fit the content: it was made of other bytes, or by another key than that of the certificate of \"gokms test\""},
		{"certificate", string(someModule), der, other, "sha256", "signature is by another key: by \"gokms test\", serial number "},
		{"hash", string(someModule), der, key, "sha512", "signature is over the hash sha256, the kernel's is sha512"},
		{"imposter", string(someModule), imposter.pkcs7(t, someModule, "sha256"), key, "sha256", "signature does not fit the content"},
		{"kind of key", string(someModule), der, testKey{cert: withKeyOf(key, newECDSA(t, "x", elliptic.P256()))}, "sha256", "signature does not fit the content"},
	} {
		_, err := VerifyDetached([]byte(tt.module), tt.der, tt.cert.cert, tt.hash)
		var se *SignatureError
		if got := fmt.Sprint(err); !strings.HasPrefix(got, tt.want) || err != nil && !errors.As(err, &se) {
			t.Errorf("%s: VerifyDetached() = %v; want %s", tt.name, got, tt.want)
		}
	}
}

// change applies f to what der holds.
func change(t *testing.T, der []byte, f func(*signedData)) []byte {
	t.Helper()
	s, err := parseSignedData(der)
	if err != nil {
		t.Fatal(err)
	}
	f(s)
	out, err := s.marshal()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// padded has one element more at the end of the signed data.
func padded(t *testing.T, der []byte) []byte {
	t.Helper()
	var outer contentInfo
	var inner asn1.RawValue
	for _, u := range []struct {
		der  func() []byte
		into any
	}{{func() []byte { return der }, &outer}, {func() []byte { return outer.Content.Bytes }, &inner}} {
		if _, err := asn1.Unmarshal(u.der(), u.into); err != nil {
			t.Fatal(err)
		}
	}
	more, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: slices.Concat(inner.Bytes, asn1.NullBytes)})
	if err != nil {
		t.Fatal(err)
	}
	out, err := asn1.Marshal(contentInfo{oidSignedData, contextual(0, more)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// contextual is an element with a context-specific tag.
func contextual(tag int, content []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: content}
}

func TestParsePKCS7Refuses(t *testing.T) {
	key := someKey(t)
	der := key.pkcs7(t, someModule, "sha256")
	octets, err := asn1.Marshal(someModule)
	if err != nil {
		t.Fatal(err)
	}
	odd := func(f func(*signedData)) []byte { return change(t, der, f) }
	for _, tt := range []struct {
		name string
		der  []byte
		want string // after "PKCS#7 signature: "
	}{
		{"good", der, ""},
		{"empty", nil, "not DER: "},
		{"text", []byte("-----BEGIN CMS-----\n"), "not DER: "},
		{"more", append(slices.Clone(der), 0), "1 bytes follow it"},
		{"more inside", padded(t, der), "not canonical DER"},
		{"type", slices.Concat(der[:14], []byte{1}, der[15:]), "content type is 1.2.840.113549.1.7.1, not that of signed data"},
		{"indefinite length", []byte{0x30, 0x80, 0, 0}, "not DER: "},
		{"with content", odd(func(s *signedData) { s.Content.Content = contextual(0, octets) }), "holds the content as well: want a detached one"},
		{"other content", odd(func(s *signedData) { s.Content.Type = oidSignedData }), "signs content of type 1.2.840.113549.1.7.2, not plain data"},
		{"no signer", odd(func(s *signedData) { s.Signers = nil }), "has 0 signers: want one"},
		{"two signers", odd(func(s *signedData) { s.Signers = append(s.Signers, s.Signers[0]) }), "has 2 signers: want one"},
		{"attributes", odd(func(s *signedData) { s.Signers[0].Signed = contextual(0, []byte{0x30, 0}) }), "has signed attributes, which the kernel refuses: sign with -noattr"},
		{"md5", odd(func(s *signedData) { s.Signers[0].Digest.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5} }), "unknown hash 1.2.840.113549.2.5"},
		{"pss", odd(func(s *signedData) {
			s.Signers[0].Algorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
		}), "signature algorithm 1.2.840.113549.1.1.10 with sha256 is none that the kernel takes"},
		{"other hash", odd(func(s *signedData) { s.Signers[0].Algorithm.Algorithm = ecdsaSHA2(4) }), "signature algorithm 1.2.840.10045.4.3.4 with sha256 is none"},
		{"signer's version", odd(func(s *signedData) { s.Signers[0].Version = 2 }), "signer of version 2 is named in an unknown way"},
		{"no issuer", odd(func(s *signedData) { s.Signers[0].ID = asn1.RawValue{FullBytes: []byte{4, 1, 0}} }), "issuer and serial number: "},
		{"no key id", odd(func(s *signedData) { s.Signers[0].Version = 3 }), "signer of version 3 is named in an unknown way"},
	} {
		_, err := ParsePKCS7(tt.der)
		if tt.want == "" && err != nil || tt.want != "" && !strings.HasPrefix(fmt.Sprint(err), "PKCS#7 signature: "+tt.want) {
			t.Errorf("%s: ParsePKCS7() = %v; want %q", tt.name, err, tt.want)
		}
	}
}

// TestParsePKCS7Odd has forms that the kernel takes as well.
func TestParsePKCS7Odd(t *testing.T) {
	key := someKey(t)
	der := key.pkcs7(t, someModule, "sha256")
	byID := func(id string) []byte {
		return change(t, der, func(s *signedData) {
			s.Signers[0].Version = 3
			s.Signers[0].ID = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: []byte(id)}
		})
	}
	named := byID(string(key.cert.SubjectKeyId))
	p, err := VerifyDetached(someModule, named, key.cert, "sha256")
	clear(named) // which is not kept
	if err != nil || p.Serial != nil || !strings.HasPrefix(p.Key(), "74:68:65:20:6B:65:79") {
		t.Errorf("by key identifier: %+v, %v", p, err)
	}
	_, err = VerifyDetached(someModule, byID("another"), key.cert, "sha256")
	if want := "signature is by another key: by the key with identifier 61:6E:6F"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("by another key identifier: %v; want %s", err, want)
	}
	with := change(t, der, func(s *signedData) { s.Certs = contextual(0, key.cert.Raw) })
	if _, err := VerifyDetached(someModule, with, key.cert, "sha256"); err != nil {
		t.Errorf("with its certificate: %v", err)
	}
}

func TestPKCS7Corrupted(t *testing.T) {
	key := newECDSA(t, "small", elliptic.P256())
	der := key.pkcs7(t, someModule, "sha256")
	for n := range der {
		if _, err := ParsePKCS7(der[:n]); err == nil {
			t.Fatalf("ParsePKCS7() of %d bytes of %d = nil", n, len(der))
		}
		for _, c := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			bad := slices.Clone(der)
			bad[n] = c
			if p, err := ParsePKCS7(bad); (p == nil) == (err == nil) {
				t.Fatalf("ParsePKCS7() with byte %d = %#x: %v, %v; want one of them", n, c, p, err)
			}
		}
	}
}

func TestCheckSigningKey(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	config := func(options ...string) func(string) string {
		return func(name string) string {
			if name == "CONFIG_MODULE_SIG_HASH" {
				return "sha256"
			}
			if slices.Contains(options, name) {
				return "y"
			}
			return ""
		}
	}
	all := config("CONFIG_MODULE_SIG", "CONFIG_CRYPTO_RSA", "CONFIG_CRYPTO_ECDSA")
	rsaOnly := config("CONFIG_MODULE_SIG", "CONFIG_CRYPTO_RSA")
	for _, tt := range []struct {
		key    testKey
		config func(string) string
		want   string // within the error
	}{
		{someKey(t), all, ""},
		{someKey(t), rsaOnly, ""},
		{newECDSA(t, "ec", elliptic.P384()), all, ""},
		{newECDSA(t, "ec", elliptic.P384()), rsaOnly, "the kernel verifies no ECDSA signatures (CONFIG_CRYPTO_ECDSA is not set)"},
		{newECDSA(t, "ec", elliptic.P521()), all, "ECDSA key on the curve P-521: want P-256 or P-384"},
		{newRSA(t, "odd", 2056), all, "RSA key of 2056 bits: want 2048, 3072 or 4096"},
		{newKey(t, "ed", ed, err), all, "Ed25519 key: Linux takes RSA and ECDSA"},
		{someKey(t), config("CONFIG_CRYPTO_RSA"), "the kernel verifies no signatures of modules (CONFIG_MODULE_SIG is not set)"},
	} {
		err := CheckSigningConfig(tt.key.cert, tt.config)
		if tt.want == "" && err != nil || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("CheckSigningConfig(%s) = %v; want %q", tt.key.cert.Subject.CommonName, err, tt.want)
		}
	}
	if _, err := Digest(nil, "md4"); err == nil {
		t.Error("Digest(md4) = nil")
	}
	if err := CheckSigningConfig(someKey(t).cert, func(name string) string {
		return map[string]string{"CONFIG_MODULE_SIG": "y", "CONFIG_CRYPTO_RSA": "y"}[name]
	}); err == nil {
		t.Error("CheckSigningConfig() without a hash = nil")
	}
}

func TestSplitSignature(t *testing.T) {
	signed := AppendSignature(someModule, []byte("signature"))
	module, der, err := SplitSignature(signed)
	if !bytes.Equal(module, someModule) || string(der) != "signature" || err != nil {
		t.Errorf("SplitSignature() = %q, %q, %v", module, der, err)
	}
	if module, der, err := SplitSignature(someModule); !bytes.Equal(module, someModule) || der != nil || err != nil {
		t.Errorf("SplitSignature() of an unsigned one = %q, %q, %v", module, der, err)
	}
	if _, err := VerifySigned(someModule, nil, "sha256"); !errors.Is(err, ErrUnsigned) {
		t.Errorf("VerifySigned() of an unsigned one = %v; want %v", err, ErrUnsigned)
	}
	at := len(signed) - len(sigMagic) - sigHeader
	for n := range 8 { // algo, hash, type, two lengths, padding
		bad := slices.Clone(signed)
		bad[at+n]++
		if _, _, err := SplitSignature(bad); err == nil {
			t.Errorf("SplitSignature() with byte %d of module_signature changed = nil", n)
		}
	}
	bad := slices.Clone(signed)
	bad[at+8] = 0xff
	if _, _, err := SplitSignature(bad); err == nil {
		t.Error("SplitSignature() with a length beyond the file = nil")
	}
}

func FuzzParsePKCS7(f *testing.F) {
	rsa, ec := someKey(f), newECDSA(f, "ec", elliptic.P256())
	f.Add(rsa.pkcs7(f, someModule, "sha256"))
	f.Add(ec.pkcs7(f, someModule, "sha512"))
	f.Fuzz(func(t *testing.T, der []byte) {
		p, err := ParsePKCS7(der)
		if (p == nil) == (err == nil) {
			t.Fatalf("ParsePKCS7() = %v, %v; want one of them", p, err)
		}
		if err != nil {
			return
		}
		if p.Verify([]byte("not what was signed"), rsa.cert) == nil || p.Key() == "" && p.Serial == nil {
			t.Fatalf("%x is a signature of anything", der)
		}
		module, again, err := SplitSignature(AppendSignature(someModule, der))
		if err != nil || !bytes.Equal(module, someModule) || !bytes.Equal(again, der) {
			t.Fatalf("SplitSignature(AppendSignature()) = %q, %x, %v", module, again, err)
		}
	})
}

func FuzzSplitSignature(f *testing.F) {
	f.Add(AppendSignature(someModule, []byte("signature")))
	f.Add(AppendSignature(AppendSignature(nil, nil), nil))
	f.Add(someModule)
	f.Fuzz(func(t *testing.T, data []byte) {
		module, der, err := SplitSignature(data)
		switch {
		case err != nil:
		case der == nil && !bytes.Equal(module, data):
			t.Fatal("unsigned, but shorter")
		case der != nil && !bytes.Equal(AppendSignature(module, der), data):
			t.Fatalf("%x and %x do not make %x", module, der, data)
		}
	})
}
