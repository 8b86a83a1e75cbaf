// SPDX-License-Identifier: MIT

// Package acceptance holds the tests of whole commands against real kernels,
// real dkms, apt and lintian. They run as root and with GOKMS_ACCEPTANCE=1
// (make acceptance), in Debian systems of their own ([chroot]); the system
// they are started on is not changed.
//
// What may be set in the environment:
//
//	GOKMS_BIN       folder of the commands under test (build/bin)
//	GOKMS_CORPUS    folder of -dkms packages (build/corpus)
//	GOKMS_PACKAGES  the -dkms packages to test with: names, or "all" of the
//	                corpus (default: [defaultPackages])
//	GOKMS_CACHE     where base systems and scratch files are kept
//	                (build/acceptance)
package acceptance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// defaultPackages are different enough to show most of what dkms.conf can ask
// for, and quick enough to build.
var defaultPackages = []string{
	"acpi-call-dkms", "bbswitch-dkms", "ddcci-dkms", "dm-writeboost-dkms", "evdi-dkms", "jool-dkms",
	"lime-forensics-dkms", "nat-rtsp-dkms", "tp-smapi-dkms", "v4l2loopback-dkms", "vpoll-dkms",
	"xtables-addons-dkms",
}

// scratch is what one run of the tests leaves to be removed.
var scratch string

func TestMain(m *testing.M) {
	if os.Args[0] == enterName {
		enter()
	}
	code := m.Run()
	if scratch != "" {
		if err := os.RemoveAll(scratch); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// acceptance skips the test unless acceptance tests were asked for.
func acceptance(t *testing.T) {
	t.Helper()
	if os.Getenv("GOKMS_ACCEPTANCE") != "1" {
		t.Skip("acceptance tests run with GOKMS_ACCEPTANCE=1 only (make acceptance)")
	}
	if os.Getuid() != 0 {
		t.Fatal("acceptance tests make chroots: run them as root")
	}
	testkit.Tools(t, "mmdebstrap", "unshare", "chroot", "tar", "dpkg-deb", "apt-get", "apt-config")
}

// cacheDir is where base systems are kept.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GOKMS_CACHE")
	if dir == "" {
		dir = filepath.Join(testkit.Root(), "build", "acceptance")
	}
	must(t, os.MkdirAll(dir, 0o755))
	return dir
}

// scratchDir makes a directory that lives as long as the test binary. It is
// not below TMPDIR, which is often too small for Debian systems, or mounted
// without devices.
func scratchDir(t *testing.T, name string) string {
	t.Helper()
	if scratch == "" {
		removeStale(t)
		var err error
		scratch, err = os.MkdirTemp(cacheDir(t), fmt.Sprintf("run-%d-", os.Getpid()))
		must(t, err)
		must(t, os.Chmod(scratch, 0o755))
	}
	dir, err := os.MkdirTemp(scratch, name+"-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// removeStale removes the scratch files of runs that were killed.
func removeStale(t *testing.T) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(cacheDir(t), "run-*-*"))
	must(t, err)
	for _, dir := range dirs {
		pid, err := strconv.Atoi(strings.Split(filepath.Base(dir), "-")[1])
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			must(t, os.RemoveAll(dir))
		}
	}
}

// packages are the names of the -dkms packages to test with.
func packages(t *testing.T) []string {
	t.Helper()
	names := strings.Fields(os.Getenv("GOKMS_PACKAGES"))
	switch {
	case len(names) == 0:
		return defaultPackages
	case !slices.Equal(names, []string{"all"}):
		return names
	}
	names = nil
	for _, deb := range testkit.Corpus(t) {
		name, _, _ := strings.Cut(filepath.Base(deb), "_")
		names = append(names, name)
	}
	return names
}

// corpusDeb is the file of a -dkms package.
func corpusDeb(t *testing.T, pkg string) string {
	t.Helper()
	for _, deb := range testkit.Corpus(t) {
		if strings.HasPrefix(filepath.Base(deb), pkg+"_") {
			return deb
		}
	}
	t.Fatalf("package %s is not in the corpus (make corpus)", pkg)
	return ""
}

// command is the path of a command under test.
func command(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("GOKMS_BIN")
	if dir == "" {
		dir = filepath.Join(testkit.Root(), "build", "bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Fatalf("command under test: %v (make all)", err)
	}
	return path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
