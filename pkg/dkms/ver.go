// SPDX-License-Identifier: MIT

package dkms

import "strings"

// versionKey is what dkms compares kernel versions by: every run of one or
// two digits is padded to three, and the results are compared as text.
//
// That has absurd consequences, which are kept because kernels were excluded
// by them all along: four digits sort below three (6.12.1000 < 6.12.999),
// 6.1-rc3 and 6.1~rc3 are above 6.1, and so is every 6.1.x, so that a
// BUILD_EXCLUSIVE_KERNEL_MAX of 6.1 excludes the whole 6.1 series. dkms
// compares in the order of the caller's locale, in which most of the
// punctuation may count for nothing; here it is always that of the bytes, as
// in the C locale.
func versionKey(version string) string {
	var key strings.Builder
	for version != "" {
		n := 0
		for n < len(version) && version[n] >= '0' && version[n] <= '9' {
			n++
		}
		if n == 0 {
			key.WriteByte(version[0])
			version = version[1:]
			continue
		}
		if n < 3 {
			key.WriteString("000"[:3-n])
		}
		key.WriteString(version[:n])
		version = version[n:]
	}
	return key.String()
}

// compareVersions compares as dkms does; see versionKey.
func compareVersions(a, b string) int { return strings.Compare(versionKey(a), versionKey(b)) }
