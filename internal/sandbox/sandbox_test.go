// SPDX-License-Identifier: MIT

package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
)

// TestMain is also the caller that TestCallerDies kills, and starts what
// TestFiltered runs.
func TestMain(m *testing.M) {
	if os.Getenv("GOKMS_TEST_FILTERED") == "1" {
		fmt.Println(becomeFiltered())
		os.Exit(1)
	}
	if dir := os.Getenv("GOKMS_TEST_CALLER"); dir != "" {
		fmt.Println(runForever(dir, os.Getenv("GOKMS_TEST_MARK")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// box is a sandbox with all that a build has, and what lies around it.
type box struct {
	*Sandbox
	spec   Spec
	work   string // its secret must stay one
	build  string
	source string
	secret string
}

const buildPath = "/var/lib/dkms/foo/1/build"

// closedDir makes a directory that only the caller may enter.
func closedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gokms-sandbox-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// needsSandbox ends a test where there are no tools for it.
func needsSandbox(t *testing.T) {
	t.Helper()
	testkit.Tools(t, "bwrap", "setpriv", "prlimit")
}

func newBox(t *testing.T, edit func(*Spec)) *box {
	t.Helper()
	needsSandbox(t)
	b := &box{work: closedDir(t), secret: "secret" + rand.Text()}
	b.build, b.source = filepath.Join(b.work, "build"), filepath.Join(b.work, "source")
	state := filepath.Join(b.work, "state")
	for _, dir := range []string{b.build, b.source, state} {
		mustDo(t, os.Mkdir(dir, 0o755))
	}
	mustDo(t, os.WriteFile(filepath.Join(b.work, "secret"), []byte(b.secret), 0o644))
	mustDo(t, os.WriteFile(filepath.Join(b.source, "dkms.conf"), []byte("PACKAGE_NAME=foo\n"), 0o644))
	// Not even what anybody may write to.
	mustDo(t, errors.Join(os.Chmod(b.source, 0o777), os.Chmod(filepath.Join(b.source, "dkms.conf"), 0o666)))
	b.spec = Spec{
		StateDir: state,
		Mounts: []Mount{
			{Host: b.build, Path: buildPath, Writable: true},
			{Host: b.source, Path: "/usr/src/foo-1"},
			{Host: b.source, Path: "/usr/lib/linux-kbuild-0.0"},
			{Host: b.source, Path: "/lib/modules/0.0/source"},
			{Host: b.source, Path: "/tmp/some/place"},
		},
		Links: []Link{{"/lib/modules/0.0/build", "/usr/src/foo-1"}},
		Files: []File{
			{"/usr/bin/uname", "#!/bin/sh\n[ \"$*\" = -r ] && exec echo 0.0\nPATH=" + RealDir + " exec uname \"$@\"\n", 0o755},
			{"/proc/sys/kernel/osrelease", "0.0\n", 0o444},
			{"/run/gokms/bin/tool", "#!/bin/sh\necho tool\n", 0o755},
		},
	}
	if edit != nil {
		edit(&b.spec)
	}
	var err error
	if b.Sandbox, err = New(b.spec); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("GOKMS_TEST_FLAT") != "" {
		b.nested = func() bool { return false }
	}
	return b
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const testPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// shell is a command for a script in the build directory.
func shell(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script)
	cmd.Dir, cmd.Env = buildPath, []string{"PATH=" + testPath, "HOME=/nonexistent", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// sh runs a script with its output in one.
func (b *box) sh(t *testing.T, script string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := shell(ctx, script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := b.Run(cmd)
	return out.String(), err
}

// TestWorks has what builds need. Wanted is a regular expression for all of the
// output.
func TestWorks(t *testing.T) {
	uname := func(option string) string {
		out, err := exec.Command("uname", option).Output()
		mustDo(t, err)
		return regexp.QuoteMeta(strings.TrimSpace(string(out)))
	}
	for _, tt := range []struct{ name, script, want string }{
		{"build directory", "mkdir d && echo a >d/f && ln f d/g 2>/dev/null; chmod 600 d/f && cat d/f", "a"},
		{"tmp", "echo a >/tmp/f && mktemp >/dev/null && cat /tmp/f && stat -c %a /tmp", "a\n1777"},
		{"shm", "echo a >/dev/shm/f && cat /dev/shm/f", "a"},
		{"devices", "echo a >/dev/null && head -c1 /dev/zero | wc -c && head -c3 /dev/urandom | wc -c", "1\n3"},
		{"uname -r", "uname -r", "0\\.0"},
		{"uname -m", "uname -m", uname("-m")},
		{"uname -s", "/bin/uname -s", uname("-s")},
		{"osrelease", "cat /proc/sys/kernel/osrelease", "0\\.0"},
		{"new program", "/run/gokms/bin/tool", "tool"},
		{"source", "cat /usr/src/foo-1/dkms.conf", "PACKAGE_NAME=foo"},
		{"mount in /usr/lib", "cat /usr/lib/linux-kbuild-0.0/dkms.conf", "PACKAGE_NAME=foo"},
		{"mount and link in /lib/modules", "cd /lib/modules/0.0 && ls && cat build/dkms.conf", "build\nsource\nPACKAGE_NAME=foo"},
		{"mount in /tmp", "cat /tmp/some/place/dkms.conf", "PACKAGE_NAME=foo"},
		{"nothing else there", "ls -A /usr/src /lib/modules /var /home /root /srv /opt", "(?s)/home:\n\n/lib/modules:\n0.0\n\n/opt:\n\n/root:\n\n/srv:\n\n/usr/src:\nfoo-1\n\n/var:\nlib"},
		{"list of /etc", "ls -A /etc | grep -vxE 'alternatives|debian_version|group|hosts|ld.so.(cache|conf|conf.d)|lsb-release|nsswitch.conf|os-release|passwd'; :", ""},
		{"users", "id -u; id -g; id -un; id -gn; getent passwd | cut -d: -f1", "65534\n65534\nnobody\nnogroup\nroot\nnobody"},
		{"owner of what is made", "touch f && stat -c %U f", "nobody"},
		{"hosts", "getent hosts localhost | grep -c localhost; hostname", "1\ngokms"},
		{"own processes", "ls -d /proc/[0-9]* | wc -l", "[2-5]"},
		{"capabilities", "grep -E '^(Cap|NoNew)' /proc/self/status | cut -f2 | sort -u", "0000000000000000\n1"},
		{"shell tools", "perl -e 'print 6*7' && awk 'BEGIN{print 1}' && sed -n 1p /usr/src/foo-1/dkms.conf && getconf _NPROCESSORS_ONLN", "421\nPACKAGE_NAME=foo\n[0-9]+"},
		{"exit code", "exit 7", ""},
		{"terminal", "[ -t 0 ] && echo terminal; : </dev/tty", ".*/dev/tty.*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := newBox(t, nil).sh(t, tt.script)
			if !regexp.MustCompile("^(" + tt.want + ")\\s*$").MatchString(out) {
				t.Errorf("%s\nprinted %q, %v; want %q", tt.script, out, err, tt.want)
			}
		})
	}
}

func TestCompilers(t *testing.T) {
	testkit.Tools(t, "gcc", "make", "python3")
	out, err := newBox(t, nil).sh(t, "printf 'int main(void) { return 0; }\\n' >a.c && make a && ./a && gcc -v 2>&1 | tail -1 && python3 -c 'print(6*7)'")
	if err != nil || !strings.Contains(out, "gcc version") || !strings.HasSuffix(out, "\n42\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestExitCodes(t *testing.T) {
	b := newBox(t, nil)
	for _, tt := range []struct {
		script string
		want   int
	}{{"exit 0", 0}, {"exit 1", 1}, {"exit 7", 7}, {"exit 255", 255}, {"kill -9 $$", 137}, {"kill -15 $$", 143}, {"exec /nosuch", 127}} {
		_, err := b.sh(t, tt.script)
		got := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			got = exit.ExitCode()
		} else if err != nil {
			t.Errorf("%s: %v; want an exit code", tt.script, err)
		}
		if got != tt.want {
			t.Errorf("%s: exit code %d; want %d", tt.script, got, tt.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("GOKMS_TEST_LEAK", "leak")
	t.Setenv("LD_PRELOAD", "/nosuch.so")
	b := newBox(t, nil)
	for _, env := range [][]string{nil, {"A=b c", "ODD-NAME=\n", "EMPTY="}} {
		cmd := exec.CommandContext(t.Context(), "/usr/bin/env", "-0")
		cmd.Env = env
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := b.Run(cmd); err != nil {
			t.Fatal(err)
		}
		want := ""
		for _, entry := range env {
			want += entry + "\x00"
		}
		if out.String() != want {
			t.Errorf("environment %q; want %q", out.String(), want)
		}
	}
}

// TestInput passes what exec.Cmd passes: input, both outputs, arguments.
func TestInput(t *testing.T) {
	b := newBox(t, nil)
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `cat; printf '<%s>' "$@" >&2`, "sh", "a b", "", "c=d", "-e")
	cmd.Env = []string{"PATH=" + testPath}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("in\n"), &stdout, &stderr
	if err := b.Run(cmd); err != nil {
		t.Fatal(err)
	}
	if stdout.String() != "in\n" || stderr.String() != "<a b><><c=d><-e>" {
		t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
	}
}

// TestWritableOwners gives what root adds between commands to nobody, too, and
// never what a link leads to.
func TestWritableOwners(t *testing.T) {
	b := newBox(t, nil)
	outside := filepath.Join(b.work, "secret")
	mustDo(t, os.Mkdir(filepath.Join(b.build, "d"), 0o700))
	mustDo(t, os.WriteFile(filepath.Join(b.build, "d", "f"), nil, 0o600))
	mustDo(t, os.Symlink(outside, filepath.Join(b.build, "link")))
	if out, err := b.sh(t, "echo a >d/f && mkdir d/made"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	mustDo(t, os.WriteFile(filepath.Join(b.build, "d", "later"), nil, 0o600))
	if out, err := b.sh(t, "echo a >d/later && touch d/made/x"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(outside, &st); err != nil || int(st.Uid) != os.Geteuid() {
		t.Errorf("owner of %s is %d, %v", outside, st.Uid, err)
	}
	if b.user != superuser {
		return
	}
	mustDo(t, os.Link(outside, filepath.Join(b.build, "hard")))
	if out, err := b.sh(t, "true"); err == nil || !strings.Contains(err.Error(), "hard links") {
		t.Errorf("with a hard link out: %v: %s; want an error", err, out)
	}
}

// TestPlaces are the Specs that New refuses, and those that Run does.
func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	mount := func(path string) Spec { return Spec{Mounts: []Mount{{Host: dir, Path: path}}} }
	file := func(path string) Spec { return Spec{StateDir: dir, Files: []File{{path, "", 0o644}}} }
	for _, tt := range []struct {
		name string
		spec Spec
		want string // "" for a good one
	}{
		{"good", mount("/usr/src/foo"), ""},
		{"over a directory", mount("/usr/share"), ""},
		{"relative", mount("usr/src/foo"), "not absolute"},
		{"relative on the host", Spec{Mounts: []Mount{{Host: "x", Path: "/x"}}}, "not absolute"},
		{"the root", mount("/"), "hide the system"},
		{"all programs", mount("/usr/../usr"), "hide the system"},
		{"all libraries through a link", mount("/usr/lib"), "hide the system"},
		{"proc", mount("/proc"), "the sandbox's own"},
		{"below a host directory", mount("/usr/bin/new/place"), "its directory is the host's"},
		{"twice", Spec{Mounts: []Mount{{Host: dir, Path: "/x"}, {Host: dir, Path: "/x/"}}}, "mounted twice"},
		{"twice through a link", Spec{Mounts: []Mount{{Host: dir, Path: "/lib/modules/1"}, {Host: dir, Path: "/usr/lib/modules/1"}}}, "mounted twice"},
		{"file", file("/usr/bin/env"), ""},
		{"new file", file("/usr/bin/gokms-new"), "its directory is the host's"},
		{"new file in a new directory", file("/run/gokms/bin/new"), ""},
		{"relative file", file("x"), "not absolute"},
		{"file without a place for its text", Spec{Files: []File{{"/x", "", 0o644}}}, "StateDir"},
		{"link", Spec{Links: []Link{{"/x/y", "/z"}}}, ""},
		{"link in a host directory", Spec{Links: []Link{{"/usr/bin/x", "/z"}}}, "its directory is the host's"},
		{"link in a mount", Spec{Mounts: []Mount{{Host: dir, Path: "/x"}}, Links: []Link{{"/x/y", "/z"}}}, "its directory is the host's"},
		{"link to nothing", Spec{Links: []Link{{"/x", ""}}}, "without a target"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			needsSandbox(t)
			if tt.name == "twice through a link" {
				if _, err := os.Readlink("/lib"); err != nil {
					t.Skip("/lib is no link here")
				}
			}
			_, err := New(tt.spec)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("New() = %v; want %q", err, tt.want)
			}
		})
	}
}

// TestRunErrors are errors of the sandbox, none of which may look like an exit
// code of the command.
func TestRunErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Spec)
		cmd  func(*exec.Cmd)
		want string
	}{
		{"mount of nothing", func(s *Spec) { s.Mounts = append(s.Mounts, Mount{Host: "/nosuch", Path: "/x"}) }, nil, "no such file"},
		{"mount in a mount", func(s *Spec) { s.Mounts = append(s.Mounts, Mount{Host: "/usr", Path: "/usr/src/foo-1/sub"}) }, nil, "cannot be mounted in"},
		{"no such directory", nil, func(c *exec.Cmd) { c.Dir = "/nosuch" }, "/nosuch"},
		{"extra files", nil, func(c *exec.Cmd) { c.ExtraFiles = []*os.File{os.Stdin} }, "extra files"},
		{"strange program", nil, func(c *exec.Cmd) { c.Path = "/a=b" }, "="},
		{"no program", nil, func(c *exec.Cmd) { c.Err = exec.ErrNotFound }, "not found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, tt.edit)
			cmd := shell(t.Context(), "true")
			if tt.cmd != nil {
				tt.cmd(cmd)
			}
			err := b.Run(cmd)
			if _, exit := errors.AsType[*exec.ExitError](err); exit || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Run() = %v; want an error with %q", err, tt.want)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	v := view{links: []Link{{"/lib", "usr/lib"}, {"/lib64", "/usr/lib64"}, {"/usr/lib64", "lib"}, {"/loop", "/loop/x"}}}
	for path, want := range map[string]string{
		"/lib": "/lib", "/lib/modules/1": "/usr/lib/modules/1", "/lib64/x": "/usr/lib/x", "/usr/lib64/x": "/usr/lib/x", "/library/x": "/library/x",
		"/x/../lib/y": "/usr/lib/y",
	} {
		if got := v.resolve(path); got != want {
			t.Errorf("resolve(%s) = %s; want %s", path, got, want)
		}
	}
	v.resolve("/loop/y") // ends
}

func TestMapsNobody(t *testing.T) {
	for text, want := range map[string]bool{
		"0 0 4294967295\n": true, "0 1000 1\n": false, "0 1000 1\n1 100000 65535\n": true, "0 0 65534\n": false, "65534 7 1\n": true, "": false,
	} {
		path := filepath.Join(t.TempDir(), "map")
		mustDo(t, os.WriteFile(path, []byte(text), 0o644))
		if got := mapsNobody(path); got != want {
			t.Errorf("mapsNobody(%q) = %v; want %v", text, got, want)
		}
	}
	if !mapsNobody("/nosuch") {
		t.Error("mapsNobody() without a map = false")
	}
}

func BenchmarkRun(b *testing.B) {
	needs, err := New(Spec{StateDir: b.TempDir()})
	if err != nil {
		b.Skip(err)
	}
	for b.Loop() {
		if err := needs.Run(exec.Command("/bin/true")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWithout(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}
