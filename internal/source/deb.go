// SPDX-License-Identifier: MIT

package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

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
		// Messages name the package and the member, not the unpacked copy.
		inside, err := filepath.Rel(root, conf)
		if err != nil {
			return nil, err
		}
		s.Conf.Path, s.Conf.Source = r.arg+":"+inside, conf
		s.Shown = filepath.Dir(s.Conf.Path)
		if s.Conf.Text, err = readConf(conf, s.Conf.Path); err != nil {
			return nil, err
		}
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
	identity, err := r.binaryIdentity(d.Control(), r.arg)
	if err != nil {
		return Debian{}, err
	}
	if err := d.Extract(root); err != nil {
		return Debian{}, err
	}
	identity.readDocs(filepath.Join(root, "usr/share/doc"))
	return identity, nil
}
