// SPDX-License-Identifier: MIT

package depmod

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/pkg/textfile"
)

// at is a place in the file of the parser's tests.
func at(line int) Origin { return Origin{"f", line} }

var defaultSearch = []Search{{Dir: "updates"}, {Dir: BuiltIn}}

var parseTests = []struct {
	name string
	in   string
	want Config
	warn string // substrings of the warnings, by "; "
}{
	{"empty", "", Config{Searches: defaultSearch}, ""},
	{"blank and comment", "\n \t\n# search x\n", Config{Searches: defaultSearch}, ""},
	{"search", "search a\tb\nsearch  built-in external\n", Config{Searches: []Search{{"a", at(1)}, {"b", at(1)}, {BuiltIn, at(2)}, {ExternalDirs, at(2)}}}, ""},
	{"search alone", "search\n", Config{Searches: defaultSearch}, ""},
	{"search with slash", "search a/\n", Config{Searches: []Search{{"a/", at(1)}}}, `f:1: "a/" holds no file`},
	{"no newline", "search a", Config{Searches: []Search{{"a", at(1)}}}, ""},
	{"continued", "\nsearch a \\\nb\\\nc\nexclude x y", Config{Searches: []Search{{"a", at(2)}, {"bc", at(2)}}, Excludes: []Exclude{{"x", at(5)}, {"y", at(5)}}}, ""},
	{"backslash dropped", "sea\\rch a\\\\b \\ c", Config{Searches: []Search{{`a\b`, at(1)}, {"c", at(1)}}}, ""},
	{"backslash before the end", "search a\\", Config{Searches: []Search{{"a\xff", at(1)}}}, ""},
	{"comment continued", "# old: \\\nsearch a\n", Config{Searches: defaultSearch}, `f:1: the comment goes on to line 2`},
	{"comment indented", " # search a\n", Config{Searches: defaultSearch}, `f:1: depmod ignores lines that start with "#"`},
	{"carriage return", "search a\r\n", Config{Searches: []Search{{"a\r", at(1)}}}, "f:1: the carriage return"},
	{"NUL", "search a\x00 b\nsearch c", Config{Searches: []Search{{"a", at(1)}, {"c", at(2)}}}, ""},
	{"override", "override m * d\noverride n ^6[.] e/f g\n", Config{Searches: defaultSearch,
		Overrides: []Override{{"m", "*", "d", at(1)}, {"n", "^6[.]", "e/f", at(2)}}}, `f:2: depmod ignores what follows: ["g"]`},
	{"override short", "override m *\noverride\n", Config{Searches: defaultSearch}, "f:1: depmod ignores an override; f:2: depmod ignores an override"},
	{"override bad expression", "override m [ d", Config{Searches: defaultSearch, Overrides: []Override{{"m", "[", "d", at(1)}}}, `f:1: no kernel matches: regular expression "[": [ without ]`},
	{"override with slash", "override m * d/", Config{Searches: defaultSearch, Overrides: []Override{{"m", "*", "d/", at(1)}}}, `f:1: "d/" holds no file`},
	{"external", "external * /a /b\nexternal 6 c\n", Config{Searches: defaultSearch,
		Externals: []External{{"*", "/a", at(1)}, {"6", "c", at(2)}}}, `f:1: depmod ignores what follows: ["/b"]; f:2: "c" is not absolute`},
	{"external short", "external *", Config{Searches: defaultSearch}, "f:1: depmod ignores an external"},
	{"exclude a path", "exclude a/b", Config{Searches: defaultSearch, Excludes: []Exclude{{"a/b", at(1)}}}, "f:1: exclude takes the name"},
	{"not implemented", "make_map_files no\ninclude x", Config{Searches: defaultSearch}, "f:1: depmod ignores make_map_files; f:2: depmod ignores include"},
	{"unknown", "Search a\nfoo", Config{Searches: defaultSearch}, `f:1: depmod ignores lines that start with "Search"; f:2: depmod ignores lines that start with "foo"`},
}

func TestParse(t *testing.T) {
	for _, tt := range parseTests {
		t.Run(tt.name, func(t *testing.T) {
			c := New(Source{"f", []byte(tt.in)})
			var warnings []string
			if tt.warn != "" {
				warnings = strings.Split(tt.warn, "; ")
			}
			if len(c.Warnings) != len(warnings) {
				t.Fatalf("Warnings = %q; want %q", c.Warnings, warnings)
			}
			for i, w := range c.Warnings {
				var e *textfile.Error
				if !errors.As(w, &e) || !strings.Contains(w.Error(), warnings[i]) {
					t.Errorf("warning %d = %v; want %s", i, w, warnings[i])
				}
			}
			c.Warnings, c.Sources = nil, nil
			if diff := cmp.Diff(tt.want, *c); diff != "" {
				t.Errorf("New(%q) (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range parseTests {
		f.Add([]byte(tt.in))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := New(Source{"f", data})
		lines := strings.Count(string(data), "\n") + 1
		words := []string{}
		for _, s := range c.Searches {
			words = append(words, s.Dir)
			if s.Line < 0 || s.Line > lines {
				t.Errorf("%q: line %d of %d", data, s.Line, lines)
			}
		}
		for _, o := range c.Overrides {
			words = append(words, o.Module, o.Kernel, o.Dir)
			matchKernel(o.Kernel, "6.1.0-1-t")
		}
		for _, e := range c.Externals {
			words = append(words, e.Kernel, e.Dir)
			matchKernel(e.Kernel, "6.1.0-1-t")
		}
		for _, w := range words {
			if w == "" || strings.ContainsAny(w, " \t\x00") {
				t.Errorf("%q: word %q", data, w)
			}
		}
		c.Decide(NewTree("6.1.0-1-t", "lib/modules/6.1.0-1-t/updates/a.ko", "lib/modules/6.1.0-1-t/kernel/a.ko.xz"))
	})
}
