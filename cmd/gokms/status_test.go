// SPDX-License-Identifier: MIT

package main

import (
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gokms/gokms/internal/testkit"
)

// plainModule FILE RELEASE [FIELD=VALUE]... writes a module.
func plainModule(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: plain FILE RELEASE [FIELD=VALUE]...")
	}
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), testkit.Module(args[1], args[2:]...), 0o644))
}

// dpkgPackage ROOT NAME VERSION FILE... makes a package of files of the root one
// that dpkg knows.
func dpkgPackage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: package ROOT NAME VERSION FILE...")
	}
	root, name := ts.MkAbs(args[0]), args[1]
	info := filepath.Join(root, "var/lib/dpkg/info", name)
	ts.Check(os.MkdirAll(filepath.Dir(info), 0o755))
	list, sums := "/.\n/lib\n", ""
	for _, file := range args[3:] {
		content, err := os.ReadFile(filepath.Join(root, file))
		ts.Check(err)
		list += "/" + file + "\n"
		sums += fmt.Sprintf("%x  %s\n", md5.Sum(content), file)
	}
	ts.Check(os.WriteFile(info+".list", []byte(list), 0o644))
	ts.Check(os.WriteFile(info+".md5sums", []byte(sums), 0o644))
	status := filepath.Join(root, "var/lib/dpkg/status")
	old, err := os.ReadFile(status)
	if !os.IsNotExist(err) {
		ts.Check(err)
	}
	bare, _, _ := strings.Cut(name, ":")
	stanza := fmt.Sprintf("Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\nDescription: x\n\n", bare, args[2])
	ts.Check(os.WriteFile(status, append(old, stanza...), 0o644))
}

// initrd FILE ROOT FILE... packs files of the root as initramfs-tools does:
// microcode, then a compressed archive.
func initrd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: initrd FILE ROOT FILE...")
	}
	var files []testkit.CPIOFile
	for _, name := range args[2:] {
		files = append(files, testkit.CPIOFile{Name: "usr/" + name, Content: ts.ReadFile(filepath.Join(args[1], name))})
	}
	w, err := zstd.NewWriter(nil)
	ts.Check(err)
	early := testkit.CPIO(testkit.CPIOFile{Name: "kernel/x86/microcode/AuthenticAMD.bin", Content: strings.Repeat("x", 100)})
	early = append(early, make([]byte, -len(early)&511)...)
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), w.EncodeAll(testkit.CPIO(files...), early), 0o644))
}
