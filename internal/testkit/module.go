// SPDX-License-Identifier: MIT

package testkit

import "strings"

// Module is a kernel module that was never compiled: its .modinfo holds the
// fields, "license=GPL" and the vermagic of a release.
func Module(release string, fields ...string) []byte {
	info := append([]string{"license=GPL", "vermagic=" + release + " SMP mod_unload "}, fields...)
	return (&ELF{Sections: []Section{{Name: ".modinfo", Data: strings.Join(info, "\x00") + "\x00"}}}).Bytes()
}
