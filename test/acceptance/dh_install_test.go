// SPDX-License-Identifier: MIT

package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

// dkmsSource is the example as a source package in which tool, dh_gokms or
// dh_dkms, makes the -dkms package.
func dkmsSource(t *testing.T, tool, version string) string {
	t.Helper()
	dir := filepath.Join(scratchDir(t, tool), "i40e-"+version)
	hostOutput(t, "cp", "-r", filepath.Join(testkit.Root(), "examples/i40e"), dir)
	replaceText(t, dir, "debian/changelog", "(2.4.6-1)", "("+version+"-1)")
	if tool == "dh_gokms" {
		return dir
	}
	must(t, os.Remove(filepath.Join(dir, "debian/i40e-modules-amd64.gokms-modules")))
	replaceText(t, dir, "debian/control", "dh-sequence-gokms", "dh-sequence-dkms")
	replaceText(t, dir, "debian/rules", "%:", "override_dh_dkms:\n\tdh_dkms -V\n\n%:")
	must(t, os.WriteFile(filepath.Join(dir, "debian/i40e-dkms.install"), []byte("src/* usr/src/i40e-"+version+"/\n"), 0o644))
	return dir
}

func replaceText(t *testing.T, dir, name, old, text string) {
	t.Helper()
	was, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	if !strings.Contains(string(was), old) {
		t.Fatalf("%s holds no %q", name, old)
	}
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Replace(string(was), old, text, 1)), 0o644))
}

// buildPackage runs dpkg-buildpackage on this machine with the commands under
// test, and returns the .deb that the pattern matches.
func buildPackage(t *testing.T, dir, pattern string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "dpkg-buildpackage", append([]string{"-us", "-uc", "-d"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(command(t, "dh_gokms"))+":"+os.Getenv("PATH"),
		"PERL5LIB="+filepath.Join(testkit.Root(), "debhelper/perl5"), "DH_AUTOSCRIPTDIR="+filepath.Join(testkit.Root(), "debhelper/autoscripts"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("dpkg-buildpackage in %s: %v\n%s", dir, err, out)
	}
	return onlyMatch(t, filepath.Dir(dir), pattern)
}

// stage is what a step has made of a machine.
type stage struct {
	Step, Status string
	Since        []string // its beginning; names of files alone
	Module       string   // digest, and where it is
}

// dkmsMachine is one with dkms.
type dkmsMachine struct {
	*chroot
	release string
	empty   snapshot
	stages  []stage
}

var buildNumber = regexp.MustCompile(`: was .*`)

func (m *dkmsMachine) after(t *testing.T, step string) {
	t.Helper()
	s := stage{Step: step, Status: m.Run(t, "dkms", "status")}
	for _, line := range m.Snapshot(t).since(m.empty) {
		s.Since = append(s.Since, buildNumber.ReplaceAllString(line, ""))
	}
	s.Module = m.Shell(t, `find /lib/modules -name 'i40e.ko*' -exec sha256sum {} +`)
	m.stages = append(m.stages, s)
}

func (m *dkmsMachine) last() stage { return m.stages[len(m.stages)-1] }

// lifeOfDKMSPackage installs, upgrades, removes and purges the package as tool
// makes it.
func lifeOfDKMSPackage(t *testing.T, tool string) []stage {
	t.Helper()
	c := newChroot(t, builder(t))
	m := &dkmsMachine{chroot: c, release: c.kver(t), empty: c.Snapshot(t)}
	first := buildPackage(t, dkmsSource(t, tool, "2.4.6"), "i40e-dkms_*.deb", "-A")
	second := buildPackage(t, dkmsSource(t, tool, "2.4.7"), "i40e-dkms_*.deb", "-A")
	installed := func(version string) string { return "i40e/" + version + ", " + m.release + ", x86_64: installed" }
	install := func(step, deb, status string) {
		t.Helper()
		if out := m.Apt(t, "install", "--reinstall", m.Copy(t, "/tmp/debs", deb)[0]); strings.Contains(out, "rror") {
			t.Errorf("%s: %s", step, out)
		}
		m.after(t, step)
		if got := m.last(); !strings.HasPrefix(got.Status, status) || strings.Contains(got.Status, "\n") || got.Module == "" {
			t.Errorf("%s, after %s: dkms status: %q, modules %q", tool, step, got.Status, got.Module)
		}
	}
	install("install", first, installed("2.4.6"))
	install("upgrade", second, installed("2.4.7"))
	install("reinstall", second, installed("2.4.7"))
	m.Apt(t, "remove", "i40e-dkms")
	m.after(t, "remove")
	install("install again", second, installed("2.4.7"))
	m.Apt(t, "purge", "i40e-dkms")
	m.after(t, "purge")
	if got := m.last(); got.Status != "" || got.Module != "" {
		t.Errorf("%s: purge leaves %q, %q", tool, got.Status, got.Module)
	}
	if left := strings.Join(m.last().Since, "\n"); strings.Contains(left, "i40e") {
		t.Errorf("%s: purge leaves:\n%s", tool, left)
	}
	if out := m.Run(t, "dpkg", "--audit"); out != "" {
		t.Errorf("dpkg --audit: %s", out)
	}
	return m.stages
}

// TestDKMSPackage has the real dkms take the -dkms package that dh_gokms makes
// through its life, and compares each step with that of dh_dkms's.
func TestDKMSPackage(t *testing.T) {
	acceptance(t)
	testkit.Tools(t, "dh", "dh_dkms", "dpkg-buildpackage")
	if arch(t) != "amd64" {
		t.Skip("the example's packages are for amd64")
	}
	ours := lifeOfDKMSPackage(t, "dh_gokms")
	theirs := lifeOfDKMSPackage(t, "dh_dkms")
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Errorf("dh_gokms's package (+) does not do what dh_dkms's (-) does:\n%s", diff)
	}
	for _, s := range ours {
		t.Logf("%s: %q, %d files", s.Step, s.Status, len(s.Since))
	}
}

// TestDKMSPackageAbort lets an upgrade fail: the old version stays in use.
// With dh_dkms's package the module is gone.
func TestDKMSPackageAbort(t *testing.T) {
	acceptance(t)
	testkit.Tools(t, "dh", "dpkg-buildpackage")
	if arch(t) != "amd64" {
		t.Skip("the example's packages are for amd64")
	}
	c := newChroot(t, builder(t))
	first := buildPackage(t, dkmsSource(t, "dh_gokms", "2.4.6"), "i40e-dkms_*.deb", "-A")
	dir := dkmsSource(t, "dh_gokms", "2.4.7")
	must(t, os.WriteFile(filepath.Join(dir, "debian/i40e-dkms.preinst"), []byte("#!/bin/sh\nset -e\n[ \"$1\" != upgrade ] || exit 7\n#DEBHELPER#\n"), 0o644))
	second := buildPackage(t, dir, "i40e-dkms_*.deb", "-A")
	c.Apt(t, "install", c.Copy(t, "/tmp/debs", first)[0])
	before := c.Run(t, "dkms", "status")
	if code, out := c.Try(t, "dpkg", "-i", c.Copy(t, "/tmp/debs", second)[0]); code == 0 {
		t.Fatalf("the upgrade succeeds: %s", out)
	}
	if got := c.Run(t, "dkms", "status"); got != before || !strings.Contains(got, "i40e/2.4.6") {
		t.Errorf("dkms status after the failed upgrade: %q; want %q", got, before)
	}
	if got := c.Run(t, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", "i40e-dkms"); got != "ii 2.4.6-1" {
		t.Errorf("dpkg: %s", got)
	}
}
