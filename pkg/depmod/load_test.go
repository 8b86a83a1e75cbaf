// SPDX-License-Identifier: MIT

package depmod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// plant makes files below root: "PATH: TEXT", "PATH -> TARGET", "PATH/".
func plant(t *testing.T, root string, files ...string) {
	t.Helper()
	for _, f := range files {
		path, target, link := strings.Cut(f, " -> ")
		path, text, _ := strings.Cut(path, ": ")
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case link:
			err = os.Symlink(target, full)
		case strings.HasSuffix(path, "/"):
			err = os.MkdirAll(full, 0o755)
		default:
			err = os.WriteFile(full, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoad(t *testing.T) {
	for _, tt := range []struct {
		name     string
		files    []string
		want     []string // "PATH DIR...": what is read, and its search words
		warnings []string
	}{
		{"nothing", nil, nil, nil},
		{"by base name", []string{"etc/depmod.d/z.conf: search z", "usr/lib/depmod.d/a.conf: search a", "run/depmod.d/B.conf: search b", "lib -> usr/lib"},
			[]string{"/run/depmod.d/B.conf b", "/usr/lib/depmod.d/a.conf a", "/etc/depmod.d/z.conf z"}, nil},
		{"precedence", []string{"lib/depmod.d/a.conf: search 4", "usr/local/lib/depmod.d/a.conf: search 3", "run/depmod.d/a.conf: search 2", "etc/depmod.d/a.conf: search 1"},
			[]string{"/etc/depmod.d/a.conf 1"}, nil},
		{"precedence without etc", []string{"lib/depmod.d/a.conf: search 4", "usr/local/lib/depmod.d/a.conf: search 3", "run/depmod.d/a.conf: search 2"},
			[]string{"/run/depmod.d/a.conf 2"}, nil},
		{"precedence of the last", []string{"lib/depmod.d/a.conf: search 4", "usr/local/lib/depmod.d/a.conf: search 3"},
			[]string{"/usr/local/lib/depmod.d/a.conf 3"}, nil},
		{"masked", []string{"lib/depmod.d/a.conf: search 4", "etc/depmod.d/a.conf -> /dev/null"}, []string{"/etc/depmod.d/a.conf"}, nil},
		{"masked by a broken link", []string{"lib/depmod.d/a.conf: search 4", "etc/depmod.d/a.conf -> nosuch"}, []string{"/etc/depmod.d/a.conf"},
			[]string{"/etc/depmod.d/a.conf: a symbolic link without target, which may or may not mask others of its name"}},
		{"not masked by a directory", []string{"lib/depmod.d/a.conf: search 4", "etc/depmod.d/a.conf/"}, []string{"/lib/depmod.d/a.conf 4"},
			[]string{"/etc/depmod.d/a.conf: depmod ignores directories"}},
		{"other names", []string{"etc/depmod.d/a.conf~: x", "etc/depmod.d/.a.conf: x", "etc/depmod.d/.conf: x", "etc/depmod.d/a: x", "etc/depmod.d/x.dpkg-new: x"}, nil, nil},
		{"merged usr", []string{"usr/lib/depmod.d/a.conf: search a", "lib -> usr/lib"}, []string{"/usr/lib/depmod.d/a.conf a"}, nil},
		{"merged usr, absolute link", []string{"usr/lib/depmod.d/a.conf: search a", "lib -> /usr/lib"}, []string{"/usr/lib/depmod.d/a.conf a"}, nil},
		{"unmerged usr", []string{"usr/lib/depmod.d/a.conf: search a", "lib/depmod.d/a.conf: search b"}, []string{"/usr/lib/depmod.d/a.conf a"},
			[]string{"/usr/lib/depmod.d: kmod 30 reads /lib/depmod.d, and that is another directory here"}},
		{"links stay inside", []string{"etc/depmod.d -> /opt/../../../conf", "conf/a.conf -> ../../../opt/b", "opt/b: search b"}, []string{"/etc/depmod.d/a.conf b"}, nil},
		{"a link to itself", []string{"etc/depmod.d/a.conf -> a.conf"}, []string{"/etc/depmod.d/a.conf"}, []string{"/etc/depmod.d/a.conf: a symbolic link without target, which may or may not mask others of its name"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			plant(t, root, tt.files...)
			c, err := Load(root)
			if err != nil {
				t.Fatal(err)
			}
			var got, warnings []string
			for _, s := range c.Sources {
				words := []string{s.Path}
				for _, dir := range c.Searches {
					if dir.File == s.Path {
						words = append(words, dir.Dir)
					}
				}
				got = append(got, strings.Join(words, " "))
			}
			for _, w := range c.Warnings {
				warnings = append(warnings, w.Error())
			}
			if !slices.Equal(got, tt.want) || !slices.Equal(warnings, tt.warnings) {
				t.Errorf("Load read %q, warns %q; want %q, %q", got, warnings, tt.want, tt.warnings)
			}
		})
	}
}

func TestLoadPaths(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "d/b.conf: search b", "any name: search a", "e/b.conf: search never")
	c, err := Load("", dir+"/d/", dir+"/any name", dir+"/e", dir+"/nosuch")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(c.Searches), fmt.Sprintf("[{a %[1]s/any name:1} {b %[1]s/d/b.conf:1}]", dir); len(c.Searches) != 2 || c.Searches[0].File != dir+"/any name" {
		t.Errorf("Searches = %s; want %s", got, want)
	}
	if _, err := Load("", "/dev/zero"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Load(/dev/zero) = %v; want an error", err)
	}
}

func TestLoadUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads all")
	}
	root := t.TempDir()
	plant(t, root, "etc/depmod.d/a.conf: search x")
	if err := os.Chmod(root+"/etc/depmod.d/a.conf", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(root); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Load = %v; want a permission error", err)
	}
}

func TestWith(t *testing.T) {
	etc := Source{"/etc/depmod.d/a.conf", []byte("search etc")}
	lib := Source{"/lib/depmod.d/a.conf", []byte("search lib")}
	other := Source{"/lib/depmod.d/0.conf", []byte("search other")}
	for _, tt := range []struct {
		have []Source
		add  Source
		want string
	}{
		{nil, lib, "lib"},
		{[]Source{etc}, lib, "etc"},
		{[]Source{lib}, etc, "etc"},
		{[]Source{lib}, Source{"/usr/lib/depmod.d/a.conf", []byte("search new")}, "new"},
		{[]Source{{"/usr/lib/depmod.d/a.conf", []byte("search old")}}, lib, "lib"},
		{[]Source{other}, lib, "other lib"},
		{[]Source{lib}, other, "other lib"},
	} {
		var got []string
		c := New(tt.have...)
		for _, s := range c.With(tt.add).Searches {
			got = append(got, s.Dir)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%v.With(%s) searches %q; want %s", tt.have, tt.add.Path, got, tt.want)
		}
	}
}
