// SPDX-License-Identifier: MIT

package dkms

import "testing"

func TestFillTemplate(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"PACKAGE_NAME=a\nPACKAGE_VERSION=#MODULE_VERSION#\n", "PACKAGE_NAME=a\nPACKAGE_VERSION=1.2\n"},
		{"PACKAGE_NAME=a\nPACKAGE_VERSION=3\n", "PACKAGE_NAME=a\nPACKAGE_VERSION=3\n"},
		{"PACKAGE_NAME=a\n", "PACKAGE_VERSION=\"1.2\"; PACKAGE_NAME=a\n"},
		{"# PACKAGE_VERSION=3\r\nPACKAGE_NAME=a\r\n", "PACKAGE_VERSION=\"1.2\"; # PACKAGE_VERSION=3\nPACKAGE_NAME=a\n"},
		{"x/dkms.conf\n", "x/dkms.conf\n"},
	} {
		if got := string(FillTemplate([]byte(tt.in), "1.2")); got != tt.want {
			t.Errorf("FillTemplate(%q) = %q; want %q", tt.in, got, tt.want)
		}
	}
}
