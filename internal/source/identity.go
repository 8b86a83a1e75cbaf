// SPDX-License-Identifier: MIT

package source

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gokms/gokms/pkg/changelog"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/version"
)

// upstream is the version that #MODULE_VERSION# stands for.
func (d *Debian) upstream() string {
	if d.Version == "" {
		return ""
	}
	return version.Upstream(d.Version)
}

// treeIdentity reads debian/changelog, debian/control and debian/copyright.
func (r *resolver) treeIdentity(dir string) (Debian, *control.Template, error) {
	debian := filepath.Join(dir, "debian")
	text, err := os.ReadFile(filepath.Join(debian, "changelog"))
	if err != nil {
		return Debian{}, nil, err
	}
	name := r.shown(filepath.Join(debian, "changelog"))
	top, err := newestEntry(text, name)
	if err != nil {
		return Debian{}, nil, err
	}
	t, err := r.control(dir)
	if err != nil {
		return Debian{}, nil, err
	}
	if f, ok := t.Source.Lookup("Source"); ok && f.Value != top.Source {
		return Debian{}, nil, fmt.Errorf("%s:%d: source package %s, but %s:%d says %s", name, top.Line, top.Source, t.File, f.Line, f.Value)
	}
	d := Debian{
		Source: top.Source, SourceVersion: top.Version, Version: top.Version, Changelog: text, ChangelogDate: top.Date,
		Maintainer: t.Source.Unfold("Maintainer"), Homepage: t.Source.Get("Homepage"),
	}
	if d.Copyright, err = os.ReadFile(filepath.Join(debian, "copyright")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Debian{}, nil, err
	}
	return d, t, nil
}

// newestEntry returns the first entry of a changelog, which has what a package
// needs.
func newestEntry(text []byte, name string) (changelog.Entry, error) {
	log, err := changelog.Parse(bytes.NewReader(text), name)
	if err != nil {
		return changelog.Entry{}, err
	}
	top := log.Entries[0]
	if top.Version == "" || top.Date.IsZero() {
		return top, fmt.Errorf("%s:%d: the newest entry has no version or no date", name, top.Line)
	}
	if err := control.ValidPackageName(top.Source); err != nil {
		return top, fmt.Errorf("%s:%d: source package: %w", name, top.Line, err)
	}
	return top, nil
}

// control reads debian/control; where there is none, it says nothing.
func (r *resolver) control(dir string) (*control.Template, error) {
	path := filepath.Join(dir, "debian", "control")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &control.Template{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := control.ParseTemplate(f, r.shown(path))
	if err != nil {
		return nil, err
	}
	at := func(f control.Field, err error) error {
		return fmt.Errorf("%s:%d: %s: %w", t.File, f.Line, f.Name, err)
	}
	errs := []error{checkFields(t.Source, checks{"Source": control.ValidPackageName, "Maintainer": r.checkFolded, "Homepage": checkLine}, at)}
	for _, s := range t.Packages {
		errs = append(errs, checkFields(s, checks{"Package": control.ValidPackageName, "Homepage": checkLine}, at))
	}
	return t, errors.Join(errs...)
}

// owner returns the binary package that conf, debian/PKG.dkms,
// debian/PKG.NAME.dkms or debian/dkms (the first package), belongs to.
func owner(conf string, binaries []control.Stanza) (control.Stanza, bool) {
	if filepath.Base(conf) == "dkms" && len(binaries) > 0 {
		return binaries[0], true
	}
	name := strings.TrimSuffix(filepath.Base(conf), ".dkms")
	var found control.Stanza
	for _, b := range binaries {
		switch pkg := b.Get("Package"); {
		case pkg == name:
			return b, true
		case strings.HasPrefix(name, pkg+"."):
			found = b
		}
	}
	return found, found.Fields != nil
}

// of completes the identity of a source package for one of its binaries.
func (d Debian) of(binary control.Stanza) Debian {
	d.Binary, d.Description = binary.Get("Package"), extended(binary)
	d.Homepage = cmp.Or(binary.Get("Homepage"), d.Homepage)
	return d
}

// binaryIdentity takes what the control fields of a -dkms package say; where
// names the package in messages.
func (r *resolver) binaryIdentity(c control.Stanza, where string) (Debian, error) {
	err := checkFields(c, checks{
		"Package": control.ValidPackageName, "Version": version.Validate, "Homepage": checkLine,
		"Source":     func(value string) error { _, _, err := splitSource(value); return err },
		"Maintainer": r.checkReplaceable,
	}, func(f control.Field, err error) error { return fmt.Errorf("%s: control: %s: %w", where, f.Name, err) })
	if err != nil {
		return Debian{}, err
	}
	d := Debian{
		Binary: c.Get("Package"), Version: c.Get("Version"), Maintainer: c.Get("Maintainer"),
		Homepage: c.Get("Homepage"), Description: extended(c),
	}
	d.Source, d.SourceVersion = d.Binary, d.Version
	if source := c.Get("Source"); source != "" {
		name, v, err := splitSource(source)
		if err != nil {
			return Debian{}, err
		}
		d.Source, d.SourceVersion = name, cmp.Or(v, d.Version)
	}
	return d, nil
}

var sourceRE = regexp.MustCompile(`^(\S+?)(?:\s+\((\S+)\))?$`)

// splitSource takes a Source field of a binary package apart.
func splitSource(value string) (name, v string, err error) {
	m := sourceRE.FindStringSubmatch(value)
	if m == nil {
		return "", "", fmt.Errorf("%q is not of the form NAME (VERSION)", value)
	}
	if err := control.ValidPackageName(m[1]); err != nil {
		return "", "", err
	}
	if m[2] != "" {
		err = version.Validate(m[2])
	}
	return m[1], m[2], err
}

// checks are functions that judge the value of a field, by its name.
type checks map[string]func(value string) error

// checkFields reports everything that is wrong with the fields that have a
// value; at says where a field is.
func checkFields(s control.Stanza, by checks, at func(control.Field, error) error) error {
	var errs []error
	for _, f := range s.Fields {
		for name, check := range by {
			if !strings.EqualFold(name, f.Name) || f.Value == "" {
				continue
			}
			if err := check(f.Value); err != nil {
				errs = append(errs, at(f, err))
			}
		}
	}
	return errors.Join(errs...)
}

var maintainerRE = regexp.MustCompile(`^[^<>[:cntrl:]]+ <[^<>@[:space:][:cntrl:]]+@[^<>@[:space:][:cntrl:]]+>$`)

// ValidMaintainer reports what is wrong with the value of a Maintainer field,
// Policy 5.6.2.
func ValidMaintainer(value string) error {
	if !maintainerRE.MatchString(value) {
		return fmt.Errorf("%q is not of the form NAME <ADDRESS>", value)
	}
	return nil
}

// checkFolded checks the Maintainer of a debian/control, which may be folded.
func (r *resolver) checkFolded(value string) error {
	if r.Maintainer != "" {
		return nil
	}
	return ValidMaintainer(strings.Join(strings.Fields(value), " "))
}

// checkReplaceable checks the Maintainer of a package that its user can
// hardly change.
func (r *resolver) checkReplaceable(value string) error {
	if r.Maintainer != "" {
		return nil
	}
	if err := ValidMaintainer(value); err != nil {
		return &Error{Err: err, Cure: "pass another one with --maintainer 'NAME <ADDRESS>'"}
	}
	return nil
}

func checkLine(value string) error {
	if strings.Contains(value, "\n") {
		return fmt.Errorf("%q is more than one line", value)
	}
	return nil
}

// installedIdentity asks dpkg which package installed dir, and reads what that
// package says. A directory that no package owns has no identity. dpkg is
// asked of the source tree alone, where -dkms packages lie: it has to read
// every list of files.
func (r *resolver) installedIdentity(ctx context.Context, dir string) (Debian, error) {
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil || !r.inSourceTree(dir) {
		return Debian{}, err
	}
	out, err := r.output(exec.CommandContext(ctx, "dpkg-query", "-S", escapeGlob(filepath.Join(resolved, "dkms.conf"))))
	if err != nil {
		return Debian{}, nil
	}
	pkg, _, ok := strings.Cut(out, ": ")
	if !ok || strings.ContainsAny(pkg, ", \n") {
		return Debian{}, nil
	}
	const format = `${Package}\n${Version}\n${source:Package} (${source:Version})\n${Maintainer}\n${Homepage}\n${Description}`
	out, err = r.output(exec.CommandContext(ctx, "dpkg-query", "-W", "-f", format, pkg))
	names := []string{"Package", "Version", "Source", "Maintainer", "Homepage", "Description"}
	values := strings.SplitN(out, "\n", len(names))
	if err != nil || len(values) != len(names) {
		return Debian{}, nil
	}
	var c control.Stanza
	for i, name := range names {
		c.Set(name, strings.ReplaceAll(values[i], "\n ", "\n")) // continued lines as dpkg-query prints them
	}
	d, err := r.binaryIdentity(c, "package "+pkg)
	if err != nil {
		return Debian{}, err
	}
	d.readDocs(cmp.Or(r.DocDir, "/usr/share/doc"))
	return d, nil
}

// extended is the extended description of a package as a field holds it, with
// a dot for each empty line.
func extended(s control.Stanza) string {
	return strings.TrimPrefix(control.Description("", s.ExtendedDescription()), "\n")
}

// readDocs reads changelog and copyright of the package d.Binary, unpacked or
// installed, from its folder in docs. What is missing or unreadable stays
// empty: the package's own files are not the user's to cure. A doc folder that
// links to another package's is looked up there if that is unpacked as well.
func (d *Debian) readDocs(docs string) {
	dir := filepath.Join(docs, d.Binary)
	for _, name := range []string{"changelog.Debian.gz", "changelog.gz", "changelog.Debian", "changelog"} {
		text, err := readMaybeGzip(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		if top, err := newestEntry(text, name); err == nil {
			d.Changelog, d.ChangelogDate = text, top.Date
			break
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "copyright")); err == nil {
		d.Copyright = text
	}
}

// maxDoc bounds an unpacked changelog, in bytes.
const maxDoc = 64 << 20

func readMaybeGzip(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".gz") {
		return text, err
	}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(io.LimitReader(z, maxDoc))
}
