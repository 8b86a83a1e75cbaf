// SPDX-License-Identifier: MIT

package vm

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf16"
)

// Firmware is UEFI with its variables.
type Firmware struct {
	Code string // file of the firmware's program
	Vars []byte // its variables; each boot begins with these
}

// firmwareFiles are those of Debian's package ovmf, with Secure Boot and without
// keys. That of qemu-efi-aarch64 has no store yet that variables could be put
// into.
var firmwareFiles = map[string][2]string{
	"amd64": {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
}

// OpenFirmware returns the UEFI of an architecture whose db holds the
// certificates (DER), and no other keys: Secure Boot is off. Debian's kernels
// take modules that are signed with the keys of db all the same.
func OpenFirmware(arch string, db ...[]byte) (*Firmware, error) {
	files, known := firmwareFiles[arch]
	if !known {
		return nil, fmt.Errorf("no firmware is known for architecture %s", arch)
	}
	vars, err := os.ReadFile(files[1])
	if err != nil {
		return nil, err
	}
	f := &Firmware{files[0], vars}
	if len(db) == 0 {
		return f, nil
	}
	return f, f.set("db", imageSecurity, signatureLists(db))
}

// EnableSecureBoot enrols a certificate (DER) as the platform's own and as that
// of those who may change db. The firmware then starts only what db approves
// of: see [SignImage].
func (f *Firmware) EnableSecureBoot(cert []byte) error {
	for _, name := range []string{"KEK", "PK"} {
		if err := f.set(name, globalVariable, signatureLists([][]byte{cert})); err != nil {
			return err
		}
	}
	return nil
}

// guid is one of UEFI's, as it is written in its specification.
type guid string

const (
	globalVariable guid = "8be4df61-93ca-11d2-aa0d-00e098032b8c" // PK, KEK
	imageSecurity  guid = "d719b2cb-3d3a-4596-a3bc-dad00e67656f" // db
	certX509       guid = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"
	volumeNV       guid = "fff12b8d-7696-4c8b-a985-2747075b4f50" // a volume of variables
	storeAuth      guid = "aaf32c78-947b-439a-a180-2e144ec37792" // a store of authenticated ones
	owner          guid = "b7e2d0f4-5ac1-4d52-9a55-0d2a3f6b9c11" // of our signatures; nobody looks at it
)

// bytes is its binary form: the first three parts are little-endian.
func (g guid) bytes() []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(string(g), "-", ""))
	if err != nil || len(b) != 16 {
		panic("guid " + g)
	}
	slices.Reverse(b[0:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return b
}

// signatureLists are EFI_SIGNATURE_LISTs (UEFI 2.10, 32.4.1) of a certificate each.
func signatureLists(certs [][]byte) []byte {
	var out []byte
	for _, cert := range certs {
		size := 16 + len(cert)
		out = append(out, certX509.bytes()...)
		out = binary.LittleEndian.AppendUint32(out, uint32(28+size))
		out = binary.LittleEndian.AppendUint32(out, 0)
		out = binary.LittleEndian.AppendUint32(out, uint32(size))
		out = append(out, owner.bytes()...)
		out = append(out, cert...)
	}
	return out
}

// Sizes and marks of edk2's variable store (MdeModulePkg,
// Include/Guid/VariableFormat.h).
const (
	storeHeader    = 28
	variableHeader = 60
	variableStart  = 0x55aa
	variableAdded  = 0x3f
	// non-volatile, for boot and run time, authenticated by time
	attributes = 0x27
)

// set adds a variable.
func (f *Firmware) set(name string, vendor guid, data []byte) error {
	at, end, err := f.free()
	if err != nil {
		return err
	}
	var text []byte
	for _, unit := range utf16.Encode([]rune(name + "\x00")) {
		text = binary.LittleEndian.AppendUint16(text, unit)
	}
	v := binary.LittleEndian.AppendUint16(nil, variableStart)
	v = append(v, variableAdded, 0)
	v = binary.LittleEndian.AppendUint32(v, attributes)
	v = append(v, make([]byte, 8)...) // monotonic count
	// The time of the last change; a later one may overwrite it: 2000-01-01.
	v = append(v, 0xd0, 0x07, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	v = binary.LittleEndian.AppendUint32(v, 0) // index of a public key
	v = binary.LittleEndian.AppendUint32(v, uint32(len(text)))
	v = binary.LittleEndian.AppendUint32(v, uint32(len(data)))
	v = append(v, vendor.bytes()...)
	v = append(append(v, text...), data...)
	if at+len(v) > end {
		return fmt.Errorf("firmware: no room for variable %s", name)
	}
	vars := slices.Clone(f.Vars)
	copy(vars[at:], v)
	f.Vars = vars
	return nil
}

// free is where the next variable goes in Vars, and where the store ends.
func (f *Firmware) free() (at, end int, err error) {
	le, vars := binary.LittleEndian, f.Vars
	if len(vars) < 64 || !slices.Equal(vars[16:32], volumeNV.bytes()) {
		return 0, 0, fmt.Errorf("firmware: not a volume of variables")
	}
	at = int(le.Uint16(vars[48:]))
	if len(vars) < at+storeHeader || !slices.Equal(vars[at:at+16], storeAuth.bytes()) {
		return 0, 0, fmt.Errorf("firmware: not a store of authenticated variables")
	}
	end = at + int(le.Uint32(vars[at+16:]))
	if end > len(vars) {
		return 0, 0, fmt.Errorf("firmware: the store is truncated")
	}
	for at += storeHeader; at+variableHeader <= end && le.Uint16(vars[at:]) == variableStart; {
		at += variableHeader + int(le.Uint32(vars[at+36:])) + int(le.Uint32(vars[at+40:]))
		at = (at + 3) &^ 3
	}
	return at, end, nil
}
