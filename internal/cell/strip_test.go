// SPDX-License-Identifier: MIT

package cell

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/sandbox"
	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kbuild"
)

// compiled puts n modules with debug information where a build leaves them.
func compiled(t *testing.T, c *Cell, n int) []*module {
	t.Helper()
	text := `static const char info[] __attribute__((section(".modinfo"), used)) = "vermagic=6.1.0-9-amd64 SMP";
int init_module(void) { return 0; }
`
	source := filepath.Join(t.TempDir(), "m.c")
	object := strings.TrimSuffix(source, "c") + "ko"
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("gcc", "-g", "-O2", "-r", "-nostdlib", "-Wl,--build-id", "-ffile-prefix-map="+filepath.Dir(source)+"=.", "-o", object, source)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	code, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	var modules []*module
	for i := range n {
		name := fmt.Sprintf("m%d", i)
		path := filepath.Join(c.modulesDir(), fmt.Sprint(i%3), name+".ko")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, code, 0o644); err != nil {
			t.Fatal(err)
		}
		m := kbuild.Module{Module: dkms.Module{BuiltName: name, DestName: name, Strip: i != 1}, Path: path}
		modules = append(modules, &module{Module: m, path: path})
	}
	return modules
}

// TestStripSandboxed strips what a build has made in the sandbox, and has the
// bytes that the same programs make without.
func TestStripSandboxed(t *testing.T) {
	testkit.Tools(t, "gcc", "strip", "objcopy", "bwrap")
	if err := sandbox.Probe(t.Context(), nil); err != nil {
		t.Skip("missing: ", err)
	}
	sums := map[bool][]string{}
	for _, sandboxed := range []bool{false, true} {
		c := verifiable(t, "foo")
		c.opts.Sandboxed, c.opts.Dbgsym, c.opts.Jobs = sandboxed, true, 2
		var saw []string
		c.opts.Tell = func(cmd *exec.Cmd) { saw = append(saw, cmd.Args[0]) }
		modules := compiled(t, c, 23)
		start := time.Now()
		if err := c.strip(t.Context(), modules); err != nil {
			t.Fatal(err)
		}
		t.Logf("sandboxed %v: %v for %d modules", sandboxed, time.Since(start), len(modules))
		if want := map[bool]int{false: 0, true: 2}[sandboxed]; len(saw) != want {
			t.Errorf("%d commands %q in the sandbox; want %d", len(saw), saw, want)
		}
		for _, m := range modules {
			if m.Strip != (m.debug != nil) || m.file.Debug == m.Strip {
				t.Errorf("%s: strip %v, copied debug information %v, debug information %v", m.DestName, m.Strip, m.debug != nil, m.file.Debug)
			}
			info, err := os.Lstat(m.path)
			if err != nil {
				t.Fatal(err)
			}
			if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != os.Geteuid() || info.Mode() != 0o644 {
				t.Errorf("%s: %v of user %d", m.path, info.Mode(), uid)
			}
			_, sum, err := debfile.Sum(m.path)
			if err != nil {
				t.Fatal(err)
			}
			sums[sandboxed] = append(sums[sandboxed], sum)
		}
	}
	if fmt.Sprint(sums[true]) != fmt.Sprint(sums[false]) {
		t.Errorf("in the sandbox: %v\nwithout: %v", sums[true], sums[false])
	}
}
