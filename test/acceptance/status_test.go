// SPDX-License-Identifier: MIT

package acceptance

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// status is what gokms status --json prints, as far as the tests look at it.
type status struct {
	Kernels []struct {
		Release    string
		ModulesDep string `json:"modules_dep"`
		Modules    []moduleStatus
		Problems   []problem
	}
	DKMS []struct{ Name, Version, Kernel, Arch, State string }
}

type moduleStatus struct {
	Name, File, From, Package, Version, SrcVersion, Signer, Verified, Initramfs string
	Problems                                                                    []problem
}

type problem struct{ Kind, Text string }

// status runs gokms status on the root from outside; the exit code is that of
// --check.
func (c *chroot) status(t *testing.T, args ...string) (status, int) {
	t.Helper()
	cmd := exec.Command(command(t, "gokms"), append([]string{"status", "--json", "--check", "--root", c.dir}, args...)...)
	start := time.Now()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("%s: %v\n%s", cmd, err, exit.Stderr)
	}
	t.Logf("gokms status took %v", time.Since(start).Round(time.Millisecond))
	var s status
	must(t, json.Unmarshal(out, &s))
	return s, cmd.ProcessState.ExitCode()
}

// mustBeWell wants status to say what modinfo, depmod and the initramfs say of the
// modules, and no others, and nothing to be wrong.
func (m *machine) mustBeWell(t *testing.T, want ...string) {
	t.Helper()
	s, code := m.status(t)
	if code != 0 {
		t.Errorf("gokms status --check: exit %d", code)
	}
	got := []string{}
	for _, k := range s.Kernels {
		for _, p := range k.Problems {
			t.Errorf("%s: %s: %s", k.Release, p.Kind, p.Text)
		}
		for _, mod := range k.Modules {
			got = append(got, mod.Name)
			m.compare(t, mod)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
		t.Errorf("modules differ (-want +got):\n%s", diff)
	}
}

// compare holds what status says of a module against the tools.
func (m *machine) compare(t *testing.T, mod moduleStatus) {
	t.Helper()
	for _, p := range mod.Problems {
		t.Errorf("%s: %s: %s", mod.Name, p.Kind, p.Text)
	}
	file := "/lib/modules/" + m.release + "/" + mod.File
	fact := func(field string) string { return m.Run(t, "modinfo", "-k", m.release, "-F", field, mod.Name) }
	for field, said := range map[string]string{
		"filename": file, "version": mod.Version, "srcversion": mod.SrcVersion, "signer": mod.Signer,
	} {
		if want := fact(field); said != want {
			t.Errorf("%s: status says %s %q; modinfo: %q", mod.Name, field, said, want)
		}
	}
	if owner, _, _ := strings.Cut(m.Run(t, "dpkg-query", "-S", file), ":"); owner != mod.Package {
		t.Errorf("%s: status says package %q; dpkg: %q", mod.Name, mod.Package, owner)
	}
	if want := m.inInitramfs(t, mod.Name, file); mod.Initramfs != want {
		t.Errorf("%s: status says initramfs %q; it is %s", mod.Name, mod.Initramfs, want)
	}
}

// inInitramfs unpacks the initramfs with initramfs-tools, and says what status
// should.
func (m *machine) inInitramfs(t *testing.T, module, file string) string {
	t.Helper()
	if m.initrdTime().IsZero() {
		return ""
	}
	m.Shell(t, `rm -rf /tmp/unpacked; unmkinitramfs "/boot/initrd.img-$1" /tmp/unpacked`, m.release)
	found := "absent"
	for _, f := range modulesBelow(t, m.Path("/tmp/unpacked")) {
		if strings.ReplaceAll(moduleName(f), "-", "_") != module {
			continue
		}
		if found = "stale"; sha256.Sum256(readModule(t, f)) == sha256.Sum256(readModule(t, m.Path(file))) {
			found = "current"
		}
	}
	return found
}

// kinds are what status finds wrong, by module; "" is the kernel.
func (s status) kinds() map[string][]string {
	kinds := map[string][]string{}
	for _, k := range s.Kernels {
		for _, p := range k.Problems {
			kinds[""] = append(kinds[""], p.Kind)
		}
		for _, mod := range k.Modules {
			for _, p := range mod.Problems {
				kinds[mod.Name] = append(kinds[mod.Name], p.Kind)
			}
		}
	}
	return kinds
}

// TestStatus follows gokms status through the life of packages, of which one
// has a module that the initramfs holds, and through what goes wrong.
func TestStatus(t *testing.T) {
	acceptance(t)
	hdaps, vpoll := build(t, "tp-smapi-dkms", ""), build(t, "vpoll-dkms", "")
	m := newMachine(t)
	m.mustBeWell(t)
	m.Shell(t, "echo hdaps >> /etc/initramfs-tools/modules")
	m.Apt(t, "install", m.image)
	m.mustBeWell(t)
	initrd := m.Path("/boot/initrd.img-" + m.release)
	kernels, err := os.ReadFile(initrd)
	must(t, err)
	m.install(t, vpoll)
	m.mustBeWell(t, "vpoll")
	m.install(t, hdaps)
	all := append(slices.Sorted(maps.Keys(hdaps.modules)), "vpoll")
	m.mustBeWell(t, all...)
	m.install(t, build(t, "tp-smapi-dkms", "r1"))
	m.mustBeWell(t, all...)
	ours, err := os.ReadFile(initrd)
	must(t, err)

	dir := m.Path("/lib/modules/" + m.release)
	for _, step := range []struct {
		name string
		act  func(t *testing.T)
		mend func(t *testing.T)
		want map[string][]string
	}{
		{"the initramfs is from before",
			func(t *testing.T) { must(t, os.WriteFile(initrd, kernels, 0o644)) },
			func(t *testing.T) { must(t, os.WriteFile(initrd, ours, 0o644)) },
			map[string][]string{"hdaps": {"initramfs"}}},
		{"a file is gone",
			func(t *testing.T) { must(t, os.Rename(dir+"/updates/dkms/vpoll.ko", dir+"/vpoll")) },
			func(t *testing.T) { must(t, os.Rename(dir+"/vpoll", dir+"/updates/dkms/vpoll.ko")) },
			map[string][]string{"": {"depmod"}, "vpoll": {"missing"}}},
		{"the fleet wants the kernel's own", func(t *testing.T) {
			must(t, os.MkdirAll(m.Path("/etc/depmod.d"), 0o755))
			must(t, os.WriteFile(m.Path("/etc/depmod.d/x.conf"), []byte("search built-in updates\n"), 0o644))
			m.Run(t, "depmod", m.release)
		}, func(t *testing.T) {
			must(t, os.RemoveAll(m.Path("/etc/depmod.d")))
			m.Run(t, "depmod", m.release)
		}, map[string][]string{"hdaps": {"loses", "initramfs"}}},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.act(t)
			s, code := m.status(t)
			if diff := cmp.Diff(step.want, s.kinds()); diff != "" || code != 1 {
				t.Errorf("exit %d; what is wrong differs (-want +got):\n%s", code, diff)
			}
			step.mend(t)
			m.mustBeWell(t, all...)
		})
	}
	t.Run("an ordinary user", func(t *testing.T) {
		m.Copy(t, "/usr/local/bin", command(t, "gokms"))
		must(t, os.Chmod(initrd, 0o600))
		out := m.Run(t, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "gokms", "status", "hdaps")
		if !strings.Contains(out, "unknown") || !strings.Contains(out, " ok") || !strings.Contains(out, "permission denied") {
			t.Errorf("gokms status says:\n%s", out)
		}
		must(t, os.Chmod(initrd, 0o644))
	})
	m.purge(t, hdaps.name)
	m.mustBeWell(t, "vpoll")
	m.purge(t, vpoll.name, m.image)
	m.mustBeWell(t)
}

// TestCoexist installs a package that coexists with dkms beside what dkms has
// installed, and takes away the one and the other. All along gokms status says
// what dkms status says.
func TestCoexist(t *testing.T) {
	acceptance(t)
	c := newChroot(t, builder(t))
	release := c.kver(t)
	m := &machine{c, release, "linux-image-" + release}
	m.Apt(t, "install", m.image)
	m.Copy(t, "/usr/local/bin", command(t, "gokms-mkbmdeb"))
	source := m.Copy(t, "/tmp/corpus", corpusDeb(t, "vpoll-dkms"))[0]
	m.Run(t, "gokms-mkbmdeb", "--coexist", "--no-dbgsym", "-k", release, "-o", "/tmp/out", source)
	deb := strings.TrimPrefix(glob(t, m.Path("/tmp/out/*.deb")), m.dir)
	conf := m.Path("/usr/lib/depmod.d/vpoll-modules-" + release + ".conf")

	m.Apt(t, "install", source)
	m.takes(t, "updates/dkms/vpoll.ko")
	m.Apt(t, "install", deb)
	m.takes(t, "updates/gokms/vpoll.ko")
	// Without the line it is chance; status says so, and what came of it.
	must(t, os.Rename(conf, conf+"~"))
	m.Run(t, "depmod", release)
	if s, code := m.status(t); code != 1 || !slices.Contains(s.kinds()["vpoll"], "uncertain") {
		t.Errorf("without the line: exit %d, %v", code, s.kinds())
	}
	must(t, os.Rename(conf+"~", conf))
	m.Run(t, "depmod", release)

	m.Run(t, "dkms", "uninstall", "vpoll/"+m.dkmsVersion(t), "-k", release)
	m.takes(t, "updates/gokms/vpoll.ko")
	// dkms installs no module that the kernel has in the same version from
	// elsewhere, and says that it has; --force makes it.
	m.Run(t, "dkms", "install", "vpoll/"+m.dkmsVersion(t), "-k", release)
	if s, code := m.status(t); code != 1 || !slices.Equal(s.kinds()["vpoll"], []string{"dkms"}) {
		t.Errorf("dkms has not installed its module: exit %d, %v", code, s.kinds())
	}
	m.Run(t, "dkms", "uninstall", "vpoll/"+m.dkmsVersion(t), "-k", release)
	m.Run(t, "dkms", "install", "--force", "vpoll/"+m.dkmsVersion(t), "-k", release)
	m.takes(t, "updates/gokms/vpoll.ko")
	m.purge(t, "vpoll-modules-"+release)
	m.takes(t, "updates/dkms/vpoll.ko")
	if _, err := os.Stat(conf); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the line for depmod is left: %v", err)
	}
	m.Run(t, "dkms", "unbuild", "vpoll/"+m.dkmsVersion(t), "-k", release)
	m.takes(t, "")
	m.Apt(t, "install", deb)
	m.purge(t, "vpoll-dkms")
	m.takes(t, "updates/gokms/vpoll.ko")
}

// dkmsVersion is the version of vpoll that dkms knows.
func (m *machine) dkmsVersion(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(m.Run(t, "dkms", "status", "vpoll"), "/")
	return strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == ':' })[0]
}

// takes wants file to be the one that is loaded as vpoll, and status to know
// all of that.
func (m *machine) takes(t *testing.T, file string) {
	t.Helper()
	_, out := m.Try(t, "modinfo", "-k", m.release, "-F", "filename", "vpoll")
	if file != "" && out != path.Join("/lib/modules", m.release, file) || file == "" && strings.HasPrefix(out, "/") {
		t.Errorf("modinfo finds %s; want %s", out, file)
	}
	s, code := m.status(t)
	got := ""
	for _, k := range s.Kernels {
		for _, mod := range k.Modules {
			if mod.Name == "vpoll" {
				got = mod.File
			}
			if mod.File != "" && mod.Verified != "passed" { // the headers are there
				t.Errorf("%s: verified: %s", mod.Name, mod.Verified)
			}
		}
	}
	if got != file || code != 0 {
		t.Errorf("status: vpoll is %q; want %q (exit %d, %v)", got, file, code, s.kinds())
	}
	var lines []string
	for _, d := range s.DKMS {
		line := d.Name + "/" + d.Version
		if d.Kernel != "" {
			line += ", " + d.Kernel + ", " + d.Arch
		}
		lines = append(lines, line+": "+d.State)
	}
	if want := m.Run(t, "dkms", "status"); strings.Join(lines, "\n") != want {
		t.Errorf("status has of dkms %q; dkms status: %q", lines, want)
	}
}

func glob(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("%s: %q; want one file", pattern, files)
	}
	return files[0]
}
