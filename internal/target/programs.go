// SPDX-License-Identifier: MIT

package target

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gokms/gokms/internal/archive"
	"github.com/gokms/gokms/internal/sandbox"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/proc"
)

// own is where a sandbox has what is neither the host's nor the kernel's.
const own = "/run/gokms"

const pahole = "pahole"

// addPrograms shows pahole, and shared libraries of kbuild's programs, where
// packages of k hold them and the host does not.
func (f *Finder) addPrograms(k *Kernel) error {
	var kbuild, types *archive.Package
	for i := range k.Packages {
		switch p := &k.Packages[i]; {
		case p.Root == "":
		case p.Name == pahole:
			types = p
		case strings.HasPrefix(p.Name, "linux-kbuild-"):
			kbuild = p
		}
	}
	if kbuild != nil {
		dirs, err := f.addLibraries(k, kbuild)
		if err != nil {
			return err
		}
		k.Libraries = dirs
	}
	if types == nil || f.has(pahole) {
		return nil
	}
	dirs, err := f.addLibraries(k, types)
	if err != nil {
		return err
	}
	place := filepath.Join(own, pahole)
	k.Mounts = append(k.Mounts, sandbox.Mount{Host: types.Root, Path: place})
	k.Files = append(k.Files, sandbox.File{Path: filepath.Join(own, "bin", pahole), Mode: 0o755, Text: wrapper(filepath.Join(place, "usr/bin", pahole), dirs)})
	k.Programs = []string{filepath.Join(own, "bin")}
	return nil
}

// has says whether the build finds a program of the host.
func (f *Finder) has(program string) bool {
	_, err := f.lookPath(program)
	return err == nil
}

func (f *Finder) lookPath(program string) (string, error) {
	if f.LookPath == nil {
		return proc.LookPath(program, proc.SearchPath)
	}
	return f.LookPath(program)
}

// wrapper is a shell program that runs another with libraries of its own. The
// paths are ours, and need no quotes.
func wrapper(program string, libraries []string) string {
	set := ""
	if len(libraries) > 0 {
		set = fmt.Sprintf("LD_LIBRARY_PATH=%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\nexport LD_LIBRARY_PATH\n", strings.Join(libraries, ":"))
	}
	return "#!/bin/sh\n" + set + "exec " + program + ` "$@"` + "\n"
}

// addLibraries shows the shared libraries that p depends on, directly or not,
// and the host lacks, and returns where.
func (f *Finder) addLibraries(k *Kernel, p *archive.Package) ([]string, error) {
	var places []string
	for _, lib := range dependencies(p, k.Packages) {
		dirs, err := libraryDirs(lib.Root)
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			host, names, err := listBelow(lib.Root, dir)
			if err != nil {
				return nil, err
			}
			if !f.lacks(dir, names) {
				continue
			}
			place := filepath.Join(own, "lib", lib.Name, dir)
			places = append(places, place)
			m := sandbox.Mount{Host: host, Path: place}
			if !slices.Contains(k.Mounts, m) {
				k.Mounts = append(k.Mounts, m)
			}
		}
	}
	return places, nil
}

// dependencies are those of all that are unpacked and p needs. The C library
// is the host's own: it must be that of its loader. pahole is a program of its
// own, and its libraries are for it alone.
func dependencies(p *archive.Package, all []archive.Package) []archive.Package {
	var found []archive.Package
	seen := map[string]bool{p.Name: true, "libc6": true, pahole: true}
	for todo := []archive.Package{*p}; len(todo) > 0; todo = todo[1:] {
		relations, err := control.ParseRelations(todo[0].Depends)
		if err != nil {
			continue // apt took it; what may be missing, the program says
		}
		for _, name := range relations.Names() {
			i := slices.IndexFunc(all, func(q archive.Package) bool { return q.Name == name && q.Root != "" })
			if i < 0 || seen[name] {
				continue
			}
			seen[name] = true
			found = append(found, all[i])
			todo = append(todo, all[i])
		}
	}
	return found
}

// libraryDirs are the directories of what is unpacked below root where the
// loader looks for libraries.
func libraryDirs(root string) ([]string, error) {
	var dirs []string
	for _, top := range []string{"/lib", "/usr/lib"} {
		_, names, err := listBelow(root, top)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if strings.Contains(name, "-linux-") {
				dirs = append(dirs, filepath.Join(top, name))
			}
		}
	}
	return append(dirs, "/lib", "/usr/lib"), nil
}

// sonameRE is the name by which programs ask for a library.
var sonameRE = regexp.MustCompile(`\.so\.[0-9]+$`)

// lacks says whether a directory of a package holds a library that is not on
// the host, whether that has /lib merged into /usr or not.
func (f *Finder) lacks(dir string, names []string) bool {
	dir = strings.TrimPrefix(dir, "/usr")
	for _, name := range names {
		if !sonameRE.MatchString(name) {
			continue
		}
		if !slices.ContainsFunc([]string{"", "usr"}, func(top string) bool {
			_, err := os.Stat(filepath.Join(f.hostRoot(), top, dir, name))
			return err == nil
		}) {
			return true
		}
	}
	return false
}
