// SPDX-License-Identifier: MIT

package dkms

import "strings"

// moduleArrays are what a module is made of.
var moduleArrays = []string{"BUILT_MODULE_NAME", "BUILT_MODULE_LOCATION", "DEST_MODULE_NAME", "DEST_MODULE_LOCATION"}

// modules reads the four arrays that a module is made of. There are as many
// as the highest index says, so that a gap is an error.
func (r *resolver) modules() {
	count := 1 + r.v.max(moduleArrays...)
	if count > maxModules {
		r.badf("BUILT_MODULE_NAME", count-1, "index %d is above the limit of %d modules", count-1, maxModules)
		return
	}
	if count == 0 {
		r.warnf("BUILT_MODULE_NAME", 0, "no modules: neither BUILT_MODULE_NAME nor DEST_MODULE_LOCATION is there")
	}
	for i := range count {
		r.conf.Modules = append(r.conf.Modules, r.module(i, count))
	}
}

// maxModules is more than anything real: the largest known conf has 32.
const maxModules = 10_000

func (r *resolver) module(i, count int) Module {
	m := Module{Index: i, BuiltName: r.v.At("BUILT_MODULE_NAME", i).Value}
	if m.BuiltName == "" && count == 1 {
		m.BuiltName = r.conf.Name
	}
	if m.BuiltName == "" {
		r.missing("BUILT_MODULE_NAME", i, count)
	} else if err := checkModuleName(m.BuiltName); err != nil {
		r.badf("BUILT_MODULE_NAME", i, "%s: %w", label("BUILT_MODULE_NAME", i), err)
	}
	if m.DestName = r.v.At("DEST_MODULE_NAME", i).Value; m.DestName == "" {
		m.DestName = m.BuiltName
	} else if err := checkModuleName(m.DestName); err != nil {
		r.badf("DEST_MODULE_NAME", i, "%s: %w", label("DEST_MODULE_NAME", i), err)
	}
	var err error
	if m.BuiltDir, err = builtDir(r.v.At("BUILT_MODULE_LOCATION", i).Value); err != nil {
		r.badf("BUILT_MODULE_LOCATION", i, "%s: %w", label("BUILT_MODULE_LOCATION", i), err)
	}
	m.DestLocation = r.v.At("DEST_MODULE_LOCATION", i).Value
	if m.DestLocation == "" {
		r.missing("DEST_MODULE_LOCATION", i, count)
	} else if err := checkDestLocation(m.DestLocation); err != nil {
		r.badf("DEST_MODULE_LOCATION", i, "%s: %w", label("DEST_MODULE_LOCATION", i), err)
	}
	m.Strip = r.strip(i)
	return m
}

// missing notes that a module lacks a directive, at the place of the directive
// or of another of the same module.
func (r *resolver) missing(name string, i, count int) {
	at := name
	if len(r.v.Elements[name]) == 0 {
		for _, other := range moduleArrays {
			if r.v.At(other, i).File != "" {
				at = other
				break
			}
		}
	}
	r.badf(at, i, "no %s for module %d of %d (index %d)", name, i+1, count, i)
}

// strip reads STRIP: n* is no, and all else is yes; the empty one is what
// STRIP[0] says.
func (r *resolver) strip(i int) bool {
	value := r.v.At("STRIP", i).Value
	if value == "" && i > 0 {
		value = r.v.Get("STRIP")
	}
	switch strings.ToLower(value + " ")[0] {
	case 'n':
		return false
	case 'y', ' ':
	default:
		if r.v.At("STRIP", i).Value != "" {
			r.warnf("STRIP", i, "%s is neither yes nor no: %q means yes", label("STRIP", i), value)
		}
	}
	return true
}

func (r *resolver) duplicates() {
	built, dest := map[string]int{}, map[string]int{}
	for _, m := range r.conf.Modules {
		path := strings.TrimPrefix(m.BuiltDir+"/"+m.BuiltName, "/")
		if first, ok := built[path]; ok && m.BuiltName != "" {
			r.badf("BUILT_MODULE_NAME", m.Index, "%s: module %s.ko is there already, as index %d", label("BUILT_MODULE_NAME", m.Index), path, first)
		} else {
			built[path] = m.Index
		}
		if first, ok := dest[m.DestName]; ok && m.DestName != "" {
			r.badf("DEST_MODULE_NAME", m.Index, "%s: module %s.ko is installed already, as index %d", label("DEST_MODULE_NAME", m.Index), m.DestName, first)
		} else {
			dest[m.DestName] = m.Index
		}
	}
}
