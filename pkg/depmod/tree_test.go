// SPDX-License-Identifier: MIT

package depmod

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestNewTree(t *testing.T) {
	got := NewTree("6.1", "./lib/modules/6.1/a.ko", "/usr/lib/modules/6.1/x//b.ko", "lib/modules/6.1/", "lib/modules/6.1", "lib/modules/6.10/c.ko",
		"lib/modules/6.1/../d.ko", "usr/lib/modules/6.1/e", "/etc/f.ko").Files
	if want := []string{"a.ko", "x/b.ko", "e"}; !slices.Equal(got, want) {
		t.Errorf("Files = %q; want %q", got, want)
	}
}

func TestModuleName(t *testing.T) {
	for file, want := range map[string]string{
		"kernel/a-b.ko.xz": "a_b", "a.b.ko": "a", "/x/.a.ko": "", "x[1-2].ko": "x[1_2]", "kernel.d/a.ko": "a",
	} {
		if got := ModuleName(file); got != want {
			t.Errorf("ModuleName(%s) = %q; want %q", file, got, want)
		}
	}
}

func TestWalk(t *testing.T) {
	for _, tt := range []struct {
		name, conf      string
		files           []string
		want, externals string
		warnings        []string
	}{
		{"plain", "", []string{"lib/modules/K/kernel/a.ko: ", "lib/modules/K/modules.dep: ", "lib/modules/K/b.ko.xz: ", "lib/modules/L/c.ko: "}, "b.ko.xz kernel/a.ko", "", nil},
		{"hidden", "", []string{"lib/modules/K/.x/a.ko: "}, ".x/a.ko", "", nil},
		{"build and source", "", []string{"lib/modules/K/build/a.ko: ", "lib/modules/K/source -> /src", "src/b.ko: ", "lib/modules/K/x/build/c.ko: ", "lib/modules/K/builds/d.ko: "}, "builds/d.ko", "", nil},
		{"links", "", []string{"lib/modules/K/x -> /opt", "opt/a.ko -> b", "opt/b: ", "lib/modules/K/c.ko -> /dev/zero", "lib/modules/K/d.ko -> ../../../dir", "dir/e.ko: "},
			"d.ko/e.ko x/a.ko", "", []string{"/lib/modules/K/c.ko: stat "}},
		{"merged usr", "", []string{"usr/lib/modules/K/a.ko: ", "lib -> usr/lib"}, "a.ko", "", nil},
		{"broken link", "", []string{"lib/modules/K/a.ko -> nosuch"}, "", "", []string{"/lib/modules/K/a.ko: stat "}},
		{"link back", "", []string{"lib/modules/K/x/a.ko: ", "lib/modules/K/x/up -> ..", "lib/modules/K/x/y/self -> ."}, "x/a.ko", "",
			[]string{"/lib/modules/K/x/up: a link back", "/lib/modules/K/x/y/self: a link back"}},
		{"two links to one directory", "", []string{"lib/modules/K/x -> /opt", "lib/modules/K/y -> /opt", "opt/a.ko: "}, "x/a.ko y/a.ko", "", nil},
		{"external", "external K /e\nexternal L /f\nexternal * /nosuch", []string{"lib/modules/K/a.ko: ", "e/x/b.ko: ", "f/c.ko: "}, "a.ko", "/e/x/b.ko", nil},
		{"external of a link", "external K /e", []string{"lib/modules/K/a.ko: ", "e -> /real", "real/b.ko: "}, "a.ko", "/e/b.ko", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			plant(t, root, tt.files...)
			tree, err := New(Source{"f", []byte(tt.conf)}).Walk(root, "K")
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(tree.Files)
			if got := strings.Join(tree.Files, " "); got != tt.want || strings.Join(tree.External, " ") != tt.externals {
				t.Errorf("Walk found %q, %q; want %q, %q", got, tree.External, tt.want, tt.externals)
			}
			slices.SortFunc(tree.Warnings, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
			if !slices.EqualFunc(tree.Warnings, tt.warnings, func(got error, want string) bool { return strings.HasPrefix(got.Error(), want) }) {
				t.Errorf("Warnings = %q; want %q", tree.Warnings, tt.warnings)
			}
		})
	}
	if _, err := New().Walk(t.TempDir(), "K"); !os.IsNotExist(err) {
		t.Errorf("Walk of nothing: %v; want that it does not exist", err)
	}
}
