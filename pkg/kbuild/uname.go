// SPDX-License-Identifier: MIT

package kbuild

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// shimDir is the directory, below the one for temporary files, that is first
// in the PATH of a build.
func (l Layout) shimDir() Path { return l.TmpDir.Join("gokms-bin") }

// realPrograms is where the sandbox has the programs that it puts others in
// place of.
const realPrograms = "/run/gokms/real"

// unameShim answers as uname(1) would on a machine that runs the kernel which
// modules are built for: dkms's users build on such a machine, and Makefiles
// ask it. All but the release is this machine's.
const unameShim = `#!/bin/sh
PATH=SEARCH_PATH
release=RELEASE
asked=
for option; do
	case $option in
	--kernel-r*|--a*|-[!-]*[ra]*|-[ra]*) asked=yes ;;
	esac
done
if [ -z "$asked" ]; then
	exec uname "$@"
fi
text=$(uname "$@") || exit
running=$(uname -r) || exit
text=" $text "
case $text in
*" $running "*) text="${text%%" $running "*} $release ${text#*" $running "}" ;;
esac
text=${text# }
printf '%s\n' "${text% }"
`

// UnameShim is the text of a uname(1) that answers by a kernel release, a
// program for sh(1). It runs the machine's own, which a sandbox that has the
// shim in place of /usr/bin/uname keeps as /run/gokms/real/uname.
func UnameShim(release string) string {
	path := realPrograms + ":" + searchPath
	return strings.NewReplacer("SEARCH_PATH", path, "RELEASE", quote(release)).Replace(unameShim)
}

// placeShims writes the programs that stand in front of the system's.
func (r *run) placeShims(context.Context) error {
	dir := r.Layout.shimDir().Host
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, "uname")
	if err := os.WriteFile(path, []byte(UnameShim(r.Tree.Release)), 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755) // whatever the caller's umask
}
