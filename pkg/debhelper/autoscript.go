// SPDX-License-Identifier: MIT

package debhelper

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// Snippet is a piece of shell for a maintainer script.
type Snippet struct {
	Script string // "preinst", "postinst", "prerm" or "postrm"
	File   string // name of the template, such as "postinst-dkms"

	// Key tells this snippet from others that the tool made of the same
	// template: the module's name. "" where a package has one at most.
	Key string

	// Values replace #NAME# in the template. Each is quoted, so that the
	// shell sees one word whatever is in it: the template must not have
	// quotes around #NAME#.
	Values map[string]string
}

// The lines around each snippet; debhelper's own look the same.
const (
	beginMarker = "# Automatically added by "
	endMarker   = "# End automatically added section"
	keyMarker   = "# For: "
)

// Autoscript adds a snippet to one of p's maintainer scripts, by way of
// debian/PKG.SCRIPT.debhelper, which dh_installdeb puts in place. Snippets of
// prerm and postrm are put before those already there, so that what was set up
// last is taken down first. One that this tool has put there before, for the
// same template and key, is replaced where it stands. Whether s.NoScripts or
// another option forbids it is for the caller to look at.
func (s *Session) Autoscript(p *Package, snippet Snippet) error {
	if !slices.Contains([]string{"preinst", "postinst", "prerm", "postrm"}, snippet.Script) {
		return fmt.Errorf("%q is no maintainer script", snippet.Script)
	}
	block, err := s.block(snippet)
	if err != nil {
		return err
	}
	name := "debian/" + p.Name + "." + snippet.Script + ".debhelper"
	old, err := s.readOptional(name)
	if err != nil {
		return err
	}
	verb, text := "Append", string(old)+block
	if snippet.Script == "prerm" || snippet.Script == "postrm" {
		verb, text = "Prepend", block+string(old)
	}
	if start, end := s.findBlock(string(old), snippet); end > 0 {
		verb, text = "Replace", string(old[:start])+block+string(old[end:])
	}
	s.Verbosef("[META] %s autosnippet %q to %s [%s]", verb, snippet.File, snippet.Script, name)
	return s.writeFile(name, text, 0o644)
}

// isHead reports whether lines begin the block of a snippet, of whatever
// version of the tool.
func (s *Session) isHead(lines []string, snippet Snippet) bool {
	return strings.HasPrefix(lines[0], beginMarker+s.Tool.Name+"/") && len(lines) > 1 && lines[1] == forLine(snippet)
}

// forLine is what tells one block of a tool from another.
func forLine(snippet Snippet) string {
	return strings.TrimRight(keyMarker+snippet.File+" "+snippet.Key, " ") + "\n"
}

func (s *Session) block(snippet Snippet) (string, error) {
	for name, value := range snippet.Values {
		if strings.ContainsFunc(value, isControl) {
			return "", fmt.Errorf("autoscript %s: control character in %s, %q", snippet.File, name, value)
		}
	}
	if strings.ContainsFunc(snippet.Key, isControl) {
		return "", fmt.Errorf("autoscript %s: control character in key %q", snippet.File, snippet.Key)
	}
	body, err := s.fill(snippet)
	if err != nil {
		return "", err
	}
	return beginMarker + s.Tool.Name + "/" + s.Tool.Version + "\n" + forLine(snippet) + body + endMarker + "\n", nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// keyword is a place in a template that is filled.
var keyword = regexp.MustCompile(`#[A-Z][A-Z0-9_]*#`)

// fill reads the template and fills it; a keyword without a value is an error.
func (s *Session) fill(snippet Snippet) (string, error) {
	file, err := s.template(snippet.File)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var body strings.Builder
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		filled := keyword.ReplaceAllStringFunc(line, func(ref string) string {
			value, ok := snippet.Values[strings.Trim(ref, "#")]
			if !ok && err == nil {
				err = textfile.Errorf(file, n, "no value for %s", ref)
			}
			return Quote(value)
		})
		body.WriteString(strings.TrimSuffix(filled, "\n") + "\n")
	}
	return body.String(), err
}

// template finds a template by name.
func (s *Session) template(name string) (string, error) {
	var dirs []string
	if dir := s.getenv("DH_AUTOSCRIPTDIR"); dir != "" {
		dirs = append(dirs, s.path(dir))
	}
	data := splitTrimmed(s.getenv("DH_DATAFILES"), ":")
	data = append(data, s.env.DataDirs...)
	if len(s.env.DataDirs) == 0 {
		data = append(data, "/usr/share/debhelper")
	}
	for _, dir := range data {
		dirs = append(dirs, filepath.Join(s.path(dir), "autoscripts"))
	}
	for _, dir := range dirs {
		if file := filepath.Join(dir, name); s.exists(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("autoscript %s not found in %s", name, strings.Join(dirs, ":"))
}

// findBlock returns where the block of an earlier run begins and ends; end is 0
// if there is none.
func (s *Session) findBlock(text string, snippet Snippet) (start, end int) {
	lines := strings.SplitAfter(text, "\n")
	at := 0
	for i, line := range lines {
		if s.isHead(lines[i:], snippet) {
			start = at
			for _, line := range lines[i:] {
				at += len(line)
				if strings.TrimSuffix(line, "\n") == endMarker {
					return start, at
				}
			}
			return 0, 0
		}
		at += len(line)
	}
	return 0, 0
}
