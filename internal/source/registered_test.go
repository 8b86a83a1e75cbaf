// SPDX-License-Identifier: MIT

package source

import (
	"strings"
	"testing"
)

// TestMisnamed has directories below the source tree whose dkms.conf says that
// it is another module or version.
func TestMisnamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"src/lib_a-3/dkms.conf": "PACKAGE_NAME=lib_a\n\nPACKAGE_VERSION=1.0\n",
		"src/bar-1/dkms.conf":   conf,
		"src/a-b-1/dkms.conf":   "PACKAGE_NAME=a\nPACKAGE_VERSION=b-1\n",
	})
	const version, name = "src/lib_a-3/dkms.conf:3: PACKAGE_VERSION is 1.0, but the directory is that of ", "src/bar-1/dkms.conf:1: PACKAGE_NAME is foo, but the directory is that of "
	for _, tt := range []struct{ arg, want string }{
		{"lib_a/3", version + "lib_a/3"},
		{"lib_a-3", version + "lib_a-3"},
		{"lib_a", version + "lib_a-3"},
		{"bar/1", name + "bar/1"},
		{"bar-1", name + "bar-1"},
		{"a-b/1", "src/a-b-1/dkms.conf:1: PACKAGE_NAME is a, but the directory is that of a-b/1"},
		{"a/b-1", ""},
		{"a-b-1", ""},
		{"src/lib_a-3", ""}, // a directory is taken for what it says
	} {
		_, err := Resolve(t.Context(), tt.arg, options(t, dir))
		got := ""
		if err != nil {
			got = err.Error()
			if e, ok := err.(*Error); !ok || !strings.HasPrefix(e.Hint(), "rename the directory, or pass it as "+dir) {
				t.Errorf("Resolve(%s): no hint: %v", tt.arg, err)
			}
		}
		if got != tt.want {
			t.Errorf("Resolve(%s): %q; want %q", tt.arg, got, tt.want)
		}
	}
}
