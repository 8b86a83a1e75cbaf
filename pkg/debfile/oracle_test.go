// SPDX-License-Identifier: MIT

package debfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// dpkgRoot is an empty system that `dpkg --root` can install to.
func dpkgRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"updates", "info", "triggers", "alternatives", "parts"} {
		if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// output runs a program that must succeed.
func output(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := command(argv...).Output()
	if err != nil {
		t.Fatalf("%q: %v", argv, err)
	}
	return string(out)
}

func command(argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC", "DEBIAN_FRONTEND=noninteractive")
	return cmd
}

// TestOracleHostile holds: what dpkg refuses, we refuse (the table says that
// we do), and where dpkg is milder the table says so.
func TestOracleHostile(t *testing.T) {
	testkit.Tools(t, "dpkg", "dpkg-deb")
	for _, test := range hostile {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			deb := filepath.Join(t.TempDir(), "x.deb")
			if err := os.WriteFile(deb, test.deb, 0o644); err != nil {
				t.Fatal(err)
			}
			unpacked, err := command("dpkg-deb", "-x", deb, t.TempDir()).CombinedOutput()
			refused := err != nil
			// No absolute links nor devices are installed: this runs as root.
			if !refused && !strings.Contains(test.name, "absolute") {
				_, err := command("dpkg", "--root="+dpkgRoot(t), "--force-not-root", "--log=/dev/null", "-i", deb).CombinedOutput()
				refused = err != nil
			}
			if refused == (test.taken != "") {
				t.Errorf("dpkg refuses it: %v; the table says: taken because %q\n%s", refused, test.taken, unpacked)
			}
		})
	}
}
