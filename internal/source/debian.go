// SPDX-License-Identifier: MIT

package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gokms/gokms/pkg/changelog"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/version"
)

// upstream is the version that #MODULE_VERSION# stands for.
func (d *Debian) upstream() string {
	if d.Version == "" {
		return ""
	}
	return version.Upstream(d.Version)
}

// directory takes a directory with a dkms.conf, or one with debian/*.dkms.
func (r *resolver) directory(ctx context.Context, dir string) ([]*Source, error) {
	conf := filepath.Join(dir, "dkms.conf")
	switch {
	case exists(conf):
		d, err := r.bareIdentity(ctx, dir)
		if err != nil {
			return nil, err
		}
		files := dir
		if r.SourceDir != "" {
			files = r.SourceDir
		}
		s, err := r.load(ctx, &Source{Dir: files, Conf: dkms.File{Path: conf}, Debian: d})
		if err == nil {
			err = r.bareFiles(ctx, s)
		}
		if err != nil {
			return nil, err
		}
		return []*Source{s}, nil
	case hasChangelog(dir):
		return r.debianTree(ctx, dir)
	}
	return nil, &Error{
		Err:  fmt.Errorf("%s: no dkms.conf in this directory, and no debian/*.dkms with a debian/changelog", r.arg),
		Cure: r.kinds(),
	}
}

// bareIdentity is what is known of a directory with a dkms.conf: from its own
// debian/ folder, or from the package that dpkg says it belongs to.
func (r *resolver) bareIdentity(ctx context.Context, dir string) (Debian, error) {
	if !hasChangelog(dir) {
		return r.installedIdentity(ctx, dir), nil
	}
	if err := r.checkPatches(ctx, dir); err != nil {
		return Debian{}, err
	}
	return r.treeIdentity(dir)
}

func hasChangelog(dir string) bool { return exists(filepath.Join(dir, "debian", "changelog")) }

// debianTree takes a source package: each debian/*.dkms is one module source.
func (r *resolver) debianTree(ctx context.Context, dir string) ([]*Source, error) {
	confs, err := filepath.Glob(filepath.Join(escapeGlob(dir), "debian", "*.dkms"))
	if err != nil {
		return nil, err
	}
	if single := filepath.Join(dir, "debian", "dkms"); exists(single) {
		confs = append(confs, single)
	}
	if len(confs) == 0 {
		return nil, r.opaque()
	}
	if err := r.checkPatches(ctx, dir); err != nil {
		return nil, err
	}
	identity, err := r.treeIdentity(dir)
	if err != nil {
		return nil, err
	}
	t, err := r.control(dir)
	if err != nil {
		return nil, err
	}
	var sources []*Source
	for _, conf := range confs {
		s, err := r.load(ctx, &Source{Dir: dir, Conf: dkms.File{Path: conf}, Debian: identity.of(conf, t.Packages)})
		if err != nil {
			return nil, err
		}
		if err := r.stageTree(ctx, dir, s); err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// of completes the identity of a source package for the binary package that
// owns conf, debian/PKG.dkms or debian/dkms (the first package).
func (d Debian) of(conf string, binaries []control.Stanza) Debian {
	name := strings.TrimSuffix(filepath.Base(conf), ".dkms")
	if name == "dkms" && filepath.Base(conf) == "dkms" && len(binaries) > 0 {
		name = binaries[0].Get("Package")
	}
	for _, b := range binaries {
		// debian/PKG.NAME.dkms belongs to PKG as well.
		if pkg := b.Get("Package"); name == pkg || strings.HasPrefix(name, pkg+".") {
			d.Binary, d.Description = pkg, extended(b.Get("Description"))
			if h := b.Get("Homepage"); h != "" {
				d.Homepage = h
			}
		}
	}
	return d
}

// treeIdentity reads debian/changelog, debian/control and debian/copyright.
func (r *resolver) treeIdentity(dir string) (Debian, error) {
	debian := filepath.Join(dir, "debian")
	text, err := os.ReadFile(filepath.Join(debian, "changelog"))
	if err != nil {
		return Debian{}, err
	}
	d := Debian{Changelog: text}
	if err := d.readChangelog(r.shown(filepath.Join(debian, "changelog"))); err != nil {
		return Debian{}, err
	}
	d.Version = d.SourceVersion
	if d.Copyright, err = os.ReadFile(filepath.Join(debian, "copyright")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Debian{}, err
	}
	t, err := r.control(dir)
	if err == nil {
		d.Maintainer, d.Homepage = unfold(t.Source.Get("Maintainer")), t.Source.Get("Homepage")
	}
	return d, err
}

// readChangelog takes source, version and date from d.Changelog.
func (d *Debian) readChangelog(name string) error {
	log, err := changelog.Parse(bytes.NewReader(d.Changelog), name)
	if err != nil {
		return err
	}
	if len(log.Entries) == 0 {
		return fmt.Errorf("%s: no entry", name)
	}
	top := log.Entries[0]
	if top.Version == "" || top.Date.IsZero() {
		return fmt.Errorf("%s:%d: the newest entry has no version or no date", name, top.Line)
	}
	d.Source, d.SourceVersion, d.ChangelogDate = top.Source, top.Version, top.Date
	return nil
}

// control reads debian/control; where there is none, it says nothing.
func (r *resolver) control(dir string) (*control.Template, error) {
	path := filepath.Join(dir, "debian", "control")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &control.Template{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return control.ParseTemplate(f, r.shown(path))
}

// stageTree copies the module's files to WorkDir and puts the dkms.conf there:
// src/ if there is one, else all but debian/ and what version control keeps.
func (r *resolver) stageTree(ctx context.Context, dir string, s *Source) error {
	from := r.SourceDir
	if from == "" {
		from = filepath.Join(dir, "src")
		if info, err := os.Stat(from); err != nil || !info.IsDir() {
			from = dir
		}
	}
	s.Shown = r.shown(from)
	v := survey{dir: from, shown: s.Shown}
	if err := v.walk(); err != nil {
		return err
	}
	s.NewestFile = v.newest
	if err := r.stage(ctx, s, v); err != nil {
		return err
	}
	if staged, err := os.ReadDir(s.Dir); err != nil {
		return err
	} else if len(staged) == 0 {
		return &Error{
			Err:  fmt.Errorf("%s: no module sources: no src/, and nothing beside debian/", r.arg),
			Cure: "say where they are with --source-dir",
		}
	}
	conf := filepath.Join(s.Dir, "dkms.conf")
	if err := os.RemoveAll(conf); err != nil {
		return err
	}
	s.Conf.Source = conf
	return os.WriteFile(conf, s.Conf.Text, 0o644)
}

// installedIdentity asks dpkg which package installed dir, and reads what that
// package says. A directory that no package owns has no identity. dpkg is
// asked of the source tree alone, where -dkms packages lie: it has to read
// every list of files.
func (r *resolver) installedIdentity(ctx context.Context, dir string) Debian {
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return Debian{}
	}
	if !r.inSourceTree(dir) {
		return Debian{}
	}
	out, err := r.output(exec.CommandContext(ctx, "dpkg-query", "-S", escapeGlob(filepath.Join(resolved, "dkms.conf"))))
	if err != nil {
		return Debian{}
	}
	pkg, _, ok := strings.Cut(out, ": ")
	if !ok || strings.ContainsAny(pkg, ", \n") {
		return Debian{}
	}
	const format = `${Package}\n${Version}\n${source:Package}\n${source:Version}\n${Maintainer}\n${Homepage}\n${Description}`
	out, err = r.output(exec.CommandContext(ctx, "dpkg-query", "-W", "-f", format, pkg))
	fields := strings.SplitN(out, "\n", 7)
	if err != nil || len(fields) != 7 {
		return Debian{}
	}
	d := Debian{
		Binary: fields[0], Version: fields[1], Source: fields[2], SourceVersion: fields[3],
		Maintainer: fields[4], Homepage: fields[5], Description: extended(dedent(fields[6])),
	}
	d.readDocs(cmp.Or(r.DocDir, "/usr/share/doc"), d.Binary)
	return d
}

// dedent takes the blank off the continuation lines of a field as dpkg-query
// prints it.
func dedent(value string) string { return strings.ReplaceAll(value, "\n ", "\n") }

// unfold joins the lines of a folded field.
func unfold(value string) string { return strings.Join(strings.Fields(value), " ") }

// extended is a Description without its first line, the synopsis.
func extended(description string) string {
	_, rest, _ := strings.Cut(description, "\n")
	return strings.TrimRight(rest, "\n")
}

// run runs cmd; its error holds the command and the tail of stderr.
func (r *resolver) run(cmd *exec.Cmd) error {
	var stderr bytes.Buffer
	cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8")
	cmd.Stderr = &stderr
	if err := r.Run(cmd); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, tail(stderr.String()))
	}
	return nil
}

func (r *resolver) output(cmd *exec.Cmd) (string, error) {
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	err := r.run(cmd)
	return stdout.String(), err
}

// tail is the last 500 bytes of s, trimmed.
func tail(s string) string {
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-500):]
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
