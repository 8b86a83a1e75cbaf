// SPDX-License-Identifier: MIT

package kernel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var configs = []struct {
	name, in string
	want     Config
	err      string
}{
	{"plain", "#\n# Linux/x86 6.1 Kernel\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n\nCONFIG_D=0x1f\nCONFIG_E=\"a=b # c\"\n", Config{"CONFIG_A": "y", "CONFIG_B": "m", "CONFIG_D": "0x1f", "CONFIG_E": `"a=b # c"`}, ""},
	{"last wins", "CONFIG_A=y\nCONFIG_A=m\n", Config{"CONFIG_A": "m"}, ""},
	{"n is unset", "CONFIG_A=y\nCONFIG_A=n\n", Config{}, ""},
	{"no final newline", "CONFIG_A=y", Config{"CONFIG_A": "y"}, ""},
	{"CRLF", "CONFIG_A=y\r\n", Config{"CONFIG_A": "y"}, ""},
	{"empty", "", Config{}, ""},
	{"garbage", "CONFIG_A=y\n\x7fELF\n", nil, `f:2: "\x7fELF" is not CONFIG_NAME=value`},
	{"no value", "CONFIG_A\n", nil, `f:1: "CONFIG_A" is not CONFIG_NAME=value`},
	{"no name", "CONFIG_=y\n", nil, `f:1: "CONFIG_=y" is not CONFIG_NAME=value`},
	{"odd name", "CONFIG_A B=y\n", nil, `f:1: "CONFIG_A B=y" is not CONFIG_NAME=value`},
}

func TestParseConfig(t *testing.T) {
	for _, tt := range configs {
		got, err := ParseConfig(strings.NewReader(tt.in), "f")
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: ParseConfig(%q) = %v; want error %s", tt.name, tt.in, err, tt.err)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: ParseConfig(%q), error %v (-want +got):\n%s", tt.name, tt.in, err, diff)
		}
	}
}

func TestConfigText(t *testing.T) {
	c := Config{"Q": `"gcc-12 (Debian) \"x\" \\"`, "E": `""`, "Y": "y"}
	for name, want := range map[string]string{"Q": `gcc-12 (Debian) "x" \`, "E": "", "Y": "y", "NONE": ""} {
		if got := c.Text(name); got != want {
			t.Errorf("Text(%q) = %q; want %q", name, got, want)
		}
	}
	if !c.On("Y") || c.On("E") || c.On("NONE") {
		t.Errorf("On(Y, E, NONE) = %v, %v, %v; want true, false, false", c.On("Y"), c.On("E"), c.On("NONE"))
	}
}

func TestParseConfigRefusesHugeFiles(t *testing.T) {
	_, err := ParseConfig(strings.NewReader(strings.Repeat("#\n", maxConfig)), "f")
	if err == nil || !strings.Contains(err.Error(), "not a kernel configuration") {
		t.Errorf("ParseConfig(32 MB) = %v; want an error", err)
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, tt := range configs {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		c, err := ParseConfig(strings.NewReader(in), "f")
		if (c == nil) == (err == nil) {
			t.Fatalf("ParseConfig(%q) = %v, %v; want one of them", in, c, err)
		}
		for name, value := range c {
			_ = c.Text(name)
			if again, err := ParseConfig(strings.NewReader(name+"="+value+"\n"), "f"); err != nil || again[name] != value {
				t.Fatalf("%s=%s reads back as %v, %v", name, value, again, err)
			}
		}
	})
}

var symvers = []struct {
	in   string
	want Symbol
	bad  bool
}{
	{"0x4c9d28b0\tphys_base\tvmlinux\tEXPORT_SYMBOL\t", Symbol{"phys_base", 0x4c9d28b0, "vmlinux", "EXPORT_SYMBOL", ""}, false},
	{"0x84b45156\tinsert\tdrivers/cxl/core/cxl_core\tEXPORT_SYMBOL_GPL\tCXL", Symbol{"insert", 0x84b45156, "drivers/cxl/core/cxl_core", "EXPORT_SYMBOL_GPL", "CXL"}, false},
	{"0x00000000\told\tvmlinux\tEXPORT_SYMBOL", Symbol{"old", 0, "vmlinux", "EXPORT_SYMBOL", ""}, false},
	{"0x00000001\tnsold\tUSB\tdrivers/usb\tEXPORT_SYMBOL_GPL", Symbol{"nsold", 1, "drivers/usb", "EXPORT_SYMBOL_GPL", "USB"}, false},
	{"0x00000001\tnsold\t\tvmlinux\tEXPORT_SYMBOL", Symbol{"nsold", 1, "vmlinux", "EXPORT_SYMBOL", ""}, false},
	{"", Symbol{}, true},
	{"4c9d28b0\ta\tvmlinux\tEXPORT_SYMBOL\t", Symbol{}, true},
	{"0x14c9d28b0\ta\tvmlinux\tEXPORT_SYMBOL\t", Symbol{}, true},
	{"0x1\t\tvmlinux\tEXPORT_SYMBOL\t", Symbol{}, true},
	{"0x1\ta\t\tEXPORT_SYMBOL", Symbol{}, true},
	{"0x1\ta\tvmlinux\tHELLO\t", Symbol{}, true},
	{"0x1\ta\tvmlinux\tEXPORT_SYMBOL\t\tx", Symbol{}, true},
}

func TestParseSymvers(t *testing.T) {
	for _, tt := range symvers {
		got, err := ParseSymvers(strings.NewReader(tt.in+"\n"), "f")
		if tt.bad {
			if err == nil || !strings.HasPrefix(err.Error(), "f:1: ") {
				t.Errorf("ParseSymvers(%q) = %v, %v; want an error at f:1", tt.in, got, err)
			}
			continue
		}
		if diff := cmp.Diff([]Symbol{tt.want}, got); diff != "" || err != nil {
			t.Errorf("ParseSymvers(%q), error %v (-want +got):\n%s", tt.in, err, diff)
		}
	}
}

func FuzzParseSymvers(f *testing.F) {
	for _, tt := range symvers {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		syms, err := ParseSymvers(strings.NewReader(in), "f")
		if err != nil && syms != nil {
			t.Fatalf("ParseSymvers(%q) = %v and error %v", in, syms, err)
		}
	})
}
