// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha1" // the hashes that a kernel may ask for
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// PKCS7 is the signature of a module: a detached CMS SignedData (RFC 5652) with
// one signer and without signed attributes, as scripts/sign-file makes it.
// Others are refused, most of them by the kernel as well
// (crypto/asymmetric_keys/pkcs7_verify.c).
type PKCS7 struct {
	Hash   string   // of the module, as CONFIG_MODULE_SIG_HASH names it
	Issuer string   // common name, which modinfo calls the signer
	Serial *big.Int // of the certificate; nil where KeyID names it
	KeyID  []byte   // subject key identifier; nil where Issuer and Serial name it

	rawIssuer []byte
	ecdsa     bool
	signature []byte
}

// hashAlgorithm is one that CONFIG_MODULE_SIG_HASH may name.
type hashAlgorithm struct {
	name       string
	hash       crypto.Hash
	oid, ecdsa asn1.ObjectIdentifier // as digest, and in a signature with ECDSA
}

// nist is an algorithm in the arc of NIST: 2 hashes, 3 signatures.
func nist(arc, n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, arc, n}
}

func ecdsaSHA2(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, n}
}

var hashAlgorithms = []hashAlgorithm{
	{"sha1", crypto.SHA1, asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}},
	{"sha224", crypto.SHA224, nist(2, 4), ecdsaSHA2(1)},
	{"sha256", crypto.SHA256, nist(2, 1), ecdsaSHA2(2)},
	{"sha384", crypto.SHA384, nist(2, 2), ecdsaSHA2(3)},
	{"sha512", crypto.SHA512, nist(2, 3), ecdsaSHA2(4)},
	{"sha3-256", crypto.SHA3_256, nist(2, 8), nist(3, 10)},
	{"sha3-384", crypto.SHA3_384, nist(2, 9), nist(3, 11)},
	{"sha3-512", crypto.SHA3_512, nist(2, 10), nist(3, 12)},
}

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidRSAEncryption = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

func hashNamed(name string) (hashAlgorithm, error) {
	for _, h := range hashAlgorithms {
		if h.name == name {
			return h, nil
		}
	}
	if name == "" {
		return hashAlgorithm{}, errors.New("the kernel names no hash for its modules (CONFIG_MODULE_SIG_HASH)")
	}
	return hashAlgorithm{}, fmt.Errorf("unknown hash %q of CONFIG_MODULE_SIG_HASH", name)
}

// Digest is the hash of a module that is to be signed.
func Digest(module []byte, hash string) ([]byte, error) {
	h, err := hashNamed(hash)
	if err != nil {
		return nil, err
	}
	return h.sum(module), nil
}

func (h hashAlgorithm) sum(data []byte) []byte {
	sum := h.hash.New()
	sum.Write(data) // never fails
	return sum.Sum(nil)
}

// The structures of RFC 5652.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,tag:0"`
}

type signedData struct {
	Version    int
	Algorithms []pkix.AlgorithmIdentifier `asn1:"set"`
	Content    encapsulated
	Certs      asn1.RawValue `asn1:"optional,tag:0"`
	CRLs       asn1.RawValue `asn1:"optional,tag:1"`
	Signers    []signerInfo  `asn1:"set"`
}

type encapsulated struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
}

type signerInfo struct {
	Version   int
	ID        asn1.RawValue
	Digest    pkix.AlgorithmIdentifier
	Signed    asn1.RawValue `asn1:"optional,tag:0"`
	Algorithm pkix.AlgorithmIdentifier
	Signature []byte
	Unsigned  asn1.RawValue `asn1:"optional,tag:1"`
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

// ParsePKCS7 reads a detached signature, in DER. It keeps nothing of der, which
// may be the end of a large module.
func ParsePKCS7(der []byte) (*PKCS7, error) {
	s, err := parseSignedData(der)
	if err != nil {
		return nil, fmt.Errorf("PKCS#7 signature: %w", err)
	}
	p, err := s.pkcs7()
	if err != nil {
		return nil, fmt.Errorf("PKCS#7 signature: %w", err)
	}
	return p, nil
}

// parseSignedData wants the one encoding that DER has: what follows or fills
// up is an error.
func parseSignedData(der []byte) (*signedData, error) {
	var outer contentInfo
	rest, err := asn1.Unmarshal(der, &outer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("not DER: %w", err)
	case len(rest) > 0:
		return nil, fmt.Errorf("%d bytes follow it", len(rest))
	case !outer.Type.Equal(oidSignedData):
		return nil, fmt.Errorf("content type is %v, not that of signed data", outer.Type)
	}
	s := new(signedData)
	if _, err := asn1.Unmarshal(outer.Content.Bytes, s); err != nil {
		return nil, fmt.Errorf("not DER: %w", err)
	}
	again, err := s.marshal()
	if err != nil || !bytes.Equal(again, der) {
		return nil, errors.New("not canonical DER")
	}
	return s, nil
}

func (s *signedData) marshal() ([]byte, error) {
	inner, err := asn1.Marshal(*s)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{oidSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner}})
}

func (s *signedData) pkcs7() (*PKCS7, error) {
	switch {
	case !s.Content.Type.Equal(oidData):
		return nil, fmt.Errorf("signs content of type %v, not plain data", s.Content.Type)
	case len(s.Content.Content.FullBytes) > 0:
		return nil, errors.New("holds the content as well: want a detached one")
	case len(s.Signers) != 1:
		return nil, fmt.Errorf("has %d signers: want one", len(s.Signers))
	}
	i := s.Signers[0]
	if len(i.Signed.FullBytes) > 0 {
		return nil, errors.New("has signed attributes, which the kernel refuses: sign with -noattr")
	}
	p := &PKCS7{signature: i.Signature}
	for _, h := range hashAlgorithms {
		if h.oid.Equal(i.Digest.Algorithm) {
			p.Hash = h.name
		}
	}
	if p.Hash == "" {
		return nil, fmt.Errorf("unknown hash %v", i.Digest.Algorithm)
	}
	switch {
	case i.Algorithm.Algorithm.Equal(oidRSAEncryption):
	case slices.ContainsFunc(hashAlgorithms, func(h hashAlgorithm) bool { return h.name == p.Hash && h.ecdsa.Equal(i.Algorithm.Algorithm) }):
		p.ecdsa = true
	default:
		return nil, fmt.Errorf("signature algorithm %v with %s is none that the kernel takes: RSA (PKCS#1 v1.5) or ECDSA", i.Algorithm.Algorithm, p.Hash)
	}
	return p, p.identify(i)
}

// identify reads whose signature it is.
func (p *PKCS7) identify(i signerInfo) error {
	switch {
	case i.Version == 3 && i.ID.Class == asn1.ClassContextSpecific && i.ID.Tag == 0 && !i.ID.IsCompound && len(i.ID.Bytes) > 0:
		p.KeyID = bytes.Clone(i.ID.Bytes)
		return nil
	case i.Version != 1:
		return fmt.Errorf("signer of version %d is named in an unknown way", i.Version)
	}
	var by issuerAndSerial
	if _, err := asn1.Unmarshal(i.ID.FullBytes, &by); err != nil {
		return fmt.Errorf("issuer and serial number: %w", err)
	}
	if again, err := asn1.Marshal(by); err != nil || !bytes.Equal(again, i.ID.FullBytes) {
		return errors.New("issuer and serial number: not canonical DER")
	}
	var names pkix.RDNSequence
	if _, err := asn1.Unmarshal(by.Issuer.FullBytes, &names); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	var name pkix.Name
	name.FillFromRDNSequence(&names)
	p.Issuer, p.Serial, p.rawIssuer = name.CommonName, by.Serial, bytes.Clone(by.Issuer.FullBytes)
	return nil
}

// Key is how modinfo writes sig_key: the bytes of Serial, or of KeyID.
func (p *PKCS7) Key() string {
	key := p.KeyID
	if p.Serial != nil {
		key = p.Serial.Bytes()
	}
	return strings.ToUpper(colons(key))
}

func colons(b []byte) string {
	words := make([]string, len(b))
	for i, c := range b {
		words[i] = fmt.Sprintf("%02x", c)
	}
	return strings.Join(words, ":")
}

// Verify says whether p is the signature of module by the key of cert. If not,
// the error is a [*SignatureError]. Whether cert is valid is not asked, as the
// kernel does not.
func (p *PKCS7) Verify(module []byte, cert *x509.Certificate) error {
	if !p.names(cert) {
		return &SignatureError{fmt.Sprintf("signature is by another key: by %s, not by %s", p.signer(), certificateName(cert))}
	}
	h, err := hashNamed(p.Hash)
	if err != nil {
		return err
	}
	var good bool
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		good = !p.ecdsa && rsa.VerifyPKCS1v15(key, h.hash, h.sum(module), p.signature) == nil
	case *ecdsa.PublicKey:
		good = p.ecdsa && ecdsa.VerifyASN1(key, h.sum(module), p.signature)
	}
	if !good {
		return &SignatureError{"signature does not fit the content: it was made of other bytes, or by another key than that of " + certificateName(cert)}
	}
	return nil
}

// SignatureError says why a signature is not what it has to be.
type SignatureError struct{ Reason string }

func (e *SignatureError) Error() string { return e.Reason }

func (p *PKCS7) names(cert *x509.Certificate) bool {
	if p.Serial == nil {
		return bytes.Equal(p.KeyID, cert.SubjectKeyId)
	}
	return bytes.Equal(p.rawIssuer, cert.RawIssuer) && p.Serial.Cmp(cert.SerialNumber) == 0
}

func (p *PKCS7) signer() string {
	if p.Serial == nil {
		return "the key with identifier " + p.Key()
	}
	return fmt.Sprintf("%q, serial number %s", p.Issuer, p.Key())
}

func certificateName(cert *x509.Certificate) string {
	return fmt.Sprintf("the certificate of %q, serial number %s", cert.Subject.CommonName, strings.ToUpper(colons(cert.SerialNumber.Bytes())))
}

// NewPKCS7 wraps what a device returned that signs digests: with RSA a
// signature by PKCS#1 v1.5, with ECDSA one in DER. It is not verified.
func NewPKCS7(cert *x509.Certificate, hash string, signature []byte) ([]byte, error) {
	h, err := hashNamed(hash)
	if err != nil {
		return nil, err
	}
	if err := CheckSigningKey(cert); err != nil {
		return nil, err
	}
	algorithm := pkix.AlgorithmIdentifier{Algorithm: oidRSAEncryption, Parameters: asn1.NullRawValue}
	if cert.PublicKeyAlgorithm == x509.ECDSA {
		algorithm = pkix.AlgorithmIdentifier{Algorithm: h.ecdsa}
	}
	id, err := asn1.Marshal(issuerAndSerial{asn1.RawValue{FullBytes: cert.RawIssuer}, cert.SerialNumber})
	if err != nil {
		return nil, err
	}
	digest := pkix.AlgorithmIdentifier{Algorithm: h.oid}
	s := signedData{
		Version: 1, Algorithms: []pkix.AlgorithmIdentifier{digest}, Content: encapsulated{Type: oidData},
		Signers: []signerInfo{{Version: 1, ID: asn1.RawValue{FullBytes: id}, Digest: digest, Algorithm: algorithm, Signature: signature}},
	}
	return s.marshal()
}

// CheckSigningKey says whether Linux verifies signatures by keys of cert's
// kind: RSA up to 4096 bits (crypto/rsa.c), ECDSA on P-256 and P-384
// (crypto/ecdsa.c). For ECDSA the kernel's configuration must have
// CONFIG_CRYPTO_ECDSA as well, see [CheckSigningConfig].
func CheckSigningKey(cert *x509.Certificate) error {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n != 2048 && n != 3072 && n != 4096 {
			return fmt.Errorf("%s: RSA key of %d bits: want 2048, 3072 or 4096", certificateName(cert), n)
		}
		return nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return fmt.Errorf("%s: ECDSA key on the curve %s: want P-256 or P-384", certificateName(cert), key.Curve.Params().Name)
		}
		return nil
	}
	return fmt.Errorf("%s: %v key: Linux takes RSA and ECDSA", certificateName(cert), cert.PublicKeyAlgorithm)
}

// CheckSigningConfig is [CheckSigningKey] for one kernel; config gives the
// values of its .config, without quotes.
func CheckSigningConfig(cert *x509.Certificate, config func(string) string) error {
	if err := CheckSigningKey(cert); err != nil {
		return err
	}
	option := "CONFIG_CRYPTO_RSA"
	if cert.PublicKeyAlgorithm == x509.ECDSA {
		option = "CONFIG_CRYPTO_ECDSA"
	}
	if v := config(option); v != "y" && v != "m" {
		return fmt.Errorf("%s: the kernel verifies no %v signatures (%s is not set)", certificateName(cert), cert.PublicKeyAlgorithm, option)
	}
	if config("CONFIG_MODULE_SIG") != "y" {
		return errors.New("the kernel verifies no signatures of modules (CONFIG_MODULE_SIG is not set)")
	}
	_, err := hashNamed(config("CONFIG_MODULE_SIG_HASH"))
	return err
}
