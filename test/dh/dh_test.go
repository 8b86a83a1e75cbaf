// SPDX-License-Identifier: MIT

// Package dh holds the tests of dh_gokms and dh_gokms_modules in whole package
// builds, with the dh, dpkg-buildpackage, headers and compiler of this system.
package dh

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// binDir holds the commands under test once [commands] was called.
var binDir string

// commands builds the commands once and returns their folder, which any user
// can reach.
var commands = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gokms-bin-")
	if err != nil {
		return "", err
	}
	binDir = dir
	// go test has to know what a cached result depends on: all it looks at.
	for _, part := range []string{"cmd", "internal", "pkg", "debhelper"} {
		err := filepath.WalkDir(filepath.Join(testkit.Root(), part), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return dir, err
		}
	}
	for name, source := range map[string]string{"dh_gokms": "dh-gokms", "dh_gokms_modules": "dh-gokms-modules"} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, name), "./cmd/"+source)
		cmd.Dir = testkit.Root()
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	for _, part := range []string{"perl5", "autoscripts"} {
		if out, err := exec.Command("cp", "-r", filepath.Join(testkit.Root(), "debhelper", part), dir).CombinedOutput(); err != nil {
			return dir, fmt.Errorf("cp: %w\n%s", err, out)
		}
	}
	return dir, exec.Command("chmod", "-R", "a+rX", dir).Run()
})

func TestMain(m *testing.M) {
	code := m.Run()
	if binDir != "" {
		if err := os.RemoveAll(binDir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// tree is a source package in a directory of its own.
type tree struct {
	dir string
	env []string
	// prepend goes before PATH.
	prepend string
	as      []string // what runs as another user or under fakeroot
}

// example copies examples/i40e.
func example(t *testing.T) *tree {
	t.Helper()
	testkit.Tools(t, "dh", "dpkg-buildpackage", "dpkg-deb", "gcc-12", "xz")
	testkit.Kernels(t)
	return newTree(t, filepath.Join(testkit.Root(), "examples/i40e"), "i40e-2.4.6")
}

// newTree copies a source package to a folder that any user can reach.
func newTree(t *testing.T, from, name string) *tree {
	t.Helper()
	parent, err := os.MkdirTemp("", "gokms-dh-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	s := &tree{dir: filepath.Join(parent, name)}
	run(t, exec.Command("cp", "-r", "--no-preserve=ownership", from, s.dir))
	run(t, exec.Command("chmod", "-R", "a+rX", parent))
	return s
}

// run runs cmd and returns all that it printed; a failure ends the test.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// command is one in s, with the commands under test and a bare environment.
func (s *tree) command(t *testing.T, argv ...string) *exec.Cmd {
	t.Helper()
	bin, err := commands()
	if err != nil {
		t.Fatal(err)
	}
	argv = append(append([]string(nil), s.as...), append([]string{"env"}, argv...)...) // env looks in the new PATH
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir = s.dir
	cmd.Env = append([]string{
		"PATH=" + s.prepend + bin + ":/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PERL5LIB=" + bin + "/perl5",
		"DH_AUTOSCRIPTDIR=" + bin + "/autoscripts", "HOME=/nonexistent",
	}, s.env...)
	return cmd
}

// build runs dpkg-buildpackage, binaries only unless args say what; the
// build dependency dh-sequence-gokms is not installed here.
func (s *tree) build(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, s.buildCommand(t, args...))
}

func (s *tree) buildCommand(t *testing.T, args ...string) *exec.Cmd {
	if len(args) == 0 {
		args = []string{"-b"}
	}
	return s.command(t, append([]string{"dpkg-buildpackage", "-us", "-uc", "-d"}, args...)...)
}

// write writes files of s; text "" removes one.
func (s *tree) write(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(s.dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case text == "":
			err = os.Remove(path)
		default:
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// edit replaces text in a file of s.
func (s *tree) edit(t *testing.T, name, old, text string) {
	t.Helper()
	was := s.read(t, name)
	if !strings.Contains(was, old) {
		t.Fatalf("%s holds no %q", name, old)
	}
	s.write(t, map[string]string{name: strings.Replace(was, old, text, 1)})
}

func (s *tree) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// debs are the packages beside s: name to digest.
func (s *tree) debs(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(s.dir), "*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	debs := map[string]string{}
	for _, file := range files {
		debs[filepath.Base(file)] = digest(t, file)
	}
	return debs
}

func digest(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// beside finds the one file beside s that the pattern matches.
func (s *tree) beside(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(s.dir), pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %q, %v; want one file", pattern, files, err)
	}
	return files[0]
}

// state is all below debian/ of s: path to digest, or target of a link.
func (s *tree) state(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	top := filepath.Join(s.dir, "debian")
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		if target, err := os.Readlink(path); err == nil {
			files[rel] = "-> " + target
			return nil
		}
		files[rel] = digest(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
