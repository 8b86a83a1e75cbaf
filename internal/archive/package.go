// SPDX-License-Identifier: MIT

package archive

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/version"
)

// sourceRE is the value of a field Source: "linux (6.1.192-2)".
var sourceRE = regexp.MustCompile(`^(\S+)(?:\s+\((\S+)\))?$`)

// newPackage reads a stanza of an index, or the control file of a .deb. What it
// says becomes part of paths and command lines, so that it is checked.
func newPackage(s control.Stanza) (Package, error) {
	p := Package{
		Name: s.Get("Package"), Version: s.Get("Version"), Architecture: s.Get("Architecture"),
		SHA256: strings.ToLower(s.Get("SHA256")), Depends: s.Unfold("Depends"),
	}
	if pre := s.Unfold("Pre-Depends"); pre != "" {
		p.Depends = strings.TrimSuffix(pre+", "+p.Depends, ", ")
	}
	if err := control.ValidPackageName(p.Name); err != nil {
		return p, err
	}
	if err := version.Validate(p.Version); err != nil {
		return p, fmt.Errorf("package %s: %w", p.Name, err)
	}
	if !archRE.MatchString(p.Architecture) {
		return p, fmt.Errorf("package %s: bad architecture %q", p.Name, p.Architecture)
	}
	if p.SHA256 != "" && !sha256RE.MatchString(p.SHA256) {
		return p, fmt.Errorf("package %s: bad SHA256 %q", p.Name, p.SHA256)
	}
	p.Source, p.SourceVersion = p.Name, p.Version
	if m := sourceRE.FindStringSubmatch(s.Get("Source")); m != nil {
		p.Source = m[1]
		if m[2] != "" {
			p.SourceVersion = m[2]
		}
	}
	if size, err := strconv.ParseInt(s.Get("Size"), 10, 64); err == nil {
		p.Size = size
	}
	return p, nil
}

var (
	archRE   = regexp.MustCompile(`^[a-z0-9][-a-z0-9]*$`)
	sha256RE = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// satisfies says whether r takes version v.
func satisfies(r control.Relation, v string) bool {
	if r.Operator == "" {
		return true
	}
	if v == "" {
		return false
	}
	c := version.Compare(v, r.Version)
	switch r.Operator {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	}
	return c > 0
}
