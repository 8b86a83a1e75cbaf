// SPDX-License-Identifier: MIT

package debsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/textfile"
)

func (t *Tree) load(ctx context.Context, f confFile, c Choice) (*Module, error) {
	path, text, err := t.readConf(f.path)
	if err != nil {
		return nil, err
	}
	v, err := t.Upstream()
	if err != nil {
		return nil, err
	}
	if c.Version != nil && *c.Version != "" {
		v = *c.Version
	}
	m := &Module{Package: f.pkg, File: path, list: f.list}
	hasPlaceholder := bytes.Contains(text, []byte(dkms.VersionPlaceholder))
	m.Text = dkms.FillTemplate(text, v)
	env := dkms.Env{SourceTree: "/usr/src", DKMSTree: "/var/lib/dkms", InstallTree: "/lib/modules", Dir: "/"}
	in := dkms.Input{Files: []dkms.File{{Path: path, Source: t.path(path), Text: m.Text}}, Env: env}
	if m.Values, err = t.Eval(ctx, in); err != nil {
		return nil, err
	}
	if m.Name, m.Version, err = m.Values.Identity(); err != nil {
		return nil, said(m.Values, err)
	}
	if err := m.checkPlaceholders(); err != nil {
		return nil, err
	}
	contradicts := c.Version != nil && *c.Version != "" && *c.Version != m.Version
	if contradicts && !(hasPlaceholder && strings.Contains(m.Version, v)) {
		return nil, m.Values.Errorf("PACKAGE_VERSION", 0, "PACKAGE_VERSION is %q, but -V says %q", m.Version, v)
	}
	m.Conf, err = dkms.Resolve(m.Values, env, nil)
	return m, err
}

// said adds to err what the commands inside a dkms.conf complained about.
func said(v *dkms.Values, err error) error {
	if text := strings.TrimSpace(v.Messages); text != "" {
		return fmt.Errorf("%w; evaluating it says: %s", err, text)
	}
	return err
}

// leftover is what other placeholders look like.
var leftover = regexp.MustCompile(`#[A-Za-z_]+#|@[A-Za-z_]+@|%[A-Za-z_]+%|__[A-Z_]+__`)

// checkPlaceholders refuses a name or version that something should have
// replaced, and one with an epoch. A version that is written in the file may
// differ from the changelog's: in many packages it does, for good reasons.
func (m *Module) checkPlaceholders() error {
	for _, directive := range []string{"PACKAGE_NAME", "PACKAGE_VERSION"} {
		value := m.Values.Get(directive)
		if found := leftover.FindString(value); found != "" {
			return &hinted{m.Values.Errorf(directive, 0, "%s: the placeholder %s was not replaced", directive, found),
				"only " + dkms.VersionPlaceholder + " is replaced, by the upstream version of debian/changelog"}
		}
		if strings.Contains(value, ":") {
			return m.Values.Errorf(directive, 0, "%s %q holds a colon, as of an epoch: make cannot build in such a directory", directive, value)
		}
	}
	return nil
}

// maxConf is the largest dkms.conf, in bytes, that is read.
const maxConf = 1 << 20

func (t *Tree) readText(path string) ([]byte, error) {
	info, err := os.Stat(t.path(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s not found", path)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, textfile.Errorf(path, 0, "not a regular file")
	case info.Size() > maxConf:
		return nil, textfile.Errorf(path, 0, "%d bytes are too many for a dkms.conf", info.Size())
	}
	return os.ReadFile(t.path(path))
}

// readConf reads a .dkms file, or the one file that it names instead.
func (t *Tree) readConf(path string) (string, []byte, error) {
	text, err := t.readText(path)
	if err != nil {
		return "", nil, err
	}
	if dkms.IsConf(text) || len(bytes.TrimSpace(text)) == 0 {
		return path, text, nil
	}
	conf, err := t.listedConf(path)
	if err != nil {
		return "", nil, err
	}
	text, err = t.readText(conf)
	return conf, text, err
}

// listedConf is the file that a .dkms file without PACKAGE_NAME names.
func (t *Tree) listedConf(path string) (string, error) {
	const aDKMSFile = `a .dkms file is a dkms.conf with PACKAGE_NAME="..." or names the one that the source has`
	entries, err := t.Session.ReadList(path)
	if err != nil {
		return "", &hinted{err, aDKMSFile}
	}
	var found []string
	for _, e := range entries {
		for _, word := range e.Words {
			matches := t.Session.Glob(word, ".", "debian/tmp")
			if len(matches) == 0 {
				return "", &hinted{e.Errorf("%q is no file, and %s assigns no PACKAGE_NAME", word, path), aDKMSFile}
			}
			found = append(found, matches...)
		}
	}
	if len(found) != 1 {
		return "", &hinted{textfile.Errorf(path, 0, "it has to name one dkms.conf, not %d", len(found)),
			"for several modules use a file debian/PKG.NAME.dkms for each"}
	}
	return filepath.Clean(found[0]), nil
}

// hinted is an error with its cure.
type hinted struct {
	error
	cure string
}

func (e *hinted) Unwrap() error { return e.error }
func (e *hinted) Hint() string  { return e.cure }
