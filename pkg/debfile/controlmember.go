// SPDX-License-Identifier: MIT

package debfile

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gokms/gokms/pkg/control"
)

// What dpkg-deb --build takes for these fields.
var (
	nameRegexp    = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	versionRegexp = regexp.MustCompile(`^([0-9]+:)?[0-9][A-Za-z0-9.+~:-]*$`)
	archRegexp    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	scriptRegexp  = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
)

// fieldValue is the value of the field of that name, "" when there is none.
func fieldValue(s control.Stanza, name string) string {
	for _, f := range s.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// packageName is what errors call p.
func packageName(p *Package) string {
	if name := fieldValue(p.Control, "Package"); name != "" {
		return name
	}
	return "without a name"
}

// checkControl reports what dpkg-deb(1) would refuse in the control member,
// and returns the conffiles as paths of entries.
func checkControl(p *Package, entries []entry) ([]string, error) {
	for _, field := range []struct {
		name string
		re   *regexp.Regexp
	}{{"Package", nameRegexp}, {"Version", versionRegexp}, {"Architecture", archRegexp}} {
		switch value := fieldValue(p.Control, field.name); {
		case value == "":
			return nil, fmt.Errorf("control: no field %s", field.name)
		case !field.re.MatchString(value):
			return nil, fmt.Errorf("control: field %s: bad value %q", field.name, value)
		}
	}
	if fieldValue(p.Control, "Installed-Size") != "" {
		return nil, errors.New("control: field Installed-Size is there already")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Scripts)) {
		if !scriptRegexp.MatchString(name) || name == "control" || name == "md5sums" {
			return nil, fmt.Errorf("control member %q: bad name", name)
		}
	}
	return checkConffiles(p.Scripts["conffiles"], entries)
}

// checkConffiles wants each line to name a regular file of the package, or one
// that is to be removed on upgrade.
func checkConffiles(list string, entries []entry) ([]string, error) {
	var names []string
	for line := range strings.Lines(list) {
		name := strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(name, "remove-on-upgrade /") {
			continue
		}
		i := slices.IndexFunc(entries, func(e entry) bool {
			return "/"+e.file.Path == name && e.file.Mode.IsRegular()
		})
		if i < 0 {
			return nil, fmt.Errorf("conffiles: %q is not a file of the package", name)
		}
		names = append(names, entries[i].file.Path)
	}
	return names, nil
}

// controlParts returns the content of the control member by name.
func controlParts(p *Package, entries []entry, sums string) (map[string]string, error) {
	text, err := formatStanza(withSize(p.Control, installedSize(entries, p.Scripts)))
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	parts := maps.Clone(p.Scripts)
	if parts == nil {
		parts = make(map[string]string)
	}
	parts["control"] = string(text)
	if sums != "" {
		parts["md5sums"] = sums
	}
	return parts, nil
}

// withSize returns a copy of s with Installed-Size in its usual place, behind
// Maintainer.
func withSize(s control.Stanza, size int64) control.Stanza {
	field := control.Field{Name: "Installed-Size", Value: strconv.FormatInt(size, 10)}
	i := slices.IndexFunc(s.Fields, func(f control.Field) bool {
		return strings.EqualFold(f.Name, "Maintainer")
	})
	if i < 0 {
		i = len(s.Fields) - 1
	}
	return control.Stanza{Fields: slices.Insert(slices.Clone(s.Fields), i+1, field)}
}

// partMode is the mode of a file of the control member.
func partMode(name string) fs.FileMode {
	switch name {
	case "preinst", "postinst", "prerm", "postrm", "config":
		return 0o755
	}
	return 0o644
}

// writeControl writes the tar archive of the control member.
func writeControl(w io.Writer, parts map[string]string, p *Package) error {
	tw := tar.NewWriter(w)
	top := header(&File{Path: ".", Mode: dirMode}, p.ModTime)
	if err := tw.WriteHeader(top); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		f := &File{Path: name, Mode: partMode(name), Size: int64(len(parts[name]))}
		if err := tw.WriteHeader(header(f, p.ModTime)); err != nil {
			return fmt.Errorf("control member %s: %w", name, err)
		}
		if _, err := io.WriteString(tw, parts[name]); err != nil {
			return err
		}
	}
	return tw.Close()
}
