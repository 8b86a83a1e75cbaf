// SPDX-License-Identifier: MIT

package signing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gokms/gokms/pkg/kmod"
)

// ManifestFile is the name of the manifest in the directory.
const ManifestFile = "manifest.json"

// schema is what [Manifest].Schema has to be.
const schema = "gokms-signing/1"

// Manifest says what is to be signed.
type Manifest struct {
	Schema   string              `json:"schema"`   // gokms-signing/1
	Packages map[string]*Package `json:"packages"` // by name
}

// Package is a package of a [Manifest].
type Package struct {
	Deb          string `json:"deb"` // name of the file
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	SHA256       string `json:"sha256"` // of the .deb
	Files        []File `json:"files"`
}

// File is a module to be signed.
type File struct {
	SigType string `json:"sig_type"` // linux-module
	File    string `json:"file"`     // path below the directory PACKAGE
	Member  string `json:"member"`   // path in the package
	Kernel  string `json:"kernel"`   // release
	Size    int    `json:"size"`     // bytes to sign
	SHA256  string `json:"sha256"`   // of them
	Hash    string `json:"hash"`     // which the kernel wants: sha256
	Digest  string `json:"digest"`   // by Hash, hexadecimal
}

// ExtractOptions are those of [Extract].
type ExtractOptions struct {
	Debs []string // paths
	Out  string   // the directory, which must not be there or be empty
	// Hash is CONFIG_MODULE_SIG_HASH of a kernel, without quotes.
	Hash func(release string) (string, error)
	Programs
}

// Extract writes what is to be signed in the packages. Those of debug symbols
// are passed over. On an error nothing is left behind.
func Extract(ctx context.Context, o *ExtractOptions) (m *Manifest, err error) {
	debs, err := openDebs(o.Debs, o.Programs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeDebs(debs)) }()
	out := filepath.Clean(o.Out)
	if there, err := os.ReadDir(out); err == nil && len(there) > 0 {
		return nil, fmt.Errorf("%s: directory is not empty", out)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), ".gokms-extract-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	m = &Manifest{Schema: schema, Packages: map[string]*Package{}}
	for _, d := range debs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, err := d.extract(tmp, o.Hash)
		if err != nil {
			return nil, err
		}
		if len(p.Files) > 0 {
			m.Packages[d.name] = p
		}
	}
	if len(m.Packages) == 0 {
		return nil, errors.New("no module to sign")
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(tmp, ManifestFile), append(text, '\n'), 0o644); err != nil {
		return nil, err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return nil, err
	}
	return m, os.Rename(tmp, out) // replaces an empty directory only
}

// extract writes the modules of d below dir.
func (d *deb) extract(dir string, hash func(string) (string, error)) (*Package, error) {
	p := &Package{Deb: filepath.Base(d.path), Version: d.version, Architecture: d.arch, SHA256: d.sha256}
	err := d.modules(func(m module) error {
		if err := d.unsigned(m); err != nil {
			return err
		}
		f, err := d.extractModule(dir, m, hash)
		p.Files = append(p.Files, f)
		return wrap(d, m, err)
	})
	return p, err
}

func (d *deb) extractModule(dir string, m module, hash func(string) (string, error)) (f File, err error) {
	name, err := hash(m.kernel)
	if err != nil {
		return f, err
	}
	digest, err := kmod.Digest(m.content, name)
	if err != nil {
		return f, err
	}
	file := filepath.Join(dir, d.name, filepath.FromSlash(m.file))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return f, err
	}
	if err := os.WriteFile(file, m.content, 0o644); err != nil {
		return f, err
	}
	sum := sha256.Sum256(m.content)
	return File{
		SigType: "linux-module", File: m.file, Member: m.member, Kernel: m.kernel, Size: len(m.content),
		SHA256: hex.EncodeToString(sum[:]), Hash: name, Digest: hex.EncodeToString(digest),
	}, nil
}

// maxManifest is the most bytes of a manifest that are read.
const maxManifest = 64 << 20

// ReadManifest reads the manifest at path.
func ReadManifest(path string) (*Manifest, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxManifest {
		return nil, fmt.Errorf("%s: longer than %d bytes", path, maxManifest)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if m.Schema != schema {
		return nil, fmt.Errorf("%s: schema is %q: want %q", path, m.Schema, schema)
	}
	for name, p := range m.Packages {
		if p == nil {
			return nil, fmt.Errorf("%s: says nothing about the package %s", path, name)
		}
	}
	return m, nil
}

// find is what the manifest says of a module; nil: nothing.
func (p *Package) find(m module) *File {
	if p == nil {
		return nil
	}
	for i := range p.Files {
		if p.Files[i].Member == m.member {
			return &p.Files[i]
		}
	}
	return nil
}
