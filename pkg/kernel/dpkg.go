// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gokms/gokms/pkg/proc"
)

// queryFormat asks dpkg-query for one line. The file list is asked for with -L:
// ${db-fsys:Files} makes it read those of all packages.
const queryFormat = `${Package}\t${Version}\t${source:Package}\t${source:Version}\t${Architecture}\t${db:Status-Status}\n`

// installedPackage is what dpkg-query says of one package.
type installedPackage struct {
	HeaderPackage
	arch  string
	files []string
}

// output runs cmd through o.Run and returns what it prints. Nothing of the
// caller's environment reaches it.
func (o *Options) output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=" + proc.SearchPath}
	run := o.Run
	if run == nil {
		run = (*exec.Cmd).Run
	}
	if err := run(cmd); err != nil {
		text := bytes.TrimSpace(stderr.Bytes())
		if len(text) > 0 {
			return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, text)
		}
		return "", fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return stdout.String(), nil
}

// lookPath finds a program by o.LookPath.
func (o *Options) lookPath(program string) (string, error) {
	if o.LookPath == nil {
		return proc.LookPath(program, proc.SearchPath)
	}
	return o.LookPath(program)
}

// dpkgQuery runs dpkg-query on o's database.
func (o *Options) dpkgQuery(args ...string) (string, error) {
	const name = "dpkg-query"
	cmd := &exec.Cmd{Args: []string{name}}
	cmd.Path, cmd.Err = proc.LookPath(name, proc.SearchPath)
	if o.AdminDir != "" {
		cmd.Args = append(cmd.Args, "--admindir="+o.AdminDir)
	}
	cmd.Args = append(cmd.Args, args...)
	return o.output(cmd)
}

// query asks dpkg's database for a package whose files are on disk. nil: dpkg
// knows of none.
func (o *Options) query(name string) (*installedPackage, error) {
	out, err := o.dpkgQuery("-W", "-f="+queryFormat, name)
	if exitCode(err) == 1 {
		return nil, nil // no package of that name
	}
	if err != nil {
		return nil, err
	}
	p, err := parseQuery(out)
	if p == nil {
		return nil, err
	}
	out, err = o.dpkgQuery("-L", p.Name+":"+p.arch)
	p.files = strings.Split(out, "\n")
	return p, err
}

// parseQuery finds the line of a package that is on disk: one name can be
// known for several architectures.
func parseQuery(out string) (*installedPackage, error) {
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 6 {
			return nil, fmt.Errorf("dpkg-query printed %q", line)
		}
		if onDisk(f[5]) {
			return &installedPackage{HeaderPackage: HeaderPackage{f[0], f[1], f[2], f[3]}, arch: f[4]}, nil
		}
	}
	return nil, nil
}

// onDisk says whether a package of that dpkg status has all of its files in
// place. The hooks of a kernel package run while the headers are no more than
// unpacked.
func onDisk(status string) bool {
	switch status {
	case "installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending":
		return true
	}
	return false
}

// exitCode is the code that err says a program ended with, -1 for any other
// error.
func exitCode(err error) int {
	var e interface{ ExitCode() int }
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return -1
}

// setHeader asks dpkg for the package of the tree, which may change
// ModulesDir, and returns that package's architecture.
func (t *Tree) setHeader(o *Options) (debArch string) {
	name := "linux-headers-" + t.Release
	if !packageRE.MatchString(name) {
		return ""
	}
	p, err := o.query(name)
	if err != nil {
		t.Warnings = append(t.Warnings, err)
		return ""
	}
	if p == nil {
		return ""
	}
	if !p.holds(t.SourceDir) {
		t.warn("%s: not a directory of the installed package %s", t.SourceDir, name)
		return ""
	}
	t.Header = p.HeaderPackage
	if dir := p.modulesDir(t.Release); dir != "" {
		t.ModulesDir = dir
	}
	return p.arch
}

// packageRE is what dpkg accepts as a package name (Debian Policy 5.6.1).
var packageRE = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]+$`)

// holds says whether the package ships dir; where the database is another
// root's, dir has that root's path in front.
func (p *installedPackage) holds(dir string) bool {
	for _, f := range p.files {
		if path.Base(f) == filepath.Base(dir) && strings.HasSuffix(dir, f) {
			return true
		}
	}
	return false
}

// modulesDir is where the package's own build link lies, without the slash.
func (p *installedPackage) modulesDir(release string) string {
	for _, f := range p.files {
		for _, dir := range []string{"lib/modules", "usr/lib/modules"} {
			if f == "/"+dir+"/"+release+"/build" {
				return dir
			}
		}
	}
	return ""
}

// modulesDir is the guess for a root that no package tells of: usr/lib/modules
// if root is a directory of that name beside which there is no lib/modules.
func (s sysroot) modulesDir(root string) string {
	const merged = "/usr/lib/modules"
	if top, ok := strings.CutSuffix(root, merged); ok && !s.exists(top+"/lib/modules") {
		return merged[1:]
	}
	return "lib/modules"
}

// setImagePackages names the packages that hold the kernel itself. Both
// distributions have linux-image-RELEASE for the signed kernel; the unsigned
// one is linux-image-unsigned-RELEASE in Ubuntu, whose kernels carry
// CONFIG_VERSION_SIGNATURE="Ubuntu ...", and linux-image-RELEASE-unsigned in
// Debian.
func (t *Tree) setImagePackages() {
	signed := "linux-image-" + t.Release
	unsigned := signed + "-unsigned"
	if strings.HasPrefix(t.Config.Text("CONFIG_VERSION_SIGNATURE"), "Ubuntu ") {
		unsigned = "linux-image-unsigned-" + t.Release
	}
	t.ImagePackages = []string{signed, unsigned}
}
