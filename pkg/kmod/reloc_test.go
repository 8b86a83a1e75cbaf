// SPDX-License-Identifier: MIT

package kmod

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

// TestKnownRelocations has the neighbours of the ranges.
func TestKnownRelocations(t *testing.T) {
	t.Parallel()
	for machine, want := range map[elf.Machine]map[uint32]bool{
		elf.EM_X86_64: {0: true, 1: true, 2: true, 3: false, 4: true, 5: false, 9: false, 10: true, 11: true, 12: false, 23: false, 24: true, 25: false, 42: false},
		elf.EM_AARCH64: {
			0: true, 1: false, 255: false, 256: true, 257: true, 262: true, 263: true, 269: true, 276: true, 277: true, 280: true, 281: false,
			282: true, 283: true, 286: true, 287: true, 293: true, 294: false, 298: false, 299: true, 300: false, 311: false, 312: false, 314: false,
		},
	} {
		for kind, known := range want {
			if got := inRanges(relocations[machine], kind); got != known {
				t.Errorf("%v %d: %v; want %v", machine, kind, got, known)
			}
		}
	}
}

// TestOracleRelocations compiles what kernels do and do not take. Debian's
// arm64 kernel says "unsupported RELA relocation: 311" or 312 to a weak function
// whose address is tested.
func TestOracleRelocations(t *testing.T) {
	t.Parallel()
	const weak = "extern int gokms_nowhere(void) __attribute__((weak)); int f(void) { return gokms_nowhere ? gokms_nowhere() : 0; }\n"
	arm64, amd64 := "aarch64-linux-gnu-gcc-12", "gcc"
	kernel := []string{"-O2", "-fno-pic", "-fno-pie", "-ffreestanding", "-g"}
	for _, tt := range []struct {
		name, compiler, code string
		flags                []string
		want                 []relocation
	}{
		{"arm64 weak", arm64, weak, append(kernel, "-mgeneral-regs-only"), []relocation{
			{".text", "R_AARCH64_ADR_GOT_PAGE (311)", "gokms_nowhere"}, {".text", "R_AARCH64_LD64_GOT_LO12_NC (312)", "gokms_nowhere"}}},
		{"arm64 strong", arm64, "extern int g(void), v; int f(void) { return g() + v; }\n", kernel, nil},
		{"amd64 in a section that is not loaded", amd64, "__asm__(\".section .notes\\n.quad x@GOT\");\n", kernel, nil},
		{"amd64 in one that is", amd64, "__asm__(\".section .notes,\\\"a\\\"\\n.quad x@GOT\");\n", kernel, []relocation{{".notes", "R_X86_64_GOT64 (27)", "x"}}},
		{"amd64 weak", amd64, weak, append(kernel, "-mcmodel=kernel"), nil},
		{"amd64 by way of a GOT", amd64, "extern int v; int f(void) { return v; }\n", []string{"-O2", "-fPIC"}, []relocation{
			{".text", "R_X86_64_REX_GOTPCRELX (42)", "v"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testkit.Tools(t, tt.compiler)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a.c"), []byte(tt.code), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), tt.compiler, append(tt.flags, "-c", "a.c")...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			e, err := elf.Open(filepath.Join(dir, "a.o"))
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			var l layout
			if err := l.readRelocations(e); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, l.relocations, cmp.AllowUnexported(relocation{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}
