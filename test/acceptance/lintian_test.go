// SPDX-License-Identifier: MIT

package acceptance

import (
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// inherited are lintian's tags about what a module package takes over from its
// source, whose own -dkms package has them as well: source, then tag, then
// the reason.
var inherited = map[string]map[string]string{}

// TestLintian wants lintian to have nothing to say about a module package but
// what is inherited, nor to be told to be silent.
func TestLintian(t *testing.T) {
	acceptance(t)
	testkit.Tools(t, "lintian")
	for _, b := range buildable(t, "") {
		t.Run(b.source, func(t *testing.T) {
			for _, line := range lintian(t, b.deb) {
				kind, tag := parseTag(line)
				reason := inherited[b.source][tag]
				switch {
				case kind == "O" || reason == "":
					t.Error(line)
				case !inheritedFrom(t, b.source, tag):
					t.Errorf("%s (the source does not have it)", line)
				default:
					t.Logf("%s (inherited: %s)", line, reason)
				}
			}
		})
	}
}

// lintian are its errors, warnings and overridden tags.
func lintian(t *testing.T, deb string) []string {
	t.Helper()
	out := hostOutput(t, "lintian", "--no-cfg", "--allow-root", "--fail-on", "none", "--show-overrides", "--tag-display-limit", "0", deb)
	var lines []string
	for _, line := range strings.Split(out, "\n") {
		if kind, _ := parseTag(line); kind == "E" || kind == "W" || kind == "O" {
			lines = append(lines, line)
		}
	}
	return lines
}

// parseTag takes "W: PACKAGE: TAG CONTEXT" apart.
func parseTag(line string) (kind, tag string) {
	f := strings.Fields(line)
	if len(f) < 3 {
		return "", ""
	}
	return strings.TrimSuffix(f[0], ":"), f[2]
}

// inheritedFrom reports whether the -dkms package has the tag, or has it
// overridden.
func inheritedFrom(t *testing.T, source, tag string) bool {
	t.Helper()
	for _, line := range lintian(t, corpusDeb(t, source)) {
		if _, got := parseTag(line); got == tag {
			return true
		}
	}
	return false
}
