// SPDX-License-Identifier: MIT

package archive

import (
	"errors"
	"strings"
	"testing"

	"github.com/gokms/gokms/pkg/control"
	"github.com/google/go-cmp/cmp"
)

const sum = "509e776de8353799a53f4b14d29e87863aac2b7ee9264544bc2821461a853930"

var stanzas = []struct {
	name, in string
	want     []Package
	err      string
}{
	{"nothing", "", nil, ""},
	{"plain", "Package: a\nVersion: 1:1-2\nArchitecture: amd64\nSize: 5\nSHA256: " + sum + "\nDepends: b,\n c | d\n",
		[]Package{{Name: "a", Version: "1:1-2", Architecture: "amd64", Source: "a", SourceVersion: "1:1-2", SHA256: sum, Size: 5, Depends: "b, c | d"}}, ""},
	{"source", "Package: a\nSource: s\nVersion: 1\nArchitecture: all\nSHA256: " + strings.ToUpper(sum) + "\nPre-Depends: p\n",
		[]Package{{Name: "a", Version: "1", Architecture: "all", Source: "s", SourceVersion: "1", SHA256: sum, Depends: "p"}}, ""},
	{"source version", "Package: a\nSource: s (2-1)\nVersion: 1\nArchitecture: all\nSHA256: " + sum + "\nPre-Depends: p\nDepends: q\n",
		[]Package{{Name: "a", Version: "1", Architecture: "all", Source: "s", SourceVersion: "2-1", SHA256: sum, Depends: "p, q"}}, ""},
	{"not to be had", "Package: a\nVersion: 1\nArchitecture: all\n", nil, ""},
	{"name", "Package: ../a\nVersion: 1\nArchitecture: all\n", nil, `package name "../a" does not begin with a letter or digit`},
	{"option", "Package: -oa\nVersion: 1\nArchitecture: all\n", nil, `package name "-oa" does not begin with a letter or digit`},
	{"version", "Package: a\nVersion: 1/2\nArchitecture: all\n", nil, `package a: version "1/2": character "/" in upstream version`},
	{"architecture", "Package: a\nVersion: 1\nArchitecture: ../x\n", nil, `package a: bad architecture "../x"`},
	{"no architecture", "Package: a\nVersion: 1\n", nil, `package a: bad architecture ""`},
	{"hash", "Package: a\nVersion: 1\nArchitecture: all\nSHA256: ../../etc\n", nil, `package a: bad SHA256 "../../etc"`},
	{"garbage", "E: nothing\nx\n", nil, `apt-cache show:2: line "x" is not of the form NAME: VALUE`},
}

func TestParsePackages(t *testing.T) {
	for _, tt := range stanzas {
		got, err := parsePackages(tt.in)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: parsePackages() = %v, %v; want error %s", tt.name, got, err, tt.err)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: parsePackages(), error %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

func FuzzParsePackages(f *testing.F) {
	for _, tt := range stanzas {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		all, err := parsePackages(in)
		if err != nil && all != nil {
			t.Fatalf("parsePackages() = %v and error %v", all, err)
		}
		for _, p := range all {
			if !sha256RE.MatchString(p.SHA256) || strings.ContainsAny(p.Name+p.Version+p.Architecture, "/ \n\x00") || p.Name[0] == '-' {
				t.Errorf("parsePackages(%q) = %+v", in, p)
			}
		}
	})
}

func TestSatisfies(t *testing.T) {
	for _, tt := range []struct {
		relation, version string
		want              bool
	}{
		{"a", "1", true}, {"a", "", true}, {"a (>= 1)", "", false},
		{"a (>= 1-1)", "1-1", true}, {"a (>= 1-1)", "1-0", false}, {"a (>> 1)", "1", false}, {"a (>> 1)", "1.1", true},
		{"a (= 1)", "1", true}, {"a (= 1)", "1.0", false}, {"a (<= 1)", "1", true}, {"a (<= 1)", "2", false},
		{"a (<< 1)", "1~", true}, {"a (<< 1)", "1", false}, {"a (>= 1:1)", "2", false},
	} {
		all, err := control.ParseRelations(tt.relation)
		if err != nil {
			t.Fatal(err)
		}
		if got := satisfies(all[0][0], tt.version); got != tt.want {
			t.Errorf("satisfies(%s, %q) = %v; want %v", tt.relation, tt.version, got, tt.want)
		}
	}
}

func TestPartOf(t *testing.T) {
	for name, want := range map[string]part{
		"linux-headers-6.1.0-56-amd64": headers, "linux-headers-6.1.0-56-common": headers, "linux-hwe-6.8-headers-6.8.0-45": headers,
		"linux-kbuild-6.1": tools, "pahole": tools, "dwarves": tools,
		"libelf1": libraries, "libssl3t64": libraries, "zlib1g": libraries,
		"linux-image-6.1.0-56-amd64": other, "linux-base": other, "linux-compiler-gcc-12-x86": other, "gcc-12": other, "libc6": other,
		"libc6.1": other, "libgcc-s1": other, "linux-libc-dev": other, "libelf-dev": other, "debconf": other, "linux-image-6.1.0-dbg": other,
	} {
		if got := partOf(name); got != want {
			t.Errorf("partOf(%s) = %v; want %v", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		glob, name string
		want       int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "ac", 1}, {"ac", "abc", 1},
		{"kitten", "sitting", 3}, {"*", "anything", 0}, {"a*z", "abcz", 0}, {"a*z", "abc", 1}, {"a?c", "abc", 0}, {"*a*", "bbb", 1}, {"x*", "", 1},
	} {
		if got := distance(tt.glob, tt.name); got != tt.want {
			t.Errorf("distance(%q, %q) = %d; want %d", tt.glob, tt.name, got, tt.want)
		}
	}
}

func TestClassify(t *testing.T) {
	a := Open(Options{CacheDir: "/cache"})
	for _, tt := range []struct{ stderr, want string }{
		{"E: Failed to fetch http://x/y.deb  Could not connect to x:80 (1.2.3.4), connection timed out\n", "unreachable"},
		{"W: x\nE: Failed to fetch http://x/y.deb  404  Not Found [IP: 1.2.3.4 80]\nE: Unable to fetch some archives\n", "unreachable gone"},
		{"E: Failed to fetch http://x/y.deb  Hash Sum mismatch\n   Hashes of expected file:\n", "hash"},
		{"E: Failed to fetch http://x/y.deb  File has unexpected size (1 != 2). Mirror sync in progress? [IP: 1.2.3.4 80]\n", "hash"},
		{"E: Write error - write (28: No space left on device)\n", "cache"},
		{"E: You don't have enough free space in /x.\n", "cache"},
		{"E: Version '6.1-9' for 'linux-kbuild-6.1' was not found\n", "gone"},
		{"W: Failed to fetch http://x/InRelease  Temporary failure resolving 'x'\nW: Some index files failed to download.\n", "unreachable"},
		{"E: The repository 'http://x y Release' does not have a Release file.\n", "unreachable"},
		{"something else\n", ""},
	} {
		err := a.classify(&AptError{Args: []string{"apt-get"}, Err: errors.New("exit status 100"), Output: complaints(tt.stderr)})
		var got []string
		if _, ok := errors.AsType[*UnreachableError](err); ok {
			got = append(got, "unreachable")
		}
		if isGone(err) {
			got = append(got, "gone")
		}
		if isHashMismatch(err) {
			got = append(got, "hash")
		}
		if _, ok := errors.AsType[*CacheError](err); ok {
			got = append(got, "cache")
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("classify(%q) = %q; want %q", tt.stderr, got, tt.want)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("error of several lines: %q", err)
		}
	}
}

func TestComplaints(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "",
		"W: a\nE: b\nE: b\nx\nE: c\n": "E: b\nE: c",
		"N: n\nW: a\nW: a\n":          "W: a",
		"sh: apt-get: not found\n":    "sh: apt-get: not found",
	} {
		if got := complaints(in); got != want {
			t.Errorf("complaints(%q) = %q; want %q", in, got, want)
		}
	}
}
