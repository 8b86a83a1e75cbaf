// SPDX-License-Identifier: MIT

package dkms

import (
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// directives are the names that leave the evaluation. All others are the
// file's own variables. The order is that in which dkms reads them back, which
// shows where the second expansion of one refers to another.
var directives = []string{
	"PACKAGE_NAME", "PACKAGE_VERSION",
	"POST_ADD", "POST_BUILD", "POST_INSTALL", "POST_REMOVE", "PRE_BUILD", "PRE_INSTALL",
	"BUILD_DEPENDS", "BUILD_EXCLUSIVE_ARCH", "BUILD_EXCLUSIVE_CONFIG",
	"BUILD_EXCLUSIVE_KERNEL", "BUILD_EXCLUSIVE_KERNEL_MIN", "BUILD_EXCLUSIVE_KERNEL_MAX",
	"OBSOLETE_BY", "MAKE", "MAKE_MATCH", "PATCH", "PATCH_MATCH",
	"BUILT_MODULE_NAME", "BUILT_MODULE_LOCATION", "DEST_MODULE_NAME", "DEST_MODULE_LOCATION",
	"STRIP", "AUTOINSTALL", "NO_WEAK_MODULES", "BUILD_DEPENDS_REBUILD", "CLEAN",
	"REMAKE_INITRD", "MODULES_CONF", "MODULES_CONF_OBSOLETES",
	"MODULES_CONF_ALIAS_TYPE", "MODULES_CONF_OBSOLETE_ONLY",
}

// Directives returns the names that dkms takes from a dkms.conf.
func Directives() []string { return slices.Clone(directives) }

// Values is what a dkms.conf says, before any rule is applied. It is plain
// data that survives JSON.
type Values struct {
	File     string               // the first file, as the user named it
	Elements map[string][]Element // by directive, sorted by index; empty ones that were set are there
	Messages string               // what the file wrote to standard error
	Warnings []Warning
}

// Element is one element of a directive. A plain variable is element 0.
type Element struct {
	Index int
	Value string
	File  string // where it was last assigned; "" where that is not known
	Line  int    // 0 where it is not known
}

// Warning is a [textfile.Error] as plain data.
type Warning struct {
	File string
	Line int
	Text string
}

// Get returns element 0, as `$NAME` does in bash.
func (v *Values) Get(name string) string { return v.At(name, 0).Value }

// At returns element index of a directive, the zero Element if it is not set.
func (v *Values) At(name string, index int) Element {
	for _, e := range v.Elements[name] {
		if e.Index == index {
			return e
		}
	}
	return Element{}
}

// max returns the highest index of the directives, -1 if none is set.
func (v *Values) max(names ...string) int {
	top := -1
	for _, name := range names {
		if elems := v.Elements[name]; len(elems) > 0 {
			top = max(top, elems[len(elems)-1].Index)
		}
	}
	return top
}

// Errorf returns an error at the place where an element was assigned, or
// where any other of its directive was, or at the file as a whole.
func (v *Values) Errorf(name string, index int, format string, args ...any) *textfile.Error {
	e := v.At(name, index)
	if e.File == "" {
		e = v.At(name, 0)
	}
	if e.File == "" {
		e = Element{File: v.File}
	}
	return textfile.Errorf(e.File, e.Line, format, args...)
}

func (v *Values) warnf(file string, line int, format string, args ...any) {
	e := textfile.Errorf(file, line, format, args...)
	v.Warnings = append(v.Warnings, Warning{e.File, e.Line, e.Err.Error()})
}

// label is how messages name an element: MAKE for element 0, else MAKE[2].
func label(name string, index int) string {
	if index == 0 {
		return name
	}
	return name + "[" + itoa(index) + "]"
}

// blank reports a text of nothing but comments and white space.
func blank(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}
