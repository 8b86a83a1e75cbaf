// SPDX-License-Identifier: MIT

package kbuild

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Logs in the words of gcc 12, clang 14, binutils, kbuild and make, made up
// for a module that does not exist.
var excerptRows = []struct {
	name string
	log  string
	want string // the excerpt; $B and $S are the build and the source directory
}{
	{
		name: "gcc",
		log: "make[1]: Entering directory '/usr/src/linux-headers-x'\n" +
			"  CC [M]  $B/main.o\n" +
			"$B/main.c: In function ‘probe’:\n" +
			"$B/main.c:2:9: warning: unused variable ‘x’ [-Wunused-variable]\n" +
			"    2 |     int x;\n      |         ^\n" +
			"$B/main.c:3:5: error: implicit declaration of function ‘gone’ [-Werror=implicit-function-declaration]\n" +
			"    3 |     gone();\n      |     ^~~~\n" +
			"$B/main.c:9:1: error: second\n" +
			"cc1: some warnings being treated as errors\n" +
			"make[2]: *** [scripts/Makefile.build:250: $B/main.o] Error 1\n",
		want: "$S/main.c:3:5: error: implicit declaration of function ‘gone’ [-Werror=implicit-function-declaration]\n" +
			"    3 |     gone();\n      |     ^~~~",
	},
	{
		name: "a patched file is the build's own",
		log:  "$B/patched.c:1:1: error: expected ‘;’\n",
		want: "$B/patched.c:1:1: error: expected ‘;’\n    1 | patched",
	},
	{
		name: "linker without disk space",
		log: "cat: /sys/gone: No such file or directory\nld: $B/foo.o: warning: no .note.GNU-stack\n" +
			"/usr/bin/ld: final close failed: No space left on device\nmake[2]: *** [scripts/Makefile.modfinal:63: $B/foo.ko] Error 1\n",
		want: "/usr/bin/ld: final close failed: No space left on device",
	},
	{
		name: "linker that fails otherwise",
		log:  "cat: /sys/gone: No such file or directory\nx86_64-linux-gnu-ld.bfd: $B/foo.ko: file truncated; setting the size failed\n",
		want: "x86_64-linux-gnu-ld.bfd: $B/foo.ko: file truncated; setting the size failed",
	},
	{
		name: "assembler without disk space",
		log: "cat: /sys/gone: No such file or directory\n{standard input}: Assembler messages:\n" +
			"{standard input}: Fatal error: can't write 12 bytes to section .text of $B/foo.o: 'No space left on device'\n",
		want: "{standard input}: Fatal error: can't write 12 bytes to section .text of $B/foo.o: 'No space left on device'",
	},
	{
		name: "tool without disk space",
		log:  "cat: /sys/gone: No such file or directory\ncp: error writing 'x.h': No space left on device\n",
		want: "cp: error writing 'x.h': No space left on device",
	},
	{
		name: "no source line printed",
		log:  "$B/main.c:3:5: fatal error: linux/gone.h: No such file or directory\ncompilation terminated.\n",
		want: "$S/main.c:3:5: fatal error: linux/gone.h: No such file or directory\n    3 |     gone();",
	},
	{
		name: "relative to make's directory",
		log:  "make[1]: Entering directory '$B/sub'\nhelp.c:1:3: error: no\n",
		want: "$S/sub/help.c:1:3: error: no\n    1 | helper",
	},
	{
		name: "relative to the build directory",
		log:  "sub/help.c:1: error: no\n",
		want: "$S/sub/help.c:1: error: no\n    1 | helper",
	},
	{
		name: "file that is nowhere, line beyond the end",
		log:  "gone/x.c:700:1: error: no\n",
		want: "gone/x.c:700:1: error: no",
	},
	{
		name: "line beyond the end",
		log:  "$B/main.c:700:1: error: no\n",
		want: "$S/main.c:700:1: error: no",
	},
	{
		name: "clang has no gutter",
		log:  "$B/main.c:3:5: error: call to undeclared function 'gone'\n    gone();\n    ^\n1 error generated.\n",
		want: "$S/main.c:3:5: error: call to undeclared function 'gone'\n    3 |     gone();",
	},
	{
		name: "assembler",
		log:  "$B/low.S: Assembler messages:\n$B/low.S:1: Error: no such instruction: `movz'\n",
		want: "$S/low.S:1: Error: no such instruction: `movz'\n    1 | movz",
	},
	{
		name: "internal compiler error",
		log:  "$B/main.c:1:1: internal compiler error: Segmentation fault\n",
		want: "$S/main.c:1:1: internal compiler error: Segmentation fault\n    1 | void probe(void) {",
	},
	{
		name: "the compiler beats an earlier shell and make",
		log:  "sh: 1: pahole: not found\nmake: *** [Makefile:3: x] Error 1\n$B/main.c:1:1: error: no\n",
		want: "$S/main.c:1:1: error: no\n    1 | void probe(void) {",
	},
	{
		name: "modpost",
		log:  "  MODPOST $B/Module.symvers\nERROR: modpost: \"gone_symbol\" [$B/foo.ko] undefined!\nmake[2]: *** [scripts/Makefile.modpost:126: $B/Module.symvers] Error 1\n",
		want: "ERROR: modpost: \"gone_symbol\" [$B/foo.ko] undefined!",
	},
	{
		name: "modpost of old",
		log:  "ERROR: \"gone_symbol\" [$B/foo.ko] undefined!\n",
		want: "ERROR: \"gone_symbol\" [$B/foo.ko] undefined!",
	},
	{
		name: "modpost's warnings are none",
		log:  "WARNING: modpost: \"x\" [$B/foo.ko] undefined!\nERROR: modpost: missing MODULE_LICENSE() in $B/foo.o\n",
		want: "ERROR: modpost: missing MODULE_LICENSE() in $B/foo.o",
	},
	{
		name: "linker",
		log:  "ld: warning: a.o: missing .note.GNU-stack section\nld: cannot find -lgone: No such file or directory\n",
		want: "ld: cannot find -lgone: No such file or directory",
	},
	{
		name: "linker, symbol",
		log:  "/usr/bin/ld: a.o: in function `f':\n/usr/bin/ld: x.c:(.text+0x9): undefined reference to `gone'\n",
		want: "/usr/bin/ld: x.c:(.text+0x9): undefined reference to `gone'",
	},
	{
		name: "lld",
		log:  "ld.lld: error: undefined symbol: gone\n>>> referenced by x.c\n",
		want: "ld.lld: error: undefined symbol: gone",
	},
	{
		name: "compiler driver",
		log:  "gcc-12: error: unrecognized command-line option ‘-mgone’\n",
		want: "gcc-12: error: unrecognized command-line option ‘-mgone’",
	},
	{
		name: "killed for its memory",
		log:  "gcc-12: fatal error: Killed signal terminated program cc1\n",
		want: "gcc-12: fatal error: Killed signal terminated program cc1",
	},
	{
		name: "configure",
		log:  "checking for kernel... no\nconfigure: error: cannot find the kernel\n",
		want: "configure: error: cannot find the kernel",
	},
	{
		name: "make's $(error)",
		log:  "Makefile:2: *** KERNEL is not set.  Stop.\n",
		want: "$S/Makefile:2: *** KERNEL is not set.  Stop.\n    2 | $(error KERNEL is not set)",
	},
	{
		name: "nothing but make: the end of the output",
		log:  "one\ntwo\nmake[1]: *** No rule to make target 'x.c', needed by 'x.o'.  Stop.\nmake: *** [Makefile:1: all] Error 2\n",
		want: "one\ntwo\nmake[1]: *** No rule to make target 'x.c', needed by 'x.o'.  Stop.\nmake: *** [Makefile:1: all] Error 2",
	},
	{
		name: "long output without an error",
		log:  strings.Repeat("line\n", 50) + "== ours\nlast\n",
		want: strings.Repeat("line\n", 14) + "last",
	},
	{
		name: "nothing",
	},
	{
		name: "escapes, carriage returns and broken text",
		log:  "\x1b[01m\x1b[K$B/main.c:1:1:\x1b[m \x1b[31merror: \x1b[mred \xff\a\x1b\r\n",
		want: "$S/main.c:1:1: error: red ?\n    1 | void probe(void) {",
	},
	{
		name: "long line",
		log:  "cc1: error: " + strings.Repeat("x", 200_000) + "\nmake: *** [x] Error 1\n",
		want: "cc1: error: " + strings.Repeat("x", maxLineShown-len("cc1: error: ")) + "...",
	},
	{
		name: "a probe that shows what its compiler said",
		log:  "//   $B/main.c:1:1: error: not ours\n$B/main.c:3:1: error: ours\n",
		want: "$S/main.c:3:1: error: ours\n    3 |     gone();",
	},
	{
		name: "words in a warning",
		log:  "$B/main.c:1:1: warning: error: not one\n$B/main.c:1:1: note: error: not one\n  CC [M]  error: .o\nok\n",
		want: "$B/main.c:1:1: warning: error: not one\n$B/main.c:1:1: note: error: not one\n  CC [M]  error: .o\nok",
	},
}

// excerptRun is a run whose build directory and log are there.
func excerptRun(t testing.TB, log string) (*run, *strings.Replacer) {
	t.Helper()
	dir := t.TempDir()
	b := &Build{SourceHost: filepath.Join(dir, "source"), LogPath: filepath.Join(dir, "log")}
	b.Layout = Layout{DKMSTree: Same(dir), SourceTree: Same(dir), TmpDir: Same(dir), Headers: Same(filepath.Join(dir, "h")), Name: "foo", Version: "1.0"}
	build := b.Layout.BuildDir().Host
	files := map[string]string{
		"main.c":     "void probe(void) {\n    int x;\n    gone();\n}\n",
		"sub/help.c": "helper\n",
		"low.S":      "movz\n",
		"Makefile":   "all:\n$(error KERNEL is not set)\n",
		"patched.c":  "original\n",
	}
	for _, root := range []string{b.SourceHost, build} {
		for name, text := range files {
			if name == "patched.c" && root == build {
				text = "patched\n"
			}
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	names := strings.NewReplacer("$B", build, "$S", b.SourceHost)
	if err := os.WriteFile(b.LogPath, []byte(names.Replace(log)), 0o644); err != nil {
		t.Fatal(err)
	}
	view, err := b.openView()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(view.close)
	return &run{Build: b, view: view}, names
}

// TestExcerptShowsNoOtherFiles has logs that name what the build could not
// read itself, and what would never be read to its end.
func TestExcerptShowsNoOtherFiles(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("password\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, log string
		make      func(path string) error
	}{
		{name: "by its name", log: secret + ":1:1: error: no\n"},
		{name: "a link", log: "$B/x.c:1:1: error: no\n", make: func(path string) error { return os.Symlink(secret, path) }},
		{name: "make's directory", log: "make: Entering directory '" + filepath.Dir(secret) + "'\nsecret:1: *** no.  Stop.\n"},
		{name: "fifo", log: "$B/x.c:1:1: error: no\n", make: func(path string) error { return syscall.Mkfifo(path, 0o644) }},
		{name: "a device", log: "/dev/zero:1:1: error: no\n"},
		{name: "sparse", log: "$B/x.c:1:1: error: no\n", make: func(path string) error {
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				return err
			}
			return os.Truncate(path, 1<<40)
		}},
	} {
		r, names := excerptRun(t, row.log)
		if row.make != nil {
			if err := row.make(names.Replace("$B/x.c")); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.firstError(); strings.Contains(got, "\n") || strings.Contains(got, "password") || !strings.Contains(got, "no") {
			t.Errorf("%s: firstError() = %q; want the message alone", row.name, got)
		}
	}
}

func TestFirstError(t *testing.T) {
	for _, row := range excerptRows {
		r, names := excerptRun(t, row.log)
		if diff := cmp.Diff(names.Replace(row.want), r.firstError()); diff != "" {
			t.Errorf("%s: firstError() (-want +got):\n%s", row.name, diff)
		}
	}
}

func TestLoggedError(t *testing.T) {
	for _, row := range []struct{ name, log, want string }{
		{"make alone", "a\nmake: *** [Makefile:1: all] Error 2\nb\n", "make: *** [Makefile:1: all] Error 2"},
		{"shell", "bash: line 4: gone: command not found\nmake: *** [x] Error 2\n", "bash: line 4: gone: command not found"},
		{"none", "a\nb\n", ""},
	} {
		r, _ := excerptRun(t, row.log)
		if got := r.loggedError(); got != row.want {
			t.Errorf("%s: loggedError() = %q; want %q", row.name, got, row.want)
		}
	}
}

func FuzzFind(f *testing.F) {
	for _, row := range excerptRows {
		f.Add(row.log)
	}
	f.Fuzz(func(t *testing.T, log string) {
		found, err := find(strings.NewReader(log))
		if err != nil {
			t.Fatalf("find: %v", err)
		}
		if found.rank > 0 && !strings.Contains(log, "\x1b") && !strings.Contains(log, found.text) {
			t.Errorf("find(%q) = %q, which is not in the log", log, found.text)
		}
		if len(found.context) > maxContext {
			t.Errorf("%d lines of context; want at most %d", len(found.context), maxContext)
		}
		if got := clean(found.text); strings.ContainsAny(got, "\x1b\n\r\a") {
			t.Errorf("clean(%q) = %q", found.text, got)
		}
	})
}

func FuzzToHost(f *testing.F) {
	f.Add("gcc -I/usr/src/foo-1.0/inc /var/lib/dkms/foo/1.0/build/x.c")
	f.Add("/tmp /tmp. /tmp/a//tmp")
	f.Fuzz(func(t *testing.T, text string) {
		got := sandboxed().ToHost(text)
		if !strings.Contains(text, "/") && got != text {
			t.Errorf("ToHost(%q) = %q; want it unchanged", text, got)
		}
	})
}
