// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kmod"
)

// makeModule FILE KVER [KEY=VALUE|needs:SYMBOL:CRC|exports:SYMBOL:CRC]... makes
// a module for a kernel with CONFIG_SMP, CONFIG_MODULE_UNLOAD and
// CONFIG_MODVERSIONS, compressed as its name says.
func makeModule(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: module FILE KVER WORD...")
	}
	file, suffix, _ := strings.Cut(args[0], ".ko")
	name := strings.ReplaceAll(filepath.Base(file), "-", "_")
	info := []string{"vermagic=" + args[1] + " SMP mod_unload modversions ", "name=" + name}
	f := testkit.ELF{Symbols: []testkit.Symbol{}}
	versions := crcEntry(ts, "module_layout", "00000100")
	for _, word := range args[2:] {
		kind, rest, _ := strings.Cut(word, ":")
		symbol, crc, _ := strings.Cut(rest, ":")
		switch kind {
		case "needs":
			f.Symbols = append(f.Symbols, testkit.Symbol{Name: symbol, Bind: elf.STB_GLOBAL})
			versions += crcEntry(ts, symbol, crc)
		case "exports":
			value := binary.LittleEndian.Uint64([]byte(crcEntry(ts, symbol, crc)))
			f.Symbols = append(f.Symbols, testkit.Symbol{Name: "__ksymtab_" + symbol, Section: "__ksymtab"},
				testkit.Symbol{Name: "__crc_" + symbol, Section: "ABS", Value: value})
		default:
			info = append(info, strings.ReplaceAll(word, `\n`, "\n"))
		}
	}
	if !slices.ContainsFunc(info, func(field string) bool { return strings.HasPrefix(field, "license=") }) {
		info = append(info, "license=GPL")
	}
	f.Sections = []testkit.Section{
		{Name: ".modinfo", Data: strings.Join(info, "\x00") + "\x00"}, {Name: "__ksymtab"}, {Name: "__versions", Data: versions},
		{Name: ".gnu.linkonce.this_module", Data: strings.Repeat("\x00", 24) + name + strings.Repeat("\x00", 200)},
	}
	data, err := (*kmod.Options)(nil).Pack(context.Background(), f.Bytes(), map[string]kmod.Compression{".gz": kmod.Gzip, ".zst": kmod.Zstd, ".xz": kmod.XZ}[suffix])
	ts.Check(err)
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// crcEntry is an entry of __versions.
func crcEntry(ts *testscript.TestScript, symbol, crc string) string {
	sum, err := hex.DecodeString(crc)
	ts.Check(err)
	return string(binary.LittleEndian.AppendUint64(nil, uint64(binary.BigEndian.Uint32(sum)))) + symbol + strings.Repeat("\x00", 56-len(symbol))
}

// makeDeb NAME VERSION DIR [FIELD=VALUE]... packs what is in DIR into
// NAME_VERSION_amd64.deb, or another Architecture.
func makeDeb(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: deb NAME VERSION DIR FIELD=VALUE...")
	}
	p := &debfile.Package{ModTime: time.Unix(1e9, 0), Compression: debfile.Zstd}
	add := func(name, value string) {
		p.Control.Fields = append(p.Control.Fields, control.Field{Name: name, Value: value})
	}
	add("Package", args[0])
	add("Version", args[1])
	add("Architecture", "amd64")
	add("Maintainer", "A <a@example.org>")
	for _, word := range args[3:] {
		name, value, _ := strings.Cut(word, "=")
		p.Control.Set(name, value)
	}
	add("Description", "a test")
	top := ts.MkAbs(args[2])
	ts.Check(filepath.WalkDir(top, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel := strings.TrimPrefix(path, top+"/")
		p.Files = append(p.Files, debfile.File{Path: rel, Mode: 0o644, Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(data)), nil
		}})
		return err
	}))
	ts.Check(debfile.WriteFile(ts.MkAbs(args[0]+"_"+args[1]+"_"+p.Control.Get("Architecture")+".deb"), p, nil))
}

// makeKey NAME BITS makes NAME.key, of RSA, and NAME.pem, its certificate.
func makeKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: key NAME BITS")
	}
	bits, err := strconv.Atoi(args[1])
	ts.Check(err)
	key, err := rsa.GenerateKey(rand.Reader, bits)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: args[0]}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644))
}

// signModule NAME FILE... signs files over sha256 with the key NAME, as a device
// does: into FILE.raw.
func signModule(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: signed NAME FILE...")
	}
	block, _ := pem.Decode([]byte(ts.ReadFile(args[0] + ".key")))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	ts.Check(err)
	for _, file := range args[1:] {
		sum := sha256.Sum256([]byte(ts.ReadFile(file)))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(file+".raw"), signature, 0o644))
	}
}
