// SPDX-License-Identifier: MIT

package kbuild

import (
	"strings"
	"testing"
)

func sandboxed() Layout {
	return Layout{
		DKMSTree:   Path{"/tmp/g1/dkms", "/var/lib/dkms"},
		SourceTree: Path{"/tmp/g1/src", "/usr/src"},
		TmpDir:     Path{"/tmp/g1/tmp", "/tmp"},
		Headers:    Path{"/cache/h/lib/modules/6.1.0-56-amd64/build", "/lib/modules/6.1.0-56-amd64/build"},
		Name:       "foo",
		Version:    "1.0",
	}
}

func TestLayoutDirs(t *testing.T) {
	l := sandboxed()
	if got, want := l.BuildDir(), (Path{"/tmp/g1/dkms/foo/1.0/build", "/var/lib/dkms/foo/1.0/build"}); got != want {
		t.Errorf("BuildDir() = %v; want %v", got, want)
	}
	if got, want := l.SourceDir(), (Path{"/tmp/g1/src/foo-1.0", "/usr/src/foo-1.0"}); got != want {
		t.Errorf("SourceDir() = %v; want %v", got, want)
	}
}

func TestLayoutToHost(t *testing.T) {
	l := sandboxed()
	l.Mounts = []Path{
		{"/cache/h/usr/src/linux-headers-6.1.0-56-common", "/usr/src/linux-headers-6.1.0-56-common"},
		{"/host/ext", "/var/lib/dkms/foo/1.0/build/ext"},
	}
	for _, row := range []struct{ name, text, want string }{
		{"plain", "no path", "no path"},
		{"file", "/var/lib/dkms/foo/1.0/build/x.c:1:2: error", "/tmp/g1/dkms/foo/1.0/build/x.c:1:2: error"},
		{"whole", "cd /var/lib/dkms", "cd /tmp/g1/dkms"},
		{"end of sentence", "see /var/lib/dkms.", "see /tmp/g1/dkms."},
		{"two", "/usr/src/foo-1.0/a /tmp/b", "/tmp/g1/src/foo-1.0/a /tmp/g1/tmp/b"},
		{"argument", "gcc -I/usr/src/foo-1.0/inc M=/var/lib/dkms/foo", "gcc -I/tmp/g1/src/foo-1.0/inc M=/tmp/g1/dkms/foo"},
		{"quoted", "Entering directory '/var/lib/dkms/foo'", "Entering directory '/tmp/g1/dkms/foo'"},
		{"longer name", "/var/lib/dkms2/x /var/lib/dkms-old /usr/src/foo-1.0.1", "/var/lib/dkms2/x /var/lib/dkms-old /tmp/g1/src/foo-1.0.1"},
		{"inside another path", "/srv/var/lib/dkms/x ./tmp/y ../tmp", "/srv/var/lib/dkms/x ./tmp/y ../tmp"},
		{"usr/src as such is the host's", "/usr/src/linux-headers-6.1.0-56-amd64/Makefile", "/usr/src/linux-headers-6.1.0-56-amd64/Makefile"},
		{"mount", "/usr/src/linux-headers-6.1.0-56-common/Makefile:12", "/cache/h/usr/src/linux-headers-6.1.0-56-common/Makefile:12"},
		{"longest first", "/var/lib/dkms/foo/1.0/build/ext/a.c", "/host/ext/a.c"},
		{"not mapped twice", "/tmp/g1/dkms", "/tmp/g1/tmp/g1/dkms"},
	} {
		if got := l.ToHost(row.text); got != row.want {
			t.Errorf("%s: ToHost(%q) = %q; want %q", row.name, row.text, got, row.want)
		}
	}
}

func TestLayoutToHostWithoutSandbox(t *testing.T) {
	l := Layout{DKMSTree: Same("/d"), SourceTree: Same("/s"), TmpDir: Same("/t"), Headers: Same("/h"), Name: "n", Version: "1"}
	const text = "/d/n/1/build/x.c /s/n-1 /t/x /h/y"
	if got := l.ToHost(text); got != text {
		t.Errorf("ToHost(%q) = %q; want it unchanged", text, got)
	}
}

// TestLayoutToLog wants the same text whatever the directories are, and the
// way back from it.
func TestLayoutToLog(t *testing.T) {
	mounted := sandboxed()
	mounted.Mounts = []Path{{"/cache/x", "/usr/src/x"}}
	here := Layout{
		DKMSTree: Same("/tmp/g2/dkms"), SourceTree: Same("/tmp/g2/src"), TmpDir: Same("/tmp/g2/tmp"),
		Headers: Same("/lib/modules/6.1.0-56-amd64/build"), Name: "foo", Version: "1.0",
	}
	for _, row := range []struct {
		name, text, want, host string
		l                      Layout
	}{
		{"sandbox", "/var/lib/dkms/foo/1.0/build/x.c", "/var/lib/dkms/foo/1.0/build/x.c", "/tmp/g1/dkms/foo/1.0/build/x.c", sandboxed()},
		{"of the host", "copying /tmp/g1/src/foo-1.0 to", "copying /usr/src/foo-1.0 to", "copying /tmp/g1/src/foo-1.0 to", sandboxed()},
		{"mount", "/cache/x/y", "/usr/src/x/y", "/cache/x/y", mounted},
		{"headers", "/usr/src/linux-headers-6.1.0-56-amd64/x", "/usr/src/linux-headers-6.1.0-56-amd64/x", "/usr/src/linux-headers-6.1.0-56-amd64/x", here},
		{"no sandbox", "/tmp/g2/dkms/foo/1.0/build/x.c", "/var/lib/dkms/foo/1.0/build/x.c", "/tmp/g2/dkms/foo/1.0/build/x.c", here},
		{"temporary, no sandbox", "/tmp/g2/tmp/x /tmp/y", "/tmp/gokms/x /tmp/y", "/tmp/g2/tmp/x /tmp/y", here},
		{"sibling, no sandbox", "/tmp/g2/src/bar-2/x", "/usr/src/bar-2/x", "/usr/src/bar-2/x", here},
	} {
		got := row.l.ToLog(row.text)
		if got != row.want {
			t.Errorf("%s: ToLog(%q) = %q; want %q", row.name, row.text, got, row.want)
		}
		if got := row.l.ToHost(got); got != row.host {
			t.Errorf("%s: ToHost(%q) = %q; want %q", row.name, row.want, got, row.host)
		}
	}
}

func TestLayoutCheck(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Layout)
		want   string // part of the error; "": none
	}{
		{"good", func(*Layout) {}, ""},
		{"version with tilde and plus", func(l *Layout) { l.Version = "0~2022+git" }, ""},
		{"blank", func(l *Layout) { l.DKMSTree = Same("/home/my user/x") }, "/home/my user/x"},
		{"colon", func(l *Layout) { l.Version = "1:2" }, "cannot work"},
		{"dollar in source", func(l *Layout) { l.SourceTree = Same("/a$b") }, "cannot work"},
		{"relative", func(l *Layout) { l.TmpDir = Same("tmp") }, "not absolute"},
		{"no name", func(l *Layout) { l.Name = "" }, "without name"},
	} {
		l := sandboxed()
		row.change(&l)
		err := l.check()
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: check() = %v; want %q", row.name, err, row.want)
		}
	}
}
