// SPDX-License-Identifier: MIT

package kernel

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// run returns what a program prints, without the final newline.
func run(t *testing.T, stdin string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v", argv, err)
	}
	return strings.TrimSpace(string(out))
}

// makeValue is a variable as make sees it at the end of a makefile. The
// makefile's text comes first; env stands in front of make, command behind it.
func makeValue(t *testing.T, makefile, variable, env, command string) string {
	t.Helper()
	argv := append([]string{"env", "-i", "PATH=/usr/bin:/bin"}, strings.Fields(env)...)
	argv = append(argv, "make", "-f", "-", "print-it")
	return run(t, makefile+"\nprint-it:\n\t@echo '$("+variable+")'\n", append(argv, strings.Fields(command)...)...)
}

func TestOracleHeaders(t *testing.T) {
	testkit.Tools(t, "make", "cpp", "dpkg-query")
	for _, release := range testkit.Kernels(t) {
		k, err := Open("/lib/modules", release, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(k.Warnings) > 0 {
			t.Errorf("%s: Warnings = %v", release, k.Warnings)
		}
		// The UTS_RELEASE that modpost writes into every module.
		uts := run(t, "#include <generated/utsrelease.h>\nUTS_RELEASE\n", "cpp", "-P", "-I", k.BuildDir+"/include", "-")
		if uts != `"`+release+`"` {
			t.Errorf("UTS_RELEASE of %s = %s", release, uts)
		}
		fields := run(t, "", "dpkg-query", "-W", "-f", "${Package} ${Version} ${source:Package} ${source:Version} ${Architecture}", "linux-headers-"+release)
		h := k.Header
		if got := fmt.Sprintf("%s %s %s %s %s", h.Name, h.Version, h.Source, h.SourceVersion, k.DebArch); got != fields {
			t.Errorf("header package = %q; dpkg-query says %q", got, fields)
		}
		if owner := run(t, "", "dpkg-query", "-S", "/"+k.ModulesDir+"/"+release+"/build"); owner != h.Name+": /"+k.ModulesDir+"/"+release+"/build" {
			t.Errorf("build link below %s: dpkg-query -S says %q", k.ModulesDir, owner)
		}
		vars := "include " + filepath.Join(k.BuildDir, ".kernelvariables")
		if cc := makeValue(t, vars, "CC", "", ""); cc != k.Compiler.Command {
			t.Errorf("Compiler.Command = %q; make says %q", k.Compiler.Command, cc)
		}
		if arch := makeValue(t, vars, "ARCH", "", ""); arch != k.KArch {
			t.Errorf("KArch = %q; make says %q", k.KArch, arch)
		}
		if runtime.GOARCH == "amd64" && k.DebArch == "amd64" && run(t, "", "uname", "-m") != k.Machine {
			t.Errorf("Machine = %q; uname -m says otherwise", k.Machine)
		}
		if err := k.CheckCompiler(nil); err != nil {
			t.Error(err)
		}
		if err := k.CompareCompiler(nil); err != nil {
			t.Error(err)
		}
		first := run(t, "", k.Compiler.Command, "--version")
		if line, _, _ := strings.Cut(first, "\n"); line != k.Compiler.Text {
			t.Logf("compiler is %q; the kernel's was %q", line, k.Compiler.Text)
		}
		checkSymvers(t, k)
	}
}

// checkSymvers compares the reader with awk.
func checkSymvers(t *testing.T, k *Tree) {
	t.Helper()
	testkit.Tools(t, "awk")
	syms, err := ReadSymvers(k.Symvers)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, s := range syms {
		fmt.Fprintf(&got, "0x%08x %s %s %s %s\n", s.CRC, s.Name, s.Module, s.Export, s.Namespace)
	}
	want := run(t, "", "awk", "-F\t", `{print $1, $2, $3, $4, $5}`, k.Symvers)
	if strings.TrimSpace(got.String()) != want {
		t.Errorf("ReadSymvers(%s) differs from awk", k.Symvers)
	}
}

func TestOracleList(t *testing.T) {
	want := testkit.Kernels(t)
	got, err := List("/lib/modules")
	if err != nil || len(got) != len(want) {
		t.Errorf("List() = %q, %v; want %q in some order", got, err, want)
	}
}

func TestOracleMake(t *testing.T) {
	testkit.Tools(t, "make")
	for _, tt := range makefiles {
		vars := newMakeVars(env(tt.env), strings.Fields(tt.command)...)
		err := vars.parse(strings.NewReader(tt.in), "f")
		if err != nil {
			continue // more than this parser reads
		}
		if _, err := vars.value("CC"); err != nil || tt.want == "" {
			continue // make's own CC is cc
		}
		// make's built-in CC is not there while .kernelvariables is read
		// here, nor does it count for ?= below.
		in := "undefine CC\n" + tt.in
		if got := makeValue(t, in, "CC", tt.env, tt.command); got != tt.want {
			t.Errorf("%s: make has CC = %q; want %q", tt.name, got, tt.want)
		}
	}
}

func TestOracleCompareReleases(t *testing.T) {
	testkit.Tools(t, "dpkg")
	for i, a := range ordered {
		for _, b := range ordered[i:] {
			// "0-" in front keeps dpkg from taking the last "-" for a
			// revision's.
			want := 0
			if exec.Command("dpkg", "--compare-versions", "0-"+clean(a), "lt", "0-"+clean(b)).Run() == nil {
				want = -1
			}
			if got := compareReleases(clean(a), clean(b)); got > 0 || (got < 0) != (want < 0) {
				t.Errorf("compareReleases(%q, %q) = %d; dpkg says %d", a, b, got, want)
			}
		}
	}
}

// clean makes a release a legal Debian revision, which has no "-".
func clean(release string) string { return strings.ReplaceAll(release, "-", "+") }
