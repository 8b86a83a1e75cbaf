// SPDX-License-Identifier: MIT

package dkms

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// unameOrder is the order in which uname(1) prints its fields.
const unameOrder = "snrvmpio"

var unameLong = map[string]string{
	"--all": "a", "--kernel-name": "s", "--nodename": "n", "--kernel-release": "r", "--kernel-version": "v",
	"--machine": "m", "--processor": "p", "--hardware-platform": "i", "--operating-system": "o",
}

// uname answers as uname(1) would on a machine that runs the target kernel.
// The host name is always localhost.
func uname(args []string, env Env) (string, error) {
	wanted := ""
	for _, arg := range args {
		flags, long := unameLong[arg]
		if !long {
			if len(arg) < 2 || arg[0] != '-' || strings.Trim(arg[1:], unameOrder+"a") != "" {
				return "", fmt.Errorf("uname: invalid option or operand %q", arg)
			}
			flags = arg[1:]
		}
		wanted += flags
	}
	if wanted == "" {
		wanted = "s"
	}
	all := strings.Contains(wanted, "a")
	if all {
		wanted = "snrvmo" // -p and -i are left out where they are unknown, as in Debian
	}
	var fields []string
	for _, f := range unameOrder {
		if strings.ContainsRune(wanted, f) {
			fields = append(fields, unameField(f, env))
		}
	}
	return strings.Join(fields, " ") + "\n", nil
}

func unameField(field rune, env Env) string {
	switch field {
	case 's':
		return "Linux"
	case 'n':
		return "localhost"
	case 'r':
		return env.KernelVersion
	case 'v':
		return kernelBuild(env.KernelSourceDir)
	case 'm':
		return env.Arch
	case 'o':
		return "GNU/Linux"
	}
	return "unknown"
}

// kernelBuild is the build's own version text (#1 SMP ...), from the headers
// that modules are compiled with: utsversion.h since Linux 6.2, before that
// compile.h.
func kernelBuild(headers string) string {
	for _, name := range []string{"utsversion.h", "compile.h"} {
		text, err := os.ReadFile(filepath.Join(headers, "include/generated", name))
		if err != nil {
			continue
		}
		if _, rest, ok := bytes.Cut(text, []byte(`#define UTS_VERSION "`)); ok {
			version, _, _ := bytes.Cut(rest, []byte(`"`))
			return string(version)
		}
	}
	return "#1 SMP"
}
