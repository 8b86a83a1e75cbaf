// SPDX-License-Identifier: MIT

package version

import (
	"strings"
	"testing"
)

// versionTests is also given to dpkg, see oracle_test.go.
var versionTests = []struct {
	in                        string
	wantErr                   string // "" for a valid version
	epoch, upstream, revision string
	differs                   string // why dpkg's answer is another one
}{
	{in: "1", upstream: "1"},
	{in: "1.0-1", upstream: "1.0", revision: "1"},
	{in: "2.4.6-1", upstream: "2.4.6", revision: "1"},
	{in: "1:2.11.1.0.20170917~dfsg-8.4", epoch: "1", upstream: "2.11.1.0.20170917~dfsg", revision: "8.4"},
	{in: "0~20220829+git-3", upstream: "0~20220829+git", revision: "3"},
	{in: "1-2-3", upstream: "1-2", revision: "3"},
	{in: "1--1", upstream: "1-", revision: "1"},
	{in: "1:2:3-4", epoch: "1", upstream: "2:3", revision: "4"},
	{in: "00:1", epoch: "00", upstream: "1"},
	{in: "+1:1", epoch: "+1", upstream: "1"},
	{in: "2147483647:1", epoch: "2147483647", upstream: "1"},
	{in: " 1.0\t", upstream: "1.0"},
	{in: "1.0~-~", upstream: "1.0~", revision: "~"},
	{in: "1.0-+", upstream: "1.0", revision: "+"},
	{in: "1.0-a", upstream: "1.0", revision: "a"},
	{in: "1:a", wantErr: `version "1:a": upstream version does not start with a digit`},
	{in: "", wantErr: `version "": empty upstream version`},
	{in: "1:", wantErr: "empty upstream version"},
	{in: "1:-1", wantErr: "empty upstream version"},
	{in: "1.0-", wantErr: "empty revision"},
	{in: ":1", wantErr: `epoch "" is not a number`},
	{in: "+:1", wantErr: `epoch "+" is not a number`},
	{in: "a:1", wantErr: `epoch "a" is not a number`},
	{in: "0x1:1", wantErr: `epoch "0x1" is not a number`},
	{in: "1_0:1", wantErr: `epoch "1_0" is not a number`},
	{in: " -1:1", wantErr: `epoch "-1" is negative`},
	{in: "2147483648:1", wantErr: "out of range"},
	{in: "99999999999999999999:1", wantErr: "out of range"},
	{in: "1.0-1:2", wantErr: `epoch "1.0-1" is not a number`},
	{in: "1:1.0-1:2", wantErr: `character ":" in revision`},
	{in: "1 0", wantErr: `character " " in upstream version`},
	{in: "1: 2", wantErr: "does not start with a digit"},
	{in: "1 :2", wantErr: `epoch "1 " is not a number`},
	{in: "\n1:2", wantErr: `epoch "\n1" is not a number`, differs: "strtol(3) skips the newline; no version of ours may hold one"},
	{in: "1.0\n", wantErr: `character "\n" in upstream version`},
	{in: "\n1.0", wantErr: "does not start with a digit"},
	{in: "1.0-1\r", wantErr: `character "\r" in revision`},
	{in: "1.0- 1", wantErr: `character " " in revision`},
	{in: "~1", wantErr: "does not start with a digit"},
	{in: "v1.0", wantErr: "does not start with a digit"},
	{in: "1_0", wantErr: `character "_" in upstream version`},
	{in: "1.0-1_2", wantErr: `character "_" in revision`},
	{in: "1é", wantErr: `character "é" in upstream version`},
	{in: "1\xff", wantErr: "in upstream version"},
	{in: "1/../2", wantErr: `character "/" in upstream version`},
	{in: "1@", wantErr: `character "@" in upstream version`},
	{in: "1[", wantErr: `character "[" in upstream version`},
	{in: "1`", wantErr: "in upstream version"},
	{in: "1{", wantErr: "in upstream version"},
}

func TestValidateAndParts(t *testing.T) {
	for _, tt := range versionTests {
		err := Validate(tt.in)
		if tt.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("Validate(%q) = %v; want error with %q", tt.in, err, tt.wantErr)
			}
			continue
		}
		if err != nil {
			t.Errorf("Validate(%q) = %v; want nil", tt.in, err)
		}
		if e, u, r := Epoch(tt.in), Upstream(tt.in), Revision(tt.in); e != tt.epoch || u != tt.upstream || r != tt.revision {
			t.Errorf("%q has parts %q, %q, %q; want %q, %q, %q", tt.in, e, u, r, tt.epoch, tt.upstream, tt.revision)
		}
	}
}

// compareTests holds pairs a, b with the sign of Compare(a, b).
var compareTests = []struct {
	a, b string
	want int
}{
	{"1.0", "1.0", 0},
	{"1.0", "0:1.0-0", 0},
	{"1.00", "1.0", 0},
	{"1.0", "1.0-1", -1},
	{"1.0~rc1", "1.0", -1},
	{"1.0~~", "1.0~", -1},
	{"1.0+b1", "1.0", 1},
	{"1.0a", "1.0+", -1},
	{"1.0-1", "1.0-1.1", -1},
	{"1:0", "9999", 1},
	{"1.10", "1.9", 1},
	{"1.0-1~deb12u1", "1.0-1", -1},
	{"2.4.6-1", "2.4.6-1+R2", -1},
	{"1a", "1", 1},
	{"1.a", "1.1", 1},
	{"99999999999999999999998", "99999999999999999999999", -1},
	{"1-1-1", "1-1", 1},
	{"2147483647:1", "1", 1},
	{"1.0.", "1.0", 1},
	{"1A", "1a", -1},
}

func TestValidRevision(t *testing.T) {
	for r, ok := range map[string]bool{
		"1": true, "sig1": true, "b1.2~rc+x": true, "R2": true,
		"": false, "a-1": false, "-1": false, "a b": false, "a:1": false, "+1": false, ".1": false, "~1": false, "a/b": false, "é": false, "a\n": false,
	} {
		if err := ValidRevision(r); (err == nil) != ok {
			t.Errorf("ValidRevision(%q) = %v; want ok %v", r, err, ok)
		}
		// What it stands for: no revision outranks the next one of the package.
		if ok && Compare("0.12.7-2+"+r, "0.12.7-3") >= 0 {
			t.Errorf("0.12.7-2+%s is not earlier than 0.12.7-3", r)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, tt := range compareTests {
		if got := sign(Compare(tt.a, tt.b)); got != tt.want {
			t.Errorf("Compare(%q, %q) = %d; want %d", tt.a, tt.b, got, tt.want)
		}
		if got := sign(Compare(tt.b, tt.a)); got != -tt.want {
			t.Errorf("Compare(%q, %q) = %d; want %d", tt.b, tt.a, got, -tt.want)
		}
	}
}

func sign(n int) int {
	return max(-1, min(1, n))
}

func FuzzVersion(f *testing.F) {
	for _, tt := range versionTests {
		f.Add(tt.in, "1.0-1")
	}
	for _, tt := range compareTests {
		f.Add(tt.a, tt.b)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if sign(Compare(a, b)) != -sign(Compare(b, a)) || Compare(a, a) != 0 {
			t.Errorf("Compare is no order on %q, %q", a, b)
		}
		if Validate(a) != nil {
			return
		}
		whole := Upstream(a)
		if e := Epoch(a); e != "" {
			whole = e + ":" + whole
		}
		if r := Revision(a); r != "" {
			whole += "-" + r
		}
		if whole != strings.Trim(a, " \t") {
			t.Errorf("parts of %q put together = %q", a, whole)
		}
		if strings.ContainsAny(whole, "/ \t\r\n\x00") {
			t.Errorf("Validate(%q) = nil", a)
		}
	})
}
