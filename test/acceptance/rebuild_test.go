// SPDX-License-Identifier: MIT

package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rebuildable is a source in a directory of its own, whose files' time is that
// of its package.
const rebuildable = `mkdir -p /srv/hello; cd /srv/hello
	printf '%s\n' PACKAGE_NAME=hello PACKAGE_VERSION=1.0 DEST_MODULE_LOCATION=/updates AUTOINSTALL=yes >dkms.conf
	printf '%s\n' 'obj-m := hello.o' >Kbuild
	printf '%s\n' '#include <linux/module.h>' 'MODULE_LICENSE("GPL");' 'MODULE_DESCRIPTION("hello");' >hello.c`

// TestRebuild records builds on one machine and repeats them on another, as an
// ordinary user with an empty cache.
func TestRebuild(t *testing.T) {
	acceptance(t)
	first, second := newContainer(t, lean(t)), newContainer(t, lean(t))
	for _, c := range []*container{first, second} {
		c.Copy(t, "/usr/local/bin", command(t, "gokms"), command(t, "gokms-mkbmdeb"))
		c.Copy(t, "/srv", corpusDeb(t, "v4l2loopback-dkms"))
		c.Shell(t, rebuildable)
	}
	second.Shell(t, `touch -d 2020-01-01 /srv/hello/*`) // a fresh checkout
	kernel := archiveKernels(t)[1]
	first.As(t, "root", `export DEBEMAIL=jane@example.org DEBFULLNAME=Jane
		gokms-mkbmdeb -q --no-dbgsym -k "$1" -o out --record out/debs.json --revision 7 /srv/v4l2loopback-dkms_*.deb apt:acpi-call-dkms
		gokms-mkbmdeb -q --no-dbgsym -k "$1" -o out --record out/hello.json /srv/hello`, kernel)
	for _, name := range []string{"debs.json", "hello.json"} {
		second.Copy(t, "/srv", first.Path("/root/out/"+name))
	}

	out := second.As(t, ordinary, `test ! -e .cache; gokms rebuild -q /srv/debs.json; gokms rebuild -q /srv/hello.json; du -sh .cache/gokms`)
	t.Log(out)
	if n := strings.Count(out, ": identical"); n != 3 {
		t.Errorf("%d packages are identical; want 3:\n%s", n, out)
	}
	if left := second.As(t, ordinary, `ls -A; ls -A /tmp`); left != ".bash_logout\n.bashrc\n.cache\n.profile" {
		t.Errorf("left behind:\n%s", left)
	}
	differences(t, second)
}

// differences spoils one thing after the other.
func differences(t *testing.T, c *container) {
	compiler := strings.TrimSpace(c.Shell(t, `gcc-12 --version | head -n 1`))
	for _, tt := range []struct {
		name, spoil, mend string // by root
		args              string
		want              []string // the lines of gokms, by what they begin with
	}{
		{
			"changed source", `echo >>/srv/hello/hello.c`, `cd /srv/hello; sed -i '$d' hello.c`, "/srv/hello.json",
			[]string{"error: source: /srv/hello is not what it was: its SHA-256 is "},
		},
		{
			"source that is gone", `mv /srv/v4l2loopback-dkms_*.deb /root`, `mv /root/*.deb /srv`, "/srv/debs.json",
			[]string{"error: source /srv/v4l2loopback-dkms_", "hint: name its place with --source PATH"},
		},
		{
			"another compiler", `printf '%s\n' '#!/bin/sh' 'case $1 in --version) echo gcc-12 12.9;; *) exec /usr/bin/gcc-12 "$@";; esac' >/usr/local/bin/gcc-12; chmod 755 /usr/local/bin/gcc-12`,
			`rm /usr/local/bin/gcc-12`, "/srv/hello.json",
			[]string{"error: gcc-12 is gcc-12 12.9; it was " + compiler},
		},
		{
			"no compiler", `mv /usr/bin/gcc-12 /root`, `mv /root/gcc-12 /usr/bin`, "/srv/hello.json",
			[]string{"error: gcc-12 is not installed; it was " + compiler, "hint: install the package gcc-12"},
		},
		{
			"headers that the archive has no more", `sed 's/"sha256": "[0-9a-f]*"/&/; s/"version": "6[.]1[.][^"]*"/"version": "6.1.0-0"/; /"name": "linux-headers/,/"sha256"/ s/"sha256": "[0-9a-f]\{8\}/"sha256": "00000000/' /srv/hello.json >/srv/gone.json`,
			`true`, "/srv/gone.json",
			[]string{"error: --headers /srv/gone.json: neither the cache nor the archive has linux-headers-", "hint: snapshot.debian.org keeps old versions"},
		},
		{
			"no record", `echo '{}' >/srv/none.json`, `true`, "/srv/none.json",
			[]string{"error: /srv/none.json: no record of a build in format 1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.Shell(t, tt.spoil)
			code, out := c.TryAs(t, ordinary, `gokms rebuild -q `+tt.args)
			c.Shell(t, tt.mend)
			t.Logf("exit %d\n%s", code, out)
			wantLines(t, out, tt.want)
			if code != 2 {
				t.Errorf("exit code %d; want 2", code)
			}
		})
	}
	if out := c.As(t, ordinary, `gokms rebuild -q /srv/hello.json`); !strings.HasSuffix(out, ": identical") {
		t.Errorf("with everything mended: %s", out)
	}
}

// wantLines wants the lines of commands, without their names, to begin like
// this.
func wantLines(t *testing.T, out string, want []string) {
	t.Helper()
	lines := strings.Split(out, "\n")
	if len(lines) != len(want) {
		t.Errorf("%d lines; want %d:\n%s", len(lines), len(want), out)
		return
	}
	for i, line := range lines {
		if _, text, _ := strings.Cut(line, ": "); !strings.HasPrefix(text, want[i]) {
			t.Errorf("line %d: %s; want %s", i, line, want[i])
		}
	}
}

// TestRebuildInstalled has a record of headers that were installed.
func TestRebuildInstalled(t *testing.T) {
	acceptance(t)
	first, bare := newContainer(t, builder(t)), newContainer(t, lean(t))
	for _, c := range []*container{first, bare} {
		c.Copy(t, "/usr/local/bin", command(t, "gokms"), command(t, "gokms-mkbmdeb"))
		c.Shell(t, rebuildable)
	}
	first.As(t, ordinary, `DEBEMAIL=jane@example.org gokms-mkbmdeb -q --no-dbgsym --sandbox=off -k all -o out --record rec /srv/hello`)
	if out := first.As(t, "root", `gokms rebuild -q /home/"$1"/rec`, ordinary); !strings.HasSuffix(out, ": identical") {
		t.Errorf("on the same machine: %s", out)
	}
	record, err := os.ReadFile(first.Path(filepath.Join("/home", ordinary, "rec")))
	must(t, err)
	must(t, os.WriteFile(bare.Path("/srv/rec"), record, 0o644))
	code, out := bare.TryAs(t, ordinary, `gokms rebuild -q /srv/rec`)
	t.Logf("exit %d\n%s", code, out)
	wantLines(t, out, []string{"error: --headers /srv/rec: packages that were installed are not: linux-headers-", "hint: install linux-headers-"})
	if code != 2 {
		t.Errorf("without the headers: exit code %d; want 2", code)
	}
}
