// SPDX-License-Identifier: MIT

package debfile

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/control"
)

// DefaultLimit is the default of [ReadOptions].Limit: 4 GiB.
const DefaultLimit = 4 << 30

// Bounds that no real package comes near.
const (
	maxControl = 64 << 20 // bytes that the control member may unpack to
	maxEntries = 1 << 20  // of one member
)

// ReadOptions say how a package is read. The zero value and a nil pointer are
// ready to use.
type ReadOptions struct {
	// Run runs xz(1). Default: (*exec.Cmd).Run.
	Run func(*exec.Cmd) error
	// Limit is the number of bytes that the data member may unpack to.
	// Default: [DefaultLimit].
	Limit int64
}

// Reader gives the content of a package. The control member has been read,
// the data member is decompressed anew by each call that needs it. A Reader
// may be used concurrently, but for Close.
type Reader struct {
	name    string
	src     io.ReaderAt
	closer  io.Closer
	options ReadOptions
	data    part
	packed  Compression
	stanza  control.Stanza
	parts   map[string]string
}

// Open opens a package and reads its control member. Errors begin with path.
func Open(path string) (*Reader, error) { return OpenWith(path, nil) }

// OpenWith is [Open] with options.
func OpenWith(path string, o *ReadOptions) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := openFile(f, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.closer = f
	return r, nil
}

func openFile(f *os.File, o *ReadOptions) (*Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", f.Name())
	}
	return NewReader(f, info.Size(), f.Name(), o)
}

// NewReader reads a package of size bytes from src; name is what errors call
// it. Close need not be called.
func NewReader(src io.ReaderAt, size int64, name string, o *ReadOptions) (*Reader, error) {
	r := &Reader{name: name, src: src}
	if o != nil {
		r.options = *o
	}
	if r.options.Limit <= 0 {
		r.options.Limit = DefaultLimit
	}
	admin, err := r.findMembers(size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := r.readControl(admin); err != nil {
		return nil, &memberError{name, admin.name, err}
	}
	return r, nil
}

// Close closes the file that [Open] opened.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// Control is the control stanza. It is the caller's.
func (r *Reader) Control() control.Stanza {
	return control.Stanza{Fields: slices.Clone(r.stanza.Fields)}
}

// Compression is that of the control member, with which such packages as
// [Write] makes have their data compressed as well.
func (r *Reader) Compression() Compression { return r.packed }

// ControlFiles returns the other files of the control member by name:
// maintainer scripts, md5sums, triggers and so on. The map is the caller's.
func (r *Reader) ControlFiles() map[string]string { return maps.Clone(r.parts) }

// findMembers notes the data member and returns the control member. As dpkg
// does, it skips members whose name begins with "_" and never looks at what
// follows the data member.
func (r *Reader) findMembers(size int64) (admin part, err error) {
	a, err := newArReader(r.src, size)
	if err != nil {
		return part{}, err
	}
	if err := r.checkVersion(a); err != nil {
		return part{}, err
	}
	if admin, err = nextMember(a, "control.tar", "", ".gz", ".xz", ".zst"); err != nil {
		return part{}, err
	}
	for _, c := range []Compression{None, Gzip, XZ, Zstd} {
		if admin.name == "control.tar"+c.extension() {
			r.packed = c
		}
	}
	r.data, err = nextMember(a, "data.tar", "", ".gz", ".xz", ".zst", ".bz2", ".lzma")
	return admin, err
}

// nextMember returns the next member that counts, which must be the wanted
// one, with one of the extensions.
func nextMember(a *arReader, want string, extensions ...string) (part, error) {
	for {
		m, err := a.next()
		if err == io.EOF {
			return m, fmt.Errorf("no member %s", want)
		}
		if err != nil {
			return m, err
		}
		if strings.HasPrefix(m.name, "_") {
			continue
		}
		ext, ok := strings.CutPrefix(m.name, want)
		if !ok {
			return m, fmt.Errorf("member %q: out of place: want %s", m.name, want)
		}
		if !slices.Contains(extensions, ext) {
			return m, fmt.Errorf("member %q: %w", m.name, errUnknownCompression)
		}
		return m, nil
	}
}

// checkVersion wants the member debian-binary with a version 2.x.
func (r *Reader) checkVersion(a *arReader) error {
	m, err := a.next()
	if err == io.EOF || err == nil && m.name != "debian-binary" {
		return errors.New("not a Debian binary package: first member is not debian-binary")
	}
	if err != nil {
		return err
	}
	text := make([]byte, min(m.size, 64))
	if _, err := r.src.ReadAt(text, m.start); err != nil && err != io.EOF {
		return err
	}
	line, _, found := strings.Cut(string(text), "\n")
	minor, ok := strings.CutPrefix(line, "2.")
	if !found || !ok || minor == "" || strings.Trim(minor, "0123456789") != "" {
		return fmt.Errorf("member debian-binary: format version %q: want 2.0", line)
	}
	return nil
}

// readControl reads the whole control member.
func (r *Reader) readControl(admin part) error {
	parts := make(map[string]string)
	err := r.walk(admin, "control.tar", maxControl, func(e Entry, content io.Reader) error {
		if e.Path == "." || !e.Mode.IsRegular() || e.Link != "" {
			return nil
		}
		text, err := io.ReadAll(content)
		parts[e.Path] = string(text)
		return err
	})
	if err != nil {
		return err
	}
	text, ok := parts["control"]
	if !ok {
		return errors.New("no file control")
	}
	delete(parts, "control")
	r.parts = parts
	if r.stanza, err = control.ParseOne(strings.NewReader(text), "control"); err != nil {
		return err
	}
	if err := control.ValidArchitecture(r.stanza.Get("Architecture")); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// Walk calls fn for each entry of the data member, in order, the top directory
// (Path ".") included if the package has it. It ends with the first error of
// fn, which it returns as it is. Content must be read within fn; its errors
// are as Walk's own: they name the package and the member. Entries that an
// honest package cannot have end the walk with an error.
func (r *Reader) Walk(fn func(e Entry, content io.Reader) error) error {
	var fnErr error
	err := r.walk(r.data, "data.tar", r.options.Limit, func(e Entry, content io.Reader) error {
		fnErr = fn(e, &contentReader{r, content})
		return fnErr
	})
	if fnErr != nil {
		return fnErr
	}
	return r.dataError(err)
}

// memberError is an error with the package and member in front.
type memberError struct {
	file, member string
	err          error
}

func (e *memberError) Error() string {
	return fmt.Sprintf("%s: member %s: %v", e.file, e.member, e.err)
}

func (e *memberError) Unwrap() error { return e.err }

// dataError says that err, if any, is about the data member, once.
func (r *Reader) dataError(err error) error {
	var known *memberError
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &memberError{r.name, r.data.name, err}
}

// contentReader reads the content of an entry.
type contentReader struct {
	deb *Reader
	r   io.Reader
}

func (c *contentReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != io.EOF { // which must stay what it is
		err = c.deb.dataError(err)
	}
	return n, err
}

// walk decompresses a member and gives its entries to fn.
func (r *Reader) walk(m part, stem string, limit int64, fn func(Entry, io.Reader) error) error {
	section := io.NewSectionReader(r.src, m.start, m.size)
	dec, err := r.options.decode(section, strings.TrimPrefix(m.name, stem))
	if err != nil {
		return err
	}
	defer dec.Close() // read to its end, or given up
	unpacked := &limitedReader{r: dec, limit: limit, left: limit}
	tr := tar.NewReader(unpacked)
	seen := make(tree)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		e, err := seen.entry(h)
		if err != nil {
			return fmt.Errorf("%q: %w", h.Name, err)
		}
		if err := fn(e, tr); err != nil {
			return err
		}
	}
	// The decoder checks its sums at the end.
	if _, err := io.Copy(io.Discard, unpacked); err != nil {
		return err
	}
	if (limit-unpacked.left)%512 != 0 {
		return errors.New("truncated: tar archive ends within a block")
	}
	return nil
}
