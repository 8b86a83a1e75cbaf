// SPDX-License-Identifier: MIT

package acceptance

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestInitramfs follows an initramfs that holds the module hdaps: the
// kernel's at first, then that of tp-smapi-dkms, which takes precedence. No
// initramfs holds vpoll.
func TestInitramfs(t *testing.T) {
	acceptance(t)
	hdaps, hdaps2 := build(t, "tp-smapi-dkms", ""), build(t, "tp-smapi-dkms", "r1")
	vpoll, vpoll2 := build(t, "vpoll-dkms", ""), build(t, "vpoll-dkms", "r1")
	for _, b := range []*built{hdaps, hdaps2, vpoll, vpoll2} {
		if b.modules == nil {
			t.Fatalf("%s: %s\n%s", b.source, b.verdict, b.output)
		}
	}
	ours := strings.TrimPrefix(hdaps.modules["hdaps"], "/")
	m := newMachine(t)
	m.Shell(t, "echo hdaps >> /etc/initramfs-tools/modules")

	for _, step := range []struct {
		name   string
		act    func(t *testing.T) string
		builds int
		ours   bool // the initramfs holds our hdaps, and not the kernel's
	}{
		{"install the kernel", func(t *testing.T) string { return m.Apt(t, "install", m.image) }, 1, false},
		{"install vpoll", func(t *testing.T) string { return m.install(t, vpoll) }, 0, false},
		{"install hdaps", func(t *testing.T) string { return m.install(t, hdaps) }, 1, true},
		{"upgrade vpoll", func(t *testing.T) string { return m.install(t, vpoll2) }, 0, true},
		{"upgrade hdaps", func(t *testing.T) string { return m.install(t, hdaps2) }, 1, true},
		{"configure hdaps again", func(t *testing.T) string { return m.Run(t, "dpkg-reconfigure", hdaps.name) }, 0, true},
		{"purge vpoll", func(t *testing.T) string { return m.purge(t, vpoll.name) }, 0, true},
		{"remove hdaps", func(t *testing.T) string { return m.Apt(t, "remove", hdaps.name) }, 1, false},
		{"purge the kernel", func(t *testing.T) string { return m.purge(t, m.image) }, 0, false},
		{"install all at once", func(t *testing.T) string { return m.install(t, vpoll, hdaps) }, 1, true},
		{"purge all at once", func(t *testing.T) string { return m.purge(t, m.image, vpoll.name, hdaps.name) }, 0, false},
	} {
		t.Run(step.name, func(t *testing.T) {
			before := m.initrdTime()
			output := step.act(t)
			if n := m.initramfsBuilds(t); n != step.builds {
				t.Errorf("the initramfs was built %d times, not %d:\n%s", n, step.builds, output)
			}
			after := m.initrdTime()
			if after.IsZero() {
				return
			}
			if step.builds == 0 && !after.Equal(before) {
				t.Error("the initramfs was touched")
			}
			list := m.Shell(t, `lsinitramfs /boot/initrd.img-"$1" | grep '/hdaps\.ko' || true`, m.release)
			if got := strings.HasSuffix(list, ours) && !strings.Contains(list, "\n"); got != step.ours {
				t.Errorf("the initramfs holds %q; ours (%s): %v; want %v", list, ours, got, step.ours)
			}
		})
	}
}

// initrdTime is when the initramfs was written, zero where there is none.
func (m *machine) initrdTime() time.Time {
	info, err := os.Stat(m.Path("/boot/initrd.img-" + m.release))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
