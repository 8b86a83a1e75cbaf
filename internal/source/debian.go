// SPDX-License-Identifier: MIT

package source

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gokms/gokms/pkg/dkms"
)

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
		return r.installedIdentity(ctx, dir)
	}
	if err := r.checkPatches(ctx, dir); err != nil {
		return Debian{}, err
	}
	d, _, err := r.treeIdentity(dir)
	return d, err
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
	identity, t, err := r.treeIdentity(dir)
	if err != nil {
		return nil, err
	}
	var sources []*Source
	for _, conf := range confs {
		s := &Source{Dir: dir, Conf: dkms.File{Path: conf}, Debian: identity}
		if binary, ok := owner(conf, t.Packages); ok {
			s.Debian = identity.of(binary)
		} else if t.File != "" {
			name := strings.TrimSuffix(filepath.Base(conf), ".dkms")
			s.Warnings = append(s.Warnings, fmt.Errorf("%s: %s has no package %s", r.shown(conf), t.File, name))
		}
		text, err := readConf(conf, r.shown(conf))
		if err != nil {
			return nil, err
		}
		s.Conf.Text = dkms.FillTemplate(text, s.Debian.upstream())
		if s, err = r.load(ctx, s); err != nil {
			return nil, err
		}
		if err := r.stageTree(ctx, dir, s); err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
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
