// SPDX-License-Identifier: MIT

package kmod

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// sigMagic ends a signed module (include/linux/module_signature.h).
const sigMagic = "~Module signature appended~\n"

// sigHeader is the size of struct module_signature, which stands before
// sigMagic.
const sigHeader = 12

// Signature is what is appended to a signed module: the key's names, where the
// type is not PKCS#7, then the signature itself.
type Signature struct {
	Algo   uint8 // these three are 0, 0, 2 for PKCS#7
	Hash   uint8
	IDType uint8

	SignerLen int   // bytes
	KeyIDLen  int   // bytes
	Len       int   // bytes of the signature proper
	Offset    int64 // where all of it begins: the size of the module without it
}

// PKCS7 says whether the signature is a PKCS#7 message, the only type since
// Linux 4.3.
func (s *Signature) PKCS7() bool { return s.IDType == 2 }

// readSignature looks at the end of a module of size bytes; nil: unsigned.
func readSignature(r io.ReaderAt, size int64) (*Signature, error) {
	const trailer = sigHeader + int64(len(sigMagic))
	if size < trailer {
		return nil, nil
	}
	var b [trailer]byte
	if _, err := r.ReadAt(b[:], size-trailer); err != nil && err != io.EOF {
		return nil, fmt.Errorf("signature: %w", err)
	}
	if string(b[sigHeader:]) != sigMagic {
		return nil, nil
	}
	s := &Signature{Algo: b[0], Hash: b[1], IDType: b[2], SignerLen: int(b[3]), KeyIDLen: int(b[4])}
	length := int64(binary.BigEndian.Uint32(b[8:]))
	s.Len = int(length)
	s.Offset = size - trailer - length - int64(s.SignerLen) - int64(s.KeyIDLen)
	if s.Offset < 0 {
		return nil, errors.New("signature is longer than the file")
	}
	return s, nil
}
