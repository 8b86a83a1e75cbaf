// SPDX-License-Identifier: MIT

package acceptance

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

// bare is a machine on which nothing is installed that a build needs; what
// packages ask for is in apt's cache.
func bare(t *testing.T) base {
	return base{"bare", []string{"adduser"}, []string{
		"bubblewrap", "build-essential", "debhelper", "dpkg-dev", "dkms", "linux-headers-" + arch(t),
	}}
}

// TestOwnPackages builds gokms's own packages twice, in places that have
// nothing in common, and uses them in chroots that hold nothing else.
func TestOwnPackages(t *testing.T) {
	acceptance(t)
	testkit.Tools(t, "git", "go", "dpkg-buildpackage", "scdoc", "lintian")
	dir := scratchDir(t, "first")
	files := buildOwn(t, dir, "LC_ALL=C.UTF-8")

	t.Run("reproducible", func(t *testing.T) {
		again := buildOwn(t, scratchDir(t, "second-place"), "LC_ALL=C", "TZ=Pacific/Auckland", "DEB_BUILD_OPTIONS=nocheck parallel=1")
		if diff := cmp.Diff(files, again); diff != "" {
			t.Errorf("two builds differ:\n%s", diff)
		}
	})
	t.Run("lintian", func(t *testing.T) {
		if out := hostOutput(t, "lintian", "--allow-root", "--show-overrides", onlyMatch(t, dir, "*.changes")); strings.Contains("\n"+out, "\nE: ") || strings.Contains("\n"+out, "\nW: ") {
			t.Error(out)
		} else {
			t.Log(out)
		}
	})
	t.Run("build-depends", func(t *testing.T) { testBuildDepends(t, dir) })
	for name, depends := range autopkgtests(t) {
		t.Run("autopkgtest-"+name, func(t *testing.T) {
			c := newChroot(t, bare(t))
			c.addRepository(t, dir)
			c.Apt(t, "install", depends...)
			c.Copy(t, "/", onlyMatch(t, dir, "gokms-[0-9]*/debian/tests/"+name))
			hostOutput(t, "cp", "-a", filepath.Join(onlyMatch(t, dir, "gokms-[0-9]*"), "examples"), c.Path("/srv/examples"))
			c.Shell(t, `adduser --quiet --disabled-password --gecos '' builder; mkdir /tmp/autopkgtest; chown builder /tmp/autopkgtest`)
			t.Log(c.Run(t, "runuser", "-u", "builder", "--", "env", "--chdir=/srv", "AUTOPKGTEST_TMP=/tmp/autopkgtest", "/"+name))
		})
	}
}

// buildOwn builds the packages in dir and returns the digests of what is to be
// the same each time: .buildinfo and .changes tell the environment.
func buildOwn(t *testing.T, dir string, environ ...string) map[string]string {
	t.Helper()
	run := func(in, name string, args ...string) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = in
		cmd.Env = append(append(os.Environ(), "DEB_BUILD_OPTIONS=nocheck"), environ...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
	run(testkit.Root(), "debian/source-tree", dir)
	run(onlyMatch(t, dir, "gokms-[0-9]*"), "dpkg-buildpackage", "-us", "-uc", "-Ppkg.gokms.upstream-go")
	digests := map[string]string{}
	for _, pattern := range []string{"*.deb", "*.tar.xz", "*.dsc"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		must(t, err)
		if len(found) == 0 {
			t.Fatalf("no %s was built", pattern)
		}
		for _, file := range found {
			text, err := os.ReadFile(file)
			must(t, err)
			digests[filepath.Base(file)] = fmt.Sprintf("%x", sha256.Sum256(text))
		}
	}
	return digests
}

func onlyMatch(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%d files match %s", len(found), pattern)
	}
	return found[0]
}

// addRepository makes the .debs in dir an archive of c's apt.
func (c *chroot) addRepository(t *testing.T, dir string) {
	t.Helper()
	debs, err := filepath.Glob(filepath.Join(dir, "*gokms_*.deb"))
	must(t, err)
	c.Copy(t, "/srv/extra", debs...)
	index := hostOutput(t, "sh", "-c", `cd "$1" && dpkg-scanpackages . 2>/dev/null`, "sh", c.Path("/srv/extra"))
	must(t, os.WriteFile(c.Path("/srv/extra/Packages"), []byte(index+"\n"), 0o644))
	must(t, os.WriteFile(c.Path("/etc/apt/sources.list.d/extra.list"), []byte("deb [trusted=yes] file:/srv/extra ./\n"), 0o644))
	c.Apt(t, "update", "-o", "Dir::Etc::SourceList=/dev/null", "-o", "APT::Get::List-Cleanup=0")
}

// testBuildDepends builds the example as an ordinary user with what apt
// installs as its build dependencies.
func testBuildDepends(t *testing.T, dir string) {
	if arch(t) != "amd64" {
		t.Skip("the example's packages are for amd64")
	}
	c := newChroot(t, bare(t))
	c.addRepository(t, dir)
	c.Shell(t, `adduser --quiet --disabled-password --gecos '' builder; mkdir /srv/build`)
	hostOutput(t, "cp", "-a", filepath.Join(testkit.Root(), "examples/i40e"), c.Path("/srv/build/i40e-2.4.6"))
	c.Apt(t, "build-dep", "/srv/build/i40e-2.4.6")
	c.Shell(t, `chown -R builder: /srv/build; runuser -u builder -- sh -euc 'cd /srv/build/i40e-2.4.6; make orig; dpkg-buildpackage -us -uc'`)
	kver := c.Shell(t, `ls /lib/modules`)
	changes, err := os.ReadFile(c.Path("/srv/build/i40e_2.4.6-1_amd64.changes"))
	must(t, err)
	for _, deb := range []string{"i40e-dkms_2.4.6-1_all.deb", "i40e-modules-amd64_2.4.6-1_amd64.deb", "i40e-modules-" + kver + "_2.4.6-1_amd64.deb"} {
		if !strings.Contains(string(changes), " "+deb+"\n") {
			t.Errorf("%s is not in .changes:\n%s", deb, changes)
		}
	}
}

// autopkgtests are the tests of debian/tests/control, each with the packages
// it asks for.
func autopkgtests(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.Root(), "debian/tests/control"))
	must(t, err)
	tests := map[string][]string{}
	name := ""
	for line := range strings.Lines(string(text)) {
		field, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch field {
		case "Tests":
			name = value
		case "Depends":
			tests[name] = strings.Split(value, ", ")
		}
	}
	if len(tests) == 0 {
		t.Fatal("debian/tests/control names no test")
	}
	return tests
}
