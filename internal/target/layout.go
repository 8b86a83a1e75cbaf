// SPDX-License-Identifier: MIT

package target

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/gokms/gokms/internal/sandbox"
	"github.com/gokms/gokms/pkg/kernel"
)

// modules is where builds see kernels.
const modules = "/lib/modules"

// layout collects the mounts and links of one kernel, each once.
type layout struct {
	mounts []sandbox.Mount
	links  []sandbox.Link
	seen   map[string]bool // paths

	// installed says that root put the tree where it is, and may name what it
	// likes. One from elsewhere decides on no directory of the host but others
	// of kernels.
	installed bool
	warnings  []error // of what such a one names besides
}

func (l *layout) mount(host, path string) {
	if l.first(path) {
		l.mounts = append(l.mounts, sandbox.Mount{Host: host, Path: path})
	}
}

func (l *layout) link(path, target string) {
	if l.first(path) {
		l.links = append(l.links, sandbox.Link{Path: path, Target: target})
	}
}

// first says whether nothing was put at path so far.
func (l *layout) first(path string) bool {
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	was := l.seen[path]
	l.seen[path] = true
	return !was
}

// packageRoot shows what an unpacked package, or several, hold of headers: the
// entries of /usr/src, of /lib/modules/RELEASE, and the programs of kbuild.
func (l *layout) packageRoot(root string) error {
	if err := l.entries(root, "/usr/src", "/usr/src"); err != nil {
		return err
	}
	for _, dir := range []string{modules, "/usr" + modules} {
		_, releases, err := listBelow(root, dir)
		if err != nil {
			return err
		}
		for _, r := range releases {
			if err := l.entries(root, filepath.Join(dir, r), filepath.Join(modules, r)); err != nil {
				return err
			}
		}
	}
	_, names, err := listBelow(root, "/usr/lib")
	if err != nil {
		return err
	}
	for _, name := range names {
		place := filepath.Join("/usr/lib", name)
		if !strings.HasPrefix(name, "linux-") {
			continue
		}
		dir, err := kernel.ResolveBelow(root, place)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a dangling link
		}
		if err != nil {
			return err
		}
		l.mount(dir, place)
	}
	return nil
}

// entries shows those of a directory of an unpacked package at place.
func (l *layout) entries(root, dir, place string) error {
	host, names, err := listBelow(root, dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := l.entry(filepath.Join(host, name), filepath.Join(place, name)); err != nil {
			return err
		}
	}
	return nil
}

// listBelow lists a directory of what is unpacked below root, and says where on
// the host it is. Its links are those of a package: they lead to other files
// below root, never to the machine's own. No directory has no entries.
func listBelow(root, dir string) (host string, names []string, err error) {
	host, err = kernel.ResolveBelow(root, dir)
	if err == nil {
		var entries []fs.DirEntry
		entries, err = os.ReadDir(host)
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return "", nil, nil
	}
	return host, names, err
}

// build makes the tree that is shown already that of its release, if no link
// of a package does.
func (l *layout) build(t *kernel.Tree) {
	for _, m := range l.mounts {
		if m.Host == t.SourceDir {
			l.link(filepath.Join(modules, t.Release, "build"), m.Path)
			return
		}
	}
}

// entry shows a file or directory as such and a link as a link.
func (l *layout) entry(host, path string) error {
	info, err := os.Lstat(host)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		l.mount(host, path)
		return nil
	}
	target, err := os.Readlink(host)
	if err != nil {
		return err
	}
	l.link(path, target)
	return nil
}

// hostTree shows the headers of t, and all that its makefiles name, at their
// places on this machine, and below /lib/modules.
func (l *layout) hostTree(t *kernel.Tree) error {
	place := filepath.Join(modules, t.Release)
	info, err := os.Lstat(t.BuildDir)
	if err != nil {
		return err
	}
	if info.IsDir() && filepath.Base(t.BuildDir) == "build" {
		l.mount(t.SourceDir, filepath.Join(place, "build"))
	} else {
		l.link(filepath.Join(place, "build"), t.SourceDir)
	}
	dirs := []string{t.SourceDir}
	from := filepath.Join(filepath.Dir(t.BuildDir), "source")
	if source, err := filepath.EvalSymlinks(from); err == nil && isDir(source) {
		l.link(filepath.Join(place, "source"), source)
		dirs = append(dirs, l.follow(from, source)...)
	}
	if err := l.hostLinks(); err != nil {
		return err
	}
	return l.hostDirs(dirs)
}

// hostLinks shows the links /usr/src/linux-kbuild-*, by which headers may name
// programs in /usr/lib.
func (l *layout) hostLinks() error {
	links, err := filepath.Glob("/usr/src/linux-kbuild-*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil {
			l.link(link, target)
		}
	}
	return err
}

// hostDirs shows directories, and those that they name, at their own places.
func (l *layout) hostDirs(dirs []string) error {
	seen := map[string]bool{}
	for len(dirs) > 0 {
		dir := dirs[0]
		dirs = dirs[1:]
		if seen[dir] {
			continue
		}
		seen[dir] = true
		shown := slices.ContainsFunc(l.mounts, func(m sandbox.Mount) bool { return m.Host == dir })
		if !shown && !ofHost(dir) {
			l.mount(dir, dir)
		}
		named, err := l.namedDirs(dir)
		if err != nil {
			return err
		}
		dirs = append(dirs, named...)
	}
	return nil
}

// ofHost says whether every sandbox shows dir: see [sandbox.Spec].
func ofHost(dir string) bool {
	return strings.HasPrefix(dir, "/usr/lib/") && !strings.HasPrefix(dir, "/usr/lib/modules/")
}

// namedDirs are the directories outside of dir that its Makefile includes, and
// those that the links in it lead to.
func (l *layout) namedDirs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	makefile := filepath.Join(dir, "Makefile")
	named, err := included(makefile)
	if err != nil {
		return nil, err
	}
	outside := func(d string) bool { return d != dir && !strings.HasPrefix(d, dir+"/") }
	for _, d := range named {
		if !l.installed && outside(d) && !isKernelTree(d) {
			return nil, hinted{
				fmt.Errorf("%s includes %s, which is of no kernel", makefile, filepath.Join(d, "Makefile")),
				"what is shown to builds must be a kernel's source or headers: a directory with Makefile, include/linux and scripts",
			}
		}
	}
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		link := filepath.Join(dir, e.Name())
		// A dangling one is make's to complain of, if it matters.
		if to, err := filepath.EvalSymlinks(link); err == nil && outside(to) {
			named = append(named, l.follow(link, to)...)
		}
	}
	return slices.DeleteFunc(named, func(d string) bool { return !outside(d) }), nil
}

// follow is the directory to show for a link, if one is.
func (l *layout) follow(link, target string) []string {
	if l.installed {
		return []string{holder(target)}
	}
	if ofHost(target) {
		return nil
	}
	for d := target; d != "/"; d = filepath.Dir(d) {
		if isKernelTree(d) {
			return []string{d}
		}
	}
	l.warnings = append(l.warnings, fmt.Errorf("%s leads to %s, which is of no kernel, and is not shown to builds", link, target))
	return nil
}

// isKernelTree says whether dir is the top of a kernel's source, or of the
// headers that flavours share. A home directory never is, whatever is in it.
func isKernelTree(dir string) bool {
	has := func(name string) bool { _, err := os.Lstat(filepath.Join(dir, name)); return err == nil }
	if dir == "/" || slices.ContainsFunc([]string{".ssh", ".gnupg", ".profile", ".bashrc"}, has) {
		return false
	}
	return has("Makefile") && isDir(filepath.Join(dir, "include/linux")) && (has("scripts") || has("Kconfig"))
}

// holder is the directory to show for the target of a link: in /usr/src the
// whole tree, whose parts name each other.
func holder(target string) string {
	if rest, ok := strings.CutPrefix(target, "/usr/src/"); ok {
		tree, _, _ := strings.Cut(rest, "/")
		return "/usr/src/" + tree
	}
	if isDir(target) {
		return target
	}
	return filepath.Dir(target)
}

// includeRE is what the Makefile of a build directory apart from its source
// says, Debian's too.
var includeRE = regexp.MustCompile(`^\s*-?include\s+(/\S+)/Makefile\s*$`)

// included are the directories of the Makefiles that a short one includes. The
// kernel's own is long, and names no absolute path.
func included(makefile string) ([]string, error) {
	f, err := os.Open(makefile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var dirs []string
	sc := bufio.NewScanner(f)
	for n := 0; n < 50 && sc.Scan(); n++ {
		m := includeRE.FindStringSubmatch(sc.Text())
		if m == nil {
			continue
		}
		if dir, err := filepath.EvalSymlinks(m[1]); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs, sc.Err()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// quoteGlob takes a path for what it is in a pattern.
func quoteGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
