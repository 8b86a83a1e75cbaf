// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gokms/gokms/internal/confeval"
	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in the scripts")

func TestMain(m *testing.M) {
	confeval.MaybeChild()
	testscript.Main(m, map[string]func(){prog: main})
}

// TestScripts runs the command as a user does: real processes, with kernel
// trees and modules that are made up. The scripts' commands are below.
func TestScripts(t *testing.T) {
	t.Parallel()
	testkit.Tools(t, "bash", "gcc", "make", "patch", "xz")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("DEBFULLNAME", "Jane Doe")
			env.Setenv("DEBEMAIL", "jane@example.org")
			env.Setenv("K", "6.1.0-9-test")
			env.Setenv("ROOT", "--modules-root=modules")
			env.Setenv("UNSHARE", unshare())
			env.Setenv("SIGNFILE", signFile())
			env.Setenv("GORACE", "atexit_sleep_ms=0") // one second for each process
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "signing":
				return canSign()
			case "namespaces":
				return exec.Command("sh", "-c", unshare()+" true").Run() == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mkbmdeb": mkbmdeb, "kernel": kernelTree, "module": module, "key": key, "deb": deb, "hostile": hostile, "show": show,
			"empty": empty, "expand": expand, "appears": appears, "gone": gone, "pipe": pipe, "recorded": recordedAs,
		},
	})
}

// unshare is a command that runs others where they may mount.
func unshare() string {
	if os.Geteuid() == 0 {
		return "unshare --mount"
	}
	return "unshare --map-root-user --mount"
}

// mkbmdeb CODE ARGS... runs the command and wants that exit code. Its output
// is in .stdout and .stderr, with $WORK for the script's directory.
func mkbmdeb(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: mkbmdeb CODE ARGS...")
	}
	err := ts.Exec(prog, args[1:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	for _, name := range []string{"stdout", "stderr"} {
		ts.Check(os.WriteFile(ts.MkAbs("."+name), []byte(settled(ts, ts.ReadFile(name))), 0o644))
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d; want %s", code, args[0])
	}
}

var (
	tempRE    = regexp.MustCompile(`\$WORK/\.tmp/gokms-[0-9]+`)
	secondsRE = regexp.MustCompile(`[0-9]+\.[0-9]+ s\b`)
	recordRE  = regexp.MustCompile(`"(seconds|size|sha256)": [^,\n]*`)
)

// settled replaces what differs from run to run, for cmp.
func settled(ts *testscript.TestScript, text string) string {
	text = strings.ReplaceAll(text, ts.Getenv("WORK"), "$WORK")
	text = secondsRE.ReplaceAllString(tempRE.ReplaceAllString(text, "TEMP"), "N s")
	return recordRE.ReplaceAllString(text, `"$1": N`)
}

// pipe CODE PROGRAM runs the shell program and wants its exit code.
func pipe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: pipe CODE PROGRAM ARGS...")
	}
	testkit.WantExit(ts, args[0], "sh", append([]string{"-c", args[1], "sh"}, args[2:]...)...)
}

// symvers is what the made-up kernels export.
const symvers = "0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n" +
	"0x0000aaaa\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n" +
	"0x0000bbbb\tgpl_only\tvmlinux\tEXPORT_SYMBOL_GPL\t\n" +
	"0x0000cccc\thelp\tdrivers/misc/helper\tEXPORT_SYMBOL\tHELP\n"

// kernelTree KVER [CONFIG_X=Y...] makes modules/KVER/build, compiled with the
// compiler "gcc".
func kernelTree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: kernel KVER [CONFIG_X=Y...]")
	}
	config := append([]string{"CONFIG_X86_64=y", "CONFIG_MODULES=y", "CONFIG_SMP=y", "CONFIG_MODULE_UNLOAD=y", `CONFIG_CC_VERSION_TEXT="gcc (made up) 12.2.0"`}, args[1:]...)
	build := filepath.Join(ts.MkAbs("modules"), args[0], "build")
	for name, text := range map[string]string{
		".config":                        strings.Join(config, "\n") + "\n",
		"Module.symvers":                 symvers,
		"include/config/kernel.release":  args[0] + "\n",
		"include/generated/utsrelease.h": fmt.Sprintf("#define UTS_RELEASE %q\n", args[0]),
	} {
		ts.Check(os.MkdirAll(filepath.Dir(filepath.Join(build, name)), 0o755))
		ts.Check(os.WriteFile(filepath.Join(build, name), []byte(text), 0o644))
	}
}

// module FILE KVER [need=SYMBOL[:CRC]...] [KEY=VALUE...] makes a kernel module,
// called as FILE is if that ends in .ko, else foo. With a CRC it is for a kernel
// with CONFIG_MODVERSIONS.
func module(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: module FILE KVER [need=SYMBOL[:CRC]...] [KEY=VALUE...]")
	}
	m := testkit.Made{Release: args[1], Needs: map[string]uint32{}}
	if name, ok := strings.CutSuffix(filepath.Base(args[0]), ".ko"); ok {
		m.Fields = []string{"name=" + name}
	}
	for _, arg := range args[2:] {
		need, ok := strings.CutPrefix(arg, "need=")
		if !ok {
			m.Fields = append(m.Fields, arg)
			continue
		}
		symbol, crc, ok := strings.Cut(need, ":")
		n, err := strconv.ParseUint(cmp.Or(crc, "0"), 0, 32)
		ts.Check(err)
		m.Needs[symbol], m.Versions = uint32(n), m.Versions || ok
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), m.Bytes(), 0o644))
}

// deb FILE DIR [FIELD=VALUE...] packs a tree.
func deb(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: deb FILE DIR [FIELD=VALUE...]")
	}
	p := &debfile.Package{ModTime: time.Unix(1700000000, 0), Compression: debfile.Zstd}
	fields := map[string]string{}
	for _, field := range args[2:] {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	for _, f := range []control.Field{
		{Name: "Package", Value: "foo-dkms"}, {Name: "Source"}, {Name: "Version", Value: "1.2-3"}, {Name: "Architecture", Value: "all"},
		{Name: "Maintainer", Value: "Joe Source <joe@example.org>"}, {Name: "Homepage"},
		{Name: "Description", Value: "foo driver (DKMS)\nThe foo driver drives foo."},
	} {
		if value, ok := fields[f.Name]; ok {
			f.Value = value
		}
		if f.Value != "" {
			p.Control.Fields = append(p.Control.Fields, f)
		}
	}
	root := ts.MkAbs(args[1])
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		p.Files = append(p.Files, debfile.File{
			Path: rel, Mode: info.Mode().Perm(), Size: info.Size(),
			Open: func() (io.ReadCloser, error) { return os.Open(path) },
		})
		return err
	}))
	ts.Check(debfile.WriteFile(ts.MkAbs(args[0]), p, nil))
}

// hostile KIND FILE makes a package that must be refused.
func hostile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || testkit.HostileDebs()[args[0]] == nil {
		ts.Fatalf("usage: hostile KIND FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), testkit.HostileDebs()[args[0]], 0o644))
}

// show FILE prints the control file of a package and the paths in it.
func show(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: show FILE")
	}
	r, err := debfile.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer r.Close()
	text, err := control.Format(r.Control())
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), string(text))
	ts.Check(r.Walk(func(e debfile.Entry, content io.Reader) error {
		if e.Mode.IsRegular() {
			fmt.Fprintf(ts.Stdout(), "%v %s\n", e.Mode, e.Path)
		}
		return nil
	}))
}

// empty DIR... wants directories without entries.
func empty(ts *testscript.TestScript, neg bool, args []string) {
	for _, dir := range args {
		entries, err := os.ReadDir(ts.MkAbs(dir))
		ts.Check(err)
		if (len(entries) == 0) == neg {
			ts.Fatalf("%s holds %v", dir, entries)
		}
	}
}

// expand FILE... replaces $WORK in files.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	for _, file := range args {
		text := strings.ReplaceAll(ts.ReadFile(file), "$WORK", ts.Getenv("WORK"))
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}

// appears FILE waits until there is a file.
func appears(ts *testscript.TestScript, neg bool, args []string) {
	for range 1000 {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s does not appear", args[0])
}

// gone WORDS... wants no process that was started with these arguments;
// ! gone wants one. Either may take a while.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	for range 500 {
		if runs(ts, args) == neg {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s runs: %v", strings.Join(args, " "), !neg)
}

// runs tells whether there is a process with these arguments.
func runs(ts *testscript.TestScript, args []string) bool {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	ts.Check(err)
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && string(text) == strings.Join(args, "\x00")+"\x00"
	})
}
