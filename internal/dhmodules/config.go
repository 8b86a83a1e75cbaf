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
	kernels []word   // of Kernels: names of header packages, or patterns of releases
	dkms    []string // of Dkms: files in place of debian/*.dkms
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
		words := strings.FieldsFunc(field.Value, func(r rune) bool { return strings.ContainsRune(" \t\n,", r) })
		switch strings.ToLower(field.Name) {
		case "kernels":
			for _, text := range words {
				c.kernels = append(c.kernels, word{text, field.Line})
			}
		case "dkms":
			c.dkms = words
		default:
			return nil, textfile.Errorf(file, field.Line, "unknown field %s: there are Kernels and Dkms", field.Name)
		}
	}
	if len(c.kernels) == 0 {
		return nil, textfile.Errorf(file, 1, "no Kernels: name header packages of Build-Depends, such as linux-headers-amd64")
	}
	return c, nil
}
