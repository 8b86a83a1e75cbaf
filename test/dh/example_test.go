// SPDX-License-Identifier: MIT

package dh

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

// names are the packages that the example becomes, for the kernel of
// linux-headers-amd64.
func names(t *testing.T) (source, meta, modules string) {
	t.Helper()
	depends := run(t, exec.Command("dpkg-query", "-W", "-f", "${Depends}", "linux-headers-amd64"))
	release := regexp.MustCompile(`linux-headers-(\S+)`).FindStringSubmatch(depends)
	if release == nil {
		t.Fatalf("linux-headers-amd64 depends on %q", depends)
	}
	return "i40e-dkms_2.4.6-1_all.deb", "i40e-modules-amd64_2.4.6-1_amd64.deb", "i40e-modules-" + release[1] + "_2.4.6-1_amd64.deb"
}

// wantDebs compares names alone.
func wantDebs(t *testing.T, s *tree, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(s.debs(t)))); diff != "" {
		t.Errorf("packages: %s", diff)
	}
}

// reference is what a build of the example by itself yields, made once.
var reference map[string]string

func referenceDebs(t *testing.T) map[string]string {
	t.Helper()
	if reference == nil {
		s := example(t)
		s.build(t)
		reference = s.debs(t)
	}
	return reference
}

func wantSame(t *testing.T, s *tree) {
	t.Helper()
	if diff := cmp.Diff(referenceDebs(t), s.debs(t)); diff != "" {
		t.Errorf("packages differ from those of another build: %s", diff)
	}
}

// withoutOverride is the output of a build but for the two lines that say that
// i40e replaces the kernel's own.
func withoutOverride(out string) string {
	return regexp.MustCompile(`(?m)^dh_gokms_modules: warning: .* \[override\]\n`).ReplaceAllString(out, "")
}

// TestFull builds source and binaries, and wants all that dpkg and lintian
// know of it to be in order.
func TestFull(t *testing.T) {
	s := example(t)
	source, meta, modules := names(t)
	run(t, s.command(t, "make", "orig"))
	out := s.build(t, "-F")
	wantDebs(t, s, source, meta, modules)
	for _, word := range []string{"warning", "error", "uninitialized"} {
		if strings.Contains(withoutOverride(out), word) {
			t.Errorf("the build says %q:\n%s", word, out)
		}
	}
	for _, pattern := range []string{"*.changes", "*.buildinfo"} {
		text, err := os.ReadFile(s.beside(t, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, deb := range []string{source, meta, modules} {
			if !strings.Contains(string(text), " "+deb+"\n") {
				t.Errorf("%s does not list %s:\n%s", pattern, deb, text)
			}
		}
		name, _, _ := strings.Cut(modules, "_")
		if !regexp.MustCompile(`(?m)^Binary:.* ` + regexp.QuoteMeta(name) + `\b`).Match(text) {
			t.Errorf("%s: Binary lacks %s", pattern, name)
		}
	}
	if want := modules + " kernel optional automatic=yes\n"; !strings.Contains(s.read(t, "debian/files"), want) {
		t.Errorf("debian/files: %s; want %s", s.read(t, "debian/files"), want)
	}
	name, _, _ := strings.Cut(modules, "_")
	if got, want := field(t, s.beside(t, meta), "Depends"), name+" (= 2.4.6-1)"; got != want {
		t.Errorf("%s depends on %q; want %q", meta, got, want)
	}
	if got := field(t, s.beside(t, source), "Depends"); got != "dkms (>= 2.1.0.0)" {
		t.Errorf("%s depends on %q", source, got)
	}
	testkit.Tools(t, "lintian")
	out = run(t, exec.Command("lintian", "--no-cfg", "--allow-root", "--show-overrides", s.beside(t, "*.changes")))
	if out = strings.ReplaceAll(out, "running with root privileges is not recommended!\n", ""); out != "" {
		t.Errorf("lintian: %s", out)
	}
}

func field(t *testing.T, deb, name string) string {
	t.Helper()
	return strings.TrimSpace(run(t, exec.Command("dpkg-deb", "--field", deb, name)))
}

// TestParts builds what is for all architectures and what is for this one in
// two places; together it is what a full build yields.
func TestParts(t *testing.T) {
	source, meta, modules := names(t)
	indep := example(t)
	out := indep.build(t, "-A")
	wantDebs(t, indep, source)
	if strings.Contains(out, "dh_gokms_modules: built") {
		t.Errorf("-A builds modules:\n%s", out)
	}
	arch := example(t)
	arch.build(t, "-B")
	wantDebs(t, arch, meta, modules)
	both := indep.debs(t)
	maps.Copy(both, arch.debs(t))
	if diff := cmp.Diff(referenceDebs(t), both); diff != "" {
		t.Errorf("-A and -B together differ from -b: %s", diff)
	}
}

// TestSameBytes builds in other surroundings.
func TestSameBytes(t *testing.T) {
	nobody := func(t *testing.T, s *tree) {
		if os.Getuid() != 0 {
			return // an ordinary user already
		}
		testkit.Tools(t, "setpriv")
		run(t, exec.Command("chown", "-R", "65534:65534", filepath.Dir(s.dir)))
		s.as = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
	}
	for _, tt := range []struct {
		name string
		in   func(*testing.T, *tree)
		says string // in the build's output
		not  string
	}{
		{name: "again", in: func(t *testing.T, s *tree) { s.build(t) }, says: "dh_gokms_modules: built "},
		{name: "other locale and time zone", in: func(_ *testing.T, s *tree) { s.env = []string{"LC_ALL=C", "TZ=Asia/Tokyo"} }},
		{name: "ordinary user, Rules-Requires-Root: no", in: nobody},
		{name: "fakeroot", in: func(t *testing.T, s *tree) {
			testkit.Tools(t, "fakeroot")
			s.edit(t, "debian/control", "Rules-Requires-Root: no", "Rules-Requires-Root: binary-targets")
			s.edit(t, "src/Makefile", "\n", "\n$(info preload=[$(LD_PRELOAD)$(FAKEROOTKEY)] home=[$(HOME)] flags=[$(CFLAGS)])\n")
			s.env = []string{"CFLAGS=-O9"}
			nobody(t, s)
		}, says: "preload=[] home=[/nonexistent] flags=[]", not: "kept"},
		{name: "a compiler and a ccache of the user's", in: func(t *testing.T, s *tree) {
			bin := filepath.Join(filepath.Dir(s.dir), "user")
			if err := os.Mkdir(bin, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"gcc-12", "cc", "gcc", "ccache"} {
				if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nexit 66\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			s.prepend = bin + ":"
			s.env = []string{"CCACHE_DIR=/nonexistent", "KCFLAGS=-O0", "LD_LIBRARY_PATH=/nonexistent"}
		}},
		{name: "parallel", in: func(_ *testing.T, s *tree) { s.env = []string{"DEB_BUILD_OPTIONS=parallel=3"} }, says: "MAKEFLAGS=-j3\n"},
		{name: "not parallel", in: func(_ *testing.T, s *tree) {
			s.env = []string{"DEB_BUILD_OPTIONS=noautodbgsym nocheck unknown parallel=1"}
		}, says: "MAKEFLAGS=-j1\n"},
		{name: "terse", in: func(_ *testing.T, s *tree) { s.env = []string{"DEB_BUILD_OPTIONS=terse"} }, says: "dpkg-genchanges", not: "i40e_main.o"},
		{name: "quiet", in: func(_ *testing.T, s *tree) { s.env = []string{"DH_QUIET=1"} }, says: "dpkg-genchanges", not: "modules: built"},
		{name: "verbose", in: func(_ *testing.T, s *tree) { s.env = []string{"DH_VERBOSE=1"} },
			says: "\tinstall -p -m0644 src/Makefile debian/i40e-dkms/usr/src/i40e-2.4.6/Makefile\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := example(t)
			tt.in(t, s)
			old := syscall.Umask(0o027)
			out := s.build(t)
			syscall.Umask(old)
			if tt.not == "kept" { // the Makefile is another
				tt.not = "FAKEROOT"
				wantDebs(t, s, slices.Collect(maps.Keys(referenceDebs(t)))...)
			} else {
				wantSame(t, s)
			}
			if !strings.Contains(out, tt.says) {
				t.Errorf("the output does not say %q:\n%s", tt.says, out)
			}
			if tt.not != "" && strings.Contains(out, tt.not) {
				t.Errorf("the output says %q:\n%s", tt.not, out)
			}
		})
	}
}

// TestLegacy ships dkms's own postinst where the package's script looks for it.
func TestLegacy(t *testing.T) {
	testkit.Tools(t, "dkms")
	s := example(t)
	s.edit(t, "debian/rules", "%:", "override_dh_gokms:\n\tdh_gokms -l\n\n%:")
	s.build(t, "-A")
	deb := s.beside(t, "i40e-dkms_*.deb")
	if list := run(t, exec.Command("dpkg-deb", "-c", deb)); !regexp.MustCompile(`(?m)^-rwxr-xr-x root/root .* \./usr/share/i40e-dkms/postinst$`).MatchString(list) {
		t.Errorf("no postinst in\n%s", list)
	}
	if got := field(t, deb, "Depends"); got != "dkms" {
		t.Errorf("Depends: %s; want dkms", got)
	}
}

// TestDbgsym has packages of debug symbols made, which change no other.
func TestDbgsym(t *testing.T) {
	s := example(t)
	s.write(t, map[string]string{"debian/i40e-modules-amd64.gokms-modules": "Kernels: linux-headers-amd64\nDbgsym: yes\n"})
	out := s.build(t)
	_, _, modules := names(t)
	dbgsym := strings.Replace(modules, "_", "-dbgsym_", 1)
	debs := s.debs(t)
	if debs[dbgsym] == "" || strings.Contains(withoutOverride(out), "warning") {
		t.Errorf("packages %q:\n%s", slices.Sorted(maps.Keys(debs)), out)
	}
	delete(debs, dbgsym)
	if diff := cmp.Diff(referenceDebs(t), debs); diff != "" {
		t.Errorf("the other packages: %s", diff)
	}
	changes, err := os.ReadFile(s.beside(t, "*.changes"))
	if err != nil || !strings.Contains(string(changes), " "+dbgsym+"\n") {
		t.Errorf("%s is not in .changes: %v\n%s", dbgsym, err, changes)
	}
	if err := os.Remove(s.beside(t, dbgsym)); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"DEB_BUILD_OPTIONS=noautodbgsym"}
	s.build(t)
	wantSame(t, s)
}

// TestTwice runs the commands again after a build, without dh_prep.
func TestTwice(t *testing.T) {
	s := example(t)
	s.env = []string{"SOURCE_DATE_EPOCH=1795255200"}
	s.build(t)
	debs, state := s.debs(t), s.state(t)
	run(t, s.command(t, "dh_gokms"))
	run(t, s.command(t, "dh_gokms_modules"))
	if diff := cmp.Diff(debs, s.debs(t)); diff != "" {
		t.Errorf("packages: %s", diff)
	}
	again := s.state(t)
	for _, files := range []map[string]string{state, again} {
		// The times in it differ, and what dh_missing is told is told again.
		maps.DeleteFunc(files, func(name, _ string) bool {
			return strings.HasPrefix(name, ".debhelper/gokms/log/") || strings.HasSuffix(name, "/installed-by-dh_gokms")
		})
	}
	if diff := cmp.Diff(state, again); diff != "" {
		t.Errorf("debian/: %s", diff)
	}
	run(t, s.command(t, "dh_clean"))
	clean := slices.Sorted(maps.Keys(s.state(t)))
	if diff := cmp.Diff(slices.Sorted(maps.Keys(example(t).state(t))), clean); diff != "" {
		t.Errorf("dh_clean leaves: %s", diff)
	}
}

// TestSkipped: dh does not even start dh_gokms_modules where there is nothing
// for it, and always starts dh_gokms.
func TestSkipped(t *testing.T) {
	source, _, _ := names(t)
	s := example(t)
	s.write(t, map[string]string{"debian/i40e-modules-amd64.gokms-modules": ""})
	control := s.read(t, "debian/control")
	s.write(t, map[string]string{"debian/control": control[:strings.Index(control, "\nPackage: i40e-modules")]})
	out := s.build(t)
	wantDebs(t, s, source)
	if !strings.Contains(out, "\n   dh_gokms -O--buildsystem=none\n") || strings.Contains(out, "dh_gokms_modules") {
		t.Errorf("dh runs:\n%s", out)
	}
	s.write(t, map[string]string{"debian/i40e-dkms.other.dkms": s.read(t, "debian/i40e-dkms.dkms"), "debian/i40e-dkms.dkms": ""})
	if out = s.build(t); !strings.Contains(out, "\n   dh_gokms -O--buildsystem=none\n") {
		t.Errorf("dh skips dh_gokms:\n%s", out)
	}
	if !strings.Contains(run(t, exec.Command("dpkg-deb", "-c", s.beside(t, source))), "./usr/src/i40e-2.4.6/dkms.conf\n") {
		t.Error("debian/PKG.NAME.dkms was missed")
	}
}

// TestProfile leaves the module packages out by a build profile.
func TestProfile(t *testing.T) {
	source, meta, modules := names(t)
	s := example(t)
	s.edit(t, "debian/control", "Architecture: amd64\n", "Architecture: amd64\nBuild-Profiles: <!pkg.i40e.nomodules>\n")
	s.build(t, "-b", "-Ppkg.i40e.nomodules")
	wantDebs(t, s, source)
	s.build(t)
	wantDebs(t, s, source, meta, modules)
}

// TestMissing: what is taken from debian/tmp counts as installed.
func TestMissing(t *testing.T) {
	s := example(t)
	s.write(t, map[string]string{
		"debian/rules": "#!/usr/bin/make -f\n%:\n\tdh $@ --buildsystem=none\n\n" +
			"override_dh_auto_install:\n\tmkdir -p debian/tmp/usr/share/i40e\n\tcp src/* debian/tmp/usr/share/i40e\n",
		"debian/i40e-dkms.gokms": "usr/share/i40e/*.[ch] usr/share/i40e/Kbuild /\n",
	})
	cmd := s.buildCommand(t)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "dh_missing: error: missing files") || !strings.Contains(string(out), "usr/share/i40e/Makefile") {
		t.Fatalf("dh_missing does not miss the Makefile: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "usr/share/i40e/i40e_main.c exists") {
		t.Errorf("dh_missing misses what was installed:\n%s", out)
	}
	s.write(t, map[string]string{"debian/i40e-dkms.gokms": "usr/share/i40e/* /\n"})
	s.build(t)
	if got, want := s.debs(t), referenceDebs(t); !maps.Equal(got, want) {
		t.Errorf("packages differ: %s", cmp.Diff(want, got))
	}
}

// TestFailures end the build with one error and no module package.
func TestFailures(t *testing.T) {
	source, meta, _ := names(t)
	for _, tt := range []struct {
		name string
		in   func(*testing.T, *tree)
		debs []string
		want []string
	}{
		{"it does not compile", func(t *testing.T, s *tree) { s.edit(t, "src/i40e_ids.c", "struct", "strukt") }, []string{source, meta},
			[]string{"dh_gokms_modules: error: ", "src/i40e_ids.c:", ".log"}},
		{"one of two does not", func(t *testing.T, s *tree) {
			s.write(t, map[string]string{"debian/i40e-modules-amd64.gokms-modules": "Kernels: linux-headers-amd64\nDbgsym: yes\n"})
			s.write(t, map[string]string{"debian/i40e-dkms.z.dkms": "PACKAGE_NAME=z\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME=i40e\nDEST_MODULE_NAME=z\nDEST_MODULE_LOCATION=/extra\nMAKE='make && exit 3'\n"})
		}, []string{source, meta}, []string{"dh_gokms_modules: built i40e-modules-", "dh_gokms_modules: error: z/1 for "}},
		{"another kernel", func(t *testing.T, s *tree) {
			s.write(t, map[string]string{"debian/i40e-modules-amd64.gokms-modules": "Kernels: linux-headers-amd64\n 6.9.9-1-amd64\n"})
		}, nil, []string{
			"dh_gokms: error: debian/i40e-modules-amd64.gokms-modules:2: Kernels: no headers for 6.9.9-1-amd64 in Build-Depends",
			"dh_gokms: hint: add linux-headers-6.9.9-1-amd64 to Build-Depends-Arch in debian/control, and install it",
		}},
		{"debian/files, before anything is compiled", func(t *testing.T, s *tree) {
			s.edit(t, "debian/rules", "%:", "execute_before_dh_gokms_modules:\n\tmkdir debian/files.new\n%:")
		}, []string{source, meta}, []string{"dh_gokms_modules: error: open ", "debian/files.new: is a directory"}},
		{"what the .dkms reads from the sources", func(t *testing.T, s *tree) {
			s.write(t, map[string]string{"src/only": "^nothing$\n"})
			s.edit(t, "debian/i40e-dkms.dkms", "AUTO", "BUILD_EXCLUSIVE_KERNEL=\"$(cat ${source_tree}/i40e-2.4.6/only)\"\nAUTO")
		}, nil, []string{`dh_gokms: error: package i40e-modules-amd64: its modules exclude all the kernels: BUILD_EXCLUSIVE_KERNEL="^nothing$" excludes `}},
		{"override_dh_dkms", func(t *testing.T, s *tree) {
			s.edit(t, "debian/rules", "%:", "override_dh_dkms:\n\tdh_dkms -V\n%:")
		}, nil, []string{"dh_gokms: error: debian/rules:", "target override_dh_dkms is never run"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := example(t)
			tt.in(t, s)
			out, err := s.buildCommand(t).CombinedOutput()
			if err == nil {
				t.Errorf("the build succeeds:\n%s", out)
			}
			for _, want := range tt.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("the output does not say %q:\n%s", want, out)
				}
			}
			if strings.Contains(tt.name, "before") && strings.Contains(string(out), "== MAKE") {
				t.Errorf("modules were compiled:\n%s", out)
			}
			wantDebs(t, s, tt.debs...)
		})
	}
}
