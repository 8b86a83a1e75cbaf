// SPDX-License-Identifier: MIT

package acceptance

import (
	"strings"
	"testing"
)

// TestTools gives a package to the tools that make archives, and one such
// archive to apt.
func TestTools(t *testing.T) {
	acceptance(t)
	b := buildable(t, "")[0]
	c := newChroot(t, builder(t))
	deb := c.Copy(t, "/srv/pool", b.deb)[0]
	want := []string{"Package: " + b.name, "Version: " + b.version}

	for _, tool := range []struct{ name, script string }{
		{"dpkg-scanpackages", `cd /srv; dpkg-scanpackages --multiversion pool`},
		{"apt-ftparchive", `cd /srv; apt-ftparchive packages pool`},
		{"reprepro", `mkdir -p /srv/repo/conf
			printf 'Codename: ours\nArchitectures: %s\nComponents: main\n' "$(dpkg --print-architecture)" > /srv/repo/conf/distributions
			reprepro --basedir /srv/repo includedeb ours "$1"
			cat /srv/repo/dists/ours/main/binary-*/Packages`},
		{"apt", `echo 'deb [trusted=yes] file:/srv/repo ours main' > /etc/apt/sources.list.d/ours.list
			apt-get update --quiet -o Dir::Etc::SourceList=/dev/null -o APT::Get::List-Cleanup=0
			apt-cache show "$2"
			apt-get install --yes --simulate --no-download "$2"`},
	} {
		t.Run(tool.name, func(t *testing.T) {
			out := c.Shell(t, tool.script, deb, b.name)
			for _, line := range want {
				if !strings.Contains(out, line+"\n") {
					t.Errorf("%s: no line %q in\n%s", tool.name, line, out)
				}
			}
			if lower := strings.ToLower(out); strings.Contains(lower, "warning") || strings.Contains(lower, "error") {
				t.Errorf("%s complains:\n%s", tool.name, out)
			}
		})
	}
}
