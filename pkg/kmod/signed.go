// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrUnsigned is what a module without a signature gives.
var ErrUnsigned = errors.New("is not signed")

// Unpack returns the uncompressed content of a module file of size bytes, a
// signature included. path is the name that errors carry.
func (o *Options) Unpack(r io.ReaderAt, size int64, path string) ([]byte, Compression, error) {
	head := make([]byte, min(size, 6))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, None, fmt.Errorf("read %s: %w", path, err)
	}
	c := compressionOf(head)
	data, err := o.unpack(io.NewSectionReader(r, 0, size), c)
	if err != nil {
		return nil, c, fmt.Errorf("%s: %w", path, err)
	}
	return data, c, nil
}

// readContent is [Options.Unpack] of the file at path.
func (o *Options) readContent(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, _, err := o.Unpack(f, info.Size(), path)
	return data, err
}

// SplitSignature cuts an uncompressed module in two: what was signed, and the
// PKCS#7 signature, which is nil if there is none. What the kernel refuses in
// struct module_signature is an error.
func SplitSignature(data []byte) (module, pkcs7 []byte, err error) {
	s, err := readSignature(bytes.NewReader(data), int64(len(data)))
	if err != nil || s == nil {
		return data, nil, err
	}
	header := data[len(data)-len(sigMagic)-sigHeader:][:8]
	if !bytes.Equal(header, []byte{0, 0, 2, 0, 0, 0, 0, 0}) {
		return nil, nil, errors.New("signature is not of the type PKCS#7, the only one since Linux 4.3")
	}
	return data[:s.Offset:s.Offset], data[s.Offset:][:s.Len:s.Len], nil
}

// AppendSignature is the opposite of [SplitSignature].
func AppendSignature(module, pkcs7 []byte) []byte {
	signed := make([]byte, 0, len(module)+len(pkcs7)+sigHeader+len(sigMagic))
	signed = append(append(signed, module...), pkcs7...)
	signed = append(signed, 0, 0, 2, 0, 0, 0, 0, 0)
	signed = binary.BigEndian.AppendUint32(signed, uint32(len(pkcs7)))
	return append(signed, sigMagic...)
}

func parseSigned(data []byte) ([]byte, *PKCS7, error) {
	module, der, err := SplitSignature(data)
	switch {
	case err != nil:
		return nil, nil, err
	case der == nil:
		return nil, nil, ErrUnsigned
	}
	p, err := ParsePKCS7(der)
	return module, p, err
}

// VerifySigned verifies an uncompressed module with its signature: by the key
// of cert, over the hash that the kernel's configuration names. An error is
// [ErrUnsigned], a [*SignatureError] or one of the form; with a SignatureError
// the signature is returned as well, for who wants to show it.
func VerifySigned(data []byte, cert *x509.Certificate, hash string) (*PKCS7, error) {
	module, p, err := parseSigned(data)
	if err != nil {
		return nil, err
	}
	return p, p.verify(module, cert, hash)
}

func (p *PKCS7) verify(module []byte, cert *x509.Certificate, hash string) error {
	if p.Hash != hash {
		return &SignatureError{fmt.Sprintf("signature is over the hash %s, the kernel's is %s", p.Hash, hash)}
	}
	return p.Verify(module, cert)
}

// VerifyDetached is [VerifySigned] where the signature is apart.
func VerifyDetached(module, pkcs7 []byte, cert *x509.Certificate, hash string) (*PKCS7, error) {
	p, err := ParsePKCS7(pkcs7)
	if err != nil {
		return nil, err
	}
	return p, p.verify(module, cert, hash)
}

// VerifyFile is [VerifySigned] of the file at path, which may be compressed.
func (o *Options) VerifyFile(path string, cert *x509.Certificate, hash string) (*PKCS7, error) {
	data, err := o.readContent(path)
	if err != nil {
		return nil, err
	}
	p, err := VerifySigned(data, cert, hash)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// ReadCertificate reads the file at path: one certificate in DER, or the first
// one in PEM.
func ReadCertificate(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for rest := data; ; {
		block, more := pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			data = block.Bytes
			break
		}
		rest = more
	}
	cert, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("%s: not a certificate in PEM or DER: %w", path, err)
	}
	return cert, nil
}
