// SPDX-License-Identifier: MIT

// Package testkit holds what tests of several packages share. A test that
// needs a real tool or real input asks here; where it is absent the test is
// skipped with its name, or fails if GOKMS_REQUIRE=1, as `make test` sets it.
package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Tools ends the test unless all the named programs are in PATH.
func Tools(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			Missing(t, "program "+name)
		}
	}
}

// Corpus returns the -dkms .deb files that `make corpus` fetched, sorted: the
// folder is GOKMS_CORPUS, else build/corpus of this tree.
func Corpus(t testing.TB) []string {
	t.Helper()
	dir := os.Getenv("GOKMS_CORPUS")
	if dir == "" {
		dir = filepath.Join(Root(), "build", "corpus")
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	if len(debs) == 0 {
		Missing(t, "corpus of -dkms packages (make corpus)")
	}
	return debs
}

// Kernels returns the releases below /lib/modules that have headers, sorted.
func Kernels(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob("/lib/modules/*/build/include")
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) == 0 {
		Missing(t, "kernel headers below /lib/modules")
	}
	var kvers []string
	for _, dir := range dirs {
		kvers = append(kvers, filepath.Base(filepath.Dir(filepath.Dir(dir))))
	}
	return kvers
}

// Root is the top folder of this source tree.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Missing ends the test for want of what `make test` installs or fetches: it is
// skipped, or fails if GOKMS_REQUIRE=1. What depends on the machine, such as
// being root, is for [testing.T.Skip].
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("GOKMS_REQUIRE") == "1" {
		t.Fatalf("GOKMS_REQUIRE=1 and missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}
