// SPDX-License-Identifier: MIT

package archive

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kernel"
)

// TestRealHeaders fetches today's kernel of Debian and compares it with what
// dpkg-deb unpacks.
func TestRealHeaders(t *testing.T) {
	testkit.Tools(t, "apt-get", "dpkg", "dpkg-deb")
	if testing.Short() {
		t.Skip("-short: fetches 30 MB")
	}
	a := Open(Options{CacheDir: filepath.Join(t.TempDir(), "cache")})
	found, err := a.Find(t.Context(), headersPrefix+kernel.OwnArch())
	if _, down := errors.AsType[*UnreachableError](err); down {
		testkit.Missing(t, "network: "+err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	set, err := a.Fetch(t.Context(), found[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Packages) < 2 {
		t.Errorf("Fetch(%s) = %+v; want what it depends on as well", found[0].Name, set.Packages)
	}
	for _, p := range set.Packages {
		deb, err := a.DebExact(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		want := t.TempDir()
		if out, err := exec.Command("dpkg-deb", "--extract", deb, want).CombinedOutput(); err != nil {
			t.Fatalf("dpkg-deb: %v: %s", err, out)
		}
		n := compareTrees(t, want, p.Root)
		if other := compareTrees(t, p.Root, want); n != other || n < 3 {
			t.Errorf("%s: %d entries; unpacked %d", p.Name, n, other)
		}
		t.Logf("%s: %d entries are the same", p.Name, n)
	}
}

// compareTrees compares all that is below x with what is below y, and counts it.
func compareTrees(t *testing.T, x, y string) (n int) {
	t.Helper()
	err := filepath.WalkDir(x, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(x, path)
		if n++; rel != "." { // the directories of the test's own
			compare(t, path, filepath.Join(y, rel))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// compare compares a file that dpkg-deb unpacked with ours.
func compare(t *testing.T, theirs, ours string) {
	t.Helper()
	x, err := os.Lstat(theirs)
	y, yerr := os.Lstat(ours)
	if err != nil || yerr != nil {
		t.Error(err, yerr)
		return
	}
	switch {
	case x.Mode() != y.Mode():
		t.Errorf("%s: %v; unpacked %v", theirs, x.Mode(), y.Mode())
	case x.Mode()&fs.ModeSymlink != 0:
		to, _ := os.Readlink(theirs)
		if got, _ := os.Readlink(ours); got != to {
			t.Errorf("%s -> %s; unpacked -> %s", theirs, to, got)
		}
	case x.Mode().IsRegular():
		_, want, err := debfile.Sum(theirs)
		_, got, gerr := debfile.Sum(ours)
		if want != got || err != nil || gerr != nil || !x.ModTime().Equal(y.ModTime()) {
			t.Errorf("%s: %v %s; unpacked %v %s", theirs, x.ModTime(), want, y.ModTime(), got)
		}
	}
}
