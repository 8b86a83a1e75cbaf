// SPDX-License-Identifier: MIT

package control

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
	"github.com/gokms/gokms/pkg/version"
)

// fieldChecks judge the values of binary control fields as dpkg-deb does, by
// lower-case name.
var fieldChecks = map[string]func(value string) error{
	"package":      checkBinaryName,
	"version":      version.Validate,
	"architecture": notEmpty,
	"multi-arch":   oneOf("no", "foreign", "allowed", "same"),
	"essential":    oneOf("no", "yes"),
	"protected":    oneOf("no", "yes"),
	"conffiles":    checkConffiles,

	"status":           notHere,
	"config-version":   notHere,
	"triggers-pending": notHere,
	"triggers-awaited": notHere,
	"filename":         notEmpty,
	"msdos-filename":   notEmpty,
	"size":             notEmpty,
	"md5sum":           notEmpty,
	"depends":          checkRelations,
	"pre-depends":      checkRelations,
	"recommends":       checkRelations,
	"recommended":      checkRelations,
	"suggests":         checkRelations,
	"optional":         checkRelations,
	"enhances":         checkRelations,
	"breaks":           checkPlainRelations,
	"conflicts":        checkPlainRelations,
	"replaces":         checkPlainRelations,
	"provides":         checkPlainRelations,
}

// checkBinary reports the first thing in s for which dpkg-deb would not build
// or read a package.
func checkBinary(s Stanza, file string) error {
	for _, f := range s.Fields {
		if len(f.Name) < 2 {
			return textfile.Errorf(file, f.Line, "field name %q is too short", f.Name)
		}
		if check := fieldChecks[strings.ToLower(f.Name)]; check != nil {
			if err := check(f.Value); err != nil {
				return textfile.Errorf(file, f.Line, "field %s: %w", f.Name, err)
			}
		}
	}
	for _, name := range []string{"Package", "Version", "Architecture"} {
		if _, ok := s.Lookup(name); !ok {
			return textfile.Errorf(file, 0, "no field %s", name)
		}
	}
	if f, _ := s.Lookup("Multi-Arch"); strings.EqualFold(f.Value, "same") && s.Get("Architecture") == "all" {
		return textfile.Errorf(file, f.Line, "field %s: %q does not go with architecture all", f.Name, f.Value)
	}
	return nil
}

func notEmpty(value string) error {
	if value == "" {
		return fmt.Errorf("no value")
	}
	return nil
}

func notHere(string) error {
	return fmt.Errorf("not allowed in the control file of a package")
}

func oneOf(words ...string) func(string) error {
	return func(value string) error {
		if value == "" || slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, value) }) {
			return nil
		}
		return fmt.Errorf("%q is none of %s", value, strings.Join(words, ", "))
	}
}

// checkBinaryName is laxer than [ValidPackageName]: dpkg-deb takes capitals,
// and makes them small in the file's name.
func checkBinaryName(name string) error {
	return ValidPackageName(asciiLower(name))
}

func checkConffiles(value string) error {
	for i, line := range strings.Split(value, "\n") {
		words := strings.Fields(line)
		switch {
		case i == 0 && line == "":
		case i == 0:
			return fmt.Errorf("%q does not stand on a line of its own", line)
		case len(words) < 2 || len(strings.Join(words[:len(words)-1], " ")) < 2:
			return fmt.Errorf("line %q is not of the form PATH HASH", line)
		}
	}
	return nil
}

// binaryRelation is NAME[:ARCH] [([RELATION] VERSION)], as dpkg-deb reads it:
// it has no substvars, restrictions or empty places, but takes a version
// without a relation for an exact one.
var binaryRelation = regexp.MustCompile(`^[A-Za-z0-9][-+._A-Za-z0-9]*(?::[A-Za-z0-9][-A-Za-z0-9]*)?` +
	space + `*(?:\(` + space + `*(?:<<|<=|=|>=|>>|<|>)?` + space + `*([^\s\v()]+)` + space + `*(\)))?$`)

func checkRelations(value string) error {
	if value == "" {
		return nil
	}
	for item := range strings.SplitSeq(strings.ReplaceAll(value, "|", ","), ",") {
		item = strings.Trim(item, whiteSpace)
		m := binaryRelation.FindStringSubmatch(item)
		if m == nil {
			return fmt.Errorf("bad relation %q", item)
		}
		if m[2] == "" {
			continue
		}
		if err := version.Validate(m[1]); err != nil {
			return fmt.Errorf("relation %q: %w", item, err)
		}
	}
	return nil
}

// checkPlainRelations is for fields that cannot hold alternatives.
func checkPlainRelations(value string) error {
	if strings.Contains(value, "|") {
		return fmt.Errorf("alternatives in %q", value)
	}
	return checkRelations(value)
}
