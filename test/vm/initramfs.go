// SPDX-License-Identifier: MIT

package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gokms/gokms/internal/testkit"
)

// userland are the packages that the guest's programs come from.
var userland = []string{"busybox-static", "kmod", "libc6", "liblzma5", "libssl3", "libzstd1"}

// initramfs writes the guest's files for a case.
func (m *Machine) initramfs(ctx context.Context, dir string, c Case) (string, error) {
	root := filepath.Join(dir, "root")
	for _, pkg := range userland {
		from, err := m.Store.Package(ctx, m.Kernel.Arch, pkg)
		if err != nil {
			return "", err
		}
		if err := copyTree(ctx, m.Run, from, root); err != nil {
			return "", err
		}
	}
	if err := os.RemoveAll(filepath.Join(root, "usr/share")); err != nil {
		return "", err
	}
	if err := m.busybox(ctx, root); err != nil {
		return "", err
	}
	if err := m.buildInit(ctx, filepath.Join(root, "init")); err != nil {
		return "", err
	}
	job, err := json.Marshal(Job{m.reportDevice(), c.Steps})
	if err != nil {
		return "", err
	}
	if err := write(root, JobFile, job); err != nil {
		return "", err
	}
	if err := m.install(ctx, root, c); err != nil {
		return "", err
	}
	return m.cpio(ctx, root, filepath.Join(dir, "initrd"))
}

// busybox links the programs that a shell and its scripts want; those of kmod
// are the real ones.
func (m *Machine) busybox(ctx context.Context, root string) error {
	for _, name := range strings.Fields("awk cat cp dd dmesg echo find grep head kill ls mkdir mount mv od rm sed seq sh sleep sort tail test true uname wc") {
		link := filepath.Join(root, "bin", name)
		if err := os.Symlink("busybox", link); err != nil {
			return err
		}
	}
	return nil
}

// buildInit compiles the guest's PID 1.
func (m *Machine) buildInit(ctx context.Context, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, "./test/vm/init")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+m.Kernel.Arch)
	_, err := output(m.Run, testkit.Root(), cmd)
	return err
}

// install puts the case's packages and files into root, and those modules of
// the kernel that they and the steps need, or compete with.
func (m *Machine) install(ctx context.Context, root string, c Case) error {
	for _, deb := range c.Debs {
		if err := m.addDeb(ctx, root, deb); err != nil {
			return err
		}
	}
	for name, data := range c.Files {
		if err := write(root, name, data); err != nil {
			return err
		}
	}
	wanted, err := m.wanted(ctx, root, c)
	if err != nil {
		return err
	}
	from, to := m.modules(m.Kernel.Root), m.modules(root)
	for _, name := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
		wanted = append(wanted, filepath.Join(from, name))
	}
	for _, file := range wanted {
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := write(to, rel, data); err != nil {
			return err
		}
	}
	return depmod(ctx, m.Run, root, m.Kernel.Release)
}

func (m *Machine) modules(root string) string {
	return filepath.Join(root, "lib/modules", m.Kernel.Release)
}

// addDeb adds a package's files to root. dpkg-deb would replace what has
// another type there.
func (m *Machine) addDeb(ctx context.Context, root, deb string) error {
	work, err := os.MkdirTemp(filepath.Dir(root), "deb-")
	if err != nil {
		return err
	}
	if err := unpackDeb(ctx, m.Run, deb, work); err != nil {
		return err
	}
	return copyTree(ctx, m.Run, work, root)
}

// wanted are the kernel's own module files that the case has use for: kmod
// says what is needed to load a name.
func (m *Machine) wanted(ctx context.Context, root string, c Case) ([]string, error) {
	names := map[string]bool{}
	for _, name := range c.Modules {
		names[name] = true
	}
	for _, step := range c.Steps {
		if len(step.Argv) > 1 && step.Argv[0] == "modprobe" {
			names[step.Argv[1]] = true
		}
	}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		base, suffix, found := strings.Cut(filepath.Base(file), ".ko")
		if err != nil || !d.Type().IsRegular() || !found || suffix != "" && suffix[0] != '.' {
			return err
		}
		names[base] = true
		for _, field := range []string{"depends", "softdep"} {
			// A file that is made to be refused may be unreadable for modinfo as well.
			text, _ := output(m.Run, "", exec.CommandContext(ctx, "modinfo", "-F", field, file))
			for _, name := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \n", r) }) {
				names[name] = !strings.HasSuffix(name, ":")
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	var files []string
	for name := range names {
		// Names that only the case's own files have are unknown here.
		text, _ := output(m.Run, "", exec.CommandContext(ctx, "modprobe", "-C", "/dev/null", "-d", m.Kernel.Root, "-S", m.Kernel.Release, "--show-depends", name))
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); f[0] == "insmod" && !found[f[1]] {
				found[f[1]] = true
				files = append(files, f[1])
			}
		}
	}
	return files, nil
}

// cpio packs root.
func (m *Machine) cpio(ctx context.Context, root, archive string) (string, error) {
	script := `find . -print0 | cpio --quiet -0 -o -H newc -R 0:0 > "$1"`
	_, err := output(m.Run, root, exec.CommandContext(ctx, "sh", "-euc", script, "sh", archive))
	return archive, err
}

func copyTree(ctx context.Context, run func(*exec.Cmd) error, from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	_, err := output(run, "", exec.CommandContext(ctx, "cp", "-a", from+"/.", to))
	return err
}

// write writes a file below root.
func write(root, name string, data []byte) error {
	file := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already", file)
	}
	return os.WriteFile(file, data, 0o644)
}
