// SPDX-License-Identifier: MIT

package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/dkms"
)

// deb unpacks a -dkms package into WorkDir; each usr/src/*/dkms.conf in it is a
// module source.
func (r *resolver) deb(ctx context.Context, file string) ([]*Source, error) {
	if r.SourceDir != "" {
		return nil, fmt.Errorf("%s: --source-dir goes with a directory, not with a .deb", r.arg)
	}
	root, err := r.makeDir("deb-")
	if err != nil {
		return nil, err
	}
	identity, err := r.unpack(file, root)
	if err != nil {
		return nil, err
	}
	confs, err := filepath.Glob(filepath.Join(escapeGlob(root), "usr/src/*/dkms.conf"))
	if err != nil {
		return nil, err
	}
	if len(confs) == 0 {
		return nil, &Error{
			Err:  fmt.Errorf("%s: package %s holds no usr/src/*/dkms.conf", r.arg, identity.Binary),
			Cure: "a SOURCE .deb is the -dkms package of a module",
		}
	}
	var sources []*Source
	for _, conf := range confs {
		s := &Source{Dir: filepath.Dir(conf), Conf: dkms.File{Path: conf}, Debian: identity}
		if s.Conf.Text, err = readConf(conf); err != nil {
			return nil, err
		}
		// Messages name the package and the member, not the unpacked copy.
		inside, err := filepath.Rel(root, conf)
		if err != nil {
			return nil, err
		}
		s.Conf.Path, s.Conf.Source = r.arg+":"+inside, conf
		s.Shown = filepath.Dir(s.Conf.Path)
		if s, err = r.load(ctx, s); err != nil {
			return nil, err
		}
		v := survey{dir: s.Dir, shown: s.Shown, installed: true}
		if err := v.walk(); err != nil {
			return nil, err
		}
		s.NewestFile = v.newest
		sources = append(sources, s)
	}
	return sources, nil
}

// unpack extracts file below root and reads its identity.
func (r *resolver) unpack(file, root string) (Debian, error) {
	f, err := os.Open(file)
	if err != nil {
		return Debian{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Debian{}, err
	}
	d, err := debfile.NewReader(f, info.Size(), r.arg, &debfile.ReadOptions{Run: r.Run})
	if err != nil {
		return Debian{}, err
	}
	c := d.Control()
	if err := d.Extract(root); err != nil {
		return Debian{}, err
	}
	identity := Debian{
		Binary: c.Get("Package"), Version: c.Get("Version"), Maintainer: unfold(c.Get("Maintainer")),
		Homepage: c.Get("Homepage"), Description: extended(c.Get("Description")),
	}
	identity.Source, identity.SourceVersion = identity.Binary, identity.Version
	if source := c.Get("Source"); source != "" {
		name, version, ok := strings.Cut(source, " ")
		identity.Source = name
		if ok {
			identity.SourceVersion = strings.Trim(version, " ()")
		}
	}
	identity.readDocs(filepath.Join(root, "usr/share/doc"), identity.Binary)
	return identity, nil
}

// readDocs reads changelog and copyright of an unpacked or installed package.
// What is missing or unreadable stays empty: the package's own files are not
// the user's to cure. A doc folder that links to another package's is looked
// up there if that is unpacked as well.
func (d *Debian) readDocs(docs, pkg string) {
	dir := filepath.Join(docs, pkg)
	for _, name := range []string{"changelog.Debian.gz", "changelog.gz", "changelog.Debian", "changelog"} {
		text, err := readMaybeGzip(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		candidate := Debian{Changelog: text}
		if candidate.readChangelog(name) == nil && candidate.SourceVersion != "" {
			d.Changelog, d.ChangelogDate = text, candidate.ChangelogDate
			break
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "copyright")); err == nil {
		d.Copyright = text
	}
}

// maxDoc bounds an unpacked changelog, in bytes.
const maxDoc = 64 << 20

func readMaybeGzip(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".gz") {
		return text, err
	}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(io.LimitReader(z, maxDoc))
}
