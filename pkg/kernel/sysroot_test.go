// SPDX-License-Identifier: MIT

package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unpacked is the package of a kernel's headers, below a directory and with
// the absolute links that Debian's packages have.
func unpacked(release, modules string, changes files) files {
	f := headers(release, changes)
	delete(f, "lib/modules/"+release+"/build")
	f[modules+"/"+release+"/build"] = "-> /usr/src/linux-headers-" + release
	f["usr/src/linux-headers-"+release+"/Makefile"] = "include /usr/src/linux-headers-common/Makefile\n"
	f["usr/src/linux-headers-"+release+"/scripts"] = "-> ../../lib/linux-kbuild/scripts"
	return f
}

func TestOpenSysroot(t *testing.T) {
	for _, tt := range []struct {
		name string
		tree files
		root string // below the sysroot
		want string // BuildDir, SourceDir, BuildLink, CommonDir, ModulesDir; or the error
	}{
		{"debian 12", unpacked(rel, "lib/modules", nil), "lib/modules",
			"$D/lib/modules/R/build $D/usr/src/linux-headers-R /usr/src/linux-headers-R /usr/src/linux-headers-common lib/modules"},
		{"debian 13", unpacked(rel, "usr/lib/modules", nil), "lib/modules",
			"$D/usr/lib/modules/R/build $D/usr/src/linux-headers-R /usr/src/linux-headers-R /usr/src/linux-headers-common usr/lib/modules"},
		{"asked for by its own place", unpacked(rel, "usr/lib/modules", nil), "usr/lib/modules",
			"$D/usr/lib/modules/R/build $D/usr/src/linux-headers-R /usr/src/linux-headers-R /usr/src/linux-headers-common usr/lib/modules"},
		{"relative link", headers(rel, nil), "lib/modules",
			"$D/lib/modules/R/build $D/usr/src/linux-headers-R /usr/src/linux-headers-R  lib/modules"},
		{"more dots than directories", files{"lib/modules/R/build": "-> ../../../../../../../../src/x", "src/x/include/generated/utsrelease.h": "#define UTS_RELEASE \"R\"", "src/x/.config": "CONFIG_X86_64=y\n"}, "lib/modules",
			"$D/lib/modules/R/build $D/src/x /src/x  lib/modules"},
		{"links to links", files{"lib": "-> /usr/lib", "usr/lib/modules/R/build": "-> /a/./b", "a": "-> c/../d", "c/": "", "d/b": "-> ../e/", "e/include/generated/utsrelease.h": "#define UTS_RELEASE \"R\"", "e/.config": "-> /etc/config", "etc/config": "CONFIG_X86_64=y\n"}, "lib/modules",
			"$D/lib/modules/R/build $D/e /e  lib/modules"},
		{"directory", files{"lib/modules/R/build/include/generated/utsrelease.h": "#define UTS_RELEASE \"R\"", "lib/modules/R/build/.config": "CONFIG_X86_64=y\n"}, "lib/modules",
			"$D/lib/modules/R/build $D/lib/modules/R/build   lib/modules"},
		{"loop", files{"lib/modules/R/build": "-> a", "lib/modules/R/a": "-> build"}, "lib/modules",
			"no headers of kernel R: $D/lib/modules/R/build has no directory include"},
		{"common part alone", files{"usr/src/linux-headers-R/include/linux/x.h": ""}, "lib/modules",
			"no headers of kernel R: $D/lib/modules/R does not exist"},
		{"dangling", files{"lib/modules/R/build": "-> /usr/src"}, "lib/modules",
			"no headers of kernel R: $D/lib/modules/R/build points to /usr/src, which does not exist below $D"},
		{"outside", files{}, "../x", "$D/../x is not below $D"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			release, dir := "R", tt.tree.make(t)
			if tt.tree["usr/src/linux-headers-"+rel+"/.config"] != "" {
				release = rel
			}
			k, err := Open(dir+"/"+tt.root, release, &Options{Sysroot: dir})
			var got string
			if err != nil {
				got = err.Error()
			} else {
				got = strings.Join([]string{k.BuildDir, k.SourceDir, k.BuildLink, k.CommonDir, k.ModulesDir}, " ")
			}
			want := strings.NewReplacer("$D/..", filepath.Dir(dir), "$D", dir, "-R", "-"+release, "/R", "/"+release).Replace(tt.want)
			if got != want {
				t.Errorf("Open() gives\n%q; want\n%q", got, want)
			}
		})
	}
}

// TestOpenSysrootLeavesTheHostAlone has files of the tree that are links, to
// something that only the machine itself has.
func TestOpenSysrootLeavesTheHostAlone(t *testing.T) {
	host := files{"config": "CONFIG_ARM64=y\n", "vars": "CC = theirs\n", "symvers": "", "uts": "#define UTS_RELEASE \"x\"", "Makefile": "include /x/Makefile\n"}.make(t)
	dir := unpacked(rel, "lib/modules", files{
		"SRC/include/config/auto.conf": "-> " + host + "/config", "SRC/.kernelvariables": "-> " + host + "/vars",
		"SRC/Module.symvers": "-> " + host + "/symvers", "SRC/include/generated/utsrelease.h": "-> " + host + "/uts",
		"SRC/include/config/kernel.release": rel + "\n",
	}).make(t)
	if err := os.Remove(dir + "/usr/src/linux-headers-" + rel + "/Makefile"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(host+"/Makefile", dir+"/usr/src/linux-headers-"+rel+"/Makefile"); err != nil {
		t.Fatal(err)
	}
	k, err := Open(dir+"/lib/modules", rel, &Options{Sysroot: dir})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{filepath.Base(k.ConfigPath), k.Symvers, k.Compiler.Command, k.CommonDir, k.DebArch}
	if diff := cmp.Diff([]string{".config", "", "gcc-12", "", "amd64"}, got); diff != "" {
		t.Errorf("config, symbols, compiler, common directory, architecture (-want +got):\n%s", diff)
	}
	// As the machine's own the tree has what the links lead to.
	k, err = OpenDir(k.SourceDir, nil)
	if err != nil || k.Release != "x" || k.Compiler.Command != "theirs" || k.Symvers == "" || k.CommonDir != "/x" {
		t.Errorf("OpenDir() = %v, %+v; is there anything to leave alone?", err, k)
	}
}

// TestOpenSysrootAsksNobody: of unpacked packages the machine's dpkg knows
// nothing, whatever they are called.
func TestOpenSysrootAsksNobody(t *testing.T) {
	dir := unpacked(rel, "lib/modules", nil).make(t)
	run := func(c *exec.Cmd) error { return fmt.Errorf("ran %q", c.Args) }
	header := &HeaderPackage{"linux-headers-" + rel, "6.1.192-2", "linux", "6.1.192-2"}
	k, err := Open(dir+"/lib/modules", rel, &Options{Sysroot: dir, Run: run, Header: header, DebArch: "i386", BuildArch: "amd64"})
	if err != nil || len(k.Warnings) > 0 {
		t.Fatalf("Open() = %v, %v", err, k)
	}
	if k.Header != *header || k.DebArch != "i386" || k.CrossPrefix != "" {
		t.Errorf("Header = %v, DebArch %s, CrossPrefix %s; want what was given", k.Header, k.DebArch, k.CrossPrefix)
	}
	if _, err := Open(dir+"/lib/modules", rel, &Options{Sysroot: dir, Header: header, DebArch: "arm64"}); err == nil {
		t.Error("an amd64 tree in an arm64 package is taken")
	}
}

func TestOpenSysrootByALink(t *testing.T) {
	dir := unpacked(rel, "lib/modules", nil).make(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{dir, link} {
		k, err := Open(root+"/lib/modules", rel, &Options{Sysroot: link})
		if err != nil {
			t.Fatal(err)
		}
		if want := dir + "/usr/src/linux-headers-" + rel; k.SourceDir != want || k.BuildLink != "/usr/src/linux-headers-"+rel {
			t.Errorf("SourceDir = %s, BuildLink = %s; want %s and its end", k.SourceDir, k.BuildLink, want)
		}
	}
}

func TestListBelow(t *testing.T) {
	all := unpacked("6.1.0-56-amd64", "lib/modules", nil)
	for _, more := range []files{unpacked("6.1.0-9-amd64", "usr/lib/modules", nil), headers("6.1.0-10-amd64", nil), {"lib/modules/6.1.0-11-amd64/build": "-> /usr/src/gone"}} {
		for name, content := range more {
			all[name] = content
		}
	}
	dir := all.make(t)
	got, err := ListBelow(dir)
	if diff := cmp.Diff([]string{"6.1.0-9-amd64", "6.1.0-10-amd64", "6.1.0-56-amd64"}, got); diff != "" || err != nil {
		t.Errorf("ListBelow(), %v (-want +got):\n%s", err, diff)
	}
	if got, err := ListBelow(t.TempDir()); got != nil || err != nil {
		t.Errorf("ListBelow(empty) = %q, %v; want none", got, err)
	}
	if _, err := ListBelow(dir + "/gone"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ListBelow(absent) = %v; want not exist", err)
	}
	var nf *NotFoundError
	_, err = Open(dir+"/lib/modules", "6.1.0-57-amd64", &Options{Sysroot: dir})
	if !errors.As(err, &nf) || len(nf.Similar) != 2 {
		t.Errorf("Open(other release) = %v; want one with what is in lib/modules", err)
	}
}

func TestOpenDir(t *testing.T) {
	const uts = "include/generated/utsrelease.h"
	for _, tt := range []struct {
		name string
		tree files
		want string // release, directory, link, common directory; or the error
	}{
		{"built with O=", files{uts: "#define UTS_RELEASE \"6.9.0-my+\"\n", ".config": "CONFIG_X86_64=y\n", "Makefile": "# Automatically generated by x/Makefile: don't edit\ninclude /home/me/linux/Makefile\n"},
			"6.9.0-my+ $D $D /home/me/linux"},
		{"prepared in the source", files{"include/config/kernel.release": "6.9.0\n", ".config": "CONFIG_X86_64=y\n", "Makefile": "VERSION = 6\ninclude $(srctree)/scripts/Makefile\n"},
			"6.9.0 $D $D "},
		{"a link", files{uts: "#define UTS_RELEASE \"6.9.0\"\n", ".config": "CONFIG_X86_64=y\n", "Makefile": "-> ../gone/Makefile"}, "6.9.0 $D $D "},
		{"not configured", files{"Makefile": "", "include/linux/": ""}, "no kernel headers: $D has no .config"},
		{"not prepared", files{".config": "CONFIG_X86_64=y\n", "include/linux/": ""}, "no kernel headers: $D has no include/generated/utsrelease.h"},
		{"no tree", files{"README": ""}, "no kernel headers: $D has no directory include"},
		{"odd release", files{uts: "#define UTS_RELEASE \"6.9 mine\"\n", ".config": "CONFIG_X86_64=y\n"}, `$D/` + uts + `: kernel release "6.9 mine" contains ' '`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.tree.make(t)
			k, err := OpenDir(dir, nil)
			var got string
			if err != nil {
				got = err.Error()
			} else {
				got = strings.Join([]string{k.Release, k.SourceDir, k.BuildLink, k.CommonDir}, " ")
			}
			if want := strings.ReplaceAll(tt.want, "$D", dir); got != want {
				t.Errorf("OpenDir() gives\n%q; want\n%q", got, want)
			}
			var nf *NotFoundError
			if errors.As(err, &nf) && !strings.Contains(nf.Hint(), "modules_prepare") {
				t.Errorf("Hint() = %q", nf.Hint())
			}
		})
	}
	dir := unpacked(rel, "lib/modules", nil).make(t)
	k, err := OpenDir(dir+"/usr/src/linux-headers-"+rel, &Options{Sysroot: dir})
	if err != nil || k.BuildLink != "/usr/src/linux-headers-"+rel || k.SourceDir != dir+k.BuildLink {
		t.Errorf("OpenDir() below a sysroot = %+v, %v; want its place there", k, err)
	}
	if _, err := OpenDir(t.TempDir()+"/no", nil); err == nil || !strings.HasSuffix(err.Error(), "/no does not exist") {
		t.Errorf("OpenDir(absent) = %v", err)
	}
}

// TestForeignCompiler has trees of arm64 on amd64, and the other way round.
func TestForeignCompiler(t *testing.T) {
	const gcc = "CONFIG_CC_IS_GCC=y\nCONFIG_GCC_VERSION=120200\nCONFIG_CC_VERSION_TEXT=\"%s (Debian) 12.2.0\"\n"
	const clang = "CONFIG_CC_IS_CLANG=y\nCONFIG_CLANG_VERSION=140006\nCONFIG_CC_VERSION_TEXT=\"Debian clang version 14.0.6\"\n"
	arm := strings.Replace(debian12, "ARCH = x86", "ARCH = arm64", 1)
	for _, tt := range []struct{ name, build, config, vars, want string }{
		{"debian 12", "amd64", "CONFIG_ARM64=y\n" + fmt.Sprintf(gcc, "gcc-12"), arm, "aarch64-linux-gnu-gcc-12 gcc-12-aarch64-linux-gnu []"},
		{"debian 12 at home", "arm64", "CONFIG_ARM64=y\n" + fmt.Sprintf(gcc, "gcc-12"), arm, "gcc-12 gcc-12 []"},
		{"backport", "amd64", "CONFIG_ARM64=y\n" + fmt.Sprintf(gcc, "aarch64-linux-gnu-gcc-12"), "CC = $(CROSS_COMPILE)gcc-12\noverride CROSS_COMPILE = aarch64-linux-gnu-\n", "aarch64-linux-gnu-gcc-12 gcc-12-aarch64-linux-gnu []"},
		{"text alone", "amd64", "CONFIG_ARM64=y\n" + fmt.Sprintf(gcc, "gcc-12"), "", "aarch64-linux-gnu-gcc-12 gcc-12-aarch64-linux-gnu []"},
		{"text of a cross compiler", "amd64", "CONFIG_ARM64=y\n" + fmt.Sprintf(gcc, "aarch64-linux-gnu-gcc"), "", "aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu []"},
		{"no text", "amd64", "CONFIG_ARM64=y\n", "", "aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu [$D/include/config/auto.conf: names no compiler, taking aarch64-linux-gnu-gcc]"},
		{"amd64 on arm64", "arm64", "CONFIG_X86_64=y\n" + fmt.Sprintf(gcc, "gcc-12"), debian12, "x86_64-linux-gnu-gcc-12 gcc-12-x86-64-linux-gnu []"},
		{"backport on arm64", "arm64", "CONFIG_X86_64=y\n" + fmt.Sprintf(gcc, "x86_64-linux-gnu-gcc-12"), backport, "x86_64-linux-gnu-gcc-12 gcc-12-x86-64-linux-gnu []"},
		{"clang", "amd64", "CONFIG_ARM64=y\n" + clang, "", "clang clang []"},
		{"fixed compiler", "amd64", "CONFIG_ARM64=y\n" + fmt.Sprintf(gcc, "gcc-12"), "CC = gcc-12\n", `$D: the compiler becomes "gcc-12", which is not one for arm64 on amd64`},
		{"of a third", "amd64", "CONFIG_ARM64=y\n" + fmt.Sprintf(gcc, "riscv64-linux-gnu-gcc-12"), "", `$D: the compiler becomes "riscv64-linux-gnu-gcc-12", which is not one for arm64 on amd64`},
		{"own compiler", "amd64", "CONFIG_ARM64=y\n" + fmt.Sprintf(gcc, "/opt/arm-gcc"), "", `/opt/arm-gcc  [$D: "/opt/arm-gcc", which modules are to be compiled with, is no name of gcc or clang: its version is not asked for]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changes := files{"SRC/.config": tt.config}
			if tt.vars != "" {
				changes["SRC/.kernelvariables"] = tt.vars
			}
			dir := headers(rel, changes).make(t)
			k, err := Open(dir+"/lib/modules", rel, &Options{BuildArch: tt.build})
			got := fmt.Sprint(err)
			if err == nil {
				got = fmt.Sprintf("%s %s %v", k.Compiler.Command, k.Compiler.Package, k.Warnings)
			}
			if got = strings.ReplaceAll(got, dir+"/usr/src/linux-headers-"+rel, "$D"); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if err != nil || k.Compiler.Package == "" {
				return
			}
			err = k.CheckCompiler(func(string) (string, error) { return "", exec.ErrNotFound })
			if hint := err.(*CompilerError).Hint(); hint != "install the package "+k.Compiler.Package {
				t.Errorf("Hint() = %q", hint)
			}
		})
	}
}

// TestProgramsSeeNothingOfUs has a PATH, and a variable that moves dpkg's
// database.
func TestProgramsSeeNothingOfUs(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("DPKG_ADMINDIR", "/nonexistent")
	var seen []string
	o := &Options{AdminDir: "DB", Run: func(c *exec.Cmd) error { seen = append(c.Env, c.Path); return exitError(1) }}
	if _, err := Open(headers(rel, nil).make(t)+"/lib/modules", rel, o); err != nil {
		t.Fatal(err)
	}
	want := []string{"LC_ALL=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if len(seen) != 3 || seen[0] != want[0] || seen[1] != want[1] {
		t.Errorf("dpkg-query's environment and path: %q; want %q", seen, want)
	}
	if found, err := exec.LookPath("/usr/bin/dpkg-query"); err == nil && len(seen) == 3 && seen[2] != found {
		t.Errorf("dpkg-query is %s; want %s", seen[2], found)
	}
}

func TestResolveBelow(t *testing.T) {
	dir := files{"a/b/f": "", "in": "-> /a/b", "out": "-> /etc/passwd", "up": "-> ../../../a", "loop": "-> loop"}.make(t)
	for _, tt := range []struct{ path, want string }{
		{"in/f", "$D/a/b/f"}, {"/in", "$D/a/b"}, {"up/b", "$D/a/b"}, {"../../a", "$D/a"}, {"/", "$D"},
		{"out", "lstat $D/etc: no such file or directory"}, {"loop", "resolve $D/loop: too many levels of symbolic links"},
	} {
		got, err := ResolveBelow(dir, tt.path)
		if err != nil {
			got = err.Error()
		}
		if got = strings.ReplaceAll(got, dir, "$D"); got != tt.want {
			t.Errorf("ResolveBelow(%s) = %s; want %s", tt.path, got, tt.want)
		}
	}
}
