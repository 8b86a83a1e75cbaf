// SPDX-License-Identifier: MIT

package archive

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/debfile"
)

// unpack unpacks deb into dir/root and describes it in dir/package.json and
// dir/files.
// dpkg-deb -x would be twice as fast (0.3 s for Debian's common headers), but
// would keep set-uid bits and closed modes, and as root owners.
func (a *Archive) unpack(ctx context.Context, deb, dir, sum string) error {
	r, err := debfile.OpenWith(deb, &debfile.ReadOptions{Run: a.o.Run})
	if err != nil {
		return err
	}
	defer r.Close()
	stanza := r.Control()
	p, err := newPackage(stanza)
	if err != nil {
		return fmt.Errorf("%s: %w", deb, err)
	}
	p.SHA256 = sum
	top := filepath.Join(dir, "root")
	if err := a.makeDirs(top); err != nil {
		return err
	}
	root, err := os.OpenRoot(top)
	if err != nil {
		return err
	}
	defer root.Close()
	size, _ := strconv.ParseInt(stanza.Get("Installed-Size"), 10, 64) // kB; for the display alone
	x := &extractor{ctx: ctx, root: root, tell: a.meter(p.Name, Unpacking, size<<10), files: map[string]unpacked{}}
	if err := r.Walk(x.add); err != nil {
		return err
	}
	if err := x.finish(); err != nil {
		return err
	}
	// It may have been another file when its sum was taken.
	if _, now, err := debfile.Sum(deb); err != nil || now != sum {
		return errors.Join(err, fmt.Errorf("%s has changed while it was unpacked", deb))
	}
	if err := a.writeFile(filepath.Join(dir, "files"), []byte(x.manifest().String())); err != nil {
		return err
	}
	text, err := json.MarshalIndent(entry{Package: p, Depends: p.Depends, Release: x.release}, "", "\t")
	if err != nil {
		return err
	}
	return a.writeFile(filepath.Join(dir, "package.json"), append(text, '\n'))
}

// extractor writes the entries of a package below root: the makefiles of
// headers want absolute links as they are, which [os.Root] follows nowhere.
type extractor struct {
	ctx     context.Context
	root    *os.Root
	tell    *meter
	dirs    []debfile.Entry // get their times at the end
	files   map[string]unpacked
	release string // of lib/modules/RELEASE/build
}

func (x *extractor) add(e debfile.Entry, content io.Reader) error {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	x.note(e)
	if e.Path == "." {
		return nil
	}
	x.files[e.Path] = entryOf(e)
	switch {
	case e.Link != "":
		u := x.files[e.Link]
		u.path = e.Path
		x.files[e.Path] = u
		return x.root.Link(e.Link, e.Path)
	case e.Mode.IsDir():
		x.dirs = append(x.dirs, e)
		if err := x.root.Mkdir(e.Path, 0o755); err != nil {
			return err
		}
		return x.root.Chmod(e.Path, 0o755)
	case e.Mode&fs.ModeSymlink != 0:
		return x.root.Symlink(e.Target, e.Path)
	}
	return x.file(e, content)
}

// note remembers whose headers these are.
func (x *extractor) note(e debfile.Entry) {
	dir, base := path.Split(strings.TrimPrefix(e.Path, "usr/"))
	if release, ok := strings.CutPrefix(strings.TrimSuffix(dir, "/"), "lib/modules/"); ok && base == "build" && !strings.Contains(release, "/") {
		x.release = release
	}
}

// file writes one file. All may read it and run it if anybody may: builds run
// as other users.
func (x *extractor) file(e debfile.Entry, content io.Reader) error {
	mode := fs.FileMode(0o644)
	if e.Mode.Perm()&0o111 != 0 {
		mode = 0o755
	}
	f, err := x.root.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	x.tell.add(n)
	u := x.files[e.Path]
	u.size, u.sum = n, fmt.Sprintf("%x", h.Sum(nil))
	x.files[e.Path] = u
	return x.root.Chtimes(e.Path, time.Time{}, e.ModTime)
}

// finish sets the times of directories, which their files changed.
func (x *extractor) finish() error {
	for i := len(x.dirs) - 1; i >= 0; i-- {
		if err := x.root.Chtimes(x.dirs[i].Path, time.Time{}, x.dirs[i].ModTime); err != nil {
			return err
		}
	}
	x.tell.end()
	return nil
}

// manifest lists what was written.
func (x *extractor) manifest() manifest {
	m := manifest{{kind: 'd', path: "."}}
	for _, u := range x.files {
		m = append(m, u)
	}
	m.finish()
	return m
}

// meter tells the progress of one step, not too often.
type meter struct {
	a    *Archive
	p    Progress
	last int64
}

// grain is how many bytes are worth telling.
const grain = 256 << 10

func (a *Archive) meter(name, step string, total int64) *meter {
	m := &meter{a: a, p: Progress{Package: name, Step: step, Total: total}}
	a.progress(m.p)
	return m
}

func (m *meter) add(n int64) { m.set(m.p.Done + n) }

func (m *meter) set(done int64) {
	m.p.Done = done
	if m.p.Total > 0 { // Installed-Size is rounded
		m.p.Done = min(done, m.p.Total)
	}
	if m.p.Done-m.last >= grain {
		m.last = m.p.Done
		m.a.progress(m.p)
	}
}

func (m *meter) end() {
	if m.p.Total > 0 {
		m.p.Done = m.p.Total
	}
	m.p.Total = m.p.Done
	m.a.progress(m.p)
}
