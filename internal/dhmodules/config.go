// SPDX-License-Identifier: MIT

package dhmodules

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/textfile"
)

// config is a debian/PKG.gokms-modules: one deb822 stanza.
type config struct {
	file    string
	kernels []word // of Kernels: names of header packages, or patterns of releases
	dkms    []word // of Dkms: files in place of debian/*.dkms
	dbgsym  bool   // of Dbgsym: packages of debug symbols, too
}

// word is a word with the line of its field.
type word struct {
	text string
	line int
}

// errorf returns an error at w.
func (c *config) errorf(w word, format string, args ...any) error {
	return textfile.Errorf(c.file, w.line, format, args...)
}

// readConfig reads file, relative to the source package at dir.
func readConfig(dir, file string) (*config, error) {
	f, err := os.Open(filepath.Join(dir, file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stanzas, err := control.Parse(f, file)
	if err != nil {
		return nil, err
	}
	if len(stanzas) != 1 {
		return nil, textfile.Errorf(file, 0, "want one stanza of fields, not %d", len(stanzas))
	}
	c := &config{file: file}
	for _, field := range stanzas[0].Fields {
		switch strings.ToLower(field.Name) {
		case "kernels":
			c.kernels = split(field)
		case "dkms":
			c.dkms = split(field)
		case "dbgsym":
			if c.dbgsym = strings.EqualFold(field.Value, "yes"); !c.dbgsym && !strings.EqualFold(field.Value, "no") {
				return nil, textfile.Errorf(file, field.Line, "Dbgsym: %q is neither yes nor no", field.Value)
			}
		default:
			return nil, &hinted{textfile.Errorf(file, field.Line, "unknown field %s", field.Name), "there are the fields Kernels, Dkms and Dbgsym"}
		}
	}
	if len(c.kernels) == 0 {
		return nil, &hinted{textfile.Errorf(file, stanzas[0].Fields[0].Line, "no Kernels"),
			"name header packages of Build-Depends, such as linux-headers-amd64, or patterns of kernel releases"}
	}
	return c, nil
}

// split returns the words of a field, each with its line.
func split(field control.Field) []word {
	var words []word
	for i, line := range strings.Split(field.Value, "\n") {
		for _, text := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t,", r) }) {
			words = append(words, word{text, field.Line + i})
		}
	}
	return words
}

// hinted is an error with its cure.
type hinted struct {
	error
	cure string
}

func (e *hinted) Unwrap() error { return e.error }
func (e *hinted) Hint() string  { return e.cure }
