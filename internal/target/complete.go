// SPDX-License-Identifier: MIT

package target

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// complete finds out whether all is there that the headers of k build upon:
// the part that flavours share, and the programs of kbuild.
func (f *Finder) complete(k *Kernel) error {
	wanted := []string{k.CommonDir}
	if target, err := os.Readlink(filepath.Join(k.SourceDir, "scripts")); err == nil {
		place := k.BuildLink
		if place == "" {
			place = k.SourceDir
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(place, target)
		}
		wanted = append(wanted, target)
	}
	for _, path := range wanted {
		if path != "" && !f.visible(k, path) {
			return hinted{
				fmt.Errorf("headers of kernel %s: %s is missing, which they build upon", k.Release, path),
				"give the package " + packageOf(path) + " as well",
			}
		}
	}
	return nil
}

// visible says whether a build for k finds path.
func (f *Finder) visible(k *Kernel, path string) bool {
	for _, link := range k.Links {
		if rest, ok := below(link.Path, path); ok {
			target := link.Target
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(link.Path), target)
			}
			path = filepath.Join(target, rest)
		}
	}
	for _, m := range k.Mounts {
		if rest, ok := below(m.Path, path); ok {
			_, err := os.Lstat(filepath.Join(m.Host, rest))
			return err == nil
		}
	}
	if !ofHost(path) {
		return false
	}
	_, err := os.Stat(filepath.Join(f.hostRoot(), path))
	return err == nil
}

// below cuts dir off a path that is it or below it.
func below(dir, path string) (rest string, ok bool) {
	if path == dir {
		return "", true
	}
	return strings.CutPrefix(path, dir+"/")
}

// packageOf names the package that path comes from: Debian calls the
// directories of header packages by their names.
func packageOf(path string) string {
	for elem := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(elem, "linux-") {
			return elem
		}
	}
	return "that holds " + path
}

func (f *Finder) hostRoot() string {
	if f.HostRoot == "" {
		return "/"
	}
	return f.HostRoot
}
