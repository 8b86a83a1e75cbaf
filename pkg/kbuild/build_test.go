// SPDX-License-Identifier: MIT

package kbuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/kernel"
)

const fakeRelease = "6.1.0-99-amd64"

// newBuild is a build of the given files by a MAKE that needs no kernel.
func newBuild(t *testing.T, make string, files map[string]string) *Build {
	t.Helper()
	testkit.Tools(t, "bash")
	dir := t.TempDir()
	writeTree(t, filepath.Join(dir, "source"), files)
	for _, sub := range []string{"tmp", "source", "headers"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &Build{
		Conf: &dkms.Conf{File: "dkms.conf", Name: "foo", Version: "1.0", Make: make, Modules: []dkms.Module{{BuiltName: "foo", DestName: "foo"}}},
		Tree: &kernel.Tree{Release: fakeRelease, Machine: "x86_64", Compiler: kernel.Compiler{Command: "gcc-99"}},
		Layout: Layout{
			DKMSTree: Same(filepath.Join(dir, "dkms")), SourceTree: Same(filepath.Join(dir, "src")),
			TmpDir: Same(filepath.Join(dir, "tmp")), Headers: Same(filepath.Join(dir, "headers")),
			Name: "foo", Version: "1.0",
		},
		SourceHost: filepath.Join(dir, "source"),
		Out:        filepath.Join(dir, "out"),
		LogPath:    filepath.Join(dir, "log"),
	}
}

func mustDo(t *testing.T, b *Build) *Result {
	t.Helper()
	r, err := b.Do(context.Background())
	if err != nil {
		t.Fatalf("Do() = %v", err)
	}
	return r
}

// mustFail wants an *Error of the step.
func mustFail(t *testing.T, b *Build, step string) *Error {
	t.Helper()
	r, err := b.Do(context.Background())
	var e *Error
	if r != nil || !errors.As(err, &e) {
		t.Fatalf("Do() = %v, %v; want an *Error", r, err)
	}
	if e.Step != step {
		t.Errorf("failed in step %q; want %q", e.Step, step)
	}
	return e
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func texts(errs []error) string { return fmt.Sprint(errs) }

func TestDoOrder(t *testing.T) {
	testkit.Tools(t, "patch")
	note := "#!/bin/sh\necho \"$0 $*\" >> order\n"
	b := newBuild(t, "cat f >> order; echo 'make $kernelver' >> order; echo code > foo.ko", map[string]string{
		"f": "a\n", "pre.sh": note, "post.sh": note + "cp order \"$TMPDIR/order\"; echo more >> foo.ko\n",
		"patches/sub/1.diff": "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n",
		"patches/2.diff":     "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-b\n+c\n",
	})
	b.Conf.Patches = []string{"sub/1.diff", "2.diff"}
	b.Conf.Scripts = dkms.Scripts{PreBuild: []string{"pre.sh", "x", "y z"}, PostBuild: []string{"post.sh"}, PostInstall: []string{"p.sh", "1"}}
	r := mustDo(t, b)

	dir := b.Layout.BuildDir().Build
	want := dir + "/pre.sh x y z\nc\nmake $kernelver\n" + dir + "/post.sh \n"
	if got := read(t, filepath.Join(b.Layout.TmpDir.Host, "order")); got != want {
		t.Errorf("order:\n%s\nwant:\n%s", got, want)
	}
	if got := read(t, r.Modules[0].Path); got != "code\n" {
		t.Errorf("module = %q; want the one from before POST_BUILD", got)
	}
	var steps []string
	for _, s := range r.Steps {
		steps = append(steps, fmt.Sprintf("%s %d", s.Name, s.ExitCode))
	}
	if diff := cmp.Diff([]string{"patch sub/1.diff 0", "patch 2.diff 0", "PRE_BUILD 0", "MAKE 0", "POST_BUILD 0"}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if got := texts(r.Warnings); got != `[dkms.conf: POST_INSTALL "p.sh 1" is for the machine that installs the module and was not run]` {
		t.Errorf("Warnings = %s", got)
	}
	if got := read(t, filepath.Join(b.SourceHost, "f")); got != "a\n" {
		t.Errorf("the source was changed: %q", got)
	}
}

// TestDoEnvironment looks at a command's surroundings from inside.
func TestDoEnvironment(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	b := newBuild(t, `{ umask; pwd; echo "$kernelver $module-$module_version $arch $CC $dkms_tree $kernel_source_dir"; env | cut -d= -f1 | grep -x dkms_tree; tty || :; } > foo.ko`, nil)
	b.Setenv = []string{"arch=other"}
	r := mustDo(t, b)
	l := b.Layout
	want := "0022\n" + l.BuildDir().Build + "\n" + fakeRelease + " foo-1.0 other gcc-99 " + l.DKMSTree.Build + " " + l.Headers.Build + "\nnot a tty\n"
	if got := read(t, r.Modules[0].Path); got != want {
		t.Errorf("the command saw:\n%s\nwant:\n%s", got, want)
	}
}

func TestDoLog(t *testing.T) {
	b := newBuild(t, "echo out; echo err >&2; printf 'no newline'; : > foo.ko", nil)
	now := time.Unix(0, 0)
	b.Now = func() time.Time { now = now.Add(1500 * time.Millisecond); return now }
	b.Tree.Header = kernel.HeaderPackage{Name: "linux-headers-x", Version: "6.1-1"}
	mustDo(t, b)
	log := read(t, b.LogPath)
	for _, want := range []string{
		"== module:   foo 1.0\n", "== kernel:   " + fakeRelease + " (x86_64)\n", " (linux-headers-x 6.1-1)\n", "== compiler: gcc-99 ()\n",
		"== MAKE: echo out; echo err >&2; printf 'no newline'; : > foo.ko\nout\nerr\nno newline\n== MAKE: exit code 0 after 1.50 s\n== built foo.ko\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}

// TestDoTwoViews has a Run that puts the host's directory in place of the
// build's, as a sandbox would, and prints what the build sees.
func TestDoTwoViews(t *testing.T) {
	b := newBuild(t, "echo /var/lib/dkms/foo/1.0/build/x.c:1:1: error: no; exit 3", map[string]string{"x.c": "text\n"})
	b.Layout.DKMSTree.Build = "/var/lib/dkms"
	var dirs []string
	b.Run = func(cmd *exec.Cmd) error {
		dirs = append(dirs, cmd.Dir)
		cmd.Dir = b.Layout.BuildDir().Host
		return cmd.Run()
	}
	e := mustFail(t, b, "MAKE")
	if diff := cmp.Diff([]string{"/var/lib/dkms/foo/1.0/build"}, dirs); diff != "" {
		t.Errorf("directories given to Run (-want +got):\n%s", diff)
	}
	if want := b.SourceHost + "/x.c:1:1: error: no\n    1 | text"; e.Excerpt != want || e.ExitCode != 3 {
		t.Errorf("Excerpt = %q, exit code %d; want %q, 3", e.Excerpt, e.ExitCode, want)
	}
	log := read(t, b.LogPath)
	if !strings.Contains(log, "\n/var/lib/dkms/foo/1.0/build/x.c:1:1: error: no\n") || strings.Contains(log, b.Layout.DKMSTree.Host) {
		t.Errorf("the log holds other paths than those of the build:\n%s", log)
	}
}

func TestDoFails(t *testing.T) {
	script := map[string]string{"s.sh": "#!/bin/sh\necho cannot; exit 7\n", "broken.sh": "#!/nonexistent/interpreter\n"}
	for _, row := range []struct {
		name, make string
		scripts    dkms.Scripts
		step       string
		code       int
		excerpt    string
	}{
		{name: "make", make: "echo working; make_me_fail_please", step: "MAKE", code: 127, excerpt: "working\nbash: line 3: make_me_fail_please: command not found"},
		{name: "syntax", make: "if", step: "MAKE", code: 2, excerpt: "bash: eval: line 4: syntax error: unexpected end of file"},
		{name: "killed", make: "kill -9 $BASHPID", step: "MAKE", code: 137},
		{name: "pre_build", scripts: dkms.Scripts{PreBuild: []string{"s.sh"}}, make: ":", step: "PRE_BUILD", code: 7, excerpt: "cannot"},
		{name: "post_build", scripts: dkms.Scripts{PostBuild: []string{"s.sh"}}, make: ": > foo.ko", step: "POST_BUILD", code: 7, excerpt: "cannot"},
		{name: "no interpreter", scripts: dkms.Scripts{PreBuild: []string{"broken.sh"}}, make: ":", step: "PRE_BUILD", code: 127, excerpt: "required file not found"},
	} {
		b := newBuild(t, row.make, script)
		b.Conf.Scripts = row.scripts
		e := mustFail(t, b, row.step)
		if e.ExitCode != row.code || !strings.Contains(e.Excerpt, row.excerpt) {
			t.Errorf("%s: exit code %d, excerpt %q; want %d, %q", row.name, e.ExitCode, e.Excerpt, row.code, row.excerpt)
		}
		if text := e.Error(); !strings.HasPrefix(text, "foo/1.0 for "+fakeRelease+": "+row.step+": exit status ") || !strings.HasSuffix(text, "\nlog: "+b.LogPath) {
			t.Errorf("%s: Error() = %q", row.name, text)
		}
	}
}

func TestDoScriptNotRun(t *testing.T) {
	b := newBuild(t, ": > foo.ko", map[string]string{"plain": "#!/bin/sh\nexit 1\n"})
	b.Conf.Scripts = dkms.Scripts{PreBuild: []string{"plain"}, PostBuild: []string{"missing", "x"}}
	r := mustDo(t, b)
	want := `[dkms.conf: PRE_BUILD "plain" is not executable and was not run dkms.conf: POST_BUILD "missing" is not there and was not run]`
	if got := texts(r.Warnings); got != want {
		t.Errorf("Warnings = %s; want %s", got, want)
	}
}

func TestDoMissingModule(t *testing.T) {
	b := newBuild(t, "echo 'x.c:1:1: error: unknown'; false; mkdir a; : > a/bar.ko; : > foo.ko", map[string]string{"x.c": "one\n"})
	b.Conf.Modules = []dkms.Module{
		{BuiltName: "foo"}, {BuiltName: "bar", BuiltDir: "b"}, {BuiltName: "bar"},
		{BuiltName: "other", Excluded: &dkms.Exclusion{Rule: "BUILD_EXCLUSIVE_ARCH"}},
	}
	e := mustFail(t, b, "MAKE")
	var missing *MissingError
	if !errors.As(e, &missing) {
		t.Fatalf("error %v; want a *MissingError", e)
	}
	if diff := cmp.Diff(&MissingError{Missing: []string{"b/bar.ko", "bar.ko"}, Found: []string{"a/bar.ko", "foo.ko"}}, missing); diff != "" {
		t.Errorf("MissingError (-want +got):\n%s", diff)
	}
	if want := b.SourceHost + "/x.c:1:1: error: unknown\n    1 | one"; e.Excerpt != want {
		t.Errorf("Excerpt = %q; want %q", e.Excerpt, want)
	}
}

func TestDoModuleIsNone(t *testing.T) {
	b := newBuild(t, "ln -s /nonexistent/foo.ko foo.ko; mkdir a; mkfifo a/foo.ko; ln -s foo.ko a/bar.ko", nil)
	e := mustFail(t, b, "MAKE")
	want := "expected foo.ko, found a/bar.ko (not a regular file), a/foo.ko (not a regular file), foo.ko (a link that leads out of the build, to /nonexistent/foo.ko)"
	if e.Err.Error() != want {
		t.Errorf("error %v; want %s", e.Err, want)
	}
}

// TestDoLogOfFailure has a log that outlives the place it was written at.
func TestDoLogOfFailure(t *testing.T) {
	b := newBuild(t, "echo x.c:1:1: error: no; exit 3", nil)
	mustFail(t, b, "MAKE")
	log := read(t, b.LogPath)
	want := "== failed: foo/1.0 for " + fakeRelease + ": MAKE: exit status 3\nx.c:1:1: error: no\n"
	if !strings.HasSuffix(log, want) || strings.Contains(log, b.LogPath) {
		t.Errorf("the log ends otherwise than %q:\n%s", want, log)
	}
}

func TestDoModules(t *testing.T) {
	b := newBuild(t, "mkdir -p a/b; echo 1 > a/b/one.ko; echo 2 > real; ln -s /D/foo/1.0/build/real two.ko; printf '0x1\\ts\\t%s/a/m\\tEXPORT_SYMBOL\\t\\n' \"$PWD\" | tee Module.symvers a/Module.symvers; echo x >> a/Module.symvers; echo 5 >> touched.ko",
		map[string]string{"old.ko": "3\n", "touched.ko": "4\n"})
	b.Layout.DKMSTree.Build = "/D"
	b.Run = func(cmd *exec.Cmd) error { cmd.Dir = b.Layout.BuildDir().Host; return cmd.Run() }
	b.Conf.Modules = []dkms.Module{
		{Index: 0, BuiltName: "one", BuiltDir: "a/b", DestName: "eins", Strip: true}, {Index: 1, BuiltName: "two"},
		{Index: 2, BuiltName: "old"}, {Index: 3, BuiltName: "none", Excluded: &dkms.Exclusion{}}, {Index: 4, BuiltName: "touched"},
	}
	r := mustDo(t, b)
	var got []string
	for _, m := range r.Modules {
		got = append(got, fmt.Sprintf("%d %s %v %s", m.Index, strings.TrimPrefix(m.Path, b.Out), m.Strip, read(t, m.Path)))
	}
	if diff := cmp.Diff([]string{"0 /a/b/one.ko true 1\n", "1 /two.ko false 2\n", "2 /old.ko false 3\n", "4 /touched.ko false 4\n5\n"}, got); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if got, want := texts(r.Warnings), "[dkms.conf: old.ko came with the source and MAKE did not touch it]"; got != want {
		t.Errorf("Warnings = %s; want %s", got, want)
	}
	host := "0x1\ts\t" + b.Layout.BuildDir().Host + "/a/m\tEXPORT_SYMBOL\t\n"
	if got := read(t, r.Symvers); got != host+"x\n" {
		t.Errorf("Symvers = %q", got)
	}
}

func TestDoNeutralSymvers(t *testing.T) {
	b := newBuild(t, `: > foo.ko; echo "0x1 s $PWD/foo EXPORT_SYMBOL" > Module.symvers`, nil)
	r := mustDo(t, b)
	if got, want := read(t, r.Symvers), "0x1 s /var/lib/dkms/foo/1.0/build/foo EXPORT_SYMBOL\n"; got != want {
		t.Errorf("Symvers = %q; want %q", got, want)
	}
}

func TestDoSiblingSymbols(t *testing.T) {
	b := newBuild(t, "cat $KBUILD_EXTRA_SYMBOLS > foo.ko", nil)
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"a": "A\n", "b": "B\n"})
	b.ExtraSymvers = []Symvers{{"a", "1", filepath.Join(dir, "a")}, {"b", "2", filepath.Join(dir, "b")}}
	r := mustDo(t, b)
	if got := read(t, r.Modules[0].Path); got != "A\nB\n" {
		t.Errorf("the build saw %q; want the symbols of both", got)
	}
	if r.Symvers != "" {
		t.Errorf("Symvers = %q; want none", r.Symvers)
	}
}

func TestDoConfInPlace(t *testing.T) {
	b := newBuild(t, "cat dkms.conf > foo.ko; readlink ../source >> foo.ko", map[string]string{"dkms.conf": "-> /nonexistent/x"})
	b.DKMSConf = []byte("PACKAGE_NAME=foo\n")
	r := mustDo(t, b)
	if got, want := read(t, r.Modules[0].Path), "PACKAGE_NAME=foo\n"+b.Layout.SourceDir().Build+"\n"; got != want {
		t.Errorf("the build saw %q; want %q", got, want)
	}
}

func TestDoRefuses(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Build)
		want   string
	}{
		{"no conf", func(b *Build) { b.Conf = nil }, "without dkms.conf"},
		{"no log", func(b *Build) { b.LogPath = "" }, "without source"},
		{"excluded", func(b *Build) { b.Conf.Excluded = &dkms.Exclusion{Rule: "BUILD_EXCLUSIVE_KERNEL"} }, "by BUILD_EXCLUSIVE_KERNEL"},
		{"module outside", func(b *Build) { b.Conf.Modules[0].BuiltDir = "../x" }, "outside"},
		{"missing patch", func(b *Build) { b.Conf.Patches = []string{"a.diff"} }, `PATCH "a.diff": not found`},
		{"build directory in use", func(b *Build) { os.MkdirAll(b.Layout.BuildDir().Host, 0o755) }, "file exists"},
		{"no source", func(b *Build) { b.SourceHost = "/nonexistent/source" }, "/nonexistent/source"},
		{"build inside of source", func(b *Build) { b.SourceHost = filepath.Dir(b.Out) }, "lies inside"},
	} {
		b := newBuild(t, ": > foo.ko", nil)
		row.change(b)
		if r, err := b.Do(context.Background()); r != nil || err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: Do() = %v, %v; want an error with %q", row.name, r, err, row.want)
		}
	}
}

func TestDoLogLimit(t *testing.T) {
	b := newBuild(t, "yes abcdefg", nil)
	b.MaxLog = 10_000
	e := mustFail(t, b, "MAKE")
	if !errors.Is(e, ErrLogLimit) {
		t.Errorf("Do() = %v; want %v", e, ErrLogLimit)
	}
	if size := len(read(t, b.LogPath)); size < 10_000 || size > 12_000 {
		t.Errorf("the log has %d bytes; want about 10000", size)
	}
}

// TestDoFullDisk writes the log to /dev/full.
func TestDoFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("missing: /dev/full")
	}
	b := newBuild(t, "sleep 60", nil)
	b.LogPath = "/dev/full"
	if r, err := b.Do(context.Background()); r != nil || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Do() = %v, %v; want %v", r, err, syscall.ENOSPC)
	}
}

// gone waits for the processes whose ids stand in file to end.
func gone(t *testing.T, file string, n int) {
	t.Helper()
	pids := strings.Fields(read(t, file))
	if len(pids) != n {
		t.Fatalf("%d processes in %s; want %d", len(pids), file, n)
	}
	for _, pid := range pids {
		id, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			if ended(id) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !ended(id) {
			t.Errorf("process %d is still there", id)
		}
	}
}

// ended tells whether a process is gone or only waits to be reaped.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(after, "Z") || strings.HasPrefix(after, "X")
}

func TestDoCancel(t *testing.T) {
	b := newBuild(t, `(trap '' TERM INT HUP; echo $BASHPID >> $TMPDIR/pids; exec sleep 600) & sh -c 'echo $$ >> $TMPDIR/pids; sleep 600; :' & sleep 0.3; : > $TMPDIR/ready; wait`, nil)
	ctx, cancel := context.WithCancel(context.Background())
	var ended time.Time
	go func() {
		for {
			if _, err := os.Stat(filepath.Join(b.Layout.TmpDir.Host, "ready")); err == nil {
				ended = time.Now()
				cancel()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	r, err := b.Do(ctx)
	if r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Do() = %v, %v; want %v", r, err, context.Canceled)
	}
	if elapsed := time.Since(ended); elapsed >= lingering {
		t.Errorf("Do took %v after it was ended: it waited for children", elapsed)
	}
	gone(t, filepath.Join(b.Layout.TmpDir.Host, "pids"), 2)
}

func TestDoLeftBehind(t *testing.T) {
	b := newBuild(t, `sleep 600 & echo $! >> $TMPDIR/pids; sleep 600 >/dev/null 2>&1 & echo $! >> $TMPDIR/pids; : > foo.ko`, nil)
	r := mustDo(t, b)
	gone(t, filepath.Join(b.Layout.TmpDir.Host, "pids"), 2)
	if got := texts(r.Warnings); got != "[MAKE left processes behind; they were killed]" {
		t.Errorf("Warnings = %s", got)
	}
}

// TestDoSessionsEnd has processes that leave the session of the build.
func TestDoSessionsEnd(t *testing.T) {
	testkit.Tools(t, "setsid")
	b := newBuild(t, `setsid sh -c 'echo $$ >> $TMPDIR/pids; setsid sleep 600 & echo $! >> $TMPDIR/pids; wait' >/dev/null 2>&1 & sleep 0.3; false`, nil)
	mustFail(t, b, "MAKE")
	gone(t, filepath.Join(b.Layout.TmpDir.Host, "pids"), 2)
}

// TestDoCallersPath has a PATH of the caller's whose shell does nothing.
func TestDoCallersPath(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"bash": "#!/bin/sh\n"})
	if err := os.Chmod(filepath.Join(dir, "bash"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := newBuild(t, "echo code > foo.ko", nil)
	t.Setenv("PATH", dir)
	mustDo(t, b)
}

// TestDoParentKilled kills a process that runs a build (this test binary) and
// wants the build's own children to follow it.
func TestDoParentKilled(t *testing.T) {
	if dir := os.Getenv("KBUILD_TEST_DIR"); dir != "" {
		b := newBuild(t, "echo $$ > "+dir+"/pids; sleep 600 >/dev/null 2>&1 & echo $! >> "+dir+"/pids; wait", nil)
		_, err := b.Do(context.Background())
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDoParentKilled$")
	cmd.Env = append(os.Environ(), "KBUILD_TEST_DIR="+dir, "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if data, err := os.ReadFile(filepath.Join(dir, "pids")); err == nil && strings.Count(string(data), "\n") == 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	gone(t, filepath.Join(dir, "pids"), 2)
}

func TestDoManyAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for i := range 16 {
		b := newBuild(t, "./run.sh", map[string]string{"run.sh": "#!/bin/sh\nseq 1000\necho " + strconv.Itoa(i) + " > foo.ko\n"})
		b.Conf.Scripts.PreBuild = []string{"run.sh"}
		all.Go(func() {
			r, err := b.Do(context.Background())
			if err != nil {
				t.Errorf("build %d: %v", i, err)
				return
			}
			if got := read(t, r.Modules[0].Path); got != strconv.Itoa(i)+"\n" {
				t.Errorf("build %d made %q", i, got)
			}
		})
	}
	all.Wait()
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{"": "''", "a-b/c.d": "a-b/c.d", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'", "~": "'~'"} {
		if got := quote(word); got != want {
			t.Errorf("quote(%q) = %s; want %s", word, got, want)
		}
	}
}
