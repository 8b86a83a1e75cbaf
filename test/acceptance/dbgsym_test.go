// SPDX-License-Identifier: MIT

package acceptance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// TestDebugSymbols has gdb show a line of the source for a function of a
// packaged module: only with the package of its debug symbols, which leaves
// the bytes of the other one as they are.
func TestDebugSymbols(t *testing.T) {
	acceptance(t)
	testkit.Tools(t, "gdb", "lintian")
	b := build(t, "v4l2loopback-dkms", "")
	out := "/tmp/dbgsym"
	code, output := gokms.Try(t, append([]string{"gokms-mkbmdeb", "-k", gokms.kver(t), "-o", out},
		gokms.Copy(t, "/tmp/corpus", corpusDeb(t, "v4l2loopback-dkms"))...)...)
	if code != 0 {
		t.Fatalf("gokms-mkbmdeb: exit %d\n%s", code, output)
	}
	deb := gokms.Path(filepath.Join(out, filepath.Base(b.deb)))
	with, err := os.ReadFile(deb)
	must(t, err)
	without, err := os.ReadFile(b.deb)
	must(t, err)
	if string(with) != string(without) {
		t.Errorf("%s differs from that of --no-dbgsym", deb)
	}

	dbgsym := strings.Replace(deb, b.name+"_", b.name+"-dbgsym_", 1)
	for _, line := range lintian(t, dbgsym) {
		t.Errorf("lintian: %s", line)
	}
	root := scratchDir(t, "dbgsym")
	hostOutput(t, "dpkg-deb", "--extract", dbgsym, root)
	module := filepath.Join(b.root, b.modules["v4l2loopback"])
	line := func(debug string) string {
		return hostOutput(t, "gdb", "-nx", "-batch", "-iex", "set debug-file-directory "+debug, "-ex", "info line v4l2_loopback_open", module)
	}
	want := regexp.MustCompile(`^Line [0-9]+ of "/var/lib/dkms/v4l2loopback/0\.12\.7/build/v4l2loopback\.c" starts at address `)
	got := line(filepath.Join(root, "usr/lib/debug"))
	t.Log(got)
	if !want.MatchString(got) {
		t.Errorf("with debug symbols, gdb says %q", got)
	}
	if got := line(t.TempDir()); !strings.Contains(got, "No line number information") {
		t.Errorf("without debug symbols, gdb says %q", got)
	}
}
