// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kmod"
)

// input is one file to check.
type input struct {
	path    string // as given
	name    string // of a package
	arch    string // of it
	modules []*module
}

// module is one of the modules to check.
type module struct {
	path    string     // as findings have it
	member  string     // in the package; of a single file the same as path
	release string     // of the lib/modules/RELEASE that it lies in; "": in none
	file    *kmod.File // nil: see broken
	broken  error      // why it is no module

	signature *kmod.PKCS7 // nil: none, or see unread
	unread    error       // why the signature cannot be read
	verified  []error     // for each certificate
}

var (
	packageName = regexp.MustCompile(`\.u?deb$`)
	moduleName  = regexp.MustCompile(`\.ko(\.gz|\.xz|\.zst)?$`)
	releaseDir  = regexp.MustCompile(`(?:^|/)lib/modules/([^/]+)/`)
)

// debugDir is where packages of debug symbols have files named as modules.
const debugDir = "usr/lib/debug/"

// read reads all files.
func (v *checker) read(ctx context.Context, paths []string) ([]*input, error) {
	var all []*input
	var errs []error
	seen := map[string]bool{}
	for _, path := range paths {
		switch {
		case seen[path]:
			errs = append(errs, fmt.Errorf("%s: is given twice", path))
			continue
		case !packageName.MatchString(path) && !moduleName.MatchString(path):
			errs = append(errs, fmt.Errorf("%s: neither a package (.deb) nor a module (.ko, .ko.xz, .ko.zst, .ko.gz)", path))
			continue
		}
		seen[path] = true
		in, err := v.readInput(ctx, path)
		switch {
		case err != nil:
			errs = append(errs, err)
		case len(in.modules) > 0:
			all = append(all, in)
		case len(paths) == 1 || !strings.HasSuffix(in.name, "-dbgsym"): // which come along
			errs = append(errs, fmt.Errorf("%s: has no modules", path))
		}
	}
	if len(all) == 0 && errs == nil {
		errs = append(errs, errors.New("no modules to check"))
	}
	return all, errors.Join(errs...)
}

func (v *checker) readInput(ctx context.Context, path string) (*input, error) {
	in := &input{path: path}
	if packageName.MatchString(path) {
		return in, v.readPackage(ctx, in)
	}
	f, err := os.Open(absolute(v.env, path))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	m := &module{path: path, member: path, release: releaseOf(filepath.ToSlash(f.Name()))}
	in.modules = []*module{m}
	return in, v.readModule(m, f, info.Size())
}

// readPackage reads the modules of a package one after another: their contents
// are not kept.
func (v *checker) readPackage(ctx context.Context, in *input) error {
	run := runner(v.env, v.log)
	r, err := debfile.OpenWith(absolute(v.env, in.path), &debfile.ReadOptions{Run: run})
	if err != nil {
		return err
	}
	defer r.Close()
	stanza := r.Control()
	in.name, in.arch = stanza.Get("Package"), stanza.Get("Architecture")
	return r.Walk(func(e debfile.Entry, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !e.Mode.IsRegular() || !moduleName.MatchString(e.Path) || strings.HasPrefix(e.Path, debugDir) {
			return nil
		}
		m := &module{path: in.path + ": " + e.Path, member: e.Path, release: releaseOf(e.Path)}
		in.modules = append(in.modules, m)
		switch {
		case e.Link != "":
			m.link(in.modules, e.Link)
			return nil
		}
		return v.readModule(m, content, e.Size)
	})
}

// link makes m the same file as the earlier one of all at target.
func (m *module) link(all []*module, target string) {
	m.broken = fmt.Errorf("is a hard link to %s, which is no module", target)
	for _, other := range all {
		if other.member != target {
			continue
		}
		path, member, release := m.path, m.member, m.release
		*m = *other
		m.path, m.member, m.release = path, member, release
		if other.file != nil {
			file := *other.file
			file.Path = path
			m.file = &file
		}
	}
}

// releaseOf is the RELEASE of lib/modules/RELEASE/ in path.
func releaseOf(path string) string {
	if found := releaseDir.FindStringSubmatch(path); found != nil {
		return found[1]
	}
	return ""
}

// readModule reads the module m of size bytes. What is wrong with it is noted in
// it.
func (v *checker) readModule(m *module, r io.Reader, size int64) error {
	if size > kmod.MaxSize {
		m.broken = fmt.Errorf("%d bytes are more than a module can have", size)
		return nil
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	data, err := v.parse(m, data)
	switch {
	case err == nil:
		v.readSignature(m, data)
		return nil
	case errors.As(err, new(*kmod.ToolError)):
		return err
	}
	m.broken = err
	if cause := errors.Unwrap(err); cause != nil { // without the path
		m.broken = cause
	}
	return nil
}

// parse reads the module in data, which it returns uncompressed.
func (v *checker) parse(m *module, data []byte) (_ []byte, err error) {
	o := &kmod.Options{Run: runner(v.env, v.log)}
	if !bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
		if data, _, err = o.Unpack(bytes.NewReader(data), int64(len(data)), m.path); err != nil {
			return nil, err
		}
	}
	m.file, err = o.Read(bytes.NewReader(data), int64(len(data)), m.path)
	return data, err
}

// readSignature reads the signature of m and holds it against the certificates.
func (v *checker) readSignature(m *module, data []byte) {
	content, der, err := kmod.SplitSignature(data)
	if err == nil && der != nil {
		m.signature, err = kmod.ParsePKCS7(der)
	}
	if m.unread = err; m.signature == nil {
		return
	}
	for _, cert := range v.certs {
		m.verified = append(m.verified, m.signature.Verify(content, cert))
	}
}

// pick are the modules that a kernel is to load: those in its own lib/modules;
// if there are none and the user named the kernel, all.
func (in *input) pick(release string, named bool) []*module {
	var own, loose []*module
	for _, m := range in.modules {
		switch m.release {
		case release:
			own = append(own, m)
		case "":
			loose = append(loose, m)
		}
	}
	switch {
	case len(own) > 0:
		return append(own, loose...)
	case named:
		return in.modules
	}
	return loose
}

// findings are those that are not the verifier's. config is the kernel's.
func (m *module) findings(certs []*x509.Certificate, config func(string) string) []kmod.Finding {
	found := kmod.Finding{Check: "elf", Severity: kmod.Error, Module: m.name(), Path: m.path}
	if m.file == nil {
		found.Text = m.broken.Error()
		return []kmod.Finding{found}
	}
	if err := m.refused(certs, config); err != nil {
		found.Check, found.Text = "signature", err.Error()
		return []kmod.Finding{found}
	}
	return nil
}

// refused says why no certificate fits; nil: one does, or none is wanted.
func (m *module) refused(certs []*x509.Certificate, config func(string) string) error {
	switch {
	case len(certs) == 0:
		return nil
	case m.unread != nil:
		return m.unread
	case m.signature == nil:
		return kmod.ErrUnsigned
	}
	var reasons []string
	for i, err := range m.verified {
		hash := config("CONFIG_MODULE_SIG_HASH")
		if err == nil {
			err = kmod.CheckSigningConfig(certs[i], config)
		}
		switch {
		case err != nil:
			reasons = append(reasons, err.Error())
		case m.signature.Hash != hash:
			return fmt.Errorf("signature is over the hash %s, the kernel's is %s", m.signature.Hash, hash)
		default:
			return nil
		}
	}
	return errors.New(strings.Join(reasons, "; "))
}

// name is the module's.
func (m *module) name() string {
	if m.file != nil {
		return m.file.Info().Name
	}
	return moduleName.ReplaceAllString(filepath.Base(m.member), "")
}
