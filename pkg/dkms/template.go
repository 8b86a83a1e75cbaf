// SPDX-License-Identifier: MIT

package dkms

import (
	"bytes"
	"regexp"
)

// VersionPlaceholder stands for a version in a debian/*.dkms.
const VersionPlaceholder = "#MODULE_VERSION#"

var (
	nameAssignment    = regexp.MustCompile(`(?m)^[^#\n]*\bPACKAGE_NAME(\[[0-9]+\])?\+?=`)
	versionAssignment = regexp.MustCompile(`(?m)^[^#\n]*\bPACKAGE_VERSION(\[[0-9]+\])?\+?=`)
)

// IsConf tells whether text looks like a dkms.conf: whether a line assigns
// PACKAGE_NAME.
func IsConf(text []byte) bool { return nameAssignment.Match(text) }

// FillTemplate makes a debian/*.dkms the dkms.conf that is installed:
// [VersionPlaceholder] becomes version, a file without PACKAGE_VERSION gets
// that one, and line ends are those of Unix, since dkms before 3.2 takes a
// carriage return for part of the value. Lines keep their numbers.
func FillTemplate(text []byte, version string) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte(VersionPlaceholder), []byte(version))
	if IsConf(text) && !versionAssignment.Match(text) {
		text = append([]byte("PACKAGE_VERSION=\""+version+"\"; "), text...)
	}
	return text
}
