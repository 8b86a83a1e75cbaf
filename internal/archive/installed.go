// SPDX-License-Identifier: MIT

package archive

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gokms/gokms/pkg/control"
)

// installed are the packages of this machine by their own names and those that
// they provide.
type installed map[string][]installedPackage

type installedPackage struct {
	name    string
	version string // "" of a name that is provided without one
}

// queryFormat asks dpkg-query for one line a package.
const queryFormat = `${db:Status-Status}\t${Package}\t${Architecture}\t${Version}\t${Provides}\n`

// queryInstalled asks dpkg for what can run here. A machine without dpkg's
// database has nothing installed.
func (a *Archive) queryInstalled(ctx context.Context) (installed, error) {
	if _, err := os.Stat(filepath.Join(a.o.AdminDir, "status")); err != nil {
		return nil, nil
	}
	cmd := exec.CommandContext(ctx, "dpkg-query", "--admindir="+a.o.AdminDir, "-W", "-f="+queryFormat)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = environ(cmd)
	if err := a.o.Run(cmd); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return a.parseInstalled(stdout.String()), nil
}

func (a *Archive) parseInstalled(out string) installed {
	all := installed{}
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 || f[0] != "installed" || f[2] != a.build && f[2] != "all" {
			continue
		}
		all[f[1]] = append(all[f[1]], installedPackage{f[1], f[3]})
		provided, err := control.ParseRelations(f[4])
		if err != nil {
			continue // dpkg took it: not our business
		}
		for _, alternatives := range provided {
			r := alternatives[0]
			all[r.Name] = append(all[r.Name], installedPackage{f[1], r.Version})
		}
	}
	return all
}

// find returns the name of the installed package that r is met by, "" if there
// is none.
func (in installed) find(r control.Relation) string {
	for _, p := range in[r.Name] {
		if satisfies(r, p.version) {
			return p.name
		}
	}
	return ""
}

// installedHere says whether a package is installed, without a program: by the
// list of its files.
func (a *Archive) installedHere(name string) bool {
	for _, list := range []string{name + ":" + a.build, name} {
		if _, err := os.Stat(filepath.Join(a.o.AdminDir, "info", list+".list")); err == nil {
			return true
		}
	}
	return false
}
