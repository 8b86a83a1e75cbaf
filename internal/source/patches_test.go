// SPDX-License-Identifier: MIT

package source

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// TestPatches has source packages whose patches are applied, or are not.
func TestPatches(t *testing.T) {
	t.Parallel()
	testkit.Tools(t, "patch")
	const (
		first = "--- a/src/foo.c\n+++ b/src/foo.c\n@@ -1 +1 @@\n-old\n+new\n"
		hint  = "apply them with dpkg-source --before-build (or quilt push -a), or pass the -dkms .deb"
	)
	tree := map[string]string{
		"debian/changelog": changelogText, "debian/source/format": "3.0 (quilt)\n", "src/foo.c": "old\n",
		"debian/patches/series": "# why\n\nfirst.patch -p1\nsecond\n", "debian/patches/first.patch": first, "debian/patches/second": "",
	}
	for _, tt := range []struct {
		name string
		more map[string]string
		want string
	}{
		{"not at all", nil, "debian/patches/series: patch first.patch is not applied"},
		{"some", map[string]string{".pc/applied-patches": "first.patch\n"}, "debian/patches/series: patch second is not applied"},
		{"others", map[string]string{".pc/applied-patches": "other\n"}, "debian/patches/series: patch first.patch is not applied, but other is, says .pc/applied-patches"},
		{"others, and the first by hand", map[string]string{".pc/applied-patches": "other\n", "src/foo.c": "new\n"}, "debian/patches/series: patch first.patch is not applied, but other is, says .pc/applied-patches"},
		{"more", map[string]string{".pc/applied-patches": "first.patch\nsecond\nthird\n"}, "debian/patches/series: it lacks patch third, which is applied, says .pc/applied-patches"},
		{"all", map[string]string{".pc/applied-patches": "first.patch\nsecond\n"}, ""},
		{"all, and no .pc", map[string]string{"src/foo.c": "new\n"}, ""},
		{"no such patch", map[string]string{"debian/patches/series": "none\n"}, "debian/patches/series: patch none is not applied"},
		{"nothing in series", map[string]string{"debian/patches/series": "# first.patch\n"}, ""},
		{"vendor's series", map[string]string{".pc/.quilt_series": "ubuntu.series\n", ".pc/applied-patches": "second\n", "debian/patches/ubuntu.series": "second\n"}, ""},
		{"other format", map[string]string{"debian/source/format": "1.0\n"}, ""},
	} {
		for kind, conf := range map[string]string{"debian/foo.dkms": conf, "dkms.conf": conf} {
			dir := t.TempDir()
			files := maps.Clone(tree)
			maps.Copy(files, tt.more)
			files[kind] = conf
			write(t, dir, files)
			_, err := Resolve(t.Context(), ".", options(t, dir))
			switch e, _ := err.(*Error); {
			case tt.want == "" && err != nil, tt.want != "" && (e == nil || err.Error() != tt.want || e.Hint() != hint):
				t.Errorf("%s, %s: %v; want %q", tt.name, kind, err, tt.want)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "src", "*")); err != nil || len(left) != 1 {
				t.Errorf("%s, %s: left %q, %v", tt.name, kind, left, err)
			}
		}
	}
}
