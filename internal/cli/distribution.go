// SPDX-License-Identifier: MIT

package cli

import (
	"os"
	"strings"
)

// RunningDistribution is what dkms calls $running_distribution: the ID of
// os-release(5), else the first word of ID_LIKE; "" where there is none.
func RunningDistribution() string {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	fields := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			fields[name] = strings.Trim(value, `"'`)
		}
	}
	if fields["ID"] != "" {
		return fields["ID"]
	}
	first, _, _ := strings.Cut(fields["ID_LIKE"], " ")
	return first
}
