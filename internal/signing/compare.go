// SPDX-License-Identifier: MIT

package signing

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kmod"
)

// Compare proves that the package signed is the package unsigned but for the
// signatures of modules: same entries with the same modes, times and targets;
// same content, that of modules without signature and compression; same control
// member, but for md5sums, Installed-Size, and the version where the package
// names its own or that of another one exactly. The first difference is the
// error.
func Compare(unsigned, signed string, p Programs) error {
	before, err := readContent(unsigned, p)
	if err != nil {
		return err
	}
	after, err := readContent(signed, p)
	if err != nil {
		return err
	}
	if err := before.same(after); err != nil {
		return &Error{Deb: signed, Err: fmt.Errorf("differs from %s: %w", unsigned, err)}
	}
	return nil
}

// content is a package without the signatures of its modules.
type content struct {
	control control.Stanza
	scripts map[string]string
	entries map[string]string // what has to be the same, by path
}

func readContent(path string, p Programs) (*content, error) {
	r, err := debfile.OpenWith(path, p.reader())
	if err != nil {
		return nil, err
	}
	c := &content{control: r.Control(), scripts: r.ControlFiles(), entries: map[string]string{}}
	delete(c.scripts, "md5sums")
	err = r.Walk(func(e debfile.Entry, data io.Reader) error {
		sum, err := contentSum(e, data, p)
		if err != nil {
			return &Error{Deb: path, Member: e.Path, Err: err}
		}
		c.entries[e.Path] = fmt.Sprintf("mode %v, time %v, link %q, target %q, content %s", e.Mode, e.ModTime.UTC(), e.Link, e.Target, sum)
		return nil
	})
	return c, errors.Join(err, r.Close())
}

// contentSum is the hash of what is not a signature.
func contentSum(e debfile.Entry, data io.Reader, p Programs) (string, error) {
	if kernelOf(e.Path) == "" || !e.Mode.IsRegular() {
		h := sha256.New()
		_, err := io.Copy(h, data)
		return fmt.Sprintf("%x", h.Sum(nil)), err
	}
	packed, err := readMember(e, data)
	if err != nil {
		return "", err
	}
	module, _, err := p.kmod().Unpack(bytes.NewReader(packed), int64(len(packed)), e.Path)
	if err != nil {
		return "", err
	}
	if module, _, err = kmod.SplitSignature(module); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(module)), nil
}

// sameVersion are the versions that a signed package may differ in.
var sameVersion = regexp.MustCompile(`\(= [^()]*\)`)

func (c *content) same(other *content) error {
	for _, path := range sortedKeys(c.entries, other.entries) {
		if a, b := c.entries[path], other.entries[path]; a != b {
			return fmt.Errorf("%s: %s; was %s", path, orNone(b), orNone(a))
		}
	}
	for _, name := range sortedKeys(c.scripts, other.scripts) {
		if a, b := c.scripts[name], other.scripts[name]; a != b {
			return fmt.Errorf("control member %s: %q; was %q", name, b, a)
		}
	}
	a, b := c.fields(), other.fields()
	for _, name := range sortedKeys(a, b) {
		if a[name] != b[name] {
			return fmt.Errorf("control field %s: %q; was %q", name, b[name], a[name])
		}
	}
	return nil
}

// fields are those that signing leaves alone.
func (c *content) fields() map[string]string {
	fields := map[string]string{}
	for _, f := range c.control.Fields {
		switch f.Name {
		case "Version", "Installed-Size":
		case "Source":
			fields[f.Name] = sourceName.FindString(f.Value)
		default:
			fields[f.Name] = sameVersion.ReplaceAllString(f.Value, "(= VERSION)")
		}
	}
	if fields["Source"] == "" {
		fields["Source"] = c.control.Get("Package")
	}
	return fields
}

var sourceName = regexp.MustCompile(`^[^ (]+`)

func orNone(s string) string {
	if s == "" {
		return "not there"
	}
	return s
}

func sortedKeys(maps ...map[string]string) []string {
	var keys []string
	for _, m := range maps {
		for key := range m {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
