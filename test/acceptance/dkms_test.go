// SPDX-License-Identifier: MIT

package acceptance

import (
	"bytes"
	"debug/elf"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// better are packages with which gokms does better than dkms, and why.
var better = map[string]string{}

// TestSameAsDKMS compares verdicts and modules with those of the real dkms,
// which builds at its default place. It runs for any package of the corpus:
// see GOKMS_PACKAGES.
func TestSameAsDKMS(t *testing.T) {
	acceptance(t)
	ref := newDKMS(t)
	t.Logf("dkms %s, Linux %s", ref.Run(t, "dkms", "--version"), ref.release)
	for _, source := range packages(t) {
		t.Run(source, func(t *testing.T) {
			start := time.Now()
			want, files := ref.build(t, source)
			middle := time.Now()
			got := build(t, source, "")
			t.Logf("dkms: %s in %.1f s; gokms: %s in %.1f s", want, middle.Sub(start).Seconds(), got.verdict, time.Since(middle).Seconds())
			switch {
			case want == got.verdict:
			case better[source] != "" && want == failed:
				t.Logf("gokms does better: %s", better[source])
			default:
				t.Fatalf("verdict %q; dkms says %q\ngokms: %s\ndkms: %s", got.verdict, want, got.output, ref.output)
			}
			compareModules(t, got, files)
		})
	}
}

// unlike are packages whose modules depend on where or when they are built: the
// sections that may differ from dkms's, and why.
var unlike = map[string]struct {
	sections []string
	why      string
}{
	"iptables-netflow-dkms": {[]string{".note.gnu.build-id", ".modinfo"},
		"./configure writes the build directory into compat_def.h, and srcversion is a hash of it"},
	"openafs-modules-dkms": {[]string{".note.gnu.build-id", ".data", ".symtab"},
		"its version string holds date, user and host, or with SOURCE_DATE_EPOCH, which dkms does not set, that date"},
}

// compareModules wants the same modules in the package as dkms made, byte for
// byte.
func compareModules(t *testing.T, got *built, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		file := got.modules[name]
		if file == "" {
			t.Errorf("module %s is not in %s", name, filepath.Base(got.deb))
			continue
		}
		ours, theirs := readModule(t, filepath.Join(got.root, file)), readModule(t, want[name])
		if bytes.Equal(ours, theirs) {
			continue
		}
		sections := differing(t, ours, theirs)
		if known := unlike[got.source]; slices.Equal(sections, known.sections) {
			t.Logf("module %s differs from dkms's in %q: %s", name, sections, known.why)
			continue
		}
		t.Errorf("module %s differs from dkms's in %q (%d bytes, %d)", name, sections, len(ours), len(theirs))
	}
	for _, name := range slices.Sorted(maps.Keys(got.modules)) {
		if want[name] == "" && len(want) > 0 {
			t.Errorf("module %s is not among those of dkms", name)
		}
	}
}

// differing names the ELF sections in which two modules differ.
func differing(t *testing.T, ours, theirs []byte) []string {
	t.Helper()
	a, err := elf.NewFile(bytes.NewReader(ours))
	must(t, err)
	b, err := elf.NewFile(bytes.NewReader(theirs))
	must(t, err)
	var names []string
	for _, section := range b.Sections {
		mine := a.Section(section.Name)
		if mine == nil {
			names = append(names, "no "+section.Name)
			continue
		}
		x, _ := mine.Data()
		y, _ := section.Data()
		if !bytes.Equal(x, y) {
			names = append(names, section.Name)
		}
	}
	return names
}

// dkms is a system with the real dkms.
type dkms struct {
	*chroot
	release string
	output  string // of the last build
}

// newDKMS sets dkms up so that it does not sign: the signature would be that
// of a key made on the spot.
func newDKMS(t *testing.T) *dkms {
	t.Helper()
	c := newChroot(t, builder(t))
	c.Shell(t, "echo sign_file=/nonexistent >> /etc/dkms/framework.conf")
	return &dkms{chroot: c, release: c.kver(t)}
}

// build lets dkms build the sources of a -dkms package and returns where the
// modules lie on this machine. The package is unpacked, not installed: its
// maintainer scripts would pick kernels of their own and hide what went wrong.
func (d *dkms) build(t *testing.T, source string) (verdict, map[string]string) {
	t.Helper()
	d.Shell(t, `for conf in /usr/src/*/dkms.conf; do rm -rf "${conf%/*}"; done
		rm -rf /tmp/unpacked /var/lib/dkms/*/
		dpkg-deb --extract "$1" /tmp/unpacked
		cp -a /tmp/unpacked/usr/src/. /usr/src`, d.Copy(t, "/tmp", corpusDeb(t, source))...)
	modules := map[string]string{}
	confs, err := filepath.Glob(d.Path("/usr/src/*/dkms.conf"))
	must(t, err)
	for _, conf := range confs {
		if v := d.buildTree(t, filepath.Base(filepath.Dir(conf))); v != "" {
			return v, nil
		}
	}
	kept := scratchDir(t, "dkms")
	for _, file := range modulesBelow(t, d.Path("/var/lib/dkms")) {
		if filepath.Base(filepath.Dir(file)) != "module" {
			continue
		}
		modules[moduleName(file)] = filepath.Join(kept, filepath.Base(file))
		must(t, os.Rename(file, modules[moduleName(file)]))
	}
	return ok(len(modules)), modules
}

// buildTree builds /usr/src/NAME-VERSION and returns the verdict if it is not
// that all went well.
func (d *dkms) buildTree(t *testing.T, folder string) verdict {
	t.Helper()
	code, output := d.Try(t, "dkms", "add", "/usr/src/"+folder)
	if d.output = output; code != 0 {
		return failed
	}
	module := d.Shell(t, `cd /var/lib/dkms
		for m in */*; do [ "$(readlink "$m/source")" != "/usr/src/$1" ] || echo "$m"; done`, folder)
	code, output = d.Try(t, "dkms", "build", module, "-k", d.release)
	d.output = output
	switch code {
	case 0:
		return ""
	case 77:
		return excluded
	}
	return failed
}
