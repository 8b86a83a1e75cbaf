// SPDX-License-Identifier: MIT

package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// verdict is how a build ended: "ok N" with N modules, "excluded" by
// BUILD_EXCLUSIVE_*, "failed", or "refused" before anything was built.
type verdict string

const (
	excluded verdict = "excluded"
	failed   verdict = "failed"
	refused  verdict = "refused"
)

func ok(modules int) verdict { return verdict(fmt.Sprintf("ok %d", modules)) }

// built is what gokms-mkbmdeb made of a -dkms package.
type built struct {
	source  string // name of the -dkms package
	verdict verdict
	deb     string // the module package, on this machine
	name    string // its name
	version string
	root    string            // its files, unpacked
	modules map[string]string // kernel's name of each module to its path in root
	output  string            // what the command printed
}

var (
	gokms  *chroot // the system that gokms-mkbmdeb runs on
	builds = map[string]*built{}
)

// build makes the module package of a -dkms package for today's kernel; with
// a revision, if that is not "". It is made once for all tests.
func build(t *testing.T, source, revision string) *built {
	t.Helper()
	key := source + "+" + revision
	if builds[key] == nil {
		builds[key] = newBuild(t, source, revision)
	}
	return builds[key]
}

// unloadable are the packages of which one module cannot be loaded, and what
// makes gokms build it all the same, as dkms does. dahdi_echocan_oslec wants
// symbols of a driver that Debian's kernels do not have.
var unloadable = map[string][]string{"dahdi-dkms": {"--no-verify", "symbols"}}

func newBuild(t *testing.T, source, revision string) *built {
	t.Helper()
	if gokms == nil {
		gokms = openChroot(t, builder(t))
		gokms.Copy(t, "/usr/local/bin", command(t, "gokms-mkbmdeb"))
	}
	out := "/tmp/" + source + "+" + revision
	argv := []string{"gokms-mkbmdeb", "--no-dbgsym", "-k", gokms.kver(t), "-o", out}
	if revision != "" {
		argv = append(argv, "--revision", revision)
	}
	argv = append(argv, unloadable[source]...)
	code, output := gokms.Try(t, append(argv, gokms.Copy(t, "/tmp/corpus", corpusDeb(t, source))...)...)
	b := &built{source: source, output: output}
	if code != 0 {
		b.verdict = map[int]verdict{1: failed, 2: refused, 77: excluded}[code]
		return b
	}
	debs, err := filepath.Glob(gokms.Path(out + "/*.deb"))
	must(t, err)
	if len(debs) != 1 {
		t.Fatalf("gokms-mkbmdeb %s wrote %d packages, not one\n%s", source, len(debs), output)
	}
	b.open(t, debs[0])
	b.verdict = ok(len(b.modules))
	return b
}

// open unpacks the package.
func (b *built) open(t *testing.T, deb string) {
	t.Helper()
	b.deb, b.root = deb, scratchDir(t, b.source)
	b.name = hostOutput(t, "dpkg-deb", "--field", deb, "Package")
	b.version = hostOutput(t, "dpkg-deb", "--field", deb, "Version")
	hostOutput(t, "dpkg-deb", "--extract", deb, b.root)
	b.modules = map[string]string{}
	for _, file := range modulesBelow(t, b.root) {
		name, err := filepath.Rel(b.root, file)
		must(t, err)
		b.modules[moduleName(file)] = "/" + name
	}
}

// buildable are the module packages of all packages to test with that the
// kernel takes.
func buildable(t *testing.T, revision string) []*built {
	t.Helper()
	var all []*built
	for _, source := range packages(t) {
		b := build(t, source, revision)
		if b.modules == nil {
			t.Logf("%s is left out: %s: %s", source, b.verdict, b.output)
			continue
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		t.Fatal("no package could be built")
	}
	return all
}

// modulesBelow are the module files in a folder.
func modulesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	must(t, filepath.Walk(dir, func(file string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && moduleName(file) != "" {
			files = append(files, file)
		}
		return err
	}))
	return files
}

// moduleName is the name of the module in a file, "" where the file is none.
func moduleName(file string) string {
	name, suffix, found := strings.Cut(path.Base(file), ".ko")
	if !found || suffix != "" && suffix != ".xz" && suffix != ".zst" && suffix != ".gz" {
		return ""
	}
	return name
}

// readModule is the ELF file of a module, not compressed.
func readModule(t *testing.T, file string) []byte {
	t.Helper()
	decompress := map[string]string{".xz": "xz", ".zst": "zstd", ".gz": "gzip"}
	if tool := decompress[path.Ext(file)]; tool != "" {
		data, err := exec.Command(tool, "-dc", file).Output()
		must(t, err)
		return data
	}
	data, err := os.ReadFile(file)
	must(t, err)
	return data
}
