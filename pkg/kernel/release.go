// SPDX-License-Identifier: MIT

package kernel

import (
	"fmt"
	"regexp"
	"strings"
)

// maxRelease is the kernel's own limit: __NEW_UTS_LEN of linux/utsname.h.
const maxRelease = 64

// CheckRelease says whether release can be the name of a kernel release: one
// path element, without white space, control characters or the characters that
// make, the shell or a package relation would take for their own.
func CheckRelease(release string) error {
	switch {
	case release == "":
		return fmt.Errorf("kernel release is empty")
	case len(release) > maxRelease:
		return fmt.Errorf("kernel release %q is longer than %d bytes", release, maxRelease)
	case release[0] == '.' || release[0] == '-':
		return fmt.Errorf("kernel release %q begins with %q", release, release[:1])
	case strings.Contains(release, ".."):
		return fmt.Errorf(`kernel release %q contains ".."`, release)
	}
	for _, c := range []byte(release) {
		if !releaseByte(c) {
			return fmt.Errorf("kernel release %q contains %q", release, rune(c))
		}
	}
	return nil
}

func releaseByte(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return true
	}
	return strings.IndexByte(".+-_~", c) >= 0
}

var (
	// flavourRE takes a release apart: upstream version, release candidate,
	// a distributor's suffix (+deb12, +bpo), ABI number (-56, -0.deb12.4),
	// and the flavour, which is what is left.
	flavourRE = regexp.MustCompile(`^[0-9]+(?:\.[0-9]+)*(?:[-~]rc[0-9]+)?(?:\+[^-]*)?(?:-[0-9]+(?:\.[^-]*)?)?(?:-(.+))?$`)
	// describedRE is the tail that setlocalversion appends for a commit
	// between two tags.
	describedRE = regexp.MustCompile(`-[0-9]{5}-g[0-9a-f]{7,40}(?:-dirty)?$`)
)

// Flavour is the part of a release name behind version and ABI number:
// "rt-amd64" of 6.1.0-56-rt-amd64, "amd64" of 6.12.117+deb12-amd64, "generic"
// of 6.8.0-45-generic; "" for names that have none.
func Flavour(release string) string {
	m := flavourRE.FindStringSubmatch(describedRE.ReplaceAllString(release, ""))
	if m == nil {
		return ""
	}
	return m[1]
}

// compareReleases orders release names as dpkg orders versions (deb-version(7)):
// digits by value, letters before everything else, "~" before the end.
func compareReleases(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = cutRun(a, false)
		y, b = cutRun(b, false)
		if c := compareText(x, y); c != 0 {
			return c
		}
		x, a = cutRun(a, true)
		y, b = cutRun(b, true)
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// cutRun splits s behind its leading run of digits, or of anything else.
func cutRun(s string, digits bool) (run, rest string) {
	for i := 0; i < len(s); i++ {
		if (s[i] >= '0' && s[i] <= '9') != digits {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

func compareText(a, b string) int {
	for i := 0; i < len(a) || i < len(b); i++ {
		if c := textOrder(a, i) - textOrder(b, i); c != 0 {
			return c
		}
	}
	return 0
}

// textOrder is the weight of s[i]: "~", the end, letters, the others.
func textOrder(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case s[i] >= 'a' && s[i] <= 'z', s[i] >= 'A' && s[i] <= 'Z':
		return int(s[i])
	}
	return int(s[i]) + 256
}
