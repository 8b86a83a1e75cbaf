// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Options of this package. The zero value and nil are ready.
type Options struct {
	// Run runs xz(1), strip(1) and objcopy(1); nil: (*exec.Cmd).Run.
	Run func(*exec.Cmd) error
	// Jobs is how many programs [StripAll] and [SplitDebugAll] run at a time; 0: 1.
	Jobs int
	// Path is where these are searched, in the form of PATH; "": [DefaultPath].
	// It is their PATH as well; of the caller's environment they see nothing.
	Path string
	// MaxSize is the most bytes that a compressed module may unpack to; 0:
	// [MaxSize].
	MaxSize int64
	// LLVM is the kernel's make variable LLVM, which selects the strip: "" GNU
	// strip, "1" llvm-strip, "-14" llvm-strip-14.
	LLVM string
	// CrossPrefix is put before GNU strip's name: "aarch64-linux-gnu-".
	CrossPrefix string
}

// MaxSize is the most bytes that a module may have: 1 GiB.
const MaxSize = 1 << 30

func (o *Options) maxSize() int64 {
	if o == nil || o.MaxSize == 0 {
		return MaxSize
	}
	return o.MaxSize
}

// File is one module file.
type File struct {
	Path        string
	Compression Compression
	Class       elf.Class
	Machine     elf.Machine
	Order       binary.ByteOrder

	BuildID   []byte     // of .note.gnu.build-id; nil where there is none
	Debug     bool       // has sections of debug information
	BTF       bool       // has a section .BTF
	Signature *Signature // nil: unsigned

	Versions []Version // of __versions, in file order; with CONFIG_MODVERSIONS only
	Needs    []Need    // the undefined symbols, in file order
	Exports  []Export  // in file order

	info   Info
	layout layout
}

// Info is what .modinfo says.
func (f *File) Info() Info { return f.info }

// Open reads the module at path.
func Open(path string) (*File, error) { return (*Options)(nil).Open(path) }

// Open reads the module at path.
func (o *Options) Open(path string) (*File, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	st, err := r.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	return o.Read(r, st.Size(), path)
}

// Read reads a module of size bytes; path is the name that errors carry. The
// compression is told from the content, whatever path ends in.
func (o *Options) Read(r io.ReaderAt, size int64, path string) (*File, error) {
	f := &File{Path: path}
	head := make([]byte, min(size, 6))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if f.Compression = compressionOf(head); f.Compression != None {
		data, err := o.unpack(io.NewSectionReader(r, 0, size), f.Compression)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		r, size = bytes.NewReader(data), int64(len(data))
	}
	if err := f.read(r, size); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// looksLikeELF says in plain words what is no ELF file at all.
func looksLikeELF(r io.ReaderAt, size int64) error {
	if size == 0 {
		return errors.New("file is empty")
	}
	magic := make([]byte, len(elf.ELFMAG))
	if n, err := r.ReadAt(magic, 0); n == len(magic) && string(magic) != elf.ELFMAG || n < len(magic) && errors.Is(err, io.EOF) {
		return errors.New("not an ELF file")
	}
	return nil
}

// machines are those of Debian's kernels.
var machines = []elf.Machine{
	elf.EM_X86_64, elf.EM_386, elf.EM_AARCH64, elf.EM_ARM, elf.EM_PPC64,
	elf.EM_RISCV, elf.EM_S390, elf.EM_LOONGARCH, elf.EM_MIPS,
}

func (f *File) read(r io.ReaderAt, size int64) error {
	if err := looksLikeELF(r, size); err != nil {
		return err
	}
	e, err := elf.NewFile(io.NewSectionReader(r, 0, size))
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("ELF file is truncated")
	case err != nil:
		return fmt.Errorf("damaged ELF file: %w", err)
	}
	defer e.Close()
	switch {
	case e.Type != elf.ET_REL:
		return fmt.Errorf("ELF type is %v, a module's is ET_REL", e.Type)
	case !slices.Contains(machines, e.Machine):
		return fmt.Errorf("machine %v is none of Debian's", e.Machine)
	}
	f.Class, f.Machine, f.Order = e.Class, e.Machine, e.ByteOrder
	if err := f.readLayout(e, size); err != nil {
		return err
	}
	if f.Signature, err = readSignature(r, size); err != nil {
		return err
	}
	modinfo, err := section(e, ".modinfo")
	if err != nil {
		return err
	}
	if modinfo == nil {
		return errors.New("no section .modinfo: not a kernel module")
	}
	f.info = parseModinfo(modinfo, f.Path)
	f.scanSections(e)
	if f.BuildID, err = buildID(e); err != nil {
		return err
	}
	if f.Versions, err = readVersions(e); err != nil {
		return err
	}
	return f.readSymbols(e)
}

func (f *File) scanSections(e *elf.File) {
	for _, s := range e.Sections {
		switch {
		case isDebug(s):
			f.Debug = true
		case s.Name == ".BTF":
			f.BTF = true
		}
	}
}

func isDebug(s *elf.Section) bool {
	return strings.HasPrefix(s.Name, ".debug_") || strings.HasPrefix(s.Name, ".zdebug_")
}

// section is the content of the first section of that name; nil if there is
// none. The kernel does not read compressed ones.
func section(e *elf.File, name string) ([]byte, error) {
	s := e.Section(name)
	if s == nil {
		return nil, nil
	}
	return sectionData(s)
}

func sectionData(s *elf.Section) ([]byte, error) {
	if s.Type == elf.SHT_NOBITS || s.Flags&elf.SHF_COMPRESSED != 0 {
		return nil, fmt.Errorf("section %s has no plain content", s.Name)
	}
	data, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("section %s: %w", s.Name, err)
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

// buildID is the descriptor of the note that ld --build-id makes.
func buildID(e *elf.File) ([]byte, error) {
	note, err := section(e, ".note.gnu.build-id")
	if err != nil || note == nil {
		return nil, err
	}
	const header = 12
	if len(note) < header+4 || string(note[header:header+4]) != "GNU\x00" {
		return nil, errors.New("section .note.gnu.build-id is not a GNU note")
	}
	size := e.ByteOrder.Uint32(note[4:])
	if uint64(size) > uint64(len(note)-header-4) {
		return nil, errors.New("section .note.gnu.build-id is truncated")
	}
	return note[header+4:][:size], nil
}

// CheckRelease says whether the module was built for the kernel named release:
// the first word of its vermagic must be that. If not, it is a [*ReleaseError].
func (f *File) CheckRelease(release string) error {
	if ParseVermagic(f.info.Vermagic).Release == release {
		return nil
	}
	return &ReleaseError{Path: f.Path, Vermagic: f.info.Vermagic, Want: release}
}

// ReleaseError says that a module was built for another kernel.
type ReleaseError struct {
	Path     string
	Vermagic string // the module's, "" where it has none
	Want     string
}

func (e *ReleaseError) Error() string {
	if e.Vermagic == "" {
		return fmt.Sprintf("%s: has no vermagic, so it does not load into kernel %s", e.Path, e.Want)
	}
	return fmt.Sprintf("%s: built for kernel %s, not %s (vermagic %q)", e.Path, ParseVermagic(e.Vermagic).Release, e.Want, e.Vermagic)
}
