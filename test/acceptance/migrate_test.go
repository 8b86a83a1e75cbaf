// SPDX-License-Identifier: MIT

package acceptance

import (
	"os"
	"strings"
	"testing"
)

// TestMigrateFromDKMS replaces a module that dkms built and installed by the
// one of a module package. Both have the same path, and dkms's own file is
// unknown to dpkg.
func TestMigrateFromDKMS(t *testing.T) {
	acceptance(t)
	b := build(t, "vpoll-dkms", "")
	if b.modules == nil {
		t.Fatalf("vpoll-dkms: %s\n%s", b.verdict, b.output)
	}
	c := newChroot(t, builder(t))
	m := &machine{c, c.kver(t), ""}
	file := b.modules["vpoll"]

	m.Apt(t, "install", m.Copy(t, "/tmp/debs", corpusDeb(t, "vpoll-dkms"))...)
	if status := m.Run(t, "dkms", "status"); !strings.Contains(status, m.release) || !strings.Contains(status, "installed") {
		t.Fatalf("dkms has not installed the module: %q", status)
	}
	if _, err := os.Stat(m.Path(file)); err != nil {
		t.Fatalf("dkms installs elsewhere: %v", err)
	}

	m.install(t, b)
	m.check(t, []*built{b})
	if status := m.Run(t, "dkms", "status"); status != "" {
		t.Errorf("dkms status: %q; want nothing", status)
	}
	m.purge(t, "vpoll-dkms")
	m.check(t, []*built{b})
	m.purge(t, b.name)
	if _, err := os.Stat(m.Path(file)); err == nil {
		t.Errorf("%s is left", file)
	}
}
