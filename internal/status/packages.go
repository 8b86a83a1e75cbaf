// SPDX-License-Identifier: MIT

package status

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/textfile"
)

// adminDir is dpkg's database.
const adminDir = "/var/lib/dpkg"

// maxList is far above any file of dpkg's database, in bytes.
const maxList = 256 << 20

// packages is what dpkg knows of the files below lib/modules. It reads dpkg's
// own files: one run of dpkg-query for each file, or of those of all packages,
// takes longer than all else together.
type packages struct {
	dir    string                       // of dpkg's database
	status []byte                       // "\n" and the stanzas of all packages; nil: not known
	owners map[string]map[string]string // by kernel, then by file: the package
	bases  map[string]string            // names of the lists, without ending, by package

	warnings []error // what could not be read
}

// readPackages reads the lists of all packages. A root without dpkg has none,
// which is a warning. What cannot be read is a warning: the files of that package seem to be of
// nobody. A list may go at any time, since dpkg may run.
func (r root) readPackages() *packages {
	p := &packages{dir: r.path(adminDir), owners: map[string]map[string]string{}, bases: map[string]string{}}
	entries, err := os.ReadDir(r.path(path.Join(adminDir, "info")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.warnings = append(p.warnings, err)
	}
	lists := 0
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ".list")
		if !ok {
			continue
		}
		lists++
		text, err := textfile.ReadFile(r.path(path.Join(adminDir, "info", e.Name())), maxList)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			p.warnings = append(p.warnings, err)
		case bytes.Contains(text, []byte("/lib/modules/")):
			p.add(base, string(text))
		}
	}
	if lists == 0 {
		p.warnings = append(p.warnings, fmt.Errorf("%s is no database of dpkg: the packages that files are from are not known", p.dir))
	}
	if len(p.bases) > 0 {
		p.readStatus(r.path(path.Join(adminDir, "status")))
	}
	return p
}

// readStatus reads the stanzas of all packages.
func (p *packages) readStatus(file string) {
	status, err := textfile.ReadFile(file, maxList)
	if err == nil && !bytes.Contains(append([]byte("\n"), status...), []byte("\nPackage: ")) {
		err = fmt.Errorf("%s: no package in it", file)
	}
	if err != nil {
		p.warnings = append(p.warnings, fmt.Errorf("%w: the versions of packages are not known", err))
		return
	}
	p.status = append([]byte("\n"), status...)
}

// add adds a package's files: modules, and modules.order, by which the kernel's
// own package is known.
func (p *packages) add(base, list string) {
	name, _, _ := strings.Cut(base, ":")
	for line := range strings.Lines(list) {
		rest, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "/usr"), "/lib/modules/")
		kver, file, inside := strings.Cut(rest, "/")
		if !ok || !inside || !isModule(file) && file != modulesOrder {
			continue
		}
		if p.owners[kver] == nil {
			p.owners[kver] = map[string]string{}
		}
		p.owners[kver][file] = name
		p.bases[name] = base
	}
}

// isModule says whether a file has the name of a module.
func isModule(file string) bool {
	base := path.Base(file)
	for _, ext := range []string{".gz", ".xz", ".zst"} {
		base = strings.TrimSuffix(base, ext)
	}
	return strings.HasSuffix(base, ".ko") && base != ".ko"
}

// isKernels says whether the package holds the kernel's own modules. Ubuntu has
// them in packages beside that of the image.
func (p *packages) isKernels(kver, pkg string) bool {
	return pkg != "" && (pkg == p.owners[kver][modulesOrder] || strings.HasPrefix(pkg, "linux-image-") ||
		pkg == "linux-modules-"+kver || pkg == "linux-modules-extra-"+kver)
}

// stanza is what dpkg says of a package; nil: no stanza of any is known.
func (p *packages) stanza(pkg string) (*control.Stanza, error) {
	if p.status == nil {
		return nil, nil
	}
	start := bytes.Index(p.status, []byte("\nPackage: "+pkg+"\n"))
	if start < 0 {
		return nil, fmt.Errorf("%s/status does not know the package %s", p.dir, pkg)
	}
	text := p.status[start+1:]
	if end := bytes.Index(text, []byte("\n\n")); end >= 0 {
		text = text[:end+1]
	}
	stanzas, err := control.Parse(bytes.NewReader(text), p.dir+"/status")
	if err != nil || len(stanzas) == 0 {
		return nil, err
	}
	return &stanzas[0], nil
}

// version is that of a package.
func (p *packages) version(pkg string) (string, error) {
	s, err := p.stanza(pkg)
	if s == nil {
		return "", err
	}
	return s.Get("Version"), nil
}

// halfDone are the states of packages that dpkg --configure takes to their end:
// dpkg(1), PACKAGE STATES.
var halfDone = []string{"unpacked", "half-configured", "triggers-awaited", "triggers-pending"}

// judgePackage finds a package that dpkg has not wholly installed. What somebody wants
// to become of it, the first word of its Status, does not matter.
func (t *tree) judgePackage(pkg string) []Problem {
	s, err := t.packages.stanza(pkg)
	if err != nil || s == nil {
		return nil // told, where its version is asked for
	}
	words := strings.Fields(s.Get("Status"))
	if len(words) != 3 || words[1] == "ok" && words[2] == "installed" {
		return nil
	}
	cure := "install it again"
	if words[1] == "ok" && slices.Contains(halfDone, words[2]) {
		cure = t.runDpkg()
	}
	return []Problem{problemf(OfDpkg, "dpkg calls the package %s %s: %s", pkg, strings.TrimPrefix(words[1]+" ", "ok ")+words[2], cure)}
}

// changed says whether a file of a package has other content than the package
// shipped. Packages without checksums do not tell.
func (p *packages) changed(pkg, file string, content []byte) bool {
	text, err := textfile.ReadFile(filepath.Join(p.dir, "info", p.bases[pkg]+".md5sums"), maxList)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		sum, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if strings.TrimPrefix(name, "usr/") == file {
			got := md5.Sum(content)
			return sum != hex.EncodeToString(got[:])
		}
	}
	return false
}
