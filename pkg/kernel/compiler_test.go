// SPDX-License-Identifier: MIT

package kernel

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// debian12 is what linux 6.1 of Debian has.
const debian12 = `override ARCH = x86
override KERNELRELEASE = 6.1.0-56-amd64
CCACHE = ccache
CC = $(if $(DEBIAN_KERNEL_USE_CCACHE),$(CCACHE)) $(CROSS_COMPILE)gcc-12
ifneq ($(DEB_BUILD_ARCH),$(DEB_HOST_ARCH))
override CROSS_COMPILE = $(DEB_HOST_GNU_TYPE)-
endif
DEBIAN_KERNEL_NO_CC_VERSION_CHECK = y
`

// backport is what linux 6.12 of bookworm-backports and bookworm-security has.
const backport = `override ARCH = x86
override KERNELRELEASE = 6.12.117+deb12-amd64
CCACHE = ccache
CC = $(if $(DEBIAN_KERNEL_USE_CCACHE),$(CCACHE)) $(CROSS_COMPILE)gcc-12
DEB_BUILD_ARCH ?= $(shell dpkg --print-architecture)
override CROSS_COMPILE = x86_64-linux-gnu-
DEBIAN_KERNEL_NO_CC_VERSION_CHECK = y
`

// backportArm is the same for arm64.
const backportArm = `override ARCH = arm64
override KERNELRELEASE = 6.12.117+deb12-arm64
CCACHE = ccache
CC = $(if $(DEBIAN_KERNEL_USE_CCACHE),$(CCACHE)) $(CROSS_COMPILE)gcc-12
DEB_BUILD_ARCH ?= $(shell dpkg --print-architecture)
override CROSS_COMPILE = aarch64-linux-gnu-
override CROSS_COMPILE_COMPAT = arm-linux-gnueabihf-
override CROSS32_COMPILE = arm-linux-gnueabihf-
export CROSS_COMPILE_COMPAT CROSS32_COMPILE
DEBIAN_KERNEL_NO_CC_VERSION_CHECK = y
`

var makefiles = []struct {
	name, in string
	env      string
	want     string // CC, or the error
	command  string // variables on make's command line
}{
	{"debian 12", debian12, "", "gcc-12", ""},
	{"debian 12 cross", debian12, "DEB_BUILD_ARCH=amd64 DEB_HOST_ARCH=arm64 DEB_HOST_GNU_TYPE=aarch64-linux-gnu", "aarch64-linux-gnu-gcc-12", ""},
	{"debian 12 foreign", debian12, "", "aarch64-linux-gnu-gcc-12", "DEB_BUILD_ARCH=amd64 DEB_HOST_ARCH=arm64 DEB_HOST_GNU_TYPE=aarch64-linux-gnu CROSS_COMPILE=lost-"},
	{"backport of 6.12", backport, "", "x86_64-linux-gnu-gcc-12", ""},
	{"backport of 6.12 for arm64", backportArm, "", "aarch64-linux-gnu-gcc-12", "CROSS_COMPILE=lost-"},
	{"export of names", "CC=a\nexport CC X\nexport\n", "", "a", ""},
	{"export of what is computed", "export $(X)\n", "", `f:1: "export $(X)": not an assignment`, ""},
	{"command line over assignment", "CC = a\nCC := b\nCC += c\n", "CC=e", "line", "CC=line"},
	{"override over command line", "override CC = a\noverride CC += b\nCC += c\n", "", "a b", "CC=line"},
	{"override over assignment", "override CC = a\nCC = b\n", "", "a", ""},
	{"export of an override", "export override CC = a\nCC = b\n", "", "a", ""},
	{"exported override over command line", "override export CC = a\n", "", "a", "CC=line"},
	{"command line is expanded", "X=1\n", "", "gcc-1", "CC=gcc-$(X)"},
	{"debian 12 ccache", debian12, "DEBIAN_KERNEL_USE_CCACHE=1", "ccache gcc-12", ""},
	{"if without a version check", "CC = $(if $(DEBIAN_KERNEL_NO_CC_VERSION_CHECK),$(CROSS_COMPILE)gcc-12,gcc-$(V))\nV=13\n", "", "gcc-13", ""},
	{"clang", "LLVM = -21\nCC = $(if $(X),$(Y)) clang-21\n", "", "clang-21", ""},
	{"braces", "V = 12\nCC = ${X}gcc-${V}", "", "gcc-12", ""},
	{"immediate", "V=11\nCC := gcc-$(V)\nV=12\n", "", "gcc-11", ""},
	{"posix immediate", "V=11\nCC ::= gcc-$(V)\nV=12\n", "", "gcc-11", ""},
	{"deferred", "V=11\nCC = gcc-$(V)\nV=12\n", "", "gcc-12", ""},
	{"conditional assignment", "CC ?= gcc-11\nCC ?= gcc-12\n", "", "gcc-11", ""},
	{"append", "CC = gcc\nCC += -m64\n", "", "gcc -m64", ""},
	{"export and override", "export CC=gcc-10\noverride CC = gcc-11\n", "", "gcc-11", ""},
	{"else", "ifdef X\nCC=a\nelse\nCC=b\nendif\n", "", "b", ""},
	{"ifdef", "ifdef X\nCC=a\nelse\nCC=b\nendif\n", "X=1", "a", ""},
	{"ifndef", "ifndef X\nCC=a\nendif\n", "", "a", ""},
	{"ifeq", "X=1\nifeq ($(X),1)\nCC=a\nendif\n", "", "a", ""},
	{"nested", "ifdef X\nifndef Y\nCC=a\nelse\nCC=b\nendif\nelse\nCC=c\nendif\n", "", "c", ""},
	{"nested live", "ifdef X\nifndef Y\nCC=a\nelse\nCC=b\nendif\nelse\nCC=c\nendif\n", "X=1", "a", ""},
	{"nested dead else", "ifdef X\nifdef Y\nCC=a\nelse\nCC=b\nendif\nendif\n", "", "", ""},
	{"comment", "# CC=a\nCC=b # c\n", "", "b", ""},
	{"dollar", "CC=a$$b\n", "", "a$b", ""},
	{"dollar kept by immediate", "CC:=a$$b\n", "", "a$b", ""},
	{"one letter", "X=gcc\nCC=$X-12\n", "", "gcc-12", ""},
	{"computed name", "V=X\nX=gcc\nCC=$($(V))\n", "", "gcc", ""},
	{"function in another variable", "HOSTCC = $(shell which gcc)\nCC = gcc\n", "", "gcc", ""},
	{"empty", "", "", "", ""},
	{"function", "CC = $(shell echo gcc)\n", "", "function shell is not supported", ""},
	{"itself", "CC = $(CC)\n", "", "refers to itself", ""},
	{"exponential", "A=$(B)$(B)\nB=$(C)$(C)\nC=$(D)$(D)$(D)$(D)\nD=$(E)$(E)$(E)$(E)$(E)$(E)\nE=$(F)$(F)$(F)$(F)$(F)\nF=$(G)$(G)$(G)$(G)$(G)$(G)$(G)$(G)$(G)\nCC=$(A)$(A)$(A)$(A)$(A)\n", "", "too many references", ""},
	{"unterminated", "CC = $(X\n", "", "unterminated reference", ""},
	{"shell assignment", "CC != which gcc\n", "", `f:1: "CC != which gcc": runs a shell`, ""},
	{"rule", "all:\n", "", `f:1: "all:": not an assignment`, ""},
	{"recipe", "CC=a\n\techo\n", "", `f:2: "\techo" is not a plain assignment`, ""},
	{"continuation", "CC=a \\\nb\n", "", `f:1: "CC=a \\" is not a plain assignment`, ""},
	{"include", "include x\n", "", `f:1: "include x": not an assignment`, ""},
	{"missing endif", "ifdef X\nCC=a\n", "", `f:2: missing endif`, ""},
	{"stray endif", "CC=a\nendif\n", "", `f:2: "endif": not expected here`, ""},
	{"second else", "ifdef X\nelse\nelse\nendif\n", "", `f:3: "else": second else`, ""},
	{"else if", "ifdef X\nelse ifdef Y\nendif\n", "", `f:2: "else ifdef Y": not expected here`, ""},
}

func env(s string) func(string) string {
	return func(name string) string {
		for kv := range strings.FieldsSeq(s) {
			if k, v, _ := strings.Cut(kv, "="); k == name {
				return v
			}
		}
		return ""
	}
}

func TestMakeVars(t *testing.T) {
	for _, tt := range makefiles {
		vars := newMakeVars(env(tt.env), strings.Fields(tt.command)...)
		err := vars.parse(strings.NewReader(tt.in), "f")
		var got string
		if err == nil {
			got, err = vars.value("CC")
		}
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: CC of %q = %q; want %q", tt.name, tt.in, got, tt.want)
		}
	}
}

func FuzzMakeVars(f *testing.F) {
	for _, tt := range makefiles {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		vars := newMakeVars(nil, "CC=x", "V=$(CC)")
		if vars.parse(strings.NewReader(in), "f") != nil {
			return
		}
		vars.value("CC")
	})
}

func TestCompiler(t *testing.T) {
	const gcc = "CONFIG_CC_IS_GCC=y\nCONFIG_GCC_VERSION=%d\nCONFIG_CLANG_VERSION=0\nCONFIG_CC_VERSION_TEXT=\"%s\"\n"
	const clang = "CONFIG_CC_IS_CLANG=y\nCONFIG_GCC_VERSION=0\nCONFIG_CLANG_VERSION=%d\nCONFIG_LD_IS_LLD=y\nCONFIG_CC_VERSION_TEXT=\"%s\"\n"
	for _, tt := range []struct {
		name, config, vars, env string
		want                    string // command package major LLVM linker
		warns                   string
	}{
		{"debian 12", fmt.Sprintf(gcc, 120200, "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"), debian12, "", "gcc-12 gcc-12 12  ", ""},
		{"backport", fmt.Sprintf(gcc, 120200, "x86_64-linux-gnu-gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"), "CC = $(CROSS_COMPILE)gcc-12\n", "", "gcc-12 gcc-12 12  ", ""},
		{"ccache", fmt.Sprintf(gcc, 120200, "gcc-12 x"), debian12, "DEBIAN_KERNEL_USE_CCACHE=1", "gcc-12 gcc-12 12  ", ""},
		{"ubuntu", fmt.Sprintf(gcc, 130200, "x86_64-linux-gnu-gcc-13 (Ubuntu 13.2.0-23ubuntu4) 13.2.0"), "", "", "x86_64-linux-gnu-gcc-13 gcc-13 13  ", ""},
		{"unversioned", fmt.Sprintf(gcc, 110400, "gcc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0"), "", "", "gcc gcc 11  ", ""},
		{"foreign", fmt.Sprintf(gcc, 120200, "aarch64-linux-gnu-gcc-12 (Debian) 12.2.0"), "", "", "aarch64-linux-gnu-gcc-12 gcc-12-aarch64-linux-gnu 12  ", ""},
		{"clang", fmt.Sprintf(clang, 140006, "Debian clang version 14.0.6"), "", "", "clang clang 14 1 ld.lld", ""},
		{"clang-14", fmt.Sprintf(clang, 140006, "Debian clang version 14.0.6"), "LLVM = -14\nCC = clang-14\n", "", "clang-14 clang-14 14 -14 ld.lld-14", "other"},
		{"gcc and lld", fmt.Sprintf(gcc, 120200, "gcc-12 x") + "CONFIG_LD_IS_LLD=y\n", "", "", "gcc-12 gcc-12 12  ld.lld", ""},
		{"no text", "", "", "", "gcc gcc   ", "names no compiler"},
		{"unreadable variables", fmt.Sprintf(gcc, 120200, "gcc-12 x"), "include x\n", "", "gcc-12 gcc-12 12  ", ".kernelvariables:1: \"include x\": not an assignment"},
		{"disagreement", fmt.Sprintf(gcc, 120200, "gcc-12 x"), "CC = gcc-13\n", "", "gcc-13 gcc-13 12  ", "sets gcc-13, but the kernel was compiled with \"gcc-12 x\""},
		{"own compiler", fmt.Sprintf(gcc, 120200, "/opt/bin/gcc (GCC) 12.2.0"), "", "", "/opt/bin/gcc  12  ", "\"/opt/bin/gcc\", which modules are to be compiled with, is no name of gcc or clang"},
		{"a path", fmt.Sprintf(gcc, 120200, "gcc-12 x"), "CC = /home/u/evil\n", "", "/home/u/evil  12  ", "\"/home/u/evil\", which modules"},
		{"another program", fmt.Sprintf(gcc, 120200, "gcc-12 x"), "CC = poweroff\n", "", "poweroff  12  ", "\"poweroff\", which modules"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changes := files{"SRC/.config": "CONFIG_X86_64=y\n" + tt.config}
			if tt.vars != "" {
				changes["SRC/.kernelvariables"] = tt.vars
			}
			k, err := Open(headers(rel, changes).make(t)+"/lib/modules", rel, &Options{Getenv: env(tt.env), BuildArch: "amd64"})
			if err != nil {
				t.Fatal(err)
			}
			c := k.Compiler
			if got := strings.Join([]string{c.Command, c.Package, c.Major, c.LLVM, c.Linker}, " "); got != tt.want {
				t.Errorf("Compiler = %q; want %q", got, tt.want)
			}
			warns := fmt.Sprint(errors.Join(k.Warnings...))
			if tt.warns == "" && len(k.Warnings) > 0 || tt.warns != "other" && !strings.Contains(warns, tt.warns) {
				t.Errorf("Warnings = %s; want %q", warns, tt.warns)
			}
		})
	}
}

// TestCompilerIsNoOption has what a DEB_HOST_ARCH without DEB_HOST_GNU_TYPE
// makes of the compiler's name.
func TestCompilerIsNoOption(t *testing.T) {
	tree := headers(rel, files{"SRC/.kernelvariables": debian12}).make(t)
	_, err := Open(tree+"/lib/modules", rel, &Options{Getenv: env("DEB_HOST_ARCH=arm64")})
	want := tree + "/usr/src/linux-headers-" + rel + `/.kernelvariables: CC becomes "-gcc-12", which is no program: is CROSS_COMPILE or DEB_HOST_GNU_TYPE wrong?`
	if err == nil || err.Error() != want {
		t.Errorf("Open() = %v; want %s", err, want)
	}
}

func TestCheckCompiler(t *testing.T) {
	for _, tt := range []struct {
		c         Compiler
		have      string
		err, hint string
	}{
		{Compiler{Command: "gcc-12"}, "gcc-12", "", ""},
		{Compiler{Command: "gcc-12"}, "gcc gcc-13", "gcc-12, which modules of kernel K are built with, is not installed", "install the package gcc-12"},
		{Compiler{Command: "x86_64-linux-gnu-gcc-12"}, "gcc-12", "x86_64-linux-gnu-gcc-12, which modules of kernel K are built with, is not installed",
			"install the package gcc-12 (on a machine of another architecture gcc-12-x86-64-linux-gnu)"},
		{Compiler{Command: "aarch64-linux-gnu-gcc"}, "", "aarch64-linux-gnu-gcc, which modules of kernel K are built with, is not installed", "install the package gcc-aarch64-linux-gnu"},
		{Compiler{Command: "/opt/cc"}, "", "/opt/cc, which modules of kernel K are built with, is not installed", "install /opt/cc where a build looks for it, such as /usr/local/bin"},
		{Compiler{Command: "clang-14", Linker: "ld.lld-14"}, "clang-14", "ld.lld-14, which modules of kernel K are built with, is not installed", "install the package lld-14"},
		{Compiler{Command: "clang", Linker: "ld.lld"}, "clang ld.lld", "", ""},
	} {
		k := &Tree{Release: "K", GNUType: "x86_64-linux-gnu", Compiler: tt.c}
		err := k.CheckCompiler(func(name string) (string, error) {
			if strings.Contains(" "+tt.have+" ", " "+name+" ") {
				return "/usr/bin/" + name, nil
			}
			return "", exec.ErrNotFound
		})
		if tt.err == "" {
			if err != nil {
				t.Errorf("CheckCompiler(%v) = %v", tt.c, err)
			}
			continue
		}
		var ce *CompilerError
		if !errors.As(err, &ce) || ce.Error() != tt.err || ce.Hint() != tt.hint || !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("CheckCompiler(%v) = %v (hint %q); want %q (%q)", tt.c, err, ce.Hint(), tt.err, tt.hint)
		}
	}
}

func TestCompareCompiler(t *testing.T) {
	for _, tt := range []struct {
		command, major, out string
		err                 error
		want                string
	}{
		{"gcc", "12", "12\n", nil, "<nil>"},
		{"clang", "14", "14.0.6\n", nil, "<nil>"},
		{"gcc", "11", "12\n", nil, `kernel K was compiled with "text", and gcc here is version 12`},
		{"gcc-11", "11", "12\n", nil, "<nil>"},
		{"gcc", "", "12\n", nil, "<nil>"},
		{"gcc", "12", "", exitError(1), "gcc -dumpversion: exit status 1"},
	} {
		k := &Tree{Release: "K", Compiler: Compiler{Command: tt.command, Major: tt.major, Text: "text"}}
		if got := fmt.Sprint(k.CompareCompiler(&Options{Run: dpkg(tt.out, tt.err)})); got != tt.want {
			t.Errorf("CompareCompiler(%s, %s) = %s; want %s", tt.command, tt.major, got, tt.want)
		}
	}
}

// TestCompareCompilerRuns has names that a hostile tree may choose.
func TestCompareCompilerRuns(t *testing.T) {
	for _, tt := range []struct {
		command string
		runs    bool
	}{
		{"gcc", true}, {"x86_64-linux-gnu-gcc", true}, {"clang", true},
		{"/tmp/gcc", false}, {"./gcc", false}, {"../x86_64-linux-gnu-gcc", false}, {"sh", false}, {"poweroff", false}, {"gcc\nx", false}, {"", false},
	} {
		k := &Tree{Release: "K", Compiler: Compiler{Command: tt.command, Major: "12"}}
		ran := false
		err := k.CompareCompiler(&Options{
			LookPath: func(name string) (string, error) { return "/usr/bin/" + name, nil },
			Run:      func(cmd *exec.Cmd) error { ran = true; _, err := cmd.Stdout.Write([]byte("12\n")); return err },
		})
		if err != nil || ran != tt.runs {
			t.Errorf("CompareCompiler(%q) = %v, runs it: %v; want %v", tt.command, err, ran, tt.runs)
		}
	}
}

// TestCompareCompilerLooks has a compiler elsewhere than in the caller's PATH.
func TestCompareCompilerLooks(t *testing.T) {
	k := &Tree{Release: "K", Compiler: Compiler{Command: "gcc", Major: "12"}}
	asked := ""
	o := &Options{
		LookPath: func(name string) (string, error) { return "/elsewhere/" + name, nil },
		Run:      func(cmd *exec.Cmd) error { asked = cmd.Path; _, err := cmd.Stdout.Write([]byte("12\n")); return err },
	}
	if err := k.CompareCompiler(o); err != nil || asked != "/elsewhere/gcc" {
		t.Errorf("CompareCompiler() asks %s, %v; want /elsewhere/gcc", asked, err)
	}
}

func TestCheckPahole(t *testing.T) {
	const btf = "CONFIG_X86_64=y\nCONFIG_CC_VERSION_TEXT=\"gcc-12 x\"\nCONFIG_DEBUG_INFO_BTF_MODULES=y\n"
	none := func(name string) (string, error) { return "", exec.ErrNotFound }
	for _, tt := range []struct {
		name   string
		tree   files
		wanted bool
	}{
		{"debian 13", files{"SRC/.config": btf, "SRC/vmlinux": ""}, true},
		{"debian 12", files{"SRC/.config": btf}, false},
		{"without BTF", files{"SRC/vmlinux": ""}, false},
	} {
		k, err := Open(headers(rel, tt.tree).make(t)+"/lib/modules", rel, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = k.CheckPahole(none)
		var ce *CompilerError
		if errors.As(err, &ce) != tt.wanted || k.Pahole != tt.wanted || tt.wanted && ce.Hint() != "install the package pahole" {
			t.Errorf("%s: CheckPahole() = %v; want an error: %v", tt.name, err, tt.wanted)
		}
		if err := k.CheckPahole(func(name string) (string, error) { return "/usr/bin/" + name, nil }); err != nil {
			t.Errorf("%s: CheckPahole() where it is there = %v", tt.name, err)
		}
	}
}
