// SPDX-License-Identifier: MIT

package acceptance

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestReproducible builds the same packages as root and as an ordinary user,
// who differ in everything that must not matter, and wants the same bytes.
func TestReproducible(t *testing.T) {
	acceptance(t)
	c := newChroot(t, builder(t))
	c.Copy(t, "/usr/local/bin", command(t, "gokms-mkbmdeb"))
	c.Run(t, "localedef", "-i", "tr_TR", "-f", "UTF-8", "tr_TR.UTF-8")
	release := c.kver(t)
	for _, source := range []string{"tp-smapi-dkms", "v4l2loopback-dkms", "vpoll-dkms"} {
		t.Run(source, func(t *testing.T) {
			deb := c.Copy(t, "/tmp/corpus", corpusDeb(t, source))[0]
			ours, theirs := "/root/"+source, "/srv/another place/"+source
			c.Shell(t, `umask 022; mkdir -p "$1/tmp"; cd "$1"
				export TMPDIR="$1/tmp" LC_ALL=C TZ=UTC
				gokms-mkbmdeb -j 1 -k "$2" "$3"`, ours, release, deb)
			c.Shell(t, `mkdir -p "$1"; chown nobody "$1"; cd "$1"; umask 077
				export TMPDIR=/var/tmp LC_ALL=tr_TR.UTF-8 LANGUAGE=tr TZ=Pacific/Kiritimati HOME=/nonexistent USER=nobody
				exec setpriv --reuid=nobody --regid=nogroup --clear-groups gokms-mkbmdeb -j 3 -k "$2" "$3"`, theirs, release, deb)
			sameFiles(t, c.Path(ours), c.Path(theirs))
		})
	}
}

// sameFiles wants two folders to hold packages of the same names and bytes.
func sameFiles(t *testing.T, dir, other string) {
	t.Helper()
	debs, err := filepath.Glob(dir + "/*.deb")
	must(t, err)
	if len(debs) == 0 {
		t.Fatal("no package was written")
	}
	for _, deb := range debs {
		a, err := os.ReadFile(deb)
		must(t, err)
		b, err := os.ReadFile(filepath.Join(other, filepath.Base(deb)))
		must(t, err)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: bytes differ (%d, %d)", filepath.Base(deb), len(a), len(b))
		}
	}
}
