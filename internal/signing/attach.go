// SPDX-License-Identifier: MIT

package signing

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/version"
)

// AttachOptions are those of [Attach].
type AttachOptions struct {
	// Debs are the packages that were given to [Extract]; those with their
	// debug symbols may be there, too.
	Debs []string
	// Signatures is the directory that the signer gave back.
	Signatures string
	// Manifest is the file that Extract wrote; "": the one in Signatures.
	Manifest string
	// Certificate is that of the signer's key.
	Certificate *x509.Certificate
	// Revision R makes the version VERSION+R, in all that names it. "": the
	// version stays, which is for packages that nobody has seen.
	Revision string
	// Out is the directory for the new packages. Without a Revision it must
	// not be that of the old ones.
	Out string
	// Changes are .changes and .buildinfo files that name the packages; new
	// ones are written into Out, with the Revision in their names, too. The
	// .buildinfo that a .changes lists is taken along if it lies beside it.
	Changes []string
	Programs
}

// Attached is what [Attach] made.
type Attached struct {
	Debs    []string // paths, in the order of the given ones
	Changes []string // paths
}

// Attach writes new packages with the modules signed and otherwise the same
// content, and new .changes and .buildinfo files. All signatures are verified
// before anything is written, and each package is compared with the old one
// ([Compare]). The results appear at the end, .changes last; on an error
// nothing is left behind.
func Attach(ctx context.Context, o *AttachOptions) (a *Attached, err error) {
	debs, err := openDebs(o.Debs, o.Programs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeDebs(debs)) }()
	s := &signatures{dir: filepath.Clean(o.Signatures), cert: o.Certificate, used: map[string]bool{}}
	if s.manifest, err = ReadManifest(cmp.Or(o.Manifest, filepath.Join(o.Signatures, ManifestFile))); err != nil {
		return nil, err
	}
	signed := make([]map[string]verified, len(debs))
	var errs []error
	for i, d := range debs {
		var err error
		signed[i], err = s.verify(d)
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, s.strays())...); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(signed, func(m map[string]verified) bool { return len(m) > 0 }) {
		return nil, errors.New("no module to sign")
	}
	if _, statErr := os.Stat(o.Out); errors.Is(statErr, fs.ErrNotExist) {
		defer func() {
			if err != nil {
				os.Remove(o.Out) // if it was made and is empty
			}
		}()
	}
	j, err := newJob(o, debs)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(j.tmp)
	for i, d := range debs {
		if err := j.deb(ctx, d, signed[i]); err != nil {
			return nil, err
		}
	}
	if err := j.allChanges(); err != nil {
		return nil, err
	}
	return j.publish()
}

// job writes the results into a directory of its own.
type job struct {
	*AttachOptions
	tmp      string            // below Out
	versions map[string]string // the old version by package
	made     []string          // names of the results
	debs     int               // of which packages
	renamed  map[string]string // the new name by the old one, of packages and lists
}

func newJob(o *AttachOptions, debs []*deb) (*job, error) {
	j := &job{AttachOptions: o, versions: map[string]string{}, renamed: map[string]string{}}
	if o.Revision != "" {
		if err := version.ValidRevision(o.Revision); err != nil {
			return nil, fmt.Errorf("revision %q: %w", o.Revision, err)
		}
	}
	for _, d := range debs {
		j.versions[d.name] = d.version
		if err := version.Validate(j.revised(d.version)); err != nil {
			return nil, d.errorf("", "revision %q: %w", o.Revision, err)
		}
	}
	if err := os.MkdirAll(o.Out, 0o777); err != nil {
		return nil, err
	}
	if err := j.apart(debs); err != nil {
		return nil, err
	}
	var err error
	j.tmp, err = os.MkdirTemp(o.Out, ".gokms-attach-")
	return j, err
}

// apart refuses to replace a package by a signed one of the same name: it could
// not be attached to again; and two packages of one name where the signed ones
// would have it, too, or lists of files could mean either.
func (j *job) apart(debs []*deb) error {
	if j.Revision != "" && len(j.Changes) == 0 {
		return nil
	}
	out, err := os.Stat(j.Out)
	if err != nil {
		return err
	}
	seen := map[string]string{}
	for _, d := range debs {
		name := filepath.Base(d.path)
		if seen[name] != "" {
			return &Error{Deb: d.path, Err: fmt.Errorf("has the name of %s: the signed packages, or the lines of a .changes, could not be told apart", seen[name]),
				Cure: "attach to one after the other"}
		}
		seen[name] = d.path
		dir, err := os.Stat(filepath.Dir(d.path))
		if err != nil {
			return err
		}
		if j.Revision == "" && os.SameFile(out, dir) {
			return &Error{Deb: d.path, Err: errors.New("would be overwritten by the signed package"), Cure: "give a revision, or another directory for the results"}
		}
	}
	return nil
}

// revised is a version with the revision.
func (j *job) revised(v string) string {
	if j.Revision == "" {
		return v
	}
	return v + "+" + j.Revision
}

// deb writes d with its signed modules.
func (j *job) deb(ctx context.Context, d *deb, signed map[string]verified) error {
	stanza, err := j.control(d.Control())
	if err != nil {
		return d.errorf("", "%w", err)
	}
	_, plain, epoch := strings.Cut(stanza.Get("Version"), ":")
	if !epoch {
		plain = stanza.Get("Version")
	}
	name := fmt.Sprintf("%s_%s_%s.deb", d.name, plain, d.arch)
	if j.Revision == "" {
		name = filepath.Base(d.path)
	}
	file := filepath.Join(j.tmp, name)
	if err := j.repack(ctx, d, stanza, signed, file); err != nil {
		return named(d, err)
	}
	if err := Compare(d.path, file, j.Programs); err != nil {
		return err
	}
	j.made = append(j.made, name)
	j.debs++
	j.renamed[filepath.Base(d.path)] = name
	return nil
}

// control is the control stanza under the new version.
func (j *job) control(s control.Stanza) (control.Stanza, error) {
	s.Del("Installed-Size") // is written anew
	if j.Revision == "" {
		return s, nil
	}
	name, old := s.Get("Package"), s.Get("Version")
	if source := cmp.Or(s.Get("Source"), name); !strings.Contains(source, "(") {
		// Without a version it would be the package's new one.
		setSource(&s, fmt.Sprintf("%s (%s)", source, old))
	}
	s.Set("Version", j.revised(old))
	for _, field := range []string{"Depends", "Pre-Depends", "Recommends", "Suggests", "Provides"} {
		value := s.Get(field)
		if value == "" {
			continue
		}
		s.Set(field, exactRelation.ReplaceAllStringFunc(value, func(r string) string {
			m := exactRelation.FindStringSubmatch(r)
			if m[3] == j.versions[m[1]] || field == "Provides" && m[3] == old {
				return m[1] + m[2] + j.revised(m[3]) + m[4]
			}
			return r
		}))
		if _, err := control.ParseRelations(s.Get(field)); err != nil {
			return s, fmt.Errorf("%s: %w", field, err)
		}
	}
	return s, nil
}

// publish moves the results into place. If that fails midway, all is put back
// as it was: what the results replaced was kept beside them.
func (j *job) publish() (_ *Attached, err error) {
	a := new(Attached)
	kept, err := os.MkdirTemp(j.tmp, ".replaced-")
	if err != nil {
		return nil, err
	}
	var done []string
	defer func() {
		if err != nil {
			err = errors.Join(err, takeBack(j.Out, kept, done))
		}
	}()
	for i, name := range j.made {
		path := filepath.Join(j.Out, name)
		if err := keep(path, filepath.Join(kept, name)); err != nil {
			return nil, err
		}
		done = append(done, name)
		if err := os.Rename(filepath.Join(j.tmp, name), path); err != nil {
			return nil, err
		}
		if i < j.debs {
			a.Debs = append(a.Debs, path)
		} else {
			a.Changes = append(a.Changes, path)
		}
	}
	return a, nil
}

// keep makes the file path, if there is one, the file kept as well.
func keep(path, kept string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: is in the way: not a regular file", path)
	}
	if os.Link(path, kept) == nil {
		return nil
	}
	return os.Rename(path, kept) // the file system has no hard links
}

// takeBack removes results from dir, or replaces them by what was kept of
// before.
func takeBack(dir, kept string, names []string) error {
	var errs []error
	for _, name := range names {
		path := filepath.Join(dir, name)
		err := os.Rename(filepath.Join(kept, name), path)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.Remove(path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
