// SPDX-License-Identifier: MIT

package status

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/gokms/gokms/pkg/depmod"
	"github.com/gokms/gokms/pkg/version"
)

// dkmsTree is where dkms keeps what it knows, unless /etc/dkms/framework.conf
// says otherwise; that is a shell script, and not read.
const dkmsTree = "/var/lib/dkms"

// The states of a source in dkms, in its own words.
const (
	Added     = "added"
	Built     = "built"
	Installed = "installed"
	Broken    = "broken" // its source is gone
)

// DKMS is what dkms status tells in a line: one version of a source, for one
// kernel if it is built for any.
type DKMS struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Kernel  string `json:"kernel,omitempty"`
	Arch    string `json:"arch,omitempty"` // as uname -m has it
	State   string `json:"state"`

	Modules []string `json:"modules,omitempty"` // that were built

	built map[string]string // their files, by module name
}

// Source is how dkms writes it: NAME/VERSION.
func (d *DKMS) Source() string { return d.Name + "/" + d.Version }

// releaseRE is what dkms takes for the name of a kernel.
var releaseRE = regexp.MustCompile(`^[0-9]+\.`)

// readDKMS reads the tree of dkms: nothing of it is evaluated. It has none on
// many machines.
func (r root) readDKMS() []*DKMS {
	var all []*DKMS
	for _, name := range r.dirs(dkmsTree) {
		dir := path.Join(dkmsTree, name)
		for _, v := range r.dirs(dir) {
			source := path.Join(dir, v, "source")
			if _, err := os.Lstat(filepath.Join(r.path(path.Dir(source)), "source")); err != nil {
				continue // original_module, or a build that never was added
			}
			if _, err := os.Stat(r.path(source)); err != nil {
				all = append(all, &DKMS{Name: name, Version: v, State: Broken})
				continue
			}
			built := r.dkmsBuilt(name, v)
			if built == nil {
				built = []*DKMS{{Name: name, Version: v, State: Added}}
			}
			all = append(all, built...)
		}
	}
	return all
}

// dkmsBuilt are the kernels that a version is built for.
func (r root) dkmsBuilt(name, v string) []*DKMS {
	var all []*DKMS
	dir := path.Join(dkmsTree, name, v)
	for _, kver := range r.dirs(dir) {
		if !releaseRE.MatchString(kver) {
			continue
		}
		for _, arch := range r.dirs(path.Join(dir, kver)) {
			modules := path.Join(dir, kver, arch, "module")
			entries, err := os.ReadDir(r.path(modules))
			if err != nil {
				continue
			}
			d := &DKMS{Name: name, Version: v, Kernel: kver, Arch: arch, State: Built, built: map[string]string{}}
			link := filepath.Join(r.path(path.Join(dkmsTree, name)), "kernel-"+kver+"-"+arch)
			if target, err := os.Readlink(link); err == nil && target == path.Join(v, kver, arch) {
				d.State = Installed
			}
			for _, e := range entries {
				if isModule(e.Name()) {
					module := depmod.ModuleName(e.Name())
					d.Modules = append(d.Modules, module)
					d.built[module] = path.Join(modules, e.Name())
				}
			}
			all = append(all, d)
		}
	}
	return all
}

// dirs are the directories in dir, in the order of versions.
func (r root) dirs(dir string) []string {
	entries, err := os.ReadDir(r.path(dir))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if info, err := os.Stat(r.path(path.Join(dir, e.Name()))); err == nil && info.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(version.Compare(a, b), cmp.Compare(a, b)) })
	return names
}
