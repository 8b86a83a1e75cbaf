// SPDX-License-Identifier: MIT

package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/version"
)

// registered looks for NAME/VERSION, NAME-VERSION or NAME below the source
// tree.
func (r *resolver) registered(ctx context.Context) ([]*Source, error) {
	name, v, slash := strings.Cut(r.arg, "/")
	if slash && (name == "" || v == "" || strings.Contains(v, "/")) || strings.HasSuffix(r.arg, ".deb") || strings.HasSuffix(r.arg, ".dsc") {
		return nil, fmt.Errorf("%s: no such file or directory", r.arg)
	}
	dir := filepath.Join(r.SourceTree, r.arg)
	if slash {
		dir = filepath.Join(r.SourceTree, name+"-"+v)
	}
	if r.isModule(dir) {
		return r.named(ctx, dir)
	}
	if slash {
		return nil, r.notFound(name)
	}
	return r.newest(ctx)
}

// named takes the directory NAME-VERSION, whose dkms.conf has to say the same:
// dkms goes by the directory, and its build would look for what is not there.
func (r *resolver) named(ctx context.Context, dir string) ([]*Source, error) {
	sources, err := r.directory(ctx, dir)
	if err != nil {
		return nil, err
	}
	of, sep := filepath.Base(dir), "-"
	if strings.Contains(r.arg, "/") {
		of, sep = r.arg, "/"
	}
	for _, s := range sources {
		if of == s.Name+sep+s.Version {
			continue
		}
		field, says := "PACKAGE_NAME", s.Name
		if strings.HasPrefix(of, s.Name+sep) {
			field, says = "PACKAGE_VERSION", s.Version
		}
		values, err := r.evaluate(ctx, s) // which alone knows lines
		if err != nil {
			return nil, err
		}
		return nil, &Error{
			Err:  values.Errorf(field, 0, "%s is %s, but the directory is that of %s", field, says, of),
			Cure: "rename the directory, or pass it as " + dir,
		}
	}
	return sources, nil
}

// isModule tells whether dir is a source below the source tree, not a way out
// of it.
func (r *resolver) isModule(dir string) bool {
	return filepath.Dir(dir) == filepath.Clean(r.SourceTree) && exists(filepath.Join(dir, "dkms.conf"))
}

// newest returns the source whose PACKAGE_NAME is the argument, with the
// highest version.
func (r *resolver) newest(ctx context.Context) ([]*Source, error) {
	confs, err := filepath.Glob(filepath.Join(escapeGlob(r.SourceTree), escapeGlob(r.arg)+"-*", "dkms.conf"))
	if err != nil {
		return nil, err
	}
	var best *Source
	var broken []error
	for _, conf := range confs {
		s, err := r.load(ctx, &Source{Dir: filepath.Dir(conf), Conf: dkms.File{Path: conf}})
		if err != nil {
			broken = append(broken, err)
			continue
		}
		if s.Name == r.arg && (best == nil || version.Compare(s.Version, best.Version) > 0) {
			best = s
		}
	}
	switch {
	case best != nil:
		return r.named(ctx, best.Dir)
	case len(broken) > 0:
		return nil, errors.Join(broken...)
	}
	return nil, r.notFound(r.arg)
}

// notFound names what there is instead.
func (r *resolver) notFound(name string) error {
	var known []string
	confs, _ := filepath.Glob(filepath.Join(escapeGlob(r.SourceTree), "*", "dkms.conf"))
	for _, conf := range confs {
		known = append(known, filepath.Base(filepath.Dir(conf)))
	}
	slices.Sort(known)
	cure := fmt.Sprintf("no module sources are below %s; pass a directory or a -dkms .deb", r.SourceTree)
	if near := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !strings.HasPrefix(k, name) }); len(near) > 0 {
		known = near
	}
	if len(known) > 0 {
		cure = fmt.Sprintf("below %s: %s", r.SourceTree, strings.Join(known, ", "))
	}
	return &Error{
		Err:  fmt.Errorf("%s: no such source: neither a file or directory nor a module below %s", r.arg, r.SourceTree),
		Cure: cure,
	}
}

// escapeGlob makes s match itself only.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
