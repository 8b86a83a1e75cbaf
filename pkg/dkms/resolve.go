// SPDX-License-Identifier: MIT

package dkms

import (
	"errors"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// Resolve applies the rules of the directives to what an evaluation for the
// same env gave. config says whether an option of the kernel's configuration
// (CONFIG_X) is y or m; nil where there is no configuration, in which case
// BUILD_EXCLUSIVE_CONFIG excludes nothing. Without a kernel in env no kernel
// is excluded.
//
// All that is wrong is reported at once, joined, each a [textfile.Error].
//
// Where it departs from dkms: a BUILD_EXCLUSIVE_* of index 0 excludes a conf
// without modules, too; regular expressions that dkms could not compile are
// errors; and names that would lead out of their directory or could be taken
// for an option or for shell syntax are refused.
func Resolve(v *Values, env Env, config func(option string) bool) (*Conf, error) {
	r := &resolver{v: v, env: env, config: config, conf: &Conf{File: v.File, Values: v}}
	for _, w := range v.Warnings {
		r.conf.Warnings = append(r.conf.Warnings, textfile.Errorf(w.File, w.Line, "%s", w.Text))
	}
	r.identity()
	r.modules()
	r.duplicates()
	r.makeCommand()
	r.patches()
	r.exclusions()
	r.settings()
	r.scripts()
	r.deprecated()
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return r.conf, nil
}

// resolver collects the problems of one conf.
type resolver struct {
	v      *Values
	env    Env
	config func(string) bool
	conf   *Conf
	errs   []error
}

// bad notes an error at an element.
func (r *resolver) bad(name string, index int, err error) {
	at := r.v.Errorf(name, index, "")
	at.Err = err
	r.errs = append(r.errs, at)
}

func (r *resolver) badf(name string, index int, format string, args ...any) {
	r.errs = append(r.errs, r.v.Errorf(name, index, format, args...))
}

func (r *resolver) warnf(name string, index int, format string, args ...any) {
	r.conf.Warnings = append(r.conf.Warnings, r.v.Errorf(name, index, format, args...))
}

func (r *resolver) identity() {
	for _, d := range []struct {
		name string
		to   *string
	}{{"PACKAGE_NAME", &r.conf.Name}, {"PACKAGE_VERSION", &r.conf.Version}} {
		value := r.v.Get(d.name)
		*d.to = value
		switch {
		case value == "":
			r.bad(d.name, 0, hintf("every dkms.conf says "+d.name+"=\"...\"", "no %s", d.name))
		case strings.Contains(value, "#MODULE_VERSION#"):
			r.bad(d.name, 0, hintf("it stands for the upstream version of debian/changelog; without one, write the version into the file",
				"%s: #MODULE_VERSION# was not replaced", d.name))
		default:
			if err := checkIdentity(value); err != nil {
				r.badf(d.name, 0, "%s: %w", d.name, err)
			}
		}
	}
}

// settings are the scalars without a rule of their own.
func (r *resolver) settings() {
	r.conf.AutoInstall = r.yes("AUTOINSTALL")
	r.yes("BUILD_DEPENDS_REBUILD")
	r.yes("NO_WEAK_MODULES")
	remake := r.v.Get("REMAKE_INITRD")
	r.conf.RemakeInitrd = strings.HasPrefix(strings.ToLower(remake), "y")
	r.conf.ObsoleteBy = r.v.Get("OBSOLETE_BY")
	r.conf.Clean = r.v.Get("CLEAN")
	for _, e := range r.v.Elements["BUILD_DEPENDS"] {
		for _, name := range strings.Fields(e.Value) {
			if err := checkIdentity(name); err != nil {
				r.badf("BUILD_DEPENDS", e.Index, "%s: %w", label("BUILD_DEPENDS", e.Index), err)
			}
			r.conf.BuildDepends = append(r.conf.BuildDepends, name)
		}
	}
}

// yes reads a directive that is yes, no or empty, in any case.
func (r *resolver) yes(name string) bool {
	switch value := r.v.Get(name); strings.ToLower(value) {
	case "yes":
		return true
	case "", "no":
	default:
		r.badf(name, 0, "%s is yes or no, not %q", name, value)
	}
	return false
}

func (r *resolver) scripts() {
	s := &r.conf.Scripts
	for _, d := range []struct {
		name string
		to   *[]string
	}{
		{"PRE_BUILD", &s.PreBuild}, {"POST_BUILD", &s.PostBuild}, {"PRE_INSTALL", &s.PreInstall},
		{"POST_INSTALL", &s.PostInstall}, {"POST_ADD", &s.PostAdd}, {"POST_REMOVE", &s.PostRemove},
	} {
		value := r.v.Get(d.name)
		words := strings.Fields(value)
		if strings.HasSuffix(d.name, "_BUILD") {
			words = shellWords(value)
			if strings.ContainsAny(value, ";&|<>`$()") {
				r.warnf(d.name, 0, "%s: it is split into words and not given to a shell: %s", d.name, value)
			}
		}
		if len(words) == 0 {
			continue
		}
		if err := checkPath(words[0]); err != nil {
			r.badf(d.name, 0, "%s: %w", d.name, err)
		}
		*d.to = words
	}
}

// shellWords splits at white space outside of quotes, and drops the quotes.
func shellWords(s string) []string {
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	for _, c := range s {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case quote == 0 && strings.ContainsRune(" \t\n", c):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

// deprecated warns of what has no effect any more. REMAKE_INITRD is not among
// them: dkms ignores it, module packages act on it.
func (r *resolver) deprecated() {
	for _, name := range []string{
		"MODULES_CONF", "MODULES_CONF_OBSOLETES", "MODULES_CONF_ALIAS_TYPE", "MODULES_CONF_OBSOLETE_ONLY",
	} {
		if len(r.v.Elements[name]) > 0 {
			r.warnf(name, 0, "%s is deprecated and has no effect", name)
		}
	}
	switch r.conf.Clean {
	case "", "true", "/bin/true", "/usr/bin/true":
	default:
		r.warnf("CLEAN", 0, "CLEAN is deprecated and has no effect: every build starts from a fresh copy of the source")
	}
	if r.conf.ObsoleteBy != "" {
		r.warnf("OBSOLETE_BY", 0, "OBSOLETE_BY is deprecated: use BUILD_EXCLUSIVE_KERNEL_MAX")
	}
}
