// SPDX-License-Identifier: MIT

package archive

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// TestRealHeaders fetches a kernel of Debian and compares it with what dpkg
// installed.
func TestRealHeaders(t *testing.T) {
	testkit.Tools(t, "apt-get", "dpkg", "dpkg-query")
	if testing.Short() {
		t.Skip("-short: fetches 15 MB")
	}
	a := Open(Options{CacheDir: filepath.Join(t.TempDir(), "cache")})
	var set *Set
	for _, release := range testkit.Kernels(t) {
		found, err := a.Find(t.Context(), headersPrefix+release)
		if _, down := errors.AsType[*UnreachableError](err); down {
			t.Skipf("no network: %v", err)
		}
		if err != nil {
			t.Logf("Find(%s): %v", release, err)
			continue
		}
		out, err := exec.Command("dpkg-query", "-W", "-f=${Version}", found[0].Name).Output()
		if err != nil || string(out) != found[0].Version {
			continue // a local one, or not of the day
		}
		if set, err = a.Fetch(t.Context(), found[0]); err != nil {
			t.Fatal(err)
		}
	}
	if set == nil {
		t.Skip("no installed kernel headers are those of the archive")
	}
	for _, p := range set.Packages {
		out, err := exec.Command("dpkg", "-L", p.Name).Output()
		if err != nil {
			t.Logf("%s is not installed", p.Name)
			continue
		}
		n := 0
		for path := range strings.Lines(string(out)) {
			path = strings.TrimSuffix(path, "\n")
			if strings.HasPrefix(path, "/usr/share/doc") { // often excluded
				continue
			}
			compare(t, path, p.Root+path)
			n++
		}
		t.Logf("%s: %d entries are the same", p.Name, n)
	}
}

// compare compares an installed file with one that is unpacked.
func compare(t *testing.T, installed, unpacked string) {
	t.Helper()
	x, err := os.Lstat(installed)
	y, yerr := os.Lstat(unpacked)
	if err != nil || yerr != nil {
		t.Error(err, yerr)
		return
	}
	switch {
	case y.IsDir() && x.Mode()&fs.ModeSymlink != 0: // /lib, where /usr is merged
	case x.Mode().Type() != y.Mode().Type():
		t.Errorf("%s: %v; unpacked %v", installed, x.Mode(), y.Mode())
	case x.Mode()&fs.ModeSymlink != 0:
		to, _ := os.Readlink(installed)
		if got, _ := os.Readlink(unpacked); got != to {
			t.Errorf("%s -> %s; unpacked -> %s", installed, to, got)
		}
	case x.Mode().IsRegular():
		want, err := sumFile(installed)
		got, gerr := sumFile(unpacked)
		if want != got || err != nil || gerr != nil || x.Mode() != y.Mode() || !x.ModTime().Equal(y.ModTime()) {
			t.Errorf("%s: %v %v %s; unpacked %v %v %s", installed, x.Mode(), x.ModTime(), want, y.Mode(), y.ModTime(), got)
		}
	}
}
