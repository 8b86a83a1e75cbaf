// SPDX-License-Identifier: MIT

package record

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Form is how an option gets into a record.
type Form int

// The forms of options. A path that a record names is one of its Inputs, but
// for a Root, of which Kernels tells what was taken.
const (
	Text       Form = iota // as it is
	Switch                 // without a value
	List                   // once for each value
	Root                   // absolute: where kernels are looked for
	Checked                // absolute; the path is an input
	CheckedDir             // absolute; the path is an input, or those below it that were read are
)

// options are those of gokms-mkbmdeb that settle what is built. None lets what
// a build runs out of the sandbox, names a place to write to, or a secret.
var options = map[string]Form{
	"modules-root": Root, "copyright": Checked, "overrides": Checked, "source-dir": Checked,
	"directive": List, "provides": List, "coexist": Switch,
	"name": Text, "package-version": Text, "revision": Text, "maintainer": Text, "dest-dir": Text,
	"compression": Text, "timeout": Text,
	"no-verify": List, "no-dbgsym": Switch, "sign-cert": Checked, "require-signed": Switch,
	"depmod-config": CheckedDir, "depmod-override": Switch,
}

// Option returns how the option --name of gokms-mkbmdeb gets into a record;
// false: it does not.
func Option(name string) (Form, bool) {
	form, ok := options[name]
	return form, ok
}

// Signed tells whether the packages were signed: rebuilding them takes a key.
func (r *Record) Signed() bool {
	for _, arg := range r.Arguments {
		if strings.HasPrefix(arg, "--sign-cert=") {
			return true
		}
	}
	return false
}

// checkArgument refuses what no record has: whoever rebuilds from a record need
// not have written it.
func (r *Record) checkArgument(arg string) error {
	option, value, hasValue := strings.Cut(arg, "=")
	name, dashes := strings.CutPrefix(option, "--")
	form, ok := options[name]
	switch {
	case !dashes || !ok:
		return fmt.Errorf("argument %q: it is no option that a record may have", arg)
	case hasValue == (form == Switch):
		return fmt.Errorf("argument %q: it is not in the form of a record", arg)
	case form < Root:
		return nil
	case !filepath.IsAbs(value):
		return fmt.Errorf("argument %q: want an absolute path", arg)
	case form != Root && !r.covers(option, value, form):
		return fmt.Errorf("argument %q: the record has no checksum of what is there", arg)
	}
	return nil
}

// covers tells whether the inputs have the path that an option names.
func (r *Record) covers(option, path string, form Form) bool {
	for _, in := range r.Inputs {
		if in.Option != option {
			continue
		}
		rel, err := filepath.Rel(path, in.Path)
		if in.Path == path || form == CheckedDir && err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}
