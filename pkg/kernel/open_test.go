// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const rel = "6.1.0-56-amd64"

// files is a tree to be made: path to content; "-> X" is a symbolic link, and
// a path that ends in "/" a directory; "absent" leaves the path out.
type files map[string]string

// make writes f below a new directory and returns it.
func (f files) make(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range f {
		if content == "absent" {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		link, isLink := strings.CutPrefix(content, "-> ")
		switch {
		case isLink:
			err = os.Symlink(link, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// headers is a tree as Debian installs it, below lib/modules and usr/src, with
// changes laid over it.
func headers(release string, changes files) files {
	src := "usr/src/linux-headers-" + release + "/"
	f := files{
		"lib/modules/" + release + "/build":    "-> ../../../usr/src/linux-headers-" + release,
		src + ".config":                        "CONFIG_X86_64=y\nCONFIG_CC_IS_GCC=y\nCONFIG_GCC_VERSION=120200\nCONFIG_CC_VERSION_TEXT=\"gcc-12 (Debian 12.2.0-14) 12.2.0\"\n",
		src + "Module.symvers":                 "0x4c9d28b0\tphys_base\tvmlinux\tEXPORT_SYMBOL\t\n",
		src + "include/generated/utsrelease.h": "#define UTS_RELEASE \"" + release + "\"\n",
		src + "include/config/kernel.release":  "6.1.192\n",
		src + "include/config/auto.conf":       "CONFIG_X86_64=y\n",
	}
	for name, content := range changes {
		f[strings.ReplaceAll(name, "SRC/", src)] = content
	}
	return f
}

func TestOpen(t *testing.T) {
	const build = "lib/modules/" + rel + "/build"
	for _, tt := range []struct {
		name    string
		release string
		build   string // architecture; "": amd64
		tree    files
		check   func(*Tree) string
		want    string // of check, or the error's text; $D is the tree's directory
		warns   string // text of the warnings
	}{
		{name: "debian", tree: headers(rel, nil),
			check: func(k *Tree) string { return k.DebArch + k.Machine + k.KArch + " " + k.Flavour + " " + k.ModulesDir },
			want:  "amd64x86_64x86 amd64 lib/modules"},
		{name: "directory instead of a link", tree: files{build + "/include/generated/utsrelease.h": "#define UTS_RELEASE \"" + rel + "\"\n", build + "/.config": "CONFIG_ARM64=y\nCONFIG_CC_VERSION_TEXT=\"gcc-12 x\"\n", build + "/Module.symvers": ""},
			check: func(k *Tree) string { return k.SourceDir + " " + k.ConfigPath + " " + k.DebArch },
			want:  "$D/" + build + " $D/" + build + "/.config arm64"},
		{name: "auto.conf preferred for rules", tree: headers(rel, nil),
			check: func(k *Tree) string { return k.ConfigPath }, want: "$D/usr/src/linux-headers-" + rel + "/include/config/auto.conf"},
		{name: "auto.conf alone", build: "s390x", tree: headers(rel, files{"SRC/.config": "absent", "SRC/include/config/auto.conf": "CONFIG_S390=y\nCONFIG_64BIT=y\nCONFIG_CC_VERSION_TEXT=\"gcc-12 x\""}),
			check: func(k *Tree) string { return k.DebArch }, want: "s390x"},
		{name: "release from kernel.release", tree: headers(rel, files{"SRC/include/generated/utsrelease.h": "absent", "SRC/include/config/kernel.release": rel + "\n"}),
			check: func(k *Tree) string { return k.Release }, want: rel},
		{name: "release unknown", tree: headers(rel, files{"SRC/include/generated/utsrelease.h": "absent", "SRC/include/config/kernel.release": "absent"}),
			check: func(k *Tree) string { return k.Release }, want: rel, warns: "$D/usr/src/linux-headers-" + rel + ": names no release, taking it for " + rel},
		{name: "no symvers", tree: headers(rel, files{"SRC/Module.symvers": "absent"}),
			check: func(k *Tree) string { return k.Symvers }, want: "", warns: "$D/usr/src/linux-headers-" + rel + "/Module.symvers does not exist: symbols of modules cannot be checked"},
		{name: "other release", tree: headers(rel, files{"SRC/include/generated/utsrelease.h": "#define UTS_RELEASE \"6.1.0-55-amd64\"\n"}),
			want: "$D/usr/src/linux-headers-" + rel + "/include/generated/utsrelease.h: headers are of kernel 6.1.0-55-amd64, not " + rel},
		{name: "garbage release", tree: headers(rel, files{"SRC/include/generated/utsrelease.h": "hello\n"}),
			want: "$D/usr/src/linux-headers-" + rel + "/include/generated/utsrelease.h: names no release"},
		{name: "no config", tree: headers(rel, files{"SRC/.config": "absent", "SRC/include/config/auto.conf": "absent"}),
			want: "no headers of kernel " + rel + ": $D/" + build + " has no .config"},
		{name: "broken config", tree: headers(rel, files{"SRC/.config": "CONFIG_A=y\nhello\n"}),
			want: "$D/usr/src/linux-headers-" + rel + `/.config:2: "hello" is not CONFIG_NAME=value`},
		{name: "unknown architecture", tree: headers(rel, files{"SRC/.config": "CONFIG_ALPHA=y\n"}),
			want: "$D/usr/src/linux-headers-" + rel + "/include/config/auto.conf: no architecture that this program knows (amd64, i386, arm64, armhf, armel, ppc64el, riscv64, s390x, loong64, mips64el, mipsel)"},
		{name: "nothing there", release: "6.1.0-57-amd64", tree: headers(rel, nil),
			want: "no headers of kernel 6.1.0-57-amd64: $D/lib/modules/6.1.0-57-amd64 does not exist"},
		{name: "image only", tree: files{"lib/modules/" + rel + "/modules.order": ""},
			want: "no headers of kernel " + rel + ": $D/" + build + " does not exist (a kernel image alone has no headers)"},
		{name: "dangling link", tree: files{build: "-> /usr/src/gone"},
			want: "no headers of kernel " + rel + ": $D/" + build + " points to /usr/src/gone, which does not exist"},
		{name: "link to itself", tree: files{build: "-> build"},
			want: "no headers of kernel " + rel + ": $D/" + build + " has no directory include"},
		{name: "no include", tree: files{build + "/.config": "CONFIG_X86_64=y\n"},
			want: "no headers of kernel " + rel + ": $D/" + build + " has no directory include"},
		{name: "build is a file", tree: files{build: "x"},
			want: "no headers of kernel " + rel + ": $D/" + build + " has no directory include"},
		{name: "escaping release", release: "../../etc", tree: headers(rel, nil), want: `kernel release "../../etc" begins with "."`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.tree.make(t)
			if tt.release == "" {
				tt.release = rel
			}
			if tt.build == "" {
				tt.build = "amd64"
			}
			k, err := Open(dir+"/lib/modules", tt.release, &Options{BuildArch: tt.build})
			var got, warns string
			if err != nil {
				got = err.Error()
			} else if tt.check == nil {
				t.Fatalf("Open() = %+v; want error %q", k, tt.want)
			} else {
				got, warns = tt.check(k), fmt.Sprint(errors.Join(k.Warnings...))
			}
			want := strings.ReplaceAll(tt.want, "$D", dir)
			if got != want {
				t.Errorf("Open() gives\n%q; want\n%q", got, want)
			}
			if tt.warns == "" && err == nil {
				tt.warns = "<nil>"
			}
			if want := strings.ReplaceAll(tt.warns, "$D", dir); warns != want {
				t.Errorf("Warnings = %q; want %q", warns, want)
			}
		})
	}
}

func TestNotFoundHint(t *testing.T) {
	all := files{}
	for _, r := range []string{"6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-56-rt-amd64", "6.8.0-45-generic"} {
		for name, content := range headers(r, nil) {
			all[name] = content
		}
	}
	all["lib/modules/6.1.0-56/build/include/"] = "" // without .config
	root := all.make(t) + "/lib/modules"
	for _, tt := range []struct{ release, want string }{
		{"6.1.0-57-amd64", "install the package linux-headers-6.1.0-57-amd64; there are headers of 6.1.0-56-amd64, 6.1.0-9-amd64, 6.8.0-45-generic"},
		{"6.1.0-56", "install the package linux-headers-6.1.0-56; there are headers of 6.1.0-56-rt-amd64, 6.1.0-56-amd64, 6.8.0-45-generic"},
		{"6.1.0-57-rt-amd64", "install the package linux-headers-6.1.0-57-rt-amd64; there are headers of 6.1.0-56-rt-amd64, 6.8.0-45-generic, 6.1.0-56-amd64"},
	} {
		_, err := Open(root, tt.release, nil)
		var nf *NotFoundError
		if !errors.As(err, &nf) {
			t.Fatalf("Open(%q) = %v; want a NotFoundError", tt.release, err)
		}
		if nf.Hint() != tt.want {
			t.Errorf("Hint of %q = %q; want %q", tt.release, nf.Hint(), tt.want)
		}
	}
	if _, err := Open(t.TempDir()+"/no", rel, nil); err.(*NotFoundError).Hint() != "install the package linux-headers-"+rel {
		t.Errorf("Hint without a root = %q", err.(*NotFoundError).Hint())
	}
}

func TestList(t *testing.T) {
	all := files{
		"lib/modules/6.1.0-55-amd64/modules.order":  "",
		"lib/modules/6.1.0-54-amd64/build":          "-> /usr/src/gone",
		"lib/modules/6.1.0-53-amd64/build/":         "",
		"lib/modules/6.1.0-52-amd64/build/include/": "",
		"lib/modules/README":                        "",
		"lib/modules/a b/build/include/":            "",
	}
	want := []string{"6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-56-rt-amd64", "6.12.9+bpo-amd64"}
	for _, r := range want {
		for name, content := range headers(r, nil) {
			all[name] = content
		}
	}
	got, err := List(all.make(t) + "/lib/modules")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List() (-want +got):\n%s", diff)
	}
	if _, err := List(t.TempDir() + "/no"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("List(absent) = %v; want not exist", err)
	}
}

// exitError is how a program that a fake runs fails.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
func (e exitError) ExitCode() int { return int(e) }

// dpkg is a Run that prints out and fails with err.
func dpkg(out string, err error) func(*exec.Cmd) error {
	return func(c *exec.Cmd) error {
		io.WriteString(c.Stdout, out)
		return err
	}
}

func TestHeaderPackage(t *testing.T) {
	const fields = "linux-headers-6.1.0-56-amd64\t6.1.192-2\tlinux\t6.1.192-2\tamd64\tinstalled\n"
	const src = "/usr/src/linux-headers-6.1.0-56-amd64\n"
	for _, tt := range []struct {
		name, out string
		err       error
		list      string // of -L
		want      string // version, modules dir, warnings or error
	}{
		{"debian 12", fields, nil, "/lib\n/lib/modules/" + rel + "/build\n" + src, "linux 6.1.192-2 lib/modules []"},
		{"merged", fields, nil, "/usr/lib/modules/" + rel + "/build\n" + src, "linux 6.1.192-2 usr/lib/modules []"},
		{"unpacked", strings.Replace(fields, "installed", "unpacked", 1), nil, src, "linux 6.1.192-2 lib/modules []"},
		{"removed", strings.Replace(fields, "installed", "config-files", 1), nil, src, "  lib/modules []"},
		{"unknown", "", exitError(1), "", "  lib/modules []"},
		{"another's tree", fields, nil, "/usr/src/other\n", "  lib/modules [SRC: not a directory of the installed package linux-headers-" + rel + "]"},
		{"broken database", "", exitError(2), "", "  lib/modules [dpkg-query --admindir=DB -W -f=FORMAT linux-headers-" + rel + ": exit status 2]"},
		{"no list", fields, nil, "fail", "  lib/modules [dpkg-query --admindir=DB -L linux-headers-" + rel + ":amd64: exit status 1]"},
		{"garbage", "hello\n", nil, "", `  lib/modules [dpkg-query printed "hello\n"]`},
		{"foreign twin", "linux-headers-6.1.0-56-amd64\t\t\t\ti386\tnot-installed\n" + fields, nil, src, "linux 6.1.192-2 lib/modules []"},
		{"wrong architecture", strings.Replace(fields, "\tamd64", "\tarm64", 1), nil, src,
			"SRC/include/config/auto.conf: configured for amd64, but package linux-headers-" + rel + " is for arm64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := headers(rel, nil).make(t)
			run := func(c *exec.Cmd) error {
				switch {
				case c.Args[2] == "-W":
					return dpkg(tt.out, tt.err)(c)
				case tt.list == "fail":
					return exitError(1)
				}
				return dpkg(tt.list, nil)(c)
			}
			k, err := Open(dir+"/lib/modules", rel, &Options{AdminDir: "DB", Run: run})
			got := fmt.Sprint(err)
			if err == nil {
				got = fmt.Sprintf("%s %s %s %v", k.Header.Source, k.Header.SourceVersion, k.ModulesDir, k.Warnings)
			}
			got = strings.NewReplacer(dir+"/usr/src/linux-headers-"+rel, "SRC", queryFormat, "FORMAT").Replace(got)
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestDpkgIsAskedOnlyWhereItKnows(t *testing.T) {
	dir := headers(rel, nil).make(t)
	var argv []string
	run := func(c *exec.Cmd) error { argv = c.Args; return exitError(1) }
	if _, err := Open(dir+"/lib/modules", rel, &Options{Run: run}); err != nil || argv != nil {
		t.Errorf("Open() = %v, ran %q; want no program run", err, argv)
	}
	if _, err := Open(dir+"/lib/modules", rel, &Options{Run: run, AdminDir: "/db"}); err != nil {
		t.Fatal(err)
	}
	want := []string{"dpkg-query", "--admindir=/db", "-W", "-f=" + queryFormat, "linux-headers-" + rel}
	if diff := cmp.Diff(want, argv); diff != "" {
		t.Errorf("argv (-want +got):\n%s", diff)
	}
}

func TestModulesDirOfUnpackedTree(t *testing.T) {
	f := headers(rel, nil)
	f["usr/lib/modules/"+rel+"/build"] = "-> ../../../src/linux-headers-" + rel
	delete(f, "lib/modules/"+rel+"/build")
	dir := f.make(t)
	for _, tt := range []struct{ prepare, want string }{{"", "usr/lib/modules"}, {"lib", "lib/modules"}} {
		if tt.prepare != "" {
			if err := os.Symlink("usr/lib", filepath.Join(dir, tt.prepare)); err != nil {
				t.Fatal(err)
			}
		}
		k, err := Open(dir+"/usr/lib/modules", rel, nil)
		if err != nil {
			t.Fatal(err)
		}
		if k.ModulesDir != tt.want {
			t.Errorf("ModulesDir with link %q = %q; want %q", tt.prepare, k.ModulesDir, tt.want)
		}
	}
}

func TestImagePackages(t *testing.T) {
	for _, tt := range []struct{ release, config, want string }{
		{rel, "", "linux-image-6.1.0-56-amd64 linux-image-6.1.0-56-amd64-unsigned"},
		{"6.8.0-45-generic", "CONFIG_VERSION_SIGNATURE=\"Ubuntu 6.8.0-45.45-generic 6.8.12\"\n", "linux-image-6.8.0-45-generic linux-image-unsigned-6.8.0-45-generic"},
		{"6.6.30", "CONFIG_VERSION_SIGNATURE=\"\"\n", "linux-image-6.6.30 linux-image-6.6.30-unsigned"},
	} {
		dir := headers(tt.release, files{"SRC/.config": "CONFIG_X86_64=y\nCONFIG_CC_VERSION_TEXT=\"gcc-12\"\n" + tt.config}).make(t)
		k, err := Open(dir+"/lib/modules", tt.release, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(k.ImagePackages, " "); got != tt.want {
			t.Errorf("ImagePackages of %s = %q; want %q", tt.release, got, tt.want)
		}
	}
}

func TestOutputKeepsStderr(t *testing.T) {
	o := &Options{Run: func(c *exec.Cmd) error {
		c.Stderr.(*bytes.Buffer).WriteString("no database\n")
		return exitError(2)
	}}
	_, err := o.output(exec.Command("dpkg-query", "-W"))
	if want := "dpkg-query -W: exit status 2: no database"; err == nil || err.Error() != want {
		t.Errorf("output() = %v; want %s", err, want)
	}
}
