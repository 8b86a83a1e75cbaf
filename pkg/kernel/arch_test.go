// SPDX-License-Identifier: MIT

package kernel

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

func TestSetArch(t *testing.T) {
	for _, tt := range []struct{ config, deb, build, want string }{
		{"X86_64", "", "amd64", "amd64 x86_64 x86 x86_64-linux-gnu"},
		{"X86_64", "all", "amd64", "amd64 x86_64 x86 x86_64-linux-gnu"},
		{"X86_64", "i386", "amd64", "i386 x86_64 x86 x86_64-linux-gnu"},
		{"X86_64", "", "i386", "amd64 x86_64 x86 x86_64-linux-gnu"},
		{"X86_64", "", "arm64", "amd64 x86_64 x86 x86_64-linux-gnu x86_64-linux-gnu-"},
		{"X86_64", "", "unknown", "amd64 x86_64 x86 x86_64-linux-gnu x86_64-linux-gnu-"},
		{"X86_32", "i386", "i386", "i386 i686 x86 i686-linux-gnu"},
		{"X86_32", "i386", "amd64", "i386 i686 x86 i686-linux-gnu i686-linux-gnu- untried"},
		{"ARM64 64BIT", "arm64", "arm64", "arm64 aarch64 arm64 aarch64-linux-gnu"},
		{"ARM64 64BIT", "", "amd64", "arm64 aarch64 arm64 aarch64-linux-gnu aarch64-linux-gnu-"},
		{"ARM", "armhf", "armhf", "armhf armv7l arm arm-linux-gnueabihf"},
		{"ARM", "armel", "armel", "armel armv5tel arm arm-linux-gnueabi"},
		{"PPC64 CPU_LITTLE_ENDIAN", "ppc64el", "ppc64el", "ppc64el ppc64le powerpc powerpc64le-linux-gnu"},
		{"RISCV 64BIT", "riscv64", "amd64", "riscv64 riscv64 riscv riscv64-linux-gnu riscv64-linux-gnu- untried"},
		{"S390 64BIT", "s390x", "s390x", "s390x s390x s390 s390x-linux-gnu"},
		{"LOONGARCH 64BIT", "loong64", "loong64", "loong64 loongarch64 loongarch loongarch64-linux-gnu"},
		{"MIPS 64BIT CPU_LITTLE_ENDIAN", "mips64el", "mips64el", "mips64el mips64 mips mips64el-linux-gnuabi64"},
		{"MIPS 64BIT CPU_LITTLE_ENDIAN", "mipsel", "mipsel", "mipsel mips64 mips mips64el-linux-gnuabi64"},
		{"MIPS CPU_LITTLE_ENDIAN", "", "mipsel", "mipsel mips mips mipsel-linux-gnu"},
		{"PPC64", "", "", "no architecture that this program knows"},
		{"X86_64", "arm64", "", "configured for amd64, but package linux-headers-K is for arm64"},
	} {
		k := &Tree{Release: "K", Config: Config{}}
		for o := range strings.FieldsSeq(tt.config) {
			k.Config["CONFIG_"+o] = "y"
		}
		var got string
		if err := k.setArch(tt.deb, tt.build); err != nil {
			got = err.Error()
		} else {
			got = strings.Join(strings.Fields(strings.Join([]string{k.DebArch, k.Machine, k.KArch, k.GNUType, k.CrossPrefix}, " ")), " ")
		}
		if len(k.Warnings) > 0 {
			got += " untried"
			if want := fmt.Sprintf("kernel K: building for %s on %s has not been tried yet", k.DebArch, tt.build); k.Warnings[0].Error() != want {
				t.Errorf("warning %q; want %q", k.Warnings[0], want)
			}
		}
		if got != tt.want && (k.DebArch != "" || !strings.Contains(got, tt.want)) {
			t.Errorf("setArch(%q, %q) with %s = %q; want %q", tt.deb, tt.build, tt.config, got, tt.want)
		}
	}
}

func TestCrossVariables(t *testing.T) {
	k := &Tree{KArch: "arm64", DebArch: "arm64", BuildArch: "amd64", GNUType: "aarch64-linux-gnu"}
	if got := k.CrossVariables(); got != nil {
		t.Errorf("CrossVariables() of a native tree = %q", got)
	}
	k.CrossPrefix = "aarch64-linux-gnu-"
	want := []string{"ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "DEB_BUILD_ARCH=amd64", "DEB_HOST_ARCH=arm64", "DEB_HOST_GNU_TYPE=aarch64-linux-gnu"}
	if diff := cmp.Diff(want, k.CrossVariables()); diff != "" {
		t.Errorf("CrossVariables() (-want +got):\n%s", diff)
	}
}

func TestArchOf(t *testing.T) {
	for i, a := range Arches() {
		if got, ok := ArchOf(a.Deb); !ok || got != a {
			t.Errorf("ArchOf(%s) = %v, %v; want %v", a.Deb, got, ok, a)
		}
		if a.Tried != (a.Deb == "amd64" || a.Deb == "arm64") {
			t.Errorf("%d: %s: Tried = %v", i, a.Deb, a.Tried)
		}
	}
	if _, ok := ArchOf("alpha"); ok {
		t.Error("ArchOf(alpha) finds one")
	}
}

// TestOracleArches compares the names with dpkg's.
func TestOracleArches(t *testing.T) {
	testkit.Tools(t, "dpkg-architecture", "dpkg")
	if got := run(t, "", "dpkg", "--print-architecture"); got != OwnArch() {
		t.Errorf("OwnArch() = %q; dpkg says %q", OwnArch(), got)
	}
	for _, a := range Arches() {
		// dpkg 1.21 does not know loong64 yet.
		out, err := exec.Command("dpkg-architecture", "-f", "-a"+a.Deb, "-qDEB_HOST_GNU_TYPE").Output()
		if got := strings.TrimSpace(string(out)); (err != nil || got != a.GNUType) && a.Deb != "loong64" {
			t.Errorf("GNUType of %s = %q; dpkg-architecture says %q, %v", a.Deb, a.GNUType, got, err)
		}
	}
}
