// SPDX-License-Identifier: MIT

package kernel

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// Symbol is one line of a Module.symvers: something that vmlinux or a module
// exports.
type Symbol struct {
	Name      string
	CRC       uint32 // 0 without CONFIG_MODVERSIONS
	Module    string // "vmlinux", or the module's path without .ko
	Export    string // EXPORT_SYMBOL, EXPORT_SYMBOL_GPL, ...
	Namespace string // "" for most
}

// ReadSymvers reads the Module.symvers at path.
func ReadSymvers(path string) ([]Symbol, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseSymvers(f, path)
}

// ParseSymvers reads a Module.symvers, in the file's order: CRC, symbol,
// module, export type and (since Linux 5.4) namespace, separated by tabs. file
// is the name that errors carry.
func ParseSymvers(r io.Reader, file string) ([]Symbol, error) {
	var syms []Symbol
	sc := textfile.NewScanner(r, file)
	for sc.Scan() {
		s, ok := parseSymbol(strings.Split(sc.Text(), "\t"))
		if !ok {
			return nil, sc.Errorf("%q is not CRC, symbol, module, export type and namespace", sc.Text())
		}
		syms = append(syms, s)
	}
	return syms, sc.Err()
}

func parseSymbol(f []string) (Symbol, bool) {
	if len(f) < 4 || len(f) > 5 || f[1] == "" {
		return Symbol{}, false
	}
	crc, err := strconv.ParseUint(strings.TrimPrefix(f[0], "0x"), 16, 32)
	if err != nil || !strings.HasPrefix(f[0], "0x") {
		return Symbol{}, false
	}
	s := Symbol{Name: f[1], CRC: uint32(crc), Module: f[2], Export: f[3]}
	if len(f) == 5 {
		s.Namespace = f[4]
	}
	// Linux 5.4 and 5.5 had the namespace in the third column.
	if len(f) == 5 && strings.HasPrefix(f[4], "EXPORT_") {
		s.Namespace, s.Module, s.Export = f[2], f[3], f[4]
	}
	return s, s.Module != "" && strings.HasPrefix(s.Export, "EXPORT_")
}
