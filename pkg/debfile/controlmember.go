// SPDX-License-Identifier: MIT

package debfile

import (
	"archive/tar"
	"bytes"
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

// scriptRegexp is what members of the control member may be called.
var scriptRegexp = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// packageName is what errors call p.
func packageName(p *Package) string {
	if name := p.Control.Get("Package"); name != "" {
		return name
	}
	return "without a name"
}

// controlText is the file control, with Installed-Size. What dpkg-deb(1) would
// refuse in it is an error.
func controlText(p *Package, entries []entry) (string, error) {
	if _, there := p.Control.Lookup("Installed-Size"); there {
		return "", errors.New("control: field Installed-Size is there already")
	}
	text, err := control.Format(withSize(p.Control, installedSize(entries, p.Scripts)))
	if err != nil {
		return "", fmt.Errorf("control: %w", err)
	}
	if _, err := control.ParseOne(bytes.NewReader(text), "control"); err != nil {
		return "", err
	}
	// dpkg-deb reads what it would not write: capital letters.
	if err := control.ValidPackageName(p.Control.Get("Package")); err != nil {
		return "", fmt.Errorf("control: %w", err)
	}
	if err := control.ValidArchitecture(p.Control.Get("Architecture")); err != nil {
		return "", fmt.Errorf("control: %w", err)
	}
	return string(text), nil
}

// checkScripts reports names that the control member cannot hold.
func checkScripts(scripts map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(scripts)) {
		if !scriptRegexp.MatchString(name) || name == "control" || name == "md5sums" {
			return fmt.Errorf("control member %q: bad name", name)
		}
	}
	return nil
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
func controlParts(scripts map[string]string, text, sums string) map[string]string {
	parts := map[string]string{"control": text}
	maps.Copy(parts, scripts)
	if sums != "" {
		parts["md5sums"] = sums
	}
	return parts
}

// withSize returns a copy of s with Installed-Size in its usual place, behind
// Maintainer.
func withSize(s control.Stanza, size int64) control.Stanza {
	field := control.Field{Name: "Installed-Size", Value: strconv.FormatInt(size, 10)}
	i := slices.IndexFunc(s.Fields, func(f control.Field) bool {
		return strings.EqualFold(f.Name, "Maintainer")
	})
	if i < 0 {
		i = len(s.Fields) - 1 // behind all of them
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
