// SPDX-License-Identifier: MIT

package kmod

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// foreignModule is a module of arm64 with debug information, as its compiler
// makes one.
func foreignModule(t *testing.T) string {
	t.Helper()
	const cc = "aarch64-linux-gnu-gcc-12"
	testkit.Tools(t, cc)
	dir := t.TempDir()
	source, path := filepath.Join(dir, "m.c"), filepath.Join(dir, "m.ko")
	text := `static const char info[] __attribute__((section(".modinfo"), used)) = "vermagic=6.1.0-56-arm64 SMP";
int init_module(void) { return 0; }
`
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	output(t, cc, "-g", "-O2", "-c", "-o", path, source)
	return path
}

func TestOracleStripForeign(t *testing.T) {
	testkit.Tools(t, "aarch64-linux-gnu-strip", "aarch64-linux-gnu-objcopy", "readelf", "strip")
	path := foreignModule(t)
	if err := Strip(t.Context(), path, nil); err == nil {
		t.Skip("this machine's own strip knows arm64: nothing to tell apart")
	}
	o := &Options{CrossPrefix: "aarch64-linux-gnu-"}
	debug := filepath.Join(t.TempDir(), "m.debug")
	if err := SplitDebug(t.Context(), path, debug, o); err != nil {
		t.Fatal(err)
	}
	if got := output(t, "readelf", "-SW", debug); !strings.Contains(got, ".debug_info") {
		t.Errorf("the split debug information has no .debug_info:\n%s", got)
	}
	if err := Strip(t.Context(), path, o); err != nil {
		t.Fatal(err)
	}
	sections := output(t, "readelf", "-hSW", path)
	if strings.Contains(sections, ".debug_") || !strings.Contains(sections, ".modinfo") || !strings.Contains(sections, "AArch64") {
		t.Errorf("after Strip():\n%s", sections)
	}
}
