// SPDX-License-Identifier: MIT

// Package debdiff tells what differs between two packages: control fields,
// files, and what the scripts of a -dkms package do.
package debdiff

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Compare returns what a has and b has not, each line with "-", and the other
// way round with "+".
func Compare(t testing.TB, a, b string) []string {
	t.Helper()
	was, is := Describe(t, a), Describe(t, b)
	var diff []string
	for _, line := range was {
		if !slices.Contains(is, line) {
			diff = append(diff, "- "+line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			diff = append(diff, "+ "+line)
		}
	}
	return diff
}

// Describe lists a package: its fields, its files with mode and content, its
// control files but for md5sums and the text of the scripts, and what those do.
func Describe(t testing.TB, deb string) []string {
	t.Helper()
	dir := t.TempDir()
	output(t, exec.Command("dpkg-deb", "--raw-extract", deb, dir))
	var lines []string
	for _, line := range strings.Split(output(t, exec.Command("dpkg-deb", "--field", deb)), "\n") {
		lines = append(lines, "field "+line)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if rel == "DEBIAN/postinst" || rel == "DEBIAN/prerm" {
			lines = append(lines, trace(t, path)...)
			lines = append(lines, fmt.Sprintf("own part of %s: %.12x", rel, sha256.Sum256([]byte(own(t, path)))))
			return nil
		}
		if rel == "DEBIAN/control" || rel == "DEBIAN/md5sums" {
			return nil
		}
		line, err := describe(path, d)
		lines = append(lines, "file "+rel+" "+line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func describe(path string, d fs.DirEntry) (string, error) {
	if target, err := os.Readlink(path); err == nil {
		return "-> " + target, nil
	}
	info, err := d.Info()
	if err != nil || d.IsDir() {
		return info.Mode().String(), err
	}
	data, err := os.ReadFile(path)
	return fmt.Sprintf("%v %.12x", info.Mode(), sha256.Sum256(data)), err
}

// added is what dh_dkms or dh_gokms put into a script.
var added = regexp.MustCompile(`(?ms)^# Automatically added by dh_(dkms|gokms)/.*?^# End automatically added section\n`)

func own(t testing.TB, script string) string {
	t.Helper()
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	return added.ReplaceAllString(string(text), "")
}

// calls are how dpkg calls the scripts.
var calls = map[string][]string{
	"postinst": {"configure", "configure 1.0-1", "abort-upgrade 9-1", "abort-remove", "abort-deconfigure in-favour x 1", "triggered x"},
	"prerm":    {"remove", "upgrade 9-1", "deconfigure in-favour x 1", "failed-upgrade 0.1-1"},
}

// trace runs the added part of a script with a dkms and a common.postinst that
// do nothing but say how they were called.
func trace(t testing.TB, script string) []string {
	t.Helper()
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	common := filepath.Join(dir, "common.postinst")
	part := strings.Join(added.FindAllString(string(text), -1), "")
	for name, text := range map[string]string{
		"common.postinst": "#!/bin/sh\nprintf common.postinst; printf ' %s' \"$1\" \"$2\" \"$3\" \"$4\" \"$5\"; echo\n",
		"dkms":            "#!/bin/sh\n[ \"$1\" = status ] && echo \"$STATUS\" || echo dkms \"$@\"\n",
		"script":          "set -e\n" + strings.ReplaceAll(part, "/usr/lib/dkms/common.postinst", common),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	for _, call := range calls[filepath.Base(script)] {
		for _, status := range []string{"", "installed"} {
			cmd := exec.Command("sh", append([]string{filepath.Join(dir, "script")}, strings.Fields(call)...)...)
			cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "STATUS=" + status}
			lines = append(lines, fmt.Sprintf("%s %s (status %q): %q", filepath.Base(script), call, status, output(t, cmd)))
		}
	}
	return lines
}

func output(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

// Explained is a line of a difference, as a regular expression, with why it is
// right.
type Explained struct{ Line, Why string }

// Scripts explains what differs between any package of dh_dkms and the same
// of dh_gokms.
var Scripts = []Explained{
	{`[-+] postinst abort-\S+ .*`, "an upgrade or removal that does not come about leaves the module registered: its prerm took it away"},
}

// Check fails the test for each line of a difference that no row explains, and
// for each row that explains none.
func Check(t testing.TB, diff []string, rows ...Explained) {
	t.Helper()
	used := make([]bool, len(rows))
	for _, line := range diff {
		i := slices.IndexFunc(rows, func(e Explained) bool { return regexp.MustCompile(`^(?:` + e.Line + `)$`).MatchString(line) })
		if i < 0 {
			t.Errorf("unexplained: %s", line)
			continue
		}
		used[i] = true
	}
	for i, e := range rows {
		if !used[i] {
			t.Errorf("nothing is like %q (%s); the difference is:\n%s", e.Line, e.Why, strings.Join(diff, "\n"))
		}
	}
}
