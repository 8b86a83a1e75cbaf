// SPDX-License-Identifier: MIT

package dkms

import "strings"

// exclusiveRule is one BUILD_EXCLUSIVE_*. violated returns what the value was
// held against, "" if the kernel keeps the rule.
type exclusiveRule struct {
	name     string
	violated func(r *resolver, index int, value string) string
}

var exclusiveRules = []exclusiveRule{
	{"BUILD_EXCLUSIVE_KERNEL", func(r *resolver, i int, _ string) string {
		return r.unlessMatches("BUILD_EXCLUSIVE_KERNEL", i, r.env.KernelVersion)
	}},
	{"BUILD_EXCLUSIVE_KERNEL_MIN", func(r *resolver, _ int, value string) string {
		return r.ifCompares(value, -1)
	}},
	{"BUILD_EXCLUSIVE_KERNEL_MAX", func(r *resolver, _ int, value string) string {
		return r.ifCompares(value, +1)
	}},
	{"BUILD_EXCLUSIVE_ARCH", func(r *resolver, i int, _ string) string {
		return r.unlessMatches("BUILD_EXCLUSIVE_ARCH", i, r.env.Arch)
	}},
	{"BUILD_EXCLUSIVE_CONFIG", (*resolver).missingOption},
}

func (r *resolver) unlessMatches(name string, index int, text string) string {
	if r.matches(name, index, text) || text == "" {
		return ""
	}
	return text
}

// ifCompares returns the kernel if it compares to the value as given.
func (r *resolver) ifCompares(value string, result int) string {
	if compareVersions(r.env.KernelVersion, value) != result {
		return ""
	}
	return r.env.KernelVersion
}

// missingOption checks words CONFIG_X and !CONFIG_X.
func (r *resolver) missingOption(_ int, value string) string {
	if r.config == nil {
		return ""
	}
	for _, word := range strings.Fields(value) {
		option, not := strings.CutPrefix(word, "!")
		switch set := r.config(option); {
		case set && not:
			return option + " is set"
		case !set && !not:
			return option + " is not set"
		}
	}
	return ""
}

// exclusions applies the rules. Those of index 0 are for all modules, since
// $NAME and ${NAME[0]} are one in bash; the others are for one module each.
func (r *resolver) exclusions() {
	global := r.exclusion(0)
	if global == nil {
		global = r.obsolete()
	}
	r.conf.Excluded = global
	all := len(r.conf.Modules) > 0
	for i := range r.conf.Modules {
		m := &r.conf.Modules[i]
		m.Excluded = global
		if i > 0 {
			if own := r.exclusion(i); global == nil {
				m.Excluded = own
			}
		}
		all = all && m.Excluded != nil
	}
	if all {
		r.conf.Excluded = r.conf.Modules[0].Excluded
	}
	for _, rule := range exclusiveRules {
		if top := r.v.max(rule.name); top > 0 && top >= len(r.conf.Modules) {
			r.warnf(rule.name, top, "%s is not used: there is no such module", label(rule.name, top))
		}
	}
}

func (r *resolver) exclusion(index int) *Exclusion {
	var first *Exclusion
	for _, rule := range exclusiveRules {
		value := r.v.At(rule.name, index).Value
		if value == "" {
			continue
		}
		found := rule.violated(r, index, value)
		if found != "" && first == nil && r.env.KernelVersion != "" {
			first = &Exclusion{Rule: label(rule.name, index), Value: value, Found: found}
		}
	}
	return first
}

// obsolete treats OBSOLETE_BY as a BUILD_EXCLUSIVE_KERNEL_MAX where there is
// none of that.
func (r *resolver) obsolete() *Exclusion {
	value := r.v.Get("OBSOLETE_BY")
	if value == "" || r.env.KernelVersion == "" {
		return nil
	}
	for _, e := range r.v.Elements["BUILD_EXCLUSIVE_KERNEL_MAX"] {
		if e.Value != "" {
			return nil
		}
	}
	if found := r.ifCompares(value, +1); found != "" {
		return &Exclusion{Rule: "OBSOLETE_BY", Value: value, Found: found}
	}
	return nil
}
