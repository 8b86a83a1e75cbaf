// SPDX-License-Identifier: MIT

package signing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kmod"
)

// deb is a package to be signed. Its modules are read one at a time: all of
// them together may be more than the memory holds.
type deb struct {
	*debfile.Reader
	programs            Programs
	path                string
	name, version, arch string
	sha256              string
}

// module is one module of a package.
type module struct {
	member      string // path in the package
	file        string // the same without the suffix of the compression
	kernel      string
	compression kmod.Compression
	content     []byte // uncompressed
}

// openDeb opens a package.
func openDeb(path string, p Programs) (*deb, error) {
	_, sum, err := debfile.Sum(path)
	if err != nil {
		return nil, err
	}
	r, err := debfile.OpenWith(path, p.reader())
	if err != nil {
		return nil, err
	}
	c := r.Control()
	d := &deb{Reader: r, programs: p, path: path, name: c.Get("Package"), version: c.Get("Version"), arch: c.Get("Architecture"), sha256: sum}
	if err := control.ValidPackageName(d.name); err != nil {
		return nil, errors.Join(d.errorf("", "%w", err), r.Close())
	}
	return d, nil
}

// modules calls fn for each module. It ends with the first error, which it
// returns.
func (d *deb) modules(fn func(m module) error) error {
	found := false
	err := d.Walk(func(e debfile.Entry, content io.Reader) error {
		if kernelOf(e.Path) == "" || !e.Mode.IsRegular() {
			return nil
		}
		found = true
		m, err := d.module(e, content)
		if err != nil {
			return err
		}
		return fn(m)
	})
	if err == nil && !found && !d.hasDebugSymbols() {
		return d.errorf("", "has no module to sign")
	}
	return err
}

// module reads the module that is the entry e.
func (d *deb) module(e debfile.Entry, content io.Reader) (m module, err error) {
	if e.Link != "" {
		return m, d.errorf(e.Path, "module is a hard link")
	}
	packed, err := readMember(e, content)
	if err != nil {
		return m, &Error{Deb: d.path, Member: e.Path, Err: err}
	}
	m = module{member: e.Path, file: plainName(e.Path), kernel: kernelOf(e.Path)}
	m.content, m.compression, err = d.programs.kmod().Unpack(bytes.NewReader(packed), int64(len(packed)), e.Path)
	if err != nil {
		return m, &Error{Deb: d.path, Err: err}
	}
	if m.member != m.file+m.compression.Ext() {
		return m, d.errorf(e.Path, "is compressed otherwise than its name says")
	}
	return m, nil
}

// readMember reads a module as it is in the package.
func readMember(e debfile.Entry, content io.Reader) ([]byte, error) {
	if e.Size > kmod.MaxSize {
		return nil, fmt.Errorf("%d bytes are more than a module can have", e.Size)
	}
	return io.ReadAll(content)
}

// hasDebugSymbols says whether d is a package of debug symbols, which has
// nothing to sign but goes with the one that has.
func (d *deb) hasDebugSymbols() bool { return strings.HasSuffix(d.name, "-dbgsym") }

func (d *deb) errorf(member, format string, args ...any) *Error {
	return &Error{Deb: d.path, Member: member, Err: fmt.Errorf(format, args...)}
}

// unsigned refuses a module that has a signature.
func (d *deb) unsigned(m module) error {
	before, signature, err := kmod.SplitSignature(m.content)
	if err != nil || signature == nil && len(before) == len(m.content) {
		return wrap(d, m, err)
	}
	e := d.errorf(m.member, "is signed already")
	if p, err := kmod.ParsePKCS7(signature); err == nil {
		e = d.errorf(m.member, "is signed already: by %q, key %s", p.Issuer, p.Key())
	}
	e.Cure = "take the packages that gokms-mkbmdeb made without --sign-key"
	return e
}

func wrap(d *deb, m module, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Deb: d.path, Member: m.member, Err: err}
}

// named puts d in front of an error that has no package.
func named(d *deb, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Deb: d.path, Err: err}
}

// openDebs opens all packages, each of which must be another one.
func openDebs(paths []string, p Programs) (_ []*deb, err error) {
	var debs []*deb
	defer func() {
		if err != nil {
			err = errors.Join(err, closeDebs(debs))
		}
	}()
	seen := map[string]string{}
	for _, path := range paths {
		d, err := openDeb(path, p)
		if err != nil {
			return nil, err
		}
		debs = append(debs, d)
		if seen[d.name] != "" {
			return nil, d.errorf("", "is the package %s, as %s is", d.name, seen[d.name])
		}
		seen[d.name] = path
	}
	return debs, nil
}

func closeDebs(debs []*deb) error {
	var errs []error
	for _, d := range debs {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
