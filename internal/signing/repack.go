// SPDX-License-Identifier: MIT

package signing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kmod"
)

// exactRelation is "NAME (= VERSION)" in four parts, of which the first and
// third are these.
var exactRelation = regexp.MustCompile(`([a-z0-9][-a-z0-9+.]+)((?::[a-z0-9-]+)?\s*\(\s*=\s*)([^\s()]+)(\s*\))`)

// setSource sets the field Source, behind Package if it is new.
func setSource(s *control.Stanza, value string) {
	if _, there := s.Lookup("Source"); there {
		s.Set("Source", value)
		return
	}
	i := slices.IndexFunc(s.Fields, func(f control.Field) bool { return strings.EqualFold(f.Name, "Package") })
	s.Fields = slices.Insert(s.Fields, i+1, control.Field{Name: "Source", Value: value})
}

// repack writes d to file, under another control stanza and with signatures of
// some modules, which are compressed as they were.
func (j *job) repack(ctx context.Context, d *deb, stanza control.Stanza, signed map[string]verified, file string) error {
	dir, err := os.MkdirTemp(j.tmp, ".content-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p := &debfile.Package{Control: stanza, Scripts: d.ControlFiles(), Compression: d.Compression()}
	delete(p.Scripts, "md5sums")
	err = d.Walk(func(e debfile.Entry, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.Path == "." {
			p.ModTime = e.ModTime
			return nil
		}
		if e.Link != "" {
			return fmt.Errorf("%s: is a hard link, which cannot be written", e.Path)
		}
		if v, ok := signed[e.Path]; ok {
			packed, err := j.join(ctx, d, e, content, v)
			if err != nil {
				return err
			}
			content, e.Size = bytes.NewReader(packed), int64(len(packed))
		}
		f, err := spool(filepath.Join(dir, strconv.Itoa(len(p.Files))), e, content)
		p.Files = append(p.Files, f)
		return err
	})
	if err != nil {
		return err
	}
	if p.ModTime.Equal(time.Time{}) {
		return errors.New("has no entry for the top directory, which tells its time")
	}
	return debfile.WriteFile(file, p, &debfile.Options{Run: j.Run, TempDir: j.tmp})
}

// join is the module that is the entry e with its signature.
func (j *job) join(ctx context.Context, d *deb, e debfile.Entry, content io.Reader, v verified) ([]byte, error) {
	m, err := d.module(e, content)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(m.content) != v.sum {
		return nil, d.errorf(e.Path, "has changed since its signature was verified")
	}
	packed, err := j.kmod().Pack(ctx, kmod.AppendSignature(m.content, v.pkcs7), m.compression)
	return packed, wrap(d, m, err)
}

// spool is e as it will be written, its content in the file path.
func spool(path string, e debfile.Entry, content io.Reader) (debfile.File, error) {
	f := e.File
	if !f.Mode.IsRegular() {
		return f, nil
	}
	f.Open = func() (io.ReadCloser, error) { return os.Open(path) }
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return f, err
	}
	_, err = io.Copy(out, content)
	return f, errors.Join(err, out.Close())
}
