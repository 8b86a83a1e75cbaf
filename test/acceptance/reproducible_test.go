// SPDX-License-Identifier: MIT

package acceptance

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// reproducible are the packages that are built twice.
var reproducible = []string{
	"acpi-call-dkms", "bbswitch-dkms", "ddcci-dkms", "dm-writeboost-dkms", "evdi-dkms", "lime-forensics-dkms",
	"nat-rtsp-dkms", "tp-smapi-dkms", "v4l2loopback-dkms", "vpoll-dkms",
}

// TestReproducible builds the same packages on two machines, in a sandbox and
// without one, by users who differ in everything that must not matter, and
// wants the same bytes. The clock of all programs of the second is wrong
// (faketime(1)).
func TestReproducible(t *testing.T) {
	acceptance(t)
	kernels := archiveKernels(t)
	release := kernels[1]
	plain, odd := newContainer(t, reference(t, kernels)), newContainer(t, reference(t, kernels))
	for _, c := range []*container{plain, odd} {
		c.Copy(t, "/usr/local/bin", command(t, "gokms-mkbmdeb"))
		for _, source := range reproducible {
			c.Copy(t, "/srv", corpusDeb(t, source))
		}
	}
	odd.Run(t, "localedef", "-i", "tr_TR", "-f", "UTF-8", "tr_TR.UTF-8")
	plain.As(t, "root", `mkdir tmp out
		TMPDIR=$PWD/tmp LC_ALL=C TZ=UTC gokms-mkbmdeb -q -j 1 -k "$1" -o out /srv/*.deb`, release)
	odd.As(t, "root", `ls /usr/lib/*/faketime/libfaketime.so.1 >/etc/ld.so.preload; echo -400d >/etc/faketimerc`)
	today, faked := plain.As(t, ordinary, `date +%Y`), odd.As(t, ordinary, `date +%Y`)
	if today == faked {
		t.Errorf("both machines have the year %s", today)
	}
	odd.As(t, ordinary, `umask 077; mkdir "another place"; cd "another place"
		TMPDIR=/var/tmp LC_ALL=tr_TR.UTF-8 LANGUAGE=tr TZ=Pacific/Kiritimati HOME=/nonexistent USER=nobody \
			gokms-mkbmdeb --sandbox=off -q -j 3 -k "$1" /srv/*.deb`, release)
	if same := sameFiles(t, plain.Path("/root/out"), odd.Path("/home/"+ordinary+"/another place")); same != 2*len(reproducible) { // with their debug symbols
		t.Errorf("%d of %d packages are the same", same, len(reproducible))
	}
}

// sameFiles wants two folders to hold packages of the same names and bytes. It
// returns how many there are.
func sameFiles(t *testing.T, dir, other string) int {
	t.Helper()
	debs, err := filepath.Glob(dir + "/*.deb")
	must(t, err)
	if len(debs) == 0 {
		t.Fatal("no package was written")
	}
	same := 0
	for _, deb := range debs {
		a, err := os.ReadFile(deb)
		must(t, err)
		b, err := os.ReadFile(filepath.Join(other, filepath.Base(deb)))
		must(t, err)
		if bytes.Equal(a, b) {
			same++
			continue
		}
		// diffoscope(1) ends with 1 where it finds what it looks for.
		diff, _ := exec.Command("diffoscope", "--max-report-size=20000", deb, filepath.Join(other, filepath.Base(deb))).CombinedOutput()
		t.Errorf("%s: bytes differ (%d, %d)\n%s", filepath.Base(deb), len(a), len(b), diff)
	}
	t.Logf("%d of %d packages are the same", same, len(debs))
	return same
}
