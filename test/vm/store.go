// SPDX-License-Identifier: MIT

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Store fetches Debian packages with the machine's own apt and keeps them
// unpacked. It may be used by several processes at once: a package appears in
// it as a whole, by renaming.
type Store struct {
	Dir string // absolute; made when needed
	Run func(*exec.Cmd) error
}

// Kernel is a package linux-image-RELEASE, unpacked.
type Kernel struct {
	Arch    string // Debian's name
	Release string
	Vmlinuz string // the file that is started
	Root    string // above lib/modules/RELEASE, which has its modules.dep
}

// Kernel fetches the kernel of a package, or of the one that a metapackage
// depends on today: linux-image-6.1.0-56-amd64, linux-image-amd64.
func (s *Store) Kernel(ctx context.Context, arch, pkg string) (*Kernel, error) {
	root, err := s.Package(ctx, arch, pkg)
	if err != nil {
		return nil, err
	}
	images, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil {
		return nil, err
	}
	if len(images) == 1 {
		_, release, _ := strings.Cut(filepath.Base(images[0]), "-")
		return &Kernel{arch, release, images[0], root}, nil
	}
	out, err := s.apt(ctx, arch, "apt-cache", "depends", pkg)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		if dep, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			return s.Kernel(ctx, arch, "linux-image-"+dep)
		}
	}
	return nil, fmt.Errorf("package %s (%s) holds no kernel and depends on none", pkg, arch)
}

// Package fetches a package in its newest version and returns where it is
// unpacked.
func (s *Store) Package(ctx context.Context, arch, name string) (string, error) {
	file, err := s.uri(ctx, arch, name)
	if err != nil {
		return "", err
	}
	root := filepath.Join(s.Dir, strings.TrimSuffix(file, ".deb"))
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		return root, err
	}
	work, err := os.MkdirTemp(s.Dir, ".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := s.unpack(ctx, arch, name, work); err != nil {
		return "", err
	}
	err = os.Rename(filepath.Join(work, "root"), root)
	if errors.Is(err, fs.ErrExist) { // another process was quicker
		err = nil
	}
	return root, err
}

// unpack fills work/root with the package.
func (s *Store) unpack(ctx context.Context, arch, name, work string) error {
	if _, err := s.aptIn(ctx, work, arch, "apt-get", "download", "-qq", name); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	if len(debs) != 1 {
		return fmt.Errorf("apt-get download %s: %d packages", name, len(debs))
	}
	root := filepath.Join(work, "root")
	if err := unpackDeb(ctx, s.Run, debs[0], root); err != nil {
		return err
	}
	images, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil {
		return err
	}
	for _, image := range images {
		_, release, _ := strings.Cut(filepath.Base(image), "-")
		if err := depmod(ctx, s.Run, root, release); err != nil {
			return err
		}
	}
	return nil
}

// uri is the name of the .deb in the archive.
func (s *Store) uri(ctx context.Context, arch, name string) (string, error) {
	if err := os.MkdirAll(s.lists(arch), 0o755); err != nil {
		return "", err
	}
	out, err := s.apt(ctx, arch, "apt-get", "download", "--print-uris", name)
	if err != nil { // the lists may be old, or not be there
		if _, err := s.apt(ctx, arch, "apt-get", "update", "-qq"); err != nil {
			return "", err
		}
		if out, err = s.apt(ctx, arch, "apt-get", "download", "--print-uris", name); err != nil {
			return "", err
		}
	}
	// 'http://…' FILE SIZE DIGEST
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 4 && strings.HasPrefix(f[0], "'") {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("apt-get download --print-uris %s: %q", name, out)
}

func (s *Store) lists(arch string) string { return filepath.Join(s.Dir, "apt-"+arch, "partial") }

func (s *Store) apt(ctx context.Context, arch string, argv ...string) (string, error) {
	return s.aptIn(ctx, s.Dir, arch, argv...)
}

// aptIn runs apt for an architecture: of another one than this machine's it
// has lists of its own, and dpkg does not hear of it.
func (s *Store) aptIn(ctx context.Context, dir, arch string, argv ...string) (string, error) {
	options := []string{"-o", "APT::Sandbox::User=root"}
	if arch != debianArch(runtime.GOARCH) {
		lists := filepath.Dir(s.lists(arch))
		options = append(options, "-o", "APT::Architecture="+arch, "-o", "APT::Architectures="+arch,
			"-o", "Dir::State::Lists="+lists, "-o", "Dir::State::status=/dev/null",
			"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=")
	}
	return output(s.Run, dir, exec.CommandContext(ctx, argv[0], append(options, argv[1:]...)...))
}

// debianArch is what Debian calls an architecture of Go's.
func debianArch(goarch string) string {
	if goarch == "386" {
		return "i386"
	}
	return goarch
}

// unpackDeb unpacks a package to root, which is made. Modules that lie below
// usr/lib are found below lib: no guest has its /usr merged.
func unpackDeb(ctx context.Context, run func(*exec.Cmd) error, deb, root string) error {
	if _, err := output(run, "", exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, root)); err != nil {
		return err
	}
	merged := filepath.Join(root, "usr/lib/modules")
	if _, err := os.Stat(merged); err != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(root, "lib/modules"), 0o755); err != nil {
		return err
	}
	_, err := output(run, "", exec.CommandContext(ctx, "cp", "-al", merged+"/.", filepath.Join(root, "lib/modules")))
	return err
}

// depmod runs depmod with the configuration that root has, and none of this
// machine's.
func depmod(ctx context.Context, run func(*exec.Cmd) error, root, release string) error {
	args := []string{"-b", root}
	for _, dir := range []string{"lib/depmod.d", "usr/lib/depmod.d", "etc/depmod.d", "."} {
		if _, err := os.Stat(filepath.Join(root, dir)); err == nil {
			args = append(args, "-C", filepath.Join(root, dir))
		}
	}
	_, err := output(run, "", exec.CommandContext(ctx, "depmod", append(args, release)...))
	return err
}

// output runs a program and returns its standard output. The error holds what
// it said on the other one.
func output(run func(*exec.Cmd) error, dir string, cmd *exec.Cmd) (string, error) {
	if run == nil {
		run = (*exec.Cmd).Run
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &stdout, &stderr, dir
	cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if err := run(cmd); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
