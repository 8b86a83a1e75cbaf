// SPDX-License-Identifier: MIT

package archive

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
)

// TestMain closes the umask: what is in the cache must be readable anyway.
func TestMain(m *testing.M) {
	syscall.Umask(0o077)
	if job := os.Getenv("GOKMS_ARCHIVE_CHILD"); job != "" {
		os.Exit(child(job))
	}
	os.Exit(m.Run())
}

// deb is a package of a test: its control file in short, and its files.
type deb struct {
	name, version, arch string // arch "": amd64
	depends             string
	source              string
	files               []debfile.File
}

func file(path, text string) debfile.File {
	return debfile.File{Path: path, Mode: 0o644, Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}
}

func link(path, target string) debfile.File {
	return debfile.File{Path: path, Mode: fs.ModeSymlink | 0o777, Target: target}
}

// flavour are the files of a kernel's headers.
func flavour(release string) []debfile.File {
	tree := "usr/src/linux-headers-" + release
	program := file(tree+"/scripts/program", "#!/bin/sh\n")
	program.Mode = 0o700 | fs.ModeSetuid
	return []debfile.File{
		file(tree+"/.config", "CONFIG_X86_64=y\n"), program,
		link("lib/modules/"+release+"/build", "/"+tree),
	}
}

// headerPackages are those of one version of a kernel, as Debian has them.
func headerPackages(abi, version string) []deb {
	base := "linux-headers-" + abi
	return []deb{
		{name: base + "-amd64", version: version, source: "linux-signed (" + version + "+1)", files: flavour(abi + "-amd64"),
			depends: base + "-common (= " + version + "), linux-kbuild-6.1 (>= 6.1-1), linux-image-" + abi + "-amd64 | linux-image-x, gcc-12, linux-base (>= 4)"},
		{name: base + "-common", version: version, arch: "all", files: []debfile.File{file("usr/src/"+base+"-common/Makefile", "x:\n")}},
		{name: "linux-image-" + abi + "-amd64", version: version},
	}
}

// programs are what all kernels of a test share.
var programs = []deb{
	{name: "linux-kbuild-6.1", version: "6.1-5", depends: "libc6 (>= 2.34), libelf1 (>= 0.142), libssl3 (>= 3), pahole",
		files: []debfile.File{file("usr/lib/linux-kbuild-6.1/scripts/modpost", "ELF")}},
	{name: "pahole", version: "1.24-4", depends: "libdw1 | libdw1t64, libc6", files: []debfile.File{file("usr/bin/pahole", "ELF")}},
	{name: "libdw1", version: "0.188-2", depends: "libelf1 (= 0.188-2), zlib1g, libc6 (>= 2.34)"},
	{name: "libelf1", version: "0.188-2", depends: "libc6, zlib1g"},
	{name: "libssl3", version: "3.0-1", depends: "libc6 (>= 2.34)"},
	{name: "zlib1g", version: "1:1.2-1", depends: "libc6"},
	{name: "libc6", version: "2.36-9"}, {name: "gcc-12", version: "12"}, {name: "linux-base", version: "4.9"},
}

// makeDeb writes one package.
func makeDeb(t testing.TB, dir string, d deb) string {
	t.Helper()
	arch := d.arch
	if arch == "" {
		arch = "amd64"
	}
	var s control.Stanza
	for _, f := range [][2]string{
		{"Package", d.name}, {"Source", d.source}, {"Version", d.version}, {"Architecture", arch}, {"Maintainer", "A <a@example.org>"},
		{"Depends", d.depends}, {"Description", "x"},
	} {
		if f[1] != "" {
			s.Set(f[0], f[1])
		}
	}
	path := filepath.Join(dir, fmt.Sprintf("%s_%s_%s.deb", d.name, noEpoch(d.version), arch))
	p := &debfile.Package{Control: s, Files: d.files, ModTime: time.Unix(1e9, 0), Compression: debfile.Gzip}
	if err := debfile.WriteFile(path, p, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// repo is an archive in a directory.
type repo struct {
	dir     string
	sources string // a file for Dir::Etc::SourceList
}

// newRepo makes an archive of packages.
func newRepo(t testing.TB, debs ...deb) *repo {
	t.Helper()
	testkit.Tools(t, "apt-get", "apt-cache", "dpkg-query", "gzip")
	dir := t.TempDir()
	r := &repo{dir: filepath.Join(dir, "repo"), sources: filepath.Join(dir, "sources.list")}
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.add(t, debs...)
	write(t, r.sources, "deb [trusted=yes] file:"+r.dir+" ./\n")
	return r
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// add adds packages and writes the index anew.
func (r *repo) add(t testing.TB, debs ...deb) {
	t.Helper()
	for _, d := range debs {
		makeDeb(t, r.dir, d)
	}
	r.index(t)
}

// index writes the list of packages.
func (r *repo) index(t testing.TB) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.dir, "*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, path := range paths {
		d, err := debfile.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		s := d.Control()
		_, sum, err := debfile.Sum(path)
		info, serr := os.Stat(path)
		if err != nil || serr != nil {
			t.Fatal(err, serr)
		}
		s.Set("Filename", "./"+filepath.Base(path))
		s.Set("Size", fmt.Sprint(info.Size()))
		s.Set("SHA256", sum)
		stanza, err := control.Format(s)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(stanza)
		text.WriteByte('\n')
		d.Close()
	}
	write(t, filepath.Join(r.dir, "Packages"), text.String())
}

// machine is what a test's Archive sees of the machine, and what it did.
type machine struct {
	Options
	mu      sync.Mutex
	ran     []string // the commands
	warned  []error
	stopAt  string // runs before returns when a command contains it
	stopped func() error
}

// newMachine has the named packages installed ("libelf1 0.188-2").
func newMachine(t testing.TB, r *repo, packages ...string) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{Options: Options{
		CacheDir: filepath.Join(dir, "cache"), AdminDir: filepath.Join(dir, "dpkg"), BuildArch: "amd64",
		Apt: []string{"-o", "Dir::Etc::SourceList=" + r.sources, "-o", "Dir::Etc::SourceParts=/dev/null", "-o", "Acquire::Retries=0"},
	}}
	m.install(t, packages...)
	m.Run = m.run
	m.Warn = func(err error) { m.warned = append(m.warned, err) }
	return m
}

// install fills dpkg's database.
func (m *machine) install(t testing.TB, packages ...string) {
	t.Helper()
	status := ""
	for _, p := range packages {
		name, rest, _ := strings.Cut(p, " ")
		version, provides, _ := strings.Cut(rest, " ")
		status += "Package: " + name + "\nStatus: install ok installed\nVersion: " + version + "\nArchitecture: amd64\nMaintainer: A <a@example.org>\nDescription: x\n"
		if provides != "" {
			status += "Provides: " + provides + "\n"
		}
		status += "\n"
		write(t, filepath.Join(m.AdminDir, "info", name+".list"), "/.\n")
	}
	write(t, filepath.Join(m.AdminDir, "status"), status)
}

func (m *machine) run(cmd *exec.Cmd) error {
	line := strings.Join(cmd.Args, " ")
	m.mu.Lock()
	m.ran = append(m.ran, line)
	m.mu.Unlock()
	if m.stopAt != "" && strings.Contains(line, m.stopAt) {
		if err := m.stopped(); err != nil {
			return err
		}
	}
	return cmd.Run()
}

// count counts the commands that contain text, and forgets all.
func (m *machine) count(text string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, line := range m.ran {
		if strings.Contains(line, text) {
			n++
		}
	}
	m.ran = nil
	return n
}

// names are those of the packages of a set.
func names(set *Set) string {
	var all []string
	for _, p := range set.Packages {
		all = append(all, p.Name)
	}
	return strings.Join(all, " ")
}

// leftovers lists what is in the cache's temporary directory.
func leftovers(t testing.TB, cache string) []string {
	t.Helper()
	var left []string
	files, err := os.ReadDir(filepath.Join(cache, "tmp"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, f := range files {
		left = append(left, f.Name())
	}
	return left
}

// debsIn lists the packages that are whole in the cache, by name.
func debsIn(t testing.TB, cache string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(cache, "debs", "*"))
	if err != nil {
		t.Fatal(err)
	}
	a := Open(Options{CacheDir: cache})
	var all []string
	for _, f := range files {
		e, err := a.readEntry(filepath.Base(f), byContent)
		if err != nil {
			t.Error(err)
		}
		if e == nil {
			t.Errorf("%s is not whole", f)
			continue
		}
		all = append(all, e.Name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
