// SPDX-License-Identifier: MIT

package kernel

import (
	"io"
	"os"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// maxConfig is the most bytes of a .config that are read: real ones are below
// 400 kB.
const maxConfig = 16 << 20

// Config is a kernel .config: CONFIG_X to its value as written ("y", "m",
// "\"text\""); unset ones are absent.
type Config map[string]string

// Text is a string option without its quotes and backslashes.
func (c Config) Text(name string) string {
	v := c[name]
	if len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"' {
		return v
	}
	v = v[1 : len(v)-1]
	if !strings.Contains(v, `\`) {
		return v
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(v)
}

// On says whether a tristate option is y or m.
func (c Config) On(name string) bool { return c[name] == "y" || c[name] == "m" }

// ParseConfig reads a .config, or the auto.conf that the kernel's build makes
// of it. Of two lines for one option the last wins, as in kconfig. file is the
// name that errors carry.
func ParseConfig(r io.Reader, file string) (Config, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return nil, &textfile.Error{File: file, Err: err}
	}
	if len(data) > maxConfig {
		return nil, textfile.Errorf(file, 0, "longer than %d bytes: not a kernel configuration", maxConfig)
	}
	text := string(data)
	c := make(Config, strings.Count(text, "\nCONFIG_")+1)
	for n := 1; text != ""; n++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\r"), "=")
		if !ok || !configName(name) {
			return nil, textfile.Errorf(file, n, "%q is not CONFIG_NAME=value", line)
		}
		if value == "n" {
			delete(c, name)
			continue
		}
		c[name] = value
	}
	return c, nil
}

func configName(s string) bool {
	if len(s) < len("CONFIG_")+1 || s[:len("CONFIG_")] != "CONFIG_" {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 'a' && c <= 'z', c == '_':
		default:
			return false
		}
	}
	return true
}

func readConfig(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseConfig(f, path)
}
