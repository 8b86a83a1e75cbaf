// SPDX-License-Identifier: MIT

package acceptance

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// machine is a system that modules are installed on.
type machine struct {
	*chroot
	release string
	image   string // name of the kernel's package
}

// newMachine is one without a kernel, and without anything that a module could
// be compiled with.
func newMachine(t *testing.T) *machine {
	t.Helper()
	c := newChroot(t, target(t))
	c.Shell(t, `! command -v gcc cc make dkms
		mkdir -p /etc/initramfs/post-update.d
		printf '#!/bin/sh\necho "$1" >> /var/log/initramfs-builds\n' > /etc/initramfs/post-update.d/count
		chmod 755 /etc/initramfs/post-update.d/count`)
	release := c.kver(t)
	return &machine{c, release, "linux-image-" + release}
}

// initramfsBuilds is how often an initramfs was built since the last call.
func (m *machine) initramfsBuilds(t *testing.T) int {
	t.Helper()
	return strings.Count(m.Shell(t, "touch /var/log/initramfs-builds; cat /var/log/initramfs-builds; rm /var/log/initramfs-builds"), m.release)
}

// install gives packages to apt, which has to find the kernel they need.
func (m *machine) install(t *testing.T, all ...*built) string {
	t.Helper()
	var files []string
	for _, b := range all {
		files = append(files, b.deb)
	}
	return m.Apt(t, "install", m.Copy(t, "/tmp/debs", files...)...)
}

func (m *machine) purge(t *testing.T, names ...string) string {
	t.Helper()
	return m.Apt(t, "purge", names...)
}

// TestInstall installs the module packages on a machine with the kernel alone,
// upgrades them, and takes packages and kernel away in each order.
func TestInstall(t *testing.T) {
	acceptance(t)
	first, second := buildable(t, ""), buildable(t, "r1")
	m := newMachine(t)
	empty := m.Snapshot(t)

	m.Apt(t, "install", m.image)
	m.purge(t, m.image)
	// What Debian's kernel leaves when it comes and goes by itself is no fault
	// of a module package.
	bare := m.Snapshot(t)
	t.Logf("left by %s itself: %q", m.image, bare.since(empty))

	t.Run("module goes first", func(t *testing.T) {
		m.Apt(t, "install", m.image)
		kernelOnly := m.Snapshot(t)
		m.initramfsBuilds(t)
		uncomplaining(t, m.install(t, first...))
		m.check(t, first)
		uncomplaining(t, m.install(t, second...))
		m.check(t, second)
		uncomplaining(t, m.purge(t, names(second)...))
		if n := m.initramfsBuilds(t); n != 0 {
			t.Errorf("the initramfs holds none of the modules, and was built %d times", n)
		}
		m.Snapshot(t).mustEqual(t, kernelOnly, "without the modules")
		m.purge(t, m.image)
		m.gone(t, bare)
	})
	t.Run("kernel goes first", func(t *testing.T) {
		m.install(t, first...)
		if n := m.initramfsBuilds(t); n != 1 {
			t.Errorf("kernel and modules in one transaction: the initramfs was built %d times, not once", n)
		}
		m.check(t, first)
		m.Run(t, "dpkg", "--purge", "--force-depends", m.image)
		uncomplaining(t, m.Run(t, append([]string{"dpkg", "--purge"}, names(first)...)...))
		m.gone(t, bare)
	})
	t.Run("both go at once", func(t *testing.T) {
		m.install(t, second...)
		m.check(t, second)
		m.initramfsBuilds(t)
		uncomplaining(t, m.purge(t, append(names(second), m.image)...))
		if n := m.initramfsBuilds(t); n != 0 {
			t.Errorf("the initramfs of a kernel that goes was built %d times", n)
		}
		m.gone(t, bare)
	})
}

// complaint is what dpkg, depmod and rmdir say when something is not as it
// should be; linux-image's own scripts begin theirs with "W:".
var complaint = regexp.MustCompile(`(?im)^.*\b(warning|error|fatal|failed|depmod):?.*$`)

// uncomplaining wants apt, and the scripts it ran, to have found no fault.
func uncomplaining(t *testing.T, output string) {
	t.Helper()
	if line := complaint.FindString(output); line != "" {
		t.Errorf("%s\nin:\n%s", line, output)
	}
}

func names(all []*built) []string {
	var names []string
	for _, b := range all {
		names = append(names, b.name)
	}
	return names
}

// check wants all modules of the packages to be the ones that this kernel
// would load.
func (m *machine) check(t *testing.T, all []*built) {
	t.Helper()
	dep, err := os.ReadFile(m.Path("/lib/modules/" + m.release + "/modules.dep"))
	must(t, err)
	for _, b := range all {
		if version := m.Run(t, "dpkg-query", "-W", "-f", "${Version}", b.name); version != b.version {
			t.Errorf("%s %s is installed, not %s", b.name, version, b.version)
		}
		for _, name := range slices.Sorted(maps.Keys(b.modules)) {
			if err := m.checkModule(t, b, name, dep); err != nil {
				t.Errorf("%s: module %s: %v", b.name, name, err)
			}
		}
	}
	if out := m.Run(t, "dpkg", "--audit"); out != "" {
		t.Errorf("dpkg --audit: %s", out)
	}
}

func (m *machine) checkModule(t *testing.T, b *built, name string, dep []byte) error {
	t.Helper()
	file := b.modules[name]
	got, err := os.ReadFile(m.Path(file))
	if err != nil {
		return err
	}
	want, err := os.ReadFile(filepath.Join(b.root, file))
	must(t, err)
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s is not the package's", file)
	}
	if filename := m.Run(t, "modinfo", "-k", m.release, "-F", "filename", name); filename != file {
		return fmt.Errorf("modinfo finds %s", filename)
	}
	if _, out := m.Try(t, "modprobe", "--dry-run", "--verbose", "--set-version", m.release, name); !strings.HasSuffix(out, "insmod "+file) {
		return fmt.Errorf("modprobe: %s", out)
	}
	relative, _ := strings.CutPrefix(file, "/lib/modules/"+m.release+"/")
	if !bytes.Contains(dep, []byte("\n"+relative+":")) && !bytes.HasPrefix(dep, []byte(relative+":")) {
		return fmt.Errorf("modules.dep has no %s", relative)
	}
	return nil
}

// gone wants kernel and modules to have left nothing.
func (m *machine) gone(t *testing.T, bare snapshot) {
	t.Helper()
	m.Snapshot(t).mustEqual(t, bare, "without kernel and modules")
	if out := m.Shell(t, `ls /var/lib/dpkg/info | grep -F -e "$1" || true; dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | grep -F -e "$1" || true`, m.release); out != "" {
		t.Errorf("dpkg still knows:\n%s", out)
	}
}
