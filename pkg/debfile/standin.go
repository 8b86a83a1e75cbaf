// SPDX-License-Identifier: MIT

package debfile

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/gokms/gokms/pkg/control"
)

func formatStanza(s control.Stanza) ([]byte, error) {
	var b bytes.Buffer
	for _, f := range s.Fields {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, strings.ReplaceAll(f.Value, "\n", "\n "))
	}
	return b.Bytes(), nil
}

func parseStanza(r io.Reader, name string) (control.Stanza, error) {
	var s control.Stanza
	text, err := io.ReadAll(r)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, " ") && len(s.Fields) > 0 {
			s.Fields[len(s.Fields)-1].Value += "\n" + line[1:]
			continue
		}
		k, v, ok := strings.Cut(line, ":")
		if !ok {
			return s, fmt.Errorf("%s: bad line %q", name, line)
		}
		s.Fields = append(s.Fields, control.Field{Name: k, Value: strings.TrimSpace(v)})
	}
	return s, err
}
