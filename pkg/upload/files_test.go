// SPDX-License-Identifier: MIT

package upload

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

const control = "Source: a\nMaintainer: A <a@example.org>\n\nPackage: a\nArchitecture: all\nDescription: a\n"

// source makes a source package; list is its debian/files, "" for none.
func source(t *testing.T, list string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"control": control}
	if list != "" {
		files["files"] = list
	}
	if err := os.Mkdir(filepath.Join(dir, "debian"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "debian", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func list(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "debian/files"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAddFiles(t *testing.T) {
	add := File{Name: "b-modules-6_2_amd64.deb", Section: "kernel", Priority: "optional", Attributes: []string{"automatic=yes"}}
	const line = "b-modules-6_2_amd64.deb kernel optional automatic=yes\n"
	for _, tt := range []struct{ name, before, after string }{
		{"first", "", line},
		{"beside another", "a_1_all.deb misc optional\n", "a_1_all.deb misc optional\n" + line},
		{"again", line, line},
		{"another version of it", "b-modules-6_1_amd64.deb x y\n", line},
		{"another architecture", "b-modules-6_1_arm64.deb x y\n", "b-modules-6_1_arm64.deb x y\n" + line},
		{"no newline at the end", "z_1_all.deb misc optional", line + "z_1_all.deb misc optional\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := source(t, tt.before)
			if err := AddFiles(dir, add); err != nil {
				t.Fatal(err)
			}
			if got := list(t, dir); got != tt.after {
				t.Errorf("debian/files = %q; want %q", got, tt.after)
			}
		})
	}
}

func TestAddFilesRefuses(t *testing.T) {
	for _, f := range []File{
		{Name: "a b_1_all.deb", Section: "s", Priority: "p"},
		{Name: "../a_1_all.deb", Section: "s", Priority: "p"},
		{Name: "a_1_all.deb", Section: "", Priority: "p"},
		{Name: "a_1_all.deb", Section: "s", Priority: "p q"},
		{Name: "a_1_all.deb", Section: "s", Priority: "p", Attributes: []string{"x=\n"}},
	} {
		dir := source(t, "")
		if err := AddFiles(dir, f); err == nil || !strings.HasPrefix(err.Error(), "debian/files: ") {
			t.Errorf("AddFiles(%+v) = %v; want an error", f, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "debian/files")); err == nil {
			t.Errorf("AddFiles(%+v) wrote debian/files", f)
		}
	}
	if err := AddFiles(t.TempDir(), File{Name: "a_1_all.deb", Section: "s", Priority: "p"}); err == nil {
		t.Error("AddFiles without debian/control = nil")
	}
}

func TestCheck(t *testing.T) {
	dir := source(t, "a_1_all.deb x y\n")
	if err := Check(dir); err != nil {
		t.Error(err)
	}
	if got := list(t, dir); got != "a_1_all.deb x y\n" {
		t.Errorf("Check leaves %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "debian/files?*")); len(left) > 0 {
		t.Errorf("Check leaves %q", left)
	}
	for _, blocked := range []string{"debian/files.new", "debian/files"} {
		dir := source(t, "")
		if err := os.Mkdir(filepath.Join(dir, blocked), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := Check(dir); err == nil || !strings.Contains(err.Error(), blocked) {
			t.Errorf("Check with a directory %s = %v", blocked, err)
		}
	}
	if err := Check(t.TempDir()); err == nil {
		t.Error("Check without debian/control = nil")
	}
}

// TestAddFilesLocked has dpkg-distaddfile and AddFiles write at the same time:
// no entry may be lost.
func TestAddFilesLocked(t *testing.T) {
	testkit.Tools(t, "dpkg-distaddfile")
	dir := source(t, "")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := string(rune('a'+i)) + "_1_all.deb"
			if err := AddFiles(dir, File{Name: "go-" + name, Section: "s", Priority: "p"}); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			name := string(rune('a'+i)) + "_1_all.deb"
			cmd := exec.Command("dpkg-distaddfile", "dpkg-"+name, "s", "p")
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
	if got := strings.Count(list(t, dir), "\n"); got != 16 {
		t.Errorf("%d entries; want 16:\n%s", got, list(t, dir))
	}
}
