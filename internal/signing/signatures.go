// SPDX-License-Identifier: MIT

package signing

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/kmod"
)

// What the names of signatures end in, behind the module's.
var (
	detachedSuffixes = []string{".sig", ".p7s"}
	rawSuffix        = ".raw"
	suffixes         = append(slices.Clone(detachedSuffixes), rawSuffix)
)

// maxSignature is the most bytes of a signature that are read: real ones are
// below 1 kB, those with chains of certificates below 10 kB.
const maxSignature = 1 << 20

// signatures is the directory that came back from the signer.
type signatures struct {
	dir      string
	manifest *Manifest
	cert     *x509.Certificate
	used     map[string]bool // paths of signatures
}

// verified is the signature of a module with the SHA-256 of what it was
// verified for.
type verified struct {
	pkcs7 []byte
	sum   [sha256.Size]byte
}

// verify returns the signatures of the modules of d, by path in the package.
// All problems of a package are reported together.
func (s *signatures) verify(d *deb) (map[string]verified, error) {
	all := map[string]verified{}
	var errs []error
	err := d.modules(func(m module) error {
		p, err := s.extracted(d)
		if err != nil {
			return err
		}
		signature, err := s.signature(d, m, p.find(m))
		if err != nil {
			errs = append(errs, wrap(d, m, err))
			return nil
		}
		all[m.member] = verified{signature, sha256.Sum256(m.content)}
		return nil
	})
	return all, errors.Join(append(errs, err)...)
}

// extracted is what the manifest says of d.
func (s *signatures) extracted(d *deb) (*Package, error) {
	p := s.manifest.Packages[d.name]
	switch {
	case p == nil:
		return nil, d.errorf("", "%s does not name the package %s", ManifestFile, d.name)
	case p.SHA256 != d.sha256:
		e := d.errorf("", "is another build of %s than the one that was extracted: its SHA-256 is not the manifest's", d.name)
		e.Cure = "attach the signatures to that one, or extract and sign again"
		return nil, e
	}
	return p, nil
}

// signature is the verified PKCS#7 signature of m.
func (s *signatures) signature(d *deb, m module, f *File) ([]byte, error) {
	if f == nil {
		return nil, fmt.Errorf("%s does not name it", ManifestFile)
	}
	if sum := sha256.Sum256(m.content); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, errors.New("is not the module that was extracted: its SHA-256 is not the manifest's")
	}
	if err := d.unsigned(m); err != nil {
		return nil, errors.Unwrap(err)
	}
	path, err := s.file(d, m)
	if err != nil {
		return nil, err
	}
	s.used[path] = true
	data, err := s.read(path)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(path, rawSuffix) {
		if data, err = kmod.NewPKCS7(s.cert, f.Hash, data); err != nil {
			return nil, err
		}
	}
	if _, err := kmod.VerifyDetached(m.content, data, s.cert, f.Hash); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// file is the path of the one signature of m.
func (s *signatures) file(d *deb, m module) (string, error) {
	base := filepath.Join(s.dir, d.name, filepath.FromSlash(m.file))
	var found []string
	for _, suffix := range suffixes {
		if _, err := os.Lstat(base + suffix); err == nil {
			found = append(found, base+suffix)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no signature: none of %s{%s} is there", base, strings.Join(suffixes, ","))
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("has more than one signature: %s", strings.Join(found, " and "))
}

func (s *signatures) read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", path)
	case info.Size() > maxSignature:
		return nil, fmt.Errorf("%s: %d bytes are too many for a signature", path, info.Size())
	}
	return os.ReadFile(path)
}

// strays reports signatures that belong to no module, neither of the packages
// at hand nor of others in the manifest.
func (s *signatures) strays() error {
	known := map[string]bool{}
	for name, p := range s.manifest.Packages {
		for _, f := range p.Files {
			for _, suffix := range suffixes {
				known[filepath.Join(s.dir, name, filepath.FromSlash(f.File))+suffix] = true
			}
		}
	}
	var errs []error
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !slices.Contains(suffixes, filepath.Ext(path)) {
			return err
		}
		if !s.used[path] && !known[path] {
			errs = append(errs, fmt.Errorf("%s: signature belongs to no module of the packages", path))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}
