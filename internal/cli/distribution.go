// SPDX-License-Identifier: MIT

package cli

import (
	"io"
	"os"
	"strings"
)

// RunningDistribution is what dkms calls $running_distribution, of this
// machine; "" where it has no os-release(5).
func RunningDistribution() string {
	file, err := os.Open("/etc/os-release")
	if err != nil {
		return ""
	}
	defer file.Close()
	return distribution(file)
}

// distribution takes ID_LIKE of os-release(5) if it is set, and else ID; Ubuntu
// is itself although it is like Debian. Of several words dkms takes all.
func distribution(osRelease io.Reader) string {
	text, err := io.ReadAll(osRelease)
	if err != nil {
		return ""
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			fields[name] = strings.Trim(value, `"'`)
		}
	}
	like, ok := fields["ID_LIKE"]
	if !ok || fields["ID"] == "ubuntu" {
		return fields["ID"]
	}
	return strings.Join(strings.Fields(like), " ")
}
