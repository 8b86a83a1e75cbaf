// SPDX-License-Identifier: MIT

package acceptance

import (
	"strings"
	"testing"
)

// TestKilled kills gokms in the middle of builds in the sandbox by SIGKILL, as
// root and as an ordinary user, and builds once more.
func TestKilled(t *testing.T) {
	acceptance(t)
	c := newContainer(t, builder(t))
	c.Copy(t, "/usr/local/bin", command(t, "gokms-mkbmdeb"))
	c.Shell(t, `mkdir /srv/slow; cd /srv/slow
		printf '%s\n' PACKAGE_NAME=slow PACKAGE_VERSION=1.0 DEST_MODULE_LOCATION=/updates 'PRE_BUILD=pre' >dkms.conf
		printf '%s\n' '#!/bin/sh' 'setsid -f sleep 86424 >/dev/null 2>&1' 'trap "" TERM' 'sleep 86425' >pre
		chmod 755 pre; echo 'obj-m := slow.o' >Kbuild
		printf '#include <linux/module.h>\nMODULE_LICENSE("GPL");\nMODULE_DESCRIPTION("slow");\n' >slow.c`)
	for _, user := range []string{"root", ordinary} {
		out := c.As(t, user, `export DEBEMAIL=jane@example.org
			processes() { grep -lz "$1" /proc/[0-9]*/cmdline 2>/dev/null | wc -l; }
			for i in 1 2 3; do
				gokms-mkbmdeb -q -k all -o out /srv/slow & pid=$!
				until [ "$(processes '^8642[45]$')" -ge 2 ]; do sleep 0.05; done
				kill -KILL $pid; wait $pid || echo ended by $?
				sleep 0.5
				for p in /proc/[0-9]*; do
					case $(cat $p/comm) in sh | cat | "") ;; *) echo LEFT $(tr '\0' ' ' <$p/cmdline) ;; esac
				done 2>/dev/null
			done
			test ! -e out
			cp -r /srv/slow again; echo '#!/bin/sh' >again/pre
			gokms-mkbmdeb -q -k all -o out again`)
		t.Logf("%s:\n%s", user, out)
		if strings.Contains(out, "LEFT") || strings.Count(out, "ended by 137") != 3 || !strings.Contains(out, "/slow-modules-") {
			t.Errorf("as %s:\n%s", user, out)
		}
	}
}
