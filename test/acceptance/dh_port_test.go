// SPDX-License-Identifier: MIT

package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/test/debdiff"
)

// porter is a machine to build Debian's own -dkms packages on.
func porter(t *testing.T) base {
	return base{"porter", []string{
		"build-essential", "debhelper", "dh-dkms", "dh-exec", "fakeroot", "binutils", "xz-utils", "libxtables-dev", "pkg-config", "quilt", "dos2unix",
	}, nil}
}

// portedSources are sources of Debian that call dh_dkms, with the lines in which
// the -dkms package differs when dh_gokms has made it.
var portedSources = map[string][]debdiff.Explained{
	"iptables-netflow": nil,
	"acpi-call":        nil,
	"bbswitch":         nil,
	"v4l2loopback":     nil,
	"lime-forensics":   nil,
}

// TestPortDebian builds sources of Debian as they are and with the two
// substitutions of which porting consists.
func TestPortDebian(t *testing.T) {
	acceptance(t)
	var names []string
	for name := range portedSources {
		names = append(names, name)
	}
	sources := filepath.Join(cacheDir(t), "sources")
	t.Log(hostOutput(t, filepath.Join(testkit.Root(), "test/apt-source"), append([]string{sources}, names...)...))
	c := newChroot(t, porter(t))
	c.Copy(t, "/usr/local/bin", command(t, "dh_gokms"), command(t, "dh_gokms_modules"))
	for part, to := range map[string]string{"perl5": "/usr/share/perl5", "autoscripts": "/usr/share/debhelper/autoscripts"} {
		hostOutput(t, "cp", "-r", filepath.Join(testkit.Root(), "debhelper", part)+"/.", c.Path(to))
	}
	for name, explained := range portedSources {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(sources, name)); err != nil {
				if name == "iptables-netflow" {
					t.Fatal("apt-get source has no iptables-netflow")
				}
				t.Skip("apt-get source does not have it")
			}
			old := c.buildDebian(t, filepath.Join(sources, name), "old", "")
			ported := c.buildDebian(t, filepath.Join(sources, name), "ported", `sed -i s/dh-sequence-dkms/dh-sequence-gokms/ debian/control; sed -i s/dh_dkms/dh_gokms/ debian/rules`)
			if len(old) != len(ported) {
				t.Fatalf("packages %q; want %q", ported, old)
			}
			for i, deb := range old {
				diff := debdiff.Compare(t, deb, ported[i])
				if !strings.Contains(filepath.Base(deb), "-dkms_") {
					debdiff.Check(t, diff)
					continue
				}
				t.Logf("%s, ported:\n%s", filepath.Base(deb), strings.Join(diff, "\n"))
				debdiff.Check(t, diff, append(debdiff.Scripts, explained...)...)
			}
		})
	}
}

// buildDebian copies the one source tree in from to a folder of the chroot,
// changes it and builds it; it returns the .debs.
func (c *chroot) buildDebian(t *testing.T, from, folder, change string) []string {
	t.Helper()
	tree := filepath.Dir(filepath.Dir(onlyMatch(t, from, "*/debian/rules")))
	place := filepath.Join("/srv", folder, filepath.Base(from))
	must(t, os.MkdirAll(c.Path(place), 0o755))
	hostOutput(t, "cp", "-r", "--no-preserve=ownership", tree, c.Path(place))
	out := c.Shell(t, `cd "$1"; `+change+`
		dpkg-buildpackage -us -uc -b -d 2>&1`, filepath.Join(place, filepath.Base(tree)))
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "dh_gokms") {
			t.Log(line)
		}
	}
	debs, err := filepath.Glob(c.Path(place + "/*.deb"))
	must(t, err)
	return debs
}
