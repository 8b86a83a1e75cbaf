// SPDX-License-Identifier: MIT

package acceptance

import (
	"strings"
	"testing"
)

// TestNoNamespaces builds as an ordinary user where user namespaces are
// forbidden: there is no sandbox, and the same bytes come out without one.
func TestNoNamespaces(t *testing.T) {
	acceptance(t)
	c := newContainer(t, builder(t))
	c.Copy(t, "/usr/local/bin", command(t, "gokms-mkbmdeb"))
	c.Copy(t, "/srv", corpusDeb(t, "v4l2loopback-dkms"))
	c.As(t, ordinary, `gokms-mkbmdeb -q -k all -o on /srv/*.deb`)
	forbidden := func(args string) (int, string) {
		return c.TryAs(t, ordinary, `unshare -Ur sh -euc 'echo 0 >/proc/sys/user/max_user_namespaces
			exec setpriv --inh-caps=-all --bounding-set=-all gokms-mkbmdeb -k all '"$1"' /srv/*.deb' 2>&1`, args)
	}
	for _, tt := range []struct {
		args string
		code int
		want []string // in the output
		not  string
	}{
		{"-o refused", 2, []string{"error: no sandbox: user namespaces are forbidden here", "--sandbox=off"}, "building "},
		{"--sandbox=auto --memory 1G -o refused", 2, []string{"error: --memory: no sandbox: user namespaces are forbidden here", "hint: without a sandbox, nothing counts"}, "building "},
		{"--sandbox=auto -o auto", 0, []string{"warning: no sandbox: user namespaces are forbidden here", "; building without one\n", "built v4l2loopback-modules-"}, "hint: run sysctl"},
		{"--sandbox=off -o off", 0, []string{"built v4l2loopback-modules-"}, "no sandbox"},
	} {
		code, out := forbidden(tt.args)
		t.Logf("%s: exit %d\n%s", tt.args, code, out)
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", tt.args, want, out)
			}
		}
		if n := strings.Count(out, "no sandbox"); code != tt.code || strings.Contains(out, tt.not) || n > 1 {
			t.Errorf("%s: exit %d, want %d\n%s", tt.args, code, tt.code, out)
		}
	}
	home := c.Path("/home/" + ordinary)
	sameFiles(t, home+"/on", home+"/auto")
	sameFiles(t, home+"/on", home+"/off")
	c.As(t, ordinary, `test ! -e refused`)
}
