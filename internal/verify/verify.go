// SPDX-License-Identifier: MIT

// Package verify tells pkg/kmod what pkg/kernel knows: the facts of a header
// tree, and of the image of its kernel where that is at hand, that modules are
// verified against.
package verify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/gokms/gokms/pkg/kernel"
	"github.com/gokms/gokms/pkg/kmod"
)

// Options say what there is beside the headers. nil is ready.
type Options struct {
	// ModulesDir is the modules/RELEASE of the kernel's image, installed or
	// unpacked; "": where the headers' own modules/RELEASE/build is. What of it
	// is not there stays unknown.
	ModulesDir string
}

// Kernel is what modules for the kernel of t are verified against. It reads
// Module.symvers, which takes a while: see [Kernels].
func Kernel(t *kernel.Tree, o *Options) (*kmod.Kernel, error) {
	k := &kmod.Kernel{Release: t.Release, Config: t.Config.Text}
	var err error
	if t.Symvers != "" {
		if k.Exports, err = Provided(t.Symvers); err != nil {
			return nil, err
		}
	}
	vmlinux := filepath.Join(t.SourceDir, "vmlinux")
	if info, err := os.Stat(vmlinux); err == nil && info.Mode().IsRegular() {
		k.Vmlinux = vmlinux
	}
	if k.Vermagic, err = randomized(k, t.SourceDir); err != nil {
		return nil, err
	}
	return k, addImage(k, modulesDir(t, o))
}

// modulesDir is "" where none is known.
func modulesDir(t *kernel.Tree, o *Options) string {
	switch {
	case o != nil && o.ModulesDir != "":
		return o.ModulesDir
	case filepath.Base(t.BuildDir) == "build" && filepath.Base(filepath.Dir(t.BuildDir)) == t.Release:
		return filepath.Dir(t.BuildDir)
	}
	return ""
}

// Provided reads what a Module.symvers exports, of a kernel or of modules that
// were built.
func Provided(symvers string) (map[string]kmod.Provided, error) {
	symbols, err := kernel.ReadSymvers(symvers)
	if err != nil {
		return nil, err
	}
	exports := make(map[string]kmod.Provided, len(symbols))
	for _, s := range symbols {
		exports[s.Name] = kmod.Provided{Module: s.Module, Export: kmod.Export{
			Name: s.Name, CRC: s.CRC, HasCRC: true, GPL: strings.HasSuffix(s.Export, "_GPL"), Namespace: s.Namespace,
		}}
	}
	return exports, nil
}

// seeds are the headers that hold the seed of a randomized struct layout, and
// the word of vermagic that it follows: since Linux 5.19, and before.
var seeds = []struct{ option, file, word string }{
	{"CONFIG_RANDSTRUCT", "include/generated/randstruct_hash.h", "RANDSTRUCT_"},
	{"CONFIG_GCC_PLUGIN_RANDSTRUCT", "include/generated/randomize_layout_hash.h", "RANDSTRUCT_PLUGIN_"},
}

var seedRE = regexp.MustCompile(`(?m)^#define\s+RANDSTRUCT_HASHED_SEED\s+"([0-9a-f]+)"`)

// randomized is the vermagic of a kernel with a randomized struct layout
// (include/linux/vermagic.h), "" of others.
func randomized(k *kmod.Kernel, tree string) (string, error) {
	for _, s := range seeds {
		if k.Config(s.option) != "y" {
			continue
		}
		path := filepath.Join(tree, s.file)
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // CONFIG_GCC_PLUGIN_RANDSTRUCT is a part of the newer one as well
		}
		if err != nil {
			return "", err
		}
		m := seedRE.FindSubmatch(text)
		if m == nil {
			return "", fmt.Errorf("%s: has no RANDSTRUCT_HASHED_SEED", path)
		}
		return k.DefaultVermagic() + s.word + string(m[1]), nil
	}
	return "", nil
}

// Kernels remembers what it read, for many modules of the same kernels. Its
// zero value is ready; it may be used by several goroutines, and is not to be
// copied.
type Kernels struct {
	mu   sync.Mutex
	once map[*kernel.Tree]func() (*kmod.Kernel, error)
}

// Kernel is the function [Kernel] without options, which runs once for each
// tree.
func (all *Kernels) Kernel(t *kernel.Tree) (*kmod.Kernel, error) {
	all.mu.Lock()
	if all.once == nil {
		all.once = map[*kernel.Tree]func() (*kmod.Kernel, error){}
	}
	read := all.once[t]
	if read == nil {
		read = sync.OnceValues(func() (*kmod.Kernel, error) { return Kernel(t, nil) })
		all.once[t] = read
	}
	all.mu.Unlock()
	return read()
}
