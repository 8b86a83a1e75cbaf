// SPDX-License-Identifier: MIT

package depmod

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// Extensions returns the ends of the names of module files, as kmod of Debian
// knows them: it is built without zlib, and so foo.ko.gz is no module there.
func Extensions() []string { return []string{".ko", ".ko.xz", ".ko.zst"} }

// Tree holds the names of one kernel's module files.
type Tree struct {
	Kernel string // the release

	// Dir is the directory of the tree as depmod names it, without root:
	// /lib/modules/KVER.
	Dir string

	Files    []string // below Dir
	External []string // absolute, below directories of external lines

	// Extensions are the ends of names that this depmod knows; nil:
	// [Extensions].
	Extensions []string

	Warnings []error // what could not be looked into
}

// NewTree returns the tree of a kernel from file names such as those of
// packages: of "./lib/modules/KVER/x.ko" and "/usr/lib/modules/KVER/x.ko"
// those of other kernels and places are left out. External directories are
// not known to it.
func NewTree(kver string, paths ...string) *Tree {
	t := &Tree{Kernel: kver, Dir: "/lib/modules/" + kver}
	t.Add(paths...)
	return t
}

// Add adds files, named as for [NewTree].
func (t *Tree) Add(paths ...string) {
	for _, p := range paths {
		p = strings.TrimPrefix(path.Clean("/"+p), "/usr")
		if rel, ok := strings.CutPrefix(p, "/lib/modules/"+t.Kernel+"/"); ok {
			t.Files = append(t.Files, rel)
		}
	}
}

// Walk reads the names of the kernel's tree below root ("" is that of the
// running system), and of the external directories of c. Like depmod it
// follows symbolic links to directories, except for those named build and
// source; a link back to a directory on the way, which depmod follows until
// it has no file descriptors left, is a warning. Only an unreadable
// lib/modules/KVER is an error.
func (c *Config) Walk(root, kver string) (*Tree, error) {
	t := NewTree(kver)
	w := walker{root: root, tree: t}
	if err := w.start(t.Dir); err != nil {
		return nil, err
	}
	for _, f := range w.found {
		t.Files = append(t.Files, strings.TrimPrefix(f, t.Dir+"/"))
	}
	for _, e := range newRules(c, t).externals {
		w.found = nil
		if err := w.start(e.Dir); err != nil && !os.IsNotExist(err) {
			t.Warnings = append(t.Warnings, err)
		}
		t.External = append(t.External, w.found...)
	}
	return t, nil
}

type walker struct {
	root  string
	tree  *Tree
	way   []os.FileInfo // the directories above, once a link was followed
	found []string
}

func (w *walker) start(dir string) error {
	info, err := os.Stat(Resolve(w.root, dir))
	if err != nil {
		return err
	}
	w.way = []os.FileInfo{info}
	return w.dir(dir, Resolve(w.root, dir))
}

// dir looks into a directory, which depmod calls name and we real.
func (w *walker) dir(name, real string) error {
	d, err := os.Open(real)
	if err != nil {
		return err
	}
	entries, err := d.ReadDir(-1)
	d.Close()
	for _, e := range entries {
		if e.Name() != "build" && e.Name() != "source" {
			w.entry(name+"/"+e.Name(), real+"/"+e.Name(), e)
		}
	}
	return err
}

func (w *walker) entry(name, real string, e fs.DirEntry) {
	if e.Type().IsRegular() {
		if w.tree.isModule(name) {
			w.found = append(w.found, name)
		}
		return
	}
	if e.Type() == fs.ModeSymlink {
		real = Resolve(w.root, strings.TrimPrefix(real, strings.TrimSuffix(w.root, "/")))
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		w.warn(name, err)
	case info.Mode().IsRegular() && w.tree.isModule(name):
		w.found = append(w.found, name)
	case !info.IsDir():
	case slices.ContainsFunc(w.way, func(up os.FileInfo) bool { return os.SameFile(up, info) }):
		w.warn(name, fmt.Errorf("a link back to a directory above"))
	default:
		w.way = append(w.way, info)
		if err := w.dir(name, real); err != nil {
			w.warn(name, err)
		}
		w.way = w.way[:len(w.way)-1]
	}
}

func (w *walker) warn(name string, err error) {
	w.tree.Warnings = append(w.tree.Warnings, &textfile.Error{File: name, Err: err})
}

func (t *Tree) extensions() []string {
	if t.Extensions == nil {
		return Extensions()
	}
	return t.Extensions
}

func (t *Tree) isModule(name string) bool {
	base := path.Base(name)
	return slices.ContainsFunc(t.extensions(), func(ext string) bool {
		return len(base) > len(ext) && strings.HasSuffix(base, ext)
	})
}

// ModuleName is the name of the module in a file of this name: what precedes
// the first ".", with "_" for "-".
func ModuleName(file string) string { return strings.ReplaceAll(spelling(file), "-", "_") }

// spelling is the name as an override line has to spell it.
func spelling(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".")
	return name
}
