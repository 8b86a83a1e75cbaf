// SPDX-License-Identifier: MIT

package dh

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/test/debdiff"
)

// ported is a source package that uses dh_dkms.
type ported struct {
	name     string
	control  string // after the fields of the source package
	depends  string // the field that dh-sequence-dkms is in
	files    map[string]string
	args     []string // of dpkg-buildpackage
	explains []debdiff.Explained
}

const dkmsPackage = `
Package: foo-dkms
Architecture: all
Depends: ${misc:Depends}
Description: x
`

// conf is a .dkms file with that version.
func conf(version string) string {
	return "PACKAGE_NAME=\"foo\"\nPACKAGE_VERSION=\"" + version + "\"\nBUILT_MODULE_NAME[0]=\"foo\"\nDEST_MODULE_LOCATION[0]=\"/updates\"\nAUTOINSTALL=\"yes\"\n"
}

// idioms are how Debian's packages use dh_dkms.
var idioms = []ported{
	{
		name: "-V VERSION", control: dkmsPackage,
		files: map[string]string{
			"debian/foo-dkms.dkms":    conf("#MODULE_VERSION#"),
			"debian/foo-dkms.install": "src/* usr/src/foo-1.2/\n",
			"debian/rules": `#!/usr/bin/make -f
include /usr/share/dpkg/pkg-info.mk

%:
	dh $@

override_dh_dkms:
	dh_dkms -V $(DEB_VERSION_UPSTREAM)
`,
		},
	},
	{
		name: "sources installed in an override", control: dkmsPackage,
		files: map[string]string{
			"debian/foo-dkms.dkms": conf("#MODULE_VERSION#"),
			"debian/rules": `#!/usr/bin/make -f
VERSION := $(shell dpkg-parsechangelog -SVersion | sed 's/-[^-]*$$//')

%:
	dh $@

override_dh_auto_install:
	dh_install src/* usr/src/foo-$(VERSION)/
	install -m755 tools/prepare debian/foo-dkms/usr/src/foo-$(VERSION)/

execute_after_dh_dkms:
	echo late > debian/foo-dkms/usr/src/foo-$(VERSION)/late

override_dh_dkms:
	dh_dkms -V
`,
			"tools/prepare": "#!/bin/sh\n",
		},
	},
	{
		name: "generated conf", control: dkmsPackage,
		files: map[string]string{
			"debian/foo-dkms.dkms.in":   strings.Replace(conf("@VERSION@"), "AUTO", "BUILD_EXCLUSIVE_CONFIG=\"CONFIG_NET\"\nAUTO", 1),
			"debian/foo-dkms.install":   "src/* usr/src/foo-1.2/\n",
			"debian/foo-dkms.postinst":  "#!/bin/sh\nset -e\necho own\n#DEBHELPER#\n",
			"debian/foo-dkms.copyright": "x\n",
			"debian/clean":              "debian/foo-dkms.dkms\n",
			"debian/rules": `#!/usr/bin/make -f
include /usr/share/dpkg/pkg-info.mk

%:
	dh $@

override_dh_dkms:
	sed 's/@VERSION@/$(DEB_VERSION_UPSTREAM)/' debian/foo-dkms.dkms.in > debian/foo-dkms.dkms
	dh_dkms
`,
		},
	},
	{
		name: "-- FILE", control: dkmsPackage,
		files: map[string]string{
			"src/dkms.conf": conf("#MODULE_VERSION#"),
			"debian/rules": `#!/usr/bin/make -f
%:
	dh $@

override_dh_install:
	dh_install src usr/src/
	mv debian/foo-dkms/usr/src/src debian/foo-dkms/usr/src/foo-1.2

override_dh_dkms:
	dh_dkms -V -- src/dkms.conf
`,
		},
	},
	{
		name: "-indep only", depends: "Build-Depends-Indep", args: []string{"-A"},
		control: `
Package: foo-utils
Architecture: any
Depends: ${misc:Depends}, ${shlibs:Depends}
Description: x

Package: foo-dkms
Architecture: all
Depends: ${misc:Depends}, make
Description: x
`,
		files: map[string]string{
			"debian/foo-dkms.dkms":    conf("1.2"),
			"debian/foo-dkms.install": "src/* usr/src/foo-1.2/\n",
			"debian/rules": `#!/usr/bin/make -f
%:
	dh $@

override_dh_dkms-indep:
	dh_dkms -V
`,
		},
	},
	{
		name: "nothing in debian/rules, the conf of upstream", control: dkmsPackage,
		files: map[string]string{
			"src/dkms.conf":           strings.Replace(conf("0.9"), "AUTO", "BUILD_EXCLUSIVE_KERNEL_MIN=5.10\nBUILD_DEPENDS=\"gokms-other\"\nAUTO", 1),
			"debian/foo-dkms.dkms":    "src/dkms.conf\n",
			"debian/foo-dkms.install": "src/* usr/src/foo-0.9/\n",
			"debian/rules":            "#!/usr/bin/make -f\n%:\n\tdh $@\n",
		},
		explains: []debdiff.Explained{
			{Line: `- field Depends: dkms \(>= 2.1.0.0\)`, Why: "BUILD_EXCLUSIVE_KERNEL_MIN"},
			{Line: `\+ field Depends: dkms \(>= 3.0.11\)`, Why: "is what dkms understands from that version on"},
		},
	},
}

// source makes the source package.
func (p *ported) source(t *testing.T) *tree {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "foo")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := newTree(t, dir, "foo-1.2")
	depends := p.depends
	if depends == "" {
		depends = "Build-Depends"
	}
	control := "Source: foo\nMaintainer: Jane Doe <jane@example.org>\nPriority: optional\nSection: kernel\n"
	if depends == "Build-Depends" {
		control += "Build-Depends: debhelper-compat (= 13), dh-sequence-dkms\n"
	} else {
		control += "Build-Depends: debhelper-compat (= 13)\n" + depends + ": dh-sequence-dkms\n"
	}
	s.write(t, map[string]string{
		"debian/control":   control + p.control,
		"debian/changelog": "foo (1.2-3) unstable; urgency=medium\n\n  * x\n\n -- Jane Doe <jane@example.org>  Tue, 14 Nov 2023 22:13:20 +0000\n",
		"src/Makefile":     "obj-m := foo.o\n",
		"src/foo.c":        "int foo;\n",
		"src/inc/foo.h":    "\n",
	})
	s.write(t, p.files)
	return s
}

// port makes the two substitutions of which porting consists.
func (s *tree) port(t *testing.T) {
	t.Helper()
	control := s.read(t, "debian/control")
	rules := s.read(t, "debian/rules")
	s.write(t, map[string]string{
		"debian/control": strings.ReplaceAll(control, "dh-sequence-dkms", "dh-sequence-gokms"),
		"debian/rules":   strings.ReplaceAll(rules, "dh_dkms", "dh_gokms"),
	})
}

// TestPort builds each package with dh_dkms and, ported, with dh_gokms: the
// files are the same, and the scripts do the same, but for what the table
// explains.
func TestPort(t *testing.T) {
	testkit.Tools(t, "dh", "dh_dkms", "dpkg-buildpackage", "dpkg-deb")
	for _, p := range idioms {
		t.Run(p.name, func(t *testing.T) {
			args := p.args
			if args == nil {
				args = []string{"-b"}
			}
			old, ported := p.source(t), p.source(t)
			ported.port(t)
			out := old.build(t, args...)
			if !strings.Contains(out, "dh_dkms") {
				t.Fatalf("dh_dkms was not run:\n%s", out)
			}
			out = ported.build(t, args...)
			if strings.Contains(out, "dh_dkms") || strings.Contains(out, "error") {
				t.Errorf("the ported package says:\n%s", out)
			}
			diff := debdiff.Compare(t, old.beside(t, "foo-dkms_1.2-3_all.deb"), ported.beside(t, "foo-dkms_1.2-3_all.deb"))
			debdiff.Check(t, diff, append(debdiff.Scripts, p.explains...)...)
		})
	}
}
