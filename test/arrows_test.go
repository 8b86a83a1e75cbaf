// SPDX-License-Identifier: MIT

// Package test holds what is true of the whole tree.
package test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gokms/gokms/"

// arrows are the packages that each package may import. A new package gets a
// line here; an arrow that would point upwards gets none.
var arrows = map[string]string{
	// formats
	"pkg/textfile":  "",
	"pkg/version":   "",
	"pkg/changelog": "pkg/textfile pkg/version",
	"pkg/control":   "pkg/textfile pkg/version",
	"pkg/dkms":      "pkg/proc pkg/textfile",
	"pkg/kmod":      "pkg/proc",
	"pkg/depmod":    "pkg/textfile",
	// builders
	"pkg/kernel":    "pkg/control pkg/proc pkg/textfile",
	"pkg/kbuild":    "pkg/proc pkg/dkms pkg/kernel",
	"pkg/debfile":   "pkg/control",
	"pkg/bmdeb":     "pkg/control pkg/debfile pkg/kmod pkg/kernel pkg/dkms pkg/version",
	"pkg/upload":    "pkg/control pkg/debfile pkg/textfile",
	"pkg/debhelper": "pkg/control pkg/textfile",
	// what the commands share
	"internal/testkit":   "",
	"internal/mantest":   "internal/testkit",
	"pkg/proc":           "",
	"internal/confeval":  "internal/sandbox pkg/proc pkg/dkms pkg/textfile",
	"internal/source":    "pkg/changelog pkg/control pkg/debfile pkg/dkms pkg/version",
	"internal/debsource": "internal/source pkg/changelog pkg/debhelper pkg/dkms pkg/textfile pkg/version",
	"internal/cell": "internal/confeval internal/sandbox internal/source internal/target internal/verify pkg/bmdeb pkg/changelog pkg/control " +
		"pkg/debfile pkg/depmod pkg/dkms pkg/kbuild pkg/kernel pkg/kmod pkg/textfile",
	"internal/dhmodules": "internal/cell internal/confeval internal/debsource internal/source internal/target pkg/control pkg/debhelper " +
		"pkg/textfile pkg/upload pkg/version",
	"internal/cli":          "pkg/debhelper",
	"internal/sandbox":      "pkg/proc",
	"internal/signing":      "pkg/control pkg/debfile pkg/kmod pkg/version",
	"internal/verify":       "pkg/kernel pkg/kmod pkg/textfile",
	"internal/status":       "internal/verify pkg/control pkg/depmod pkg/kernel pkg/kmod pkg/proc pkg/textfile pkg/version",
	"internal/archive":      "pkg/control pkg/debfile pkg/kernel pkg/proc pkg/textfile pkg/version",
	"internal/record":       "internal/archive pkg/control pkg/kernel pkg/proc pkg/version",
	"internal/target":       "internal/archive internal/record internal/sandbox pkg/control pkg/debfile pkg/kernel pkg/proc pkg/version",
	"internal/target/flags": "internal/archive internal/cli internal/target pkg/kernel",
}

func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(strings.ReplaceAll(line, module, ""))
		pkg := words[0]
		allowed, listed := arrows[pkg]
		if !strings.HasPrefix(pkg, "pkg/") && !strings.HasPrefix(pkg, "internal/") {
			continue // commands, tests and measurements may import all
		}
		seen++
		if !listed {
			t.Errorf("%s is not in the table of arrows", pkg)
			continue
		}
		for _, imported := range words[1:] {
			own := strings.HasPrefix(imported, "pkg/") || strings.HasPrefix(imported, "internal/") || strings.HasPrefix(imported, "cmd/")
			if own && !slices.Contains(strings.Fields(allowed), imported) {
				t.Errorf("%s imports %s, against the direction of the arrows", pkg, imported)
			}
		}
	}
	if seen != len(arrows) {
		t.Errorf("%d packages were seen, %d are in the table", seen, len(arrows))
	}
}
