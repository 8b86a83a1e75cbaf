// SPDX-License-Identifier: MIT

package acceptance

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// base is a kind of Debian system that chroots are copies of.
type base struct {
	name     string
	packages []string // installed
	download []string // left in apt's cache: chroots have no network
}

// target is a machine without anything to compile with, and as yet without a
// kernel.
func target(t *testing.T) base {
	return base{"target", []string{"initramfs-tools", "kmod", "linux-base", "zstd"}, []string{imageMeta(t)}}
}

// builder is a machine to compile modules on, with dkms as well as without.
// What follows the headers are packages that some -dkms packages depend on;
// those of the last line are for the tests themselves.
func builder(t *testing.T) base {
	return base{"builder", []string{
		"initramfs-tools", "kmod", "linux-base", "zstd",
		"bubblewrap", "dkms", "gcc", "make", "libc6-dev", "patch", "xz-utils", "linux-headers-" + arch(t),
		"gawk", "libelf-dev", "libxtables-dev", "pkg-config", "bzip2",
		"apt-utils", "dpkg-dev", "reprepro", "locales",
	}, []string{imageMeta(t)}}
}

func arch(t *testing.T) string      { return hostOutput(t, "dpkg", "--print-architecture") }
func imageMeta(t *testing.T) string { return "linux-image-" + arch(t) }

// tarball returns the base system's tarball; it is made where there is none
// yet for today's kernel.
func (b base) tarball(t *testing.T) string {
	t.Helper()
	recipe := strings.Join(b.mmdebstrap(t, ""), "\n") +
		hostOutput(t, "apt-cache", "show", "--no-all-versions", imageMeta(t))
	digest := sha256.Sum256([]byte(recipe))
	tarball := filepath.Join(cacheDir(t), fmt.Sprintf("%s-%x.tar", b.name, digest[:6]))
	if _, err := os.Stat(tarball); err == nil {
		return tarball
	}
	older, err := filepath.Glob(filepath.Join(cacheDir(t), b.name+"-*.tar"))
	must(t, err)
	partial := filepath.Join(scratchDir(t, b.name), "partial.tar")
	start := time.Now()
	hostOutput(t, "mmdebstrap", b.mmdebstrap(t, partial)...)
	t.Logf("made base system %s in %.0f s", tarball, time.Since(start).Seconds())
	must(t, os.Rename(partial, tarball))
	for _, file := range older {
		must(t, os.Remove(file))
	}
	return tarball
}

// mmdebstrap are the arguments of mmdebstrap(1) for a tarball: suite, sources
// and proxies are those of this machine's own apt.
func (b base) mmdebstrap(t *testing.T, tarball string) []string {
	t.Helper()
	args := []string{
		"--quiet", "--mode=root", "--variant=apt", "--format=tar", "--skip=cleanup/apt",
		"--include=" + strings.Join(b.packages, ","),
		`--customize-hook=printf '#!/bin/sh\nexit 101\n' > "$1/usr/sbin/policy-rc.d" && chmod 755 "$1/usr/sbin/policy-rc.d"`,
		"--customize-hook=APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get install --yes --download-only " + strings.Join(b.download, " "),
		`--aptopt=APT::Install-Recommends "false"`,
		`--aptopt=Dpkg::Use-Pty "0"`,
	}
	for _, line := range strings.Split(hostOutput(t, "apt-config", "dump", "Acquire"), "\n") {
		if !strings.HasSuffix(line, ` "";`) {
			args = append(args, "--aptopt="+line)
		}
	}
	suite := hostOutput(t, "sh", "-c", `. /etc/os-release && echo "$VERSION_CODENAME"`)
	return append(append(args, suite, tarball), aptSources(t, suite)...)
}

// aptSources are the sources of this machine's apt that Debian itself is made
// of, as lines of sources.list.
func aptSources(t *testing.T, suite string) []string {
	t.Helper()
	var lines []string
	for _, line := range strings.Split(hostOutput(t, "apt-get", "indextargets",
		"--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Identifier: Packages", "Component: main"), "\n") {
		f := strings.Fields(line)
		if len(f) == 3 && (f[1] == suite || strings.HasPrefix(f[1], suite+"-")) {
			lines = append(lines, "deb "+line)
		}
	}
	if len(lines) == 0 {
		t.Fatalf("apt has no sources for %s", suite)
	}
	return lines
}

// hostOutput runs a program on this machine and returns what it printed.
func hostOutput(t testing.TB, name string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, stdout.String(), stderr.String())
	}
	return strings.TrimSpace(stdout.String())
}

// chroot is a Debian system of its own. Nothing is mounted in it but while a
// command runs, and then in that command's own mount namespace. It is entered
// as a container is, not by chroot(2), so that sandboxes can be made in it.
type chroot struct{ dir string }

// newChroot unpacks a base system. The test's end removes it.
func newChroot(t *testing.T, b base) *chroot {
	t.Helper()
	c := openChroot(t, b)
	t.Cleanup(func() {
		if err := os.RemoveAll(c.dir); err != nil {
			t.Error(err)
		}
	})
	return c
}

// openChroot is newChroot for a system that outlives the test.
func openChroot(t *testing.T, b base) *chroot {
	t.Helper()
	tarball := b.tarball(t)
	c := &chroot{scratchDir(t, b.name)}
	hostOutput(t, "tar", "-C", c.dir, "--numeric-owner", "-xpf", tarball)
	return c
}

// Path is where a file of the chroot lies on this machine.
func (c *chroot) Path(name string) string { return filepath.Join(c.dir, name) }

// Copy copies files of this machine into a folder of the chroot, which is
// made, and returns what they are called there.
func (c *chroot) Copy(t *testing.T, folder string, files ...string) []string {
	t.Helper()
	must(t, os.MkdirAll(c.Path(folder), 0o755))
	var names []string
	for _, file := range files {
		hostOutput(t, "cp", "-L", file, c.Path(folder))
		names = append(names, path.Join(folder, filepath.Base(file)))
	}
	return names
}

// Run runs a program in the chroot and returns all that it printed. The test
// ends where it fails.
func (c *chroot) Run(t *testing.T, argv ...string) string {
	t.Helper()
	code, out := c.Try(t, argv...)
	if code != 0 {
		t.Fatalf("%s: exit %d\n%s", strings.Join(argv, " "), code, out)
	}
	return out
}

// Shell runs lines of shell in the chroot, up to the first that fails; args
// are $1 and so on.
func (c *chroot) Shell(t *testing.T, script string, args ...string) string {
	t.Helper()
	return c.Run(t, append([]string{"sh", "-euc", script, "sh"}, args...)...)
}

// Try is Run for a program that may fail; it returns the exit code as well.
// The program has no network and sees nothing of this machine's environment
// and processes.
func (c *chroot) Try(t *testing.T, argv ...string) (int, string) {
	t.Helper()
	return c.enter(t, syscall.CLONE_NEWNET, []string{
		"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
	}, argv)
}

// Apt runs apt-get.
func (c *chroot) Apt(t *testing.T, verb string, args ...string) string {
	t.Helper()
	return c.Run(t, append([]string{"apt-get", verb, "--yes"}, args...)...)
}

// kver is the kernel release that the archive's kernel meta-package asks for
// today.
func (c *chroot) kver(t *testing.T) string {
	t.Helper()
	meta := imageMeta(t)
	prefix := strings.TrimSuffix(meta, arch(t))
	for _, line := range strings.Split(c.Run(t, "apt-cache", "depends", meta), "\n") {
		if release, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "+prefix); ok {
			return release
		}
	}
	t.Fatalf("%s depends on no kernel image", meta)
	return ""
}
