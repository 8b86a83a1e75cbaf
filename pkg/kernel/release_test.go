// SPDX-License-Identifier: MIT

package kernel

import (
	"strings"
	"testing"
)

var flavours = []struct{ release, want string }{
	{"6.1.0-56-amd64", "amd64"},
	{"6.1.0-56-rt-amd64", "rt-amd64"},
	{"6.1.0-56-cloud-amd64", "cloud-amd64"},
	{"6.12.117+deb12-amd64", "amd64"},
	{"6.12.117+deb13-cloud-arm64", "cloud-arm64"},
	{"6.12.9+bpo-amd64", "amd64"},
	{"6.5.0-0.deb12.4-amd64", "amd64"},
	{"6.18-rc5-amd64", "amd64"},
	{"6.18-rc5+deb14-rt-amd64", "rt-amd64"},
	{"5.10.0-28-686-pae", "686-pae"},
	{"5.10.0-28-686", "686"},
	{"4.19.0-21-5kc-malta", "5kc-malta"},
	{"6.8.0-45-generic", "generic"},
	{"6.8.0-45-generic-64k", "generic-64k"},
	{"6.8.0-1016-aws", "aws"},
	{"6.8.12-4-pve", "pve"},
	{"6.12.47+rpt-rpi-v8", "rpi-v8"},
	{"6.6.30-mine", "mine"},
	{"6.6.30", ""},
	{"6.6.30+", ""},
	{"6.7.0-rc1", ""},
	{"6.1.0-rc8-00063-g22f82cbe7636", ""},
	{"6.6.30-mine-00012-g22f82cbe7636-dirty", "mine"},
	{"custom", ""},
}

func TestFlavour(t *testing.T) {
	for _, tt := range flavours {
		if got := Flavour(tt.release); got != tt.want {
			t.Errorf("Flavour(%q) = %q; want %q", tt.release, got, tt.want)
		}
		if err := CheckRelease(tt.release); err != nil {
			t.Errorf("CheckRelease(%q) = %v", tt.release, err)
		}
	}
}

func TestCheckRelease(t *testing.T) {
	for _, tt := range []struct{ release, want string }{
		{"", "kernel release is empty"},
		{".", `kernel release "." begins with "."`},
		{"..", `kernel release ".." begins with "."`},
		{"-k", `kernel release "-k" begins with "-"`},
		{"6.1/../x", `kernel release "6.1/../x" contains ".."`},
		{"6.1/x", `kernel release "6.1/x" contains '/'`},
		{"6.1 x", `kernel release "6.1 x" contains ' '`},
		{"6.1\n", `kernel release "6.1\n" contains '\n'`},
		{"6.1\x00", `kernel release "6.1\x00" contains '\x00'`},
		{"6.1$(id)", `kernel release "6.1$(id)" contains '$'`},
		{"6.*", `kernel release "6.*" contains '*'`},
		{strings.Repeat("6", 65), `kernel release "` + strings.Repeat("6", 65) + `" is longer than 64 bytes`},
	} {
		if err := CheckRelease(tt.release); err == nil || err.Error() != tt.want {
			t.Errorf("CheckRelease(%q) = %v; want %s", tt.release, err, tt.want)
		}
	}
}

// ordered is in ascending order, as dpkg --compare-versions has it.
var ordered = []string{
	"5.10.0-28-686", "5.10.0-28-amd64", "6.1.0-9-amd64", "6.1.0-056-amd64a", "6.1.0-56-rt-amd64", "6.1.0-57-amd64",
	"6.8.0-45-generic", "6.12.9+bpo-amd64", "6.12.117+deb12-amd64", "6.18~rc5-amd64", "6.18-rc5-amd64", "6.18.0-amd64",
}

func TestCompareReleases(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			if got := compareReleases(a, b); sign(got) != sign(i-j) {
				t.Errorf("compareReleases(%q, %q) = %d; want the sign of %d", a, b, got, i-j)
			}
		}
	}
	if got := compareReleases("6.01", "6.1"); got != 0 {
		t.Errorf("compareReleases(6.01, 6.1) = %d; want 0", got)
	}
}

func sign(n int) int {
	return min(1, max(-1, n))
}

func TestNearest(t *testing.T) {
	all := []string{"6.1.0-9-amd64", "6.1.0-10-rt-amd64", "6.1.0-10-amd64", "6.1.0-9-amd64", "5.10.0-3-arm64"}
	for _, tt := range []struct{ release, want string }{
		{"6.1.0-11-amd64", "6.1.0-10-amd64 6.1.0-9-amd64 6.1.0-10-rt-amd64"},
		{"5.10.0", "5.10.0-3-arm64 6.1.0-10-rt-amd64 6.1.0-10-amd64"},
		{"6.1.0-10-rt-amd64", "6.1.0-10-rt-amd64 6.1.0-10-amd64 6.1.0-9-amd64"},
	} {
		if got := strings.Join(Nearest(tt.release, all), " "); got != tt.want {
			t.Errorf("Nearest(%s) = %s; want %s", tt.release, got, tt.want)
		}
	}
	if all[0] != "6.1.0-9-amd64" {
		t.Errorf("Nearest() sorts what it is given: %q", all)
	}
}
