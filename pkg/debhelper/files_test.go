// SPDX-License-Identifier: MIT

package debhelper

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPkgFile(t *testing.T) {
	files := map[string]string{}
	for _, name := range []string{"c", "probe-any.c", "probe-any.c.linux", "probe-any.c.amd64", "probe-any.c.s390x", "probe-linux.n.c", "n.c", "probe-any.d.debhelper", "probe-any.d.linux/x", "d"} {
		files["debian/"+name] = "x"
	}
	for _, tt := range []struct{ pkg, name, args, without, want string }{
		{pkg: "any", name: "c", want: "probe-any.c.amd64"},
		{pkg: "any", name: "c", without: "probe-any.c.amd64", want: "probe-any.c.linux"},
		{pkg: "any", name: "c", without: "probe-any.c.amd64 probe-any.c.linux", want: "probe-any.c"},
		{pkg: "any", name: "c", without: "probe-any.c.amd64 probe-any.c.linux probe-any.c", want: ""},
		{pkg: "all", name: "c", want: "c"},
		{pkg: "linux", name: "c", want: ""},
		{pkg: "linux", name: "c", args: "--mainpackage=probe-linux", want: "c"},
		{pkg: "all", name: "c", args: "--mainpackage=probe-linux", want: ""},
		{pkg: "linux", name: "c", args: "--name=n", want: "probe-linux.n.c"},
		{pkg: "all", name: "c", args: "--name=n", want: "n.c"},
		{pkg: "any", name: "c", args: "--name=n", want: ""},
		{pkg: "any", name: "d", want: ""}, // a directory, and debhelper's own file
	} {
		edit := map[string]string{}
		for name, text := range files {
			edit[name] = text
		}
		for _, name := range strings.Fields(tt.without) {
			delete(edit, "debian/"+name)
		}
		w := newWorld(t, edit)
		s := w.init(t, nil, append(strings.Fields(tt.args), "-v")...)
		got, err := s.PkgFile(find(t, s, tt.pkg), tt.name)
		if want := strings.TrimSuffix("debian/"+tt.want, "debian/"); got != want || err != nil {
			t.Errorf("PkgFile(%s, %s) with %q, without %q = %q, %v; want %q", tt.pkg, tt.name, tt.args, tt.without, got, err, want)
		}
	}
}

func TestNamedPkgFiles(t *testing.T) {
	edit := map[string]string{"debian/control": tree["debian/control"] + "\nPackage: probe-any.sub\nArchitecture: all\n"}
	for _, name := range []string{
		"probe-any.b.c", "probe-any.b.c.s390x", "probe-any.a.c", "probe-any.a.c.amd64", "probe-any.z.c.linux", "probe-any.y.c.s390x",
		"probe-any.sub.c", "probe-any.sub.x.c", "probe-any.subs.c", "probe-any.c", "probe-any.c.amd64", "probe-any.x.cc", "probe-any.d.c/x", "probe-any.e.c.debhelper",
	} {
		edit["debian/"+name] = "x"
	}
	s := newWorld(t, edit).init(t, nil)
	for pkg, want := range map[string]string{
		"any":     "[{a debian/probe-any.a.c.amd64} {b debian/probe-any.b.c} {subs debian/probe-any.subs.c} {z debian/probe-any.z.c.linux}]",
		"any.sub": "[{x debian/probe-any.sub.x.c}]",
		"all":     "[]",
	} {
		got, err := s.NamedPkgFiles(find(t, s, pkg), "c")
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("NamedPkgFiles(%s) = %v, %v; want %s", pkg, got, err, want)
		}
	}
}

func find(t *testing.T, s *Session, name string) *Package {
	t.Helper()
	for _, p := range s.AllPackages {
		if p.Name == "probe-"+name {
			return p
		}
	}
	t.Fatalf("no package %s", name)
	return nil
}

func TestReadList(t *testing.T) {
	for _, tt := range []struct{ text, compat, want, wantErr string }{
		{text: "a  b\t c\n\n # no\n#no\n  d\r\n", want: "1:a,b,c 5:d"},
		{text: "a # b", want: "1:a,#,b"},
		{text: "${Tab}${Space}x ${Dollar}{Tab} ${}{a} $x ${a.b}\n", want: "1:\t x,${Tab},${a},$x,${a.b}"},
		{text: "${Newline}${DEB_HOST_ARCH}${env:E}${env:F}", want: "1:\namd64${Tab}"},
		{text: "${nope}", compat: "12", want: "1:${nope}"},
		{text: "\n${nope}", wantErr: "debian/probe:2: unknown variable ${nope}"},
		{text: "${env:NOPE}", wantErr: "debian/probe:1: ${env:NOPE}: environment variable NOPE is not set"},
		{text: "${DEB_HOST_NOPE}", wantErr: "debian/probe:1: ${DEB_HOST_NOPE}: dpkg-architecture knows no such variable"},
		{text: strings.Repeat("${Tab}", 50), wantErr: "50 variables in one word"},
		{text: "${env:BIG}", wantErr: "longer than 4096 bytes"},
	} {
		w := newWorld(t, map[string]string{"debian/probe": tt.text})
		if tt.compat != "" {
			w.compat = tt.compat
		}
		s := w.init(t, []string{"E=${Tab}", "F=", "BIG=" + strings.Repeat("x", 5000)})
		entries, err := s.ReadList("debian/probe")
		var all []string
		for _, e := range entries {
			all = append(all, fmt.Sprintf("%d:%s", e.Line, strings.Join(e.Words, ",")))
		}
		if got := strings.Join(all, " "); got != tt.want || (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("ReadList of %q = %q, %v; want %q, %q", tt.text, got, err, tt.want, tt.wantErr)
		}
	}
}

func TestReadListRuns(t *testing.T) {
	for _, tt := range []struct{ script, want, wantErr string }{
		{script: `echo "$DH_CONFIG_ACT_ON_PACKAGES"; echo ' # a b'; echo; echo c`, want: "1:probe-all,probe-any 2:#,a,b 4:c"},
		{script: `echo a; echo " "`, wantErr: "output of debian/probe:2: line of nothing but white space"},
		{script: `exit 3`, wantErr: "debian/probe is executable and failed: exit status 3; if it shall be read"},
	} {
		w := newWorld(t, map[string]string{"debian/probe": "#!/bin/sh\n" + tt.script + "\n"})
		s := w.init(t, nil, "-pprobe-all", "-pprobe-any")
		s.env.Run = func(cmd *exec.Cmd) error {
			if cmd.Args[0] == "dh_assistant" {
				return w.run(cmd)
			}
			return cmd.Run()
		}
		entries, err := s.ReadList("debian/probe")
		var all []string
		for _, e := range entries {
			all = append(all, fmt.Sprintf("%d:%s", e.Line, strings.Join(e.Words, ",")))
		}
		if got := strings.Join(all, " "); got != tt.want || (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("ReadList of script %q = %q, %v; want %q, %q", tt.script, got, err, tt.want, tt.wantErr)
		}
	}
}

// globCases are also given to debhelper, see oracle_test.go.
var globCases = []struct{ pattern, want string }{
	{"src/*.c", "./src/a.c ./src/B.c ./src/b.c"},
	{"src/*", "./src/a.c ./src/B.c ./src/b.c"},
	{"src/.*", "./src/.hidden"},
	{"src/[!a]*", "./src/B.c ./src/b.c"},
	{"src/[]a-]*", "./src/a.c"},
	{"src/[a-b].c", "./src/a.c ./src/b.c"},
	{"src/[^a].c", "./src/a.c"},
	{"src/?.c", "./src/a.c ./src/B.c ./src/b.c"},
	{"src/{b,a}.c", "./src/b.c ./src/a.c"},
	{"{src/{a,b},lib/*}*", "./src/a.c ./src/b.c ./lib/a1 ./lib/b1"},
	{"src/{a,x}.c", "./src/a.c"},
	{"src/a.c", "./src/a.c"},
	{`src/\a.c`, "./src/a.c"},
	{`src/\*.c`, ""},
	{"src/nope", ""},
	{"src/nope/*", ""},
	{"*/a*", "./lib/a1 ./src/a.c"},
	{"src/", "./src/"},
	{"s*/", "./src/"},
	{"src//a.c", "./src//a.c"},
	{"foo{bar}", "./foo{bar}"},
	{"foo{bar", ""},
	{"src/[a.c", ""},
	{"usr/share/*", "debian/tmp/usr/share/x"},
	{"{usr,src}/*", "./src/a.c ./src/B.c ./src/b.c"},
	{"..", "./.."},
	{"lib/../src/a*", "./lib/../src/a.c"},
	{"**/a1", "./lib/a1"},
	{"src/[A-C]*", "./src/B.c"},
	{"*r*c*/*[c]", "./src/a.c ./src/B.c ./src/b.c"},
	{"src/*d*d*n", ""},
	{"src/.h*d*n", "./src/.hidden"},
	{`src/\.h*`, "./src/.hidden"},
	{"src/[.]h*", ""},
	{"src/[\xff].c", ""},
	{`src/a.c\`, ""},
	{"lib/[!]b]1", "./lib/a1"},
}

func TestGlob(t *testing.T) {
	s := newWorld(t, nil).init(t, nil)
	for _, tt := range globCases {
		got := s.Glob(tt.pattern, ".", "debian/tmp")
		if text := strings.Join(got, " "); !sameGlob(text, tt.want) {
			t.Errorf("Glob(%q) = %q; want %q", tt.pattern, text, tt.want)
		}
	}
}

// sameGlob: ".*" finds "." and ".." in one of the two.
func sameGlob(a, b string) bool {
	strip := strings.NewReplacer("./src/. ", "", "./src/.. ", "")
	return strip.Replace(a) == strip.Replace(b)
}

func TestGlobDanglingLink(t *testing.T) {
	w := newWorld(t, nil)
	if err := os.Symlink("/nowhere", filepath.Join(w.dir, "src/link")); err != nil {
		t.Fatal(err)
	}
	s := w.init(t, nil)
	for _, pattern := range []string{"src/link", "src/l*"} {
		if got := s.Glob(pattern, "."); len(got) != 1 {
			t.Errorf("Glob(%q) = %v; want the link", pattern, got)
		}
	}
}

func FuzzGlob(f *testing.F) {
	for _, tt := range globCases {
		f.Add(tt.pattern)
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a{b,c}"), nil, 0o644); err != nil {
		f.Fatal(err)
	}
	s := &Session{env: Env{Dir: dir}}
	f.Fuzz(func(t *testing.T, pattern string) {
		for _, name := range s.Glob(pattern, ".") {
			if !s.exists(name) {
				t.Errorf("Glob(%q) finds %q, which is not there", pattern, name)
			}
		}
	})
}

func FuzzSubstitute(f *testing.F) {
	for _, text := range []string{"${Tab}", "${Dollar}{Tab}", "${}", "${env:E}x", "${", "a$", "${a.b}", strings.Repeat("${}", 60)} {
		f.Add(text)
	}
	s := &Session{env: Env{Environ: []string{"E=$"}}}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "DEB_") {
			return
		}
		got, err := s.Substitute(text)
		if err == nil && (len(got) > max(maxSubstituted, 3*len(text)) || !strings.Contains(text, "${") && got != text) {
			t.Errorf("Substitute(%q) = %q", text, got)
		}
	})
}

func TestInstall(t *testing.T) {
	w := newWorld(t, nil)
	late, early := time.Unix(5000, 0), time.Unix(1000, 0)
	for name, when := range map[string]time.Time{"src/a.c": late, "src/b.c": early} {
		if err := os.Chtimes(filepath.Join(w.dir, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	s := w.init(t, []string{"SOURCE_DATE_EPOCH=3000"}, "-v")
	if err := os.WriteFile(filepath.Join(w.dir, "kept"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer syscall.Umask(syscall.Umask(0o077))
	for _, err := range []error{
		s.InstallDir("d/e f", "d"),
		s.InstallLink("../kept", "d/b"),
		s.InstallFile("src/a.c", "d/a"),
		s.InstallProgram("src/b.c", "d/b"),
		s.InstallText("text", "d/t", late),
		s.InstallLink("there", "d/l"),
		s.InstallLink("else", "d/l"),
		s.RemoveFiles("src/b.c", "nope"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	for _, tt := range []struct{ name, mode, when string }{
		{"d", "drwxr-xr-x", ""}, {"d/e f", "drwxr-xr-x", ""}, {"d/a", "-rw-r--r--", "3000"}, {"d/b", "-rwxr-xr-x", "1000"}, {"d/t", "-rw-r--r--", "3000"}, {"kept", "-rw-------", ""},
	} {
		info, err := os.Lstat(filepath.Join(w.dir, tt.name))
		if err != nil {
			t.Error(err)
		} else if when := fmt.Sprint(info.ModTime().Unix()); info.Mode().String() != tt.mode || tt.when != "" && when != tt.when {
			t.Errorf("%s: %v %s; want %v %s", tt.name, info.Mode(), when, tt.mode, tt.when)
		}
	}
	if link, err := os.Readlink(filepath.Join(w.dir, "d/l")); link != "else" || err != nil {
		t.Errorf("link d/l: %q, %v", link, err)
	}
	if w.read(t, "src/b.c") != "" || w.read(t, "kept") != "kept" || w.read(t, "d/a") != "a\n" {
		t.Error("wrong file removed or overwritten")
	}
	want := "\tinstall -m0755 -d \"d/e f\" d\n\tln -s ../kept d/b\n\tinstall -p -m0644 src/a.c d/a\n\tinstall -p -m0755 src/b.c d/b\n" +
		"\t[META] write d/t\n\tln -s there d/l\n\tln -s else d/l\n\trm -f src/b.c nope\n"
	if got := w.stdout.String(); got != want {
		t.Errorf("shown:\n%s\nwant:\n%s", got, want)
	}
}

func TestInstallErrors(t *testing.T) {
	w := newWorld(t, nil)
	s := w.init(t, nil)
	for _, tt := range []struct {
		err  error
		want string
	}{
		{s.InstallFile("nope", "a"), "open nope: no such file or directory"},
		{s.InstallFile("src", "a"), "install src: not a regular file"},
		{s.InstallDir("README/x"), "README"},
		{s.InstallFile("README", "src"), "file exists"},
		{s.RemoveFiles("src"), "remove src: directory not empty"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("error %v; want %q", tt.err, tt.want)
		}
	}
	left, err := filepath.Glob(filepath.Join(w.dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNoActWritesNothing(t *testing.T) {
	w := newWorld(t, map[string]string{"debian/probe-any.debhelper.log": "x\n"})
	s := w.init(t, []string{"DH_INTERNAL_OVERRIDE=1", "DH_AUTOSCRIPTDIR=" + snippetDir(t)}, "--no-act", "-v")
	before := map[string]string{}
	readTree(t, w.dir, before)
	p := find(t, s, "any")
	for _, err := range []error{
		s.InstallDir("new"), s.InstallFile("README", "new/a"), s.InstallText("x", "new/b", time.Now()), s.InstallLink("x", "new/c"), s.RemoveFiles("README"),
		s.AddSubstvar(p, "a:b", "c"), s.DelSubstvar(p, "misc:Depends"), s.SetSubstvar(p, "x", ""),
		s.Autoscript(p, Snippet{Script: "prerm", File: "probe-snippet", Values: map[string]string{"NAME": "a", "VERSION": "b"}}),
		s.LogInstalled(p, "x"), s.Do(s.Command("touch", "README")), s.Finish(),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	after := map[string]string{}
	readTree(t, w.dir, after)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("--no-act changed %v to %v", before, after)
	}
	if len(w.ran) != 1 { // dpkg-architecture
		t.Errorf("--no-act ran %v", w.ran)
	}
	if !strings.Contains(w.stdout.String(), "\ttouch README\n") {
		t.Errorf("shown: %s", w.stdout.String())
	}
}

func snippetDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("testdata/autoscripts")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
