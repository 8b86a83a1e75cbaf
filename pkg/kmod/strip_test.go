// SPDX-License-Identifier: MIT

package kmod

import (
	"os"
	"os/exec"
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

// TestOracleStripAll strips several modules by one command, and names the one
// that cannot be.
func TestOracleStripAll(t *testing.T) {
	testkit.Tools(t, "aarch64-linux-gnu-strip", "aarch64-linux-gnu-objcopy", "xargs")
	calls := 0
	o := &Options{CrossPrefix: "aarch64-linux-gnu-", Jobs: 2, Run: func(cmd *exec.Cmd) error { calls++; return cmd.Run() }}
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"a.ko", "b c.ko", "-d\n{}.ko"} {
		paths = append(paths, filepath.Join(dir, name))
		if err := os.Rename(foreignModule(t), paths[len(paths)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := SplitDebugAll(t.Context(), paths, o); err != nil {
		t.Fatal(err)
	}
	if err := StripAll(t.Context(), paths, o); err != nil {
		t.Fatal(err)
	}
	if calls != 2 {
		t.Errorf("%d commands; want 2", calls)
	}
	for _, path := range paths {
		if name, err := debugSection(path); err != nil || name != "" {
			t.Errorf("%q: has %q, %v", path, name, err)
		}
		if name, err := debugSection(path + DebugSuffix); err != nil || name == "" {
			t.Errorf("%q: has %q, %v", path+DebugSuffix, name, err)
		}
	}
	if err := os.WriteFile(paths[1], []byte("no module"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := StripAll(t.Context(), paths, o); err == nil || !strings.Contains(err.Error(), "b c.ko") {
		t.Errorf("StripAll() of no module = %v", err)
	}
	o.CrossPrefix = "no-such-"
	if err := StripAll(t.Context(), paths, o); err == nil || !strings.Contains(err.Error(), "no-such-strip is not installed") {
		t.Errorf("StripAll() without the program = %v", err)
	}
}
