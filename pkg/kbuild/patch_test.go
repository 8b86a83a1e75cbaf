// SPDX-License-Identifier: MIT

package kbuild

import (
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/dkms"
)

func TestPatchSteps(t *testing.T) {
	testkit.Tools(t, "patch")
	first := "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"
	for _, row := range []struct {
		name, patch string
		want        string // part of the excerpt; "": it applies
	}{
		{"applies", first, ""},
		{"new file", "--- /dev/null\n+++ b/sub/new\n@@ -0,0 +1 @@\n+x\n", ""},
		{"rejected", "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-z\n+b\n", "1 out of 1 hunk FAILED"},
		{"reversed", "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-z\n+a\n", "hunk"},
		{"unknown file asks nobody", "--- a/g\n+++ b/g\n@@ -1 +1 @@\n-a\n+b\n", "can't find file to patch"},
		{"outside", "--- a/../../../x\n+++ b/../../../x\n@@ -0,0 +1 @@\n+x\n", "potentially dangerous file name"},
		{"garbage", "this is no patch\n", "Only garbage was found"},
	} {
		b := newBuild(t, ": > foo.ko", map[string]string{"f": "a\n", "patches/p.diff": row.patch})
		b.Conf.Patches = []string{"p.diff"}
		if row.want == "" {
			mustDo(t, b)
			continue
		}
		e := mustFail(t, b, "patch p.diff")
		if !strings.Contains(e.Excerpt, row.want) || e.ExitCode < 1 {
			t.Errorf("%s: exit code %d, excerpt %q; want %q", row.name, e.ExitCode, e.Excerpt, row.want)
		}
	}
}

func TestCheckPatches(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{
		"patches/a.diff": "", "patches/sub/b.diff": "", "top.diff": "", "patches/l.diff": "-> a.diff", "patches/dangling": "-> nowhere",
	})
	for _, row := range []struct{ name, want string }{
		{"a.diff", ""},
		{"sub/b.diff", ""},
		{"./sub//b.diff", ""},
		{"l.diff", ""},
		{"c.diff", "not found in " + dir + "/patches"},
		{"dangling", "not found"},
		{"../top.diff", `".." is not allowed`},
		{"sub/../a.diff", `".." is not allowed`},
		{"/etc/passwd", "not a file name below"},
		{"", "not a file name below"},
		{".", "not a file name below"},
		{"sub", "not a regular file"},
	} {
		err := checkPatches(dir, &dkms.Conf{File: "x.dkms", Patches: []string{row.name}})
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("checkPatches(%q) = %v; want %q", row.name, err, row.want)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "x.dkms: PATCH ") {
			t.Errorf("checkPatches(%q) = %v; want the file's name in front", row.name, err)
		}
	}
	err := checkPatches(dir, &dkms.Conf{Patches: []string{"x", "a.diff", "y"}})
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("checkPatches of two bad ones = %v; want both", err)
	}
}
