// SPDX-License-Identifier: MIT

package status

import (
	"debug/elf"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// exporter is a module that exports the symbol shared.
func exporter(name string) string {
	e := testkit.ELF{
		Symbols: []testkit.Symbol{
			{Name: "init_module", Section: ".text", Bind: elf.STB_GLOBAL},
			{Name: "shared", Section: ".text", Bind: elf.STB_GLOBAL},
			{Name: "__ksymtab_shared", Section: "__ksymtab"},
		},
		Sections: []testkit.Section{
			{Name: ".text", Data: "\x31\xc0\xc3"},
			{Name: ".modinfo", Data: "license=GPL\x00vermagic=" + release + " SMP mod_unload \x00name=" + name + "\x00"},
			{Name: "__ksymtab", Data: strings.Repeat("\x00", 12)},
			{Name: "__ksymtab_strings", Data: "shared\x00\x00"},
			{Name: ".gnu.linkonce.this_module", Data: strings.Repeat("\x00", 24) + name + strings.Repeat("\x00", 200)},
		},
	}
	return string(e.Bytes())
}

// TestVerifyAcrossPackages has a module that needs a symbol of another package.
func TestVerifyAcrossPackages(t *testing.T) {
	const dir = "lib/modules/" + release + "/"
	needs := testkit.Made{Release: release, Fields: []string{"name=needs"}, Needs: map[string]uint32{"shared": 1}}
	files := map[string]string{
		dir + "modules.order":                        "",
		dir + "updates/needs.ko":                     string(needs.Bytes()),
		dir + "build/.config":                        "CONFIG_X86_64=y\nCONFIG_SMP=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_CC_VERSION_TEXT=\"gcc (made up) 1.2\"\n",
		dir + "build/Module.symvers":                 "0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n",
		dir + "build/include/generated/utsrelease.h": "#define UTS_RELEASE \"" + release + "\"\n",
	}
	for _, tt := range []struct {
		name, other string
		want        string
	}{
		{"alone", "", Refused},
		{"with the other", exporter("gives"), Passed},
	} {
		if tt.other != "" {
			files[dir+"updates/gives.ko"] = tt.other
		}
		r, err := Read(t.Context(), Options{Root: newRoot(t, files), Names: []string{"needs"}})
		if err != nil {
			t.Fatal(err)
		}
		m := r.Kernels[0].Modules[0]
		if m.Verified != tt.want {
			t.Errorf("%s: Verified = %q; want %q (%v, %v)", tt.name, m.Verified, tt.want, m.Problems, r.Warnings)
		}
	}
}
