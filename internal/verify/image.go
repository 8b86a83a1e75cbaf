// SPDX-License-Identifier: MIT

package verify

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/gokms/gokms/pkg/kmod"
	"github.com/gokms/gokms/pkg/textfile"
)

// addImage adds what the modules/RELEASE directory of a kernel's image says:
// modules.builtin, and modules.order, which lists the kernel's own modules and,
// unlike modules.dep, is part of the package. The lists that are not there say
// nothing, as where only the headers are installed.
func addImage(k *kmod.Kernel, dir string) error {
	if dir == "" {
		return nil
	}
	builtIn, err := moduleList(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return err
	}
	inTree, err := moduleList(filepath.Join(dir, "modules.order"))
	if err != nil {
		return err
	}
	if builtIn != nil {
		k.BuiltIn = func(name string) bool { return builtIn[name] != "" }
	}
	if inTree != nil {
		k.InTree = func(name string) (path, version string, ok bool) {
			path, ok = inTree[name]
			if ok {
				version = versionOf(filepath.Join(dir, path))
			}
			return path, version, ok
		}
	}
	return nil
}

// moduleList reads a list of module files by the modules' names; nil if it is
// not there.
func moduleList(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names := map[string]string{}
	sc := textfile.NewScanner(f, file)
	for sc.Scan() {
		name, _, _ := strings.Cut(filepath.Base(sc.Text()), ".ko")
		names[strings.ReplaceAll(name, "-", "_")] = sc.Text()
	}
	return names, sc.Err()
}

// versionOf is the version of the kernel's own module at path, which may be
// compressed though the list does not say so; "" if it has none, or cannot be
// read: it is told to people only.
func versionOf(path string) string {
	for _, c := range []kmod.Compression{kmod.None, kmod.XZ, kmod.Zstd, kmod.Gzip} {
		if f, err := kmod.Open(path + c.Ext()); err == nil {
			return f.Info().Version
		}
	}
	return ""
}
