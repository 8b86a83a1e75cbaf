// SPDX-License-Identifier: MIT

package acceptance

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gokms/gokms/pkg/version"
)

// lean is a machine with a compiler and without any headers.
func lean(t *testing.T) base {
	return base{"lean", []string{"gcc", "make", "libc6-dev", "patch", "xz-utils", "bubblewrap"}, nil}
}

// reference is a machine on which the headers of all kernels are installed.
func reference(t *testing.T, kernels []string) base {
	b := builder(t)
	b.name = "reference"
	b.packages = append(b.packages, "libfaketime")
	for _, kver := range kernels {
		b.packages = append(b.packages, "linux-headers-"+kver)
	}
	return b
}

// archiveKernels are the two newest kernels of the series that
// linux-headers-ARCH is of, and the newest 6.12 kernel.
func archiveKernels(t *testing.T) []string {
	t.Helper()
	const prefix = "linux-headers-"
	newest := func(meta string) string {
		for _, line := range strings.Split(hostOutput(t, "apt-cache", "depends", meta), "\n") {
			if release, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "+prefix); ok {
				return release
			}
		}
		t.Fatalf("%s depends on no headers", meta)
		return ""
	}
	today := newest(prefix + arch(t))
	series := regexp.MustCompile(`^` + regexp.QuoteMeta(today[:strings.Index(today, "-")]) + `-[0-9]+-` + arch(t) + `$`)
	var all []string
	for _, name := range strings.Fields(hostOutput(t, "apt-cache", "pkgnames", prefix)) {
		if release := strings.TrimPrefix(name, prefix); series.MatchString(release) {
			all = append(all, release)
		}
	}
	slices.SortFunc(all, version.Compare)
	if len(all) < 2 {
		t.Fatalf("the archive has %q only", all)
	}
	return append(all[len(all)-2:], newest(prefix+"6.12-"+arch(t)))
}

// TestAnyKernel builds as an ordinary user on a machine without headers what
// root builds where they are installed.
func TestAnyKernel(t *testing.T) {
	acceptance(t)
	kernels := archiveKernels(t)
	var args []string
	for _, kver := range kernels {
		args = append(args, "-k", kver)
	}
	var debs []string
	for _, source := range []string{"acpi-call-dkms", "bbswitch-dkms", "lime-forensics-dkms"} {
		debs = append(debs, corpusDeb(t, source))
	}
	ref, bare := newContainer(t, reference(t, kernels)), newContainer(t, lean(t))
	for _, c := range []*container{ref, bare} {
		c.Copy(t, "/usr/local/bin", command(t, "gokms-mkbmdeb"))
		c.Copy(t, "/srv", debs...)
	}
	t.Log(ref.As(t, "root", `gokms-mkbmdeb --sandbox=off -o off "$@" /srv/*.deb`, args...))
	t.Log(ref.As(t, "root", `gokms-mkbmdeb -o on "$@" /srv/*.deb`, args...))
	t.Log(bare.As(t, ordinary, `gokms-mkbmdeb -o out "$@" /srv/*.deb; du -sh .cache/gokms`, args...))
	sameFiles(t, ref.Path("/root/off"), ref.Path("/root/on"))
	sameFiles(t, ref.Path("/root/off"), bare.Path("/home/"+ordinary+"/out"))
	if built, _ := filepath.Glob(bare.Path("/home/" + ordinary + "/out/*.deb")); len(built) != 2*len(kernels)*len(debs) { // with their debug symbols
		t.Errorf("%d packages were built, want %d", len(built), 2*len(kernels)*len(debs))
	}
	t.Log(bare.As(t, ordinary, `gokms-mkbmdeb --offline -o again "$@" /srv/*.deb`, args...))
	sameFiles(t, bare.Path("/home/"+ordinary+"/out"), bare.Path("/home/"+ordinary+"/again"))
}
