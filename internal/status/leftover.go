// SPDX-License-Identifier: MIT

package status

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// modulesOrder comes with a kernel's image and goes with it.
const modulesOrder = "modules.order"

// readImage finds out whether the kernel itself is there. Somebody who deletes a
// kernel may leave modules.order: where none of the modules that it lists is
// there, and no file that could be booted, the kernel is gone.
func (t *tree) readImage() error {
	dir := modules(t.Release)
	order, err := textfile.ReadFile(t.path(path.Join(dir, modulesOrder)), maxList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	t.Image = len(order) == 0 || slices.ContainsFunc(t.files, inKernel)
	for _, name := range []string{"/boot/vmlinuz-" + t.Release, "/boot/vmlinux-" + t.Release, path.Join(dir, "vmlinuz")} {
		if t.Image {
			break
		}
		if t.Image, err = t.exists(name); err != nil {
			return err
		}
	}
	return nil
}

// inKernel says whether a module is where the kernel's own are.
func inKernel(file string) bool { return strings.HasPrefix(file, "kernel/") }

// judgeImage finds modules for a kernel that is not there: nothing else that
// could be wrong with them matters.
func (t *tree) judgeImage() {
	var packages, rest []string
	for _, mod := range t.Modules {
		for _, f := range mod.Files {
			switch {
			case f.Package != "":
				packages = append(packages, f.Package)
			case f.From == FromDKMS:
				rest = append(rest, "run dkms remove "+mod.DKMSSource+" -k "+t.Release)
			default:
				rest = append(rest, "delete "+f.File)
			}
		}
		if len(mod.Files) == 0 && mod.Package != "" {
			packages = append(packages, mod.Package)
		}
	}
	var todo []string
	switch packages = sorted(packages); len(packages) {
	case 0:
	case 1:
		todo = append(todo, "remove the package "+packages[0])
	default:
		todo = append(todo, "remove the packages "+strings.Join(packages, ", "))
	}
	if todo = append(todo, sorted(rest)...); len(todo) == 0 {
		return
	}
	text := strings.Join(todo, "; ")
	if t.Package != "" {
		text = "install " + t.Package + " again, or " + text
	}
	t.Problems = append(t.Problems, problemf(NoKernel, "the kernel is not there, and so these modules are of no use: %s", text))
}

// sorted are the texts in their order, each once.
func sorted(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}
