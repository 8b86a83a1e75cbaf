// SPDX-License-Identifier: MIT

package acceptance

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/test/vm"
)

// cross is a machine without any headers that has the compilers for the kernels
// of [vmKernels], and what some -dkms packages depend on.
func cross(t *testing.T) base {
	b := lean(t)
	b.name = "cross"
	b.packages = append(b.packages, "gcc-12-aarch64-linux-gnu", "binutils-aarch64-linux-gnu",
		"gawk", "libelf-dev", "libxtables-dev", "pkg-config", "bzip2")
	return b
}

var crossMachine *container

// packageFor makes the module package of a source, a -dkms package or a
// directory, for the kernel of m, as an ordinary user with headers from the
// archive. Packages are kept until the source, the command or the machine
// changes. One that cannot be built has no modules.
func packageFor(t *testing.T, m *vm.Machine, source string, args ...string) *built {
	t.Helper()
	name, _, _ := strings.Cut(filepath.Base(source), "_")
	args = append([]string{"-a", m.Kernel.Arch, "-k", "apt:linux-headers-" + m.Kernel.Release}, args...)
	key := sha256.New()
	fmt.Fprintf(key, "%s\n%q\n%s %s\n", filepath.Base(cross(t).tarball(t)), args, fileDigests(t, command(t, "gokms-mkbmdeb")), fileDigests(t, source))
	kept := filepath.Join(cacheDir(t), "packages", fmt.Sprintf("%s_%s_%x", name, m.Kernel.Release, key.Sum(nil)[:6]))
	if _, err := os.Stat(kept); err != nil {
		keepPackage(t, kept, source, args)
	}
	return keptPackage(t, kept, name)
}

// fileDigests are those of a file, or of all files of a directory.
func fileDigests(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		fmt.Fprintf(&b, "%s %x\n", strings.TrimPrefix(file, root), sha256.Sum256(data))
		return err
	}))
	return b.String()
}

// keepPackage builds and puts what comes of it into the directory kept, in the
// place of what was there for the same source and kernel.
func keepPackage(t *testing.T, kept, source string, args []string) {
	t.Helper()
	work := scratchDir(t, "package")
	code, output := mkbmdeb(t, work, source, args...)
	must(t, os.WriteFile(filepath.Join(work, "exit"), []byte(strconv.Itoa(code)), 0o644))
	must(t, os.WriteFile(filepath.Join(work, "output"), []byte(output), 0o644))
	must(t, os.MkdirAll(filepath.Dir(kept), 0o755))
	older, err := filepath.Glob(kept[:strings.LastIndex(kept, "_")] + "_*")
	must(t, err)
	for _, dir := range older {
		must(t, os.RemoveAll(dir))
	}
	must(t, os.Rename(work, kept))
}

// crossContainer is the machine that [cross] describes.
func crossContainer(t *testing.T) *container {
	t.Helper()
	if crossMachine == nil {
		c := openChroot(t, cross(t)).container(t)
		c.Copy(t, "/usr/local/bin", command(t, "gokms-mkbmdeb"))
		crossMachine = c
	}
	return crossMachine
}

// mkbmdeb runs gokms-mkbmdeb on the machine that [cross] describes, and copies the
// packages to dir.
func mkbmdeb(t *testing.T, dir, source string, args ...string) (code int, output string) {
	t.Helper()
	c := crossContainer(t)
	hostOutput(t, "cp", "-rL", source, c.Path("/srv"))
	start := time.Now()
	args = append(slices.Clone(args), filepath.Join("/srv", filepath.Base(source)))
	code, output = c.TryAs(t, ordinary, `rm -rf out; exec gokms-mkbmdeb --maintainer 'T E <t@example.org>' -o out "$@"`, args...)
	t.Logf("gokms-mkbmdeb %s: exit %d after %.0f s", strings.Join(args, " "), code, time.Since(start).Seconds())
	debs, err := filepath.Glob(c.Path("/home/" + ordinary + "/out/*.deb"))
	must(t, err)
	for _, deb := range debs {
		hostOutput(t, "cp", deb, dir)
	}
	return code, output
}

// keptPackage opens what keepPackage has kept.
func keptPackage(t *testing.T, kept, name string) *built {
	t.Helper()
	output, err := os.ReadFile(filepath.Join(kept, "output"))
	must(t, err)
	code, err := os.ReadFile(filepath.Join(kept, "exit"))
	must(t, err)
	b := &built{source: name, output: string(output)}
	switch string(code) {
	case "0":
		b.open(t, moduleDeb(t, kept))
		b.verdict = ok(len(b.modules))
	case "77":
		b.verdict = excluded
	case "1":
		b.verdict = failed
	default:
		b.verdict = refused
	}
	return b
}

// moduleDeb is the module package in a folder that may hold one with its debug
// symbols as well.
func moduleDeb(t *testing.T, dir string) string {
	t.Helper()
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	must(t, err)
	debs = slices.DeleteFunc(debs, func(deb string) bool { return strings.Contains(filepath.Base(deb), "-dbgsym_") })
	if len(debs) != 1 {
		t.Fatalf("%s holds %d module packages, not one", dir, len(debs))
	}
	return debs[0]
}

// testSource is a source of testdata.
func testSource(name string) string {
	return filepath.Join(testkit.Root(), "test", "acceptance", "testdata", name)
}
