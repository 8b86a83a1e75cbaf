// SPDX-License-Identifier: MIT

package changelog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"archive/tar"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

// dpkgParse gives text to dpkg-parsechangelog: its entries as render shows
// them, the lines it warns about, and whether it went through.
func dpkgParse(t *testing.T, text []byte) (entries []string, warn []int, ok bool) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "changelog")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dpkg-parsechangelog", "-l", file, "--format", "rfc822", "--all")
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DPKG_COLORS=never")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^dpkg-parsechangelog: warning:.*\(l(\d+)\)`).FindAllStringSubmatch(stderr.String(), -1) {
		n, _ := strconv.Atoi(m[1])
		warn = append(warn, n)
	}
	slices.Sort(warn)
	return dpkgEntries(string(out)), slices.Compact(warn), err == nil
}

// dpkgEntries renders the stanzas that dpkg-parsechangelog printed.
func dpkgEntries(out string) []string {
	var entries []string
	for _, stanza := range strings.Split(strings.TrimSuffix(out, "\n\n"), "\n\n") {
		values := map[string]string{}
		var name string
		for _, line := range strings.Split(stanza, "\n") {
			if rest, ok := strings.CutPrefix(line, " "); ok {
				if strings.Trim(rest, ".") == "" { // escaped by one dot
					rest = rest[1:]
				}
				values[name] += "\n" + rest
				continue
			}
			var value string
			name, value, _ = strings.Cut(line, ":")
			values[name] = strings.TrimPrefix(value, " ")
		}
		known := func(name string) string {
			if values[name] == "unknown" {
				return ""
			}
			return values[name]
		}
		var changes string // after an empty line, the heading, an empty line
		if parts := strings.SplitN(values["Changes"], "\n", 4); len(parts) == 4 {
			changes = parts[3]
		}
		entries = append(entries, strings.Join([]string{
			known("Source"), known("Version"), values["Distribution"], known("Urgency"), values["Maintainer"],
			values["Timestamp"], strconv.Quote(changes),
		}, "|"))
	}
	return entries
}

// compare holds our reading of text against dpkg's.
func compare(t *testing.T, text []byte) bool {
	t.Helper()
	entries, warn, ok := dpkgParse(t, text)
	c, err := Parse(bytes.NewReader(text), "f")
	if ok != (err == nil) {
		t.Errorf("Parse: %v; dpkg-parsechangelog accepts: %v", err, ok)
		return false
	}
	if !ok {
		return true
	}
	var got []string
	for _, e := range c.Entries {
		got = append(got, render(e))
	}
	if diff := cmp.Diff(entries, got); diff != "" {
		t.Errorf("(-dpkg +ours):\n%s", diff)
		return false
	}
	if lines := warningLines(t, c.Warnings); !slices.Equal(lines, warn) {
		t.Errorf("warnings at %v; dpkg at %v", lines, warn)
		return false
	}
	return true
}

func TestOracleTable(t *testing.T) {
	testkit.Tools(t, "dpkg-parsechangelog")
	for _, tt := range parseTests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.differs == "" {
				compare(t, []byte(tt.in))
				return
			}
			entries, _, ok := dpkgParse(t, []byte(tt.in))
			if ok == (tt.wantErr == "") && slices.Equal(entries, tt.want) {
				t.Errorf("dpkg does as we do; the row is marked: %s", tt.differs)
			}
		})
	}
}

// TestOracleCorpus compares every changelog, Debian's and upstream's, of the
// packages of the corpus.
func TestOracleCorpus(t *testing.T) {
	testkit.Tools(t, "dpkg-parsechangelog", "dpkg-deb")
	isChangelog := regexp.MustCompile(`^\./usr/share/doc/[^/]+/changelog[^/]*$`)
	n := 0
	for _, deb := range testkit.Corpus(t) {
		for name, text := range members(t, deb, isChangelog) {
			n++
			t.Run(path.Base(deb)+":"+path.Base(name), func(t *testing.T) { compare(t, text) })
		}
	}
	if n < 30 {
		t.Errorf("only %d changelogs found", n)
	}
}

// members returns the files of a .deb whose name matches, decompressed.
func members(t *testing.T, deb string, name *regexp.Regexp) map[string][]byte {
	t.Helper()
	out, err := exec.Command("dpkg-deb", "--fsys-tarfile", deb).Output()
	if err != nil {
		t.Fatalf("dpkg-deb --fsys-tarfile %s: %v", deb, err)
	}
	files := map[string][]byte{}
	tr := tar.NewReader(bytes.NewReader(out))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg || !name.MatchString(h.Name) {
			continue
		}
		var r io.Reader = tr
		if strings.HasSuffix(h.Name, ".gz") {
			if r, err = gzip.NewReader(tr); err != nil {
				t.Fatal(err)
			}
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
