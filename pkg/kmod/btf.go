// SPDX-License-Identifier: MIT

package kmod

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// btf is BPF's type information (Documentation/bpf/btf.rst). That of a module
// is split: its type and string numbers go on where those of its base end.
type btf struct {
	order   binary.ByteOrder
	types   []byte
	strings []byte
}

// btfMagic begins every BTF section.
const btfMagic = 0xeb9f

func parseBTF(data []byte, order binary.ByteOrder) (*btf, error) {
	const header = 24
	if len(data) < header || order.Uint16(data) != btfMagic || data[2] != 1 {
		return nil, errors.New("is not BTF of version 1")
	}
	size := order.Uint32(data[4:])
	if size < header || uint64(size) > uint64(len(data)) {
		return nil, errors.New("BTF header is truncated")
	}
	body := data[size:]
	part := func(field int) []byte {
		off, n := uint64(order.Uint32(data[field:])), uint64(order.Uint32(data[field+4:]))
		if off+n > uint64(len(body)) {
			return nil
		}
		return body[off:][:n:n]
	}
	b := &btf{order, part(8), part(16)}
	if b.types == nil || b.strings == nil {
		return nil, errors.New("BTF is truncated")
	}
	return b, nil
}

// kinds of BTF types. What follows the 12 bytes that all have is extra bytes
// and vlen members of member bytes; refs and names are at which of their
// 4-byte words there are numbers of types and strings.
type btfKind struct {
	ref         bool // the third word is a type, not a size
	extra       int
	extraRefs   int // of the extra words, from the first on
	member      int
	memberWords string // 'n' a name, 't' a type, '-' neither
}

var btfKinds = [...]btfKind{
	1:  {extra: 4},                                // INT
	2:  {ref: true},                               // PTR
	3:  {extra: 12, extraRefs: 2},                 // ARRAY
	4:  {member: 12, memberWords: "nt-"},          // STRUCT
	5:  {member: 12, memberWords: "nt-"},          // UNION
	6:  {member: 8, memberWords: "n-"},            // ENUM
	7:  {},                                        // FWD
	8:  {ref: true},                               // TYPEDEF
	9:  {ref: true},                               // VOLATILE
	10: {ref: true},                               // CONST
	11: {ref: true},                               // RESTRICT
	12: {ref: true},                               // FUNC
	13: {ref: true, member: 8, memberWords: "nt"}, // FUNC_PROTO
	14: {ref: true, extra: 4},                     // VAR
	15: {member: 12, memberWords: "t--"},          // DATASEC
	16: {},                                        // FLOAT
	17: {ref: true, extra: 4},                     // DECL_TAG
	18: {ref: true},                               // TYPE_TAG
	19: {member: 12, memberWords: "n--"},          // ENUM64
}

// walk calls name and ref with each number of a string and of a type, and
// returns how many types there are.
func (b *btf) walk(name, ref func(uint32)) (uint32, error) {
	count := uint32(0)
	for data := b.types; len(data) > 0; count++ {
		if len(data) < 12 {
			return count, errors.New("BTF types are truncated")
		}
		info := b.order.Uint32(data[4:])
		number, vlen := int(info>>24&0x1f), int(info&0xffff)
		if number == 0 || number >= len(btfKinds) {
			return count, fmt.Errorf("BTF has a type of the unknown kind %d", number)
		}
		kind := &btfKinds[number]
		name(b.order.Uint32(data))
		if kind.ref {
			ref(b.order.Uint32(data[8:]))
		}
		data = data[12:]
		if len(data) < kind.extra+kind.member*vlen {
			return count, errors.New("BTF types are truncated")
		}
		for i := range kind.extraRefs {
			ref(b.order.Uint32(data[4*i:]))
		}
		data = data[kind.extra:]
		for range vlen * min(kind.member, 1) {
			b.member(data, kind.memberWords, name, ref)
			data = data[kind.member:]
		}
	}
	return count, nil
}

func (b *btf) member(data []byte, words string, name, ref func(uint32)) {
	for i := range len(words) {
		switch n := data[4*i:]; words[i] {
		case 'n':
			name(b.order.Uint32(n))
		case 't':
			ref(b.order.Uint32(n))
		}
	}
}

func none(uint32) {}

// baseBTF is the kernel's BTF, read when the first module needs it.
type baseBTF struct {
	once  sync.Once
	btf   *btf
	types uint32
	err   error
}

func (b *baseBTF) read(path string) {
	e, err := elf.Open(path)
	if err != nil {
		b.err = err
		return
	}
	defer e.Close()
	data, err := section(e, ".BTF")
	if err == nil {
		b.set(data, e.ByteOrder)
		err = b.err
	}
	if err != nil {
		b.err = fmt.Errorf("%s: %w", path, err)
	}
}

func (b *baseBTF) set(data []byte, order binary.ByteOrder) {
	if b.btf, b.err = parseBTF(data, order); b.err == nil {
		b.types, b.err = b.btf.walk(none, none)
	}
}

// fits checks that a module's BTF belongs to b: that every type and string that
// it names is there, and that the strings begin where one does.
func (b *baseBTF) fits(data []byte, order binary.ByteOrder) error {
	split, err := parseBTF(data, order)
	if err != nil {
		return err
	}
	own, err := split.walk(none, none)
	if err != nil {
		return err
	}
	var badName, badType uint32
	names, types := 0, 0
	_, err = split.walk(func(n uint32) {
		if !b.hasString(split, n) {
			badName, names = n, names+1
		}
	}, func(n uint32) {
		if uint64(n) > uint64(b.types)+uint64(own) {
			badType, types = n, types+1
		}
	})
	switch {
	case names > 0:
		return fmt.Errorf("%d names lie beside the strings of its base, the last at %d", names, badName)
	case types > 0:
		return fmt.Errorf("%d types are beyond those of its base, the last is %d", types, badType)
	}
	return err
}

func (b *baseBTF) hasString(split *btf, n uint32) bool {
	text := b.btf.strings
	if n >= uint32(len(text)) {
		n -= uint32(len(text))
		text = split.strings
	}
	return uint64(n) < uint64(len(text)) && (n == 0 || text[n-1] == 0)
}

// checkBTF wants type information where the kernel has it, and that it belongs
// to this kernel (btf_parse_module). The kernel loads a module without it, and
// with CONFIG_MODULE_ALLOW_BTF_MISMATCH one whose BTF it cannot use.
func (s *session) checkBTF(f *File) {
	k := s.v.Kernel
	if !k.on("DEBUG_INFO_BTF_MODULES") || k.Vmlinux == "" {
		return
	}
	if f.layout.btf == nil {
		s.errorf(f, "has no BTF (section .BTF), but the kernel's modules do: its build needs pahole, of the package pahole, and debug information")
		return
	}
	s.v.base.once.Do(func() { s.v.base.read(k.Vmlinux) })
	base := &s.v.base
	if f.layout.btfBase != nil { // the kernel relocates it
		base = new(baseBTF)
		base.set(f.layout.btfBase, f.Order)
	}
	err := base.err
	if err == nil {
		err = base.fits(f.layout.btf, f.Order)
	}
	if err == nil {
		return
	}
	if k.on("MODULE_ALLOW_BTF_MISMATCH") {
		s.notef(f, "BTF does not belong to this kernel, which will not use it: %v", err)
		return
	}
	s.errorf(f, "BTF does not belong to this kernel: %v", err)
}
