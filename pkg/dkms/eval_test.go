// SPDX-License-Identifier: MIT

package dkms

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/textfile"
	"github.com/google/go-cmp/cmp"
)

func conf(path, text string) File { return File{Path: path, Text: []byte(text)} }

// overrides is an evaluation of several files and directives.
var overrides = []struct {
	name       string
	files      []string
	directives []string
	want       string
}{
	{"sees the values so far", []string{"MAKE[0]='make all'\n", "MAKE[0]=\"${MAKE[0]} X=1\"\n"}, nil, "MAKE[0]=\"make all X=1\"\n"},
	{"cannot unset", []string{"MAKE=make\nCLEAN=x\n", "unset MAKE\nCLEAN=\n"}, nil, "CLEAN[0]=\"\"\nMAKE[0]=\"make\"\n"},
	{"adds an element", []string{"PATCH=(a b)\n", "PATCH[2]=c\n", "PATCH[0]=z\n"}, nil, "PATCH[0]=\"z\"\nPATCH[1]=\"b\"\nPATCH[2]=\"c\"\n"},
	{"helpers are gone", []string{"helper=1\nMAKE=x\n", "MAKE=\"$MAKE-$helper\"\n"}, nil, "MAKE[0]=\"x-\"\n"},
	{"expands once for each file", []string{"MAKE='a\\\\\\$kernelver'\n", "CLEAN=\"$MAKE\"\n"}, nil, "CLEAN[0]=\"a$kernelver\"\nMAKE[0]=\"a$kernelver\"\n"},
	{"exit in an override", []string{"MAKE=x\n", "MAKE=y\nexit\n"}, nil, "MAKE[0]=\"x\"\n"},
	{"empty override", []string{"MAKE=x\n", "# nothing\n"}, nil, "MAKE[0]=\"x\"\n"},
	{"directive", []string{"MAKE=(a b)\n"}, []string{"MAKE=$kernelver  *", "AUTOINSTALL=yes"}, "AUTOINSTALL[0]=\"yes\"\nMAKE[0]=\"$kernelver  *\"\nMAKE[1]=\"b\"\n"},
	{"directive with equals", []string{"MAKE=a\n"}, []string{"CLEAN=x=y"}, "CLEAN[0]=\"x=y\"\nMAKE[0]=\"a\"\n"},
	{"directive variable reaches the next file", []string{"DKMS_DIRECTIVE_A=dkms_tree=/tree\nMAKE=x\n", "MAKE=$dkms_tree\n"}, nil, "MAKE[0]=\"/tree\"\n"},
}

func TestOverrides(t *testing.T) {
	for _, tt := range overrides {
		env := testEnv
		env.Dir = t.TempDir()
		in := Input{Directives: tt.directives, Env: env}
		for i, text := range tt.files {
			in.Files = append(in.Files, conf(filepath.Join(env.Dir, "f"+itoa(i)), text))
		}
		v, err := Eval(t.Context(), in)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := printed(v.Elements, env.Dir); got != tt.want {
			t.Errorf("%s: Eval = %swant %s", tt.name, got, tt.want)
		}
	}
}

func TestOverridesAgainstBash(t *testing.T) {
	testkit.Tools(t, "bash")
	for _, tt := range overrides {
		env := testEnv
		env.Dir = t.TempDir()
		env.Environ = []string{"PATH=/usr/bin:/bin"}
		var paths []string
		for i, text := range tt.files {
			path := filepath.Join(env.Dir, "f"+itoa(i))
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
		}
		if got := printed(oracle(t, env, tt.directives, paths...), env.Dir); got != tt.want {
			t.Errorf("%s: bash: %swant %s", tt.name, got, tt.want)
		}
	}
}

func TestEnvironmentDirective(t *testing.T) {
	env := testEnv
	env.Environ = []string{"DKMS_DIRECTIVE_X=AUTOINSTALL=yes", "MAKE=forged", "GIVEN=1"}
	v, err := Eval(t.Context(), Input{Files: []File{conf("f", "CLEAN=$GIVEN$MAKE\n")}, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := printed(v.Elements, "?"), "AUTOINSTALL[0]=\"yes\"\nCLEAN[0]=\"1\"\n"; got != want {
		t.Errorf("Eval = %swant %s", got, want)
	}
}

func TestBadDirectives(t *testing.T) {
	for _, d := range []string{"MAKE", "=x", "A B=x", "1=2"} {
		if _, err := Eval(t.Context(), Input{Files: []File{conf("f", "A=1\n")}, Directives: []string{d}, Env: testEnv}); err == nil {
			t.Errorf("directive %q: no error", d)
		}
	}
}

func TestPositions(t *testing.T) {
	text := `PACKAGE_NAME=a
PACKAGE_NAME=b
BUILT_MODULE_NAME=(x
  y [5]=z)
i=0
DEST_MODULE_LOCATION[$i]=/extra
for i in 1 5; do
  STRIP[$i]=no
  STRIP[$i]=yes
done
if false; then MAKE=never; fi
f() {
  PATCH[3]=p
}
f
eval CLEAN=x
`
	v, err := Eval(t.Context(), Input{Files: []File{conf("f", text), conf("g", "\nPATCH[3]=q\n")}, Directives: []string{"PRE_BUILD=x"}, Env: testEnv})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		index int
		want  string
	}{
		{"PACKAGE_NAME", 0, "f:2: "}, {"BUILT_MODULE_NAME", 0, "f:3: "}, {"BUILT_MODULE_NAME", 1, "f:4: "}, {"BUILT_MODULE_NAME", 5, "f:4: "},
		{"DEST_MODULE_LOCATION", 0, "f:6: "}, {"STRIP", 5, "f: "}, {"PATCH", 3, "g:2: "}, {"CLEAN", 0, "f: "}, {"MAKE", 0, "f: "},
		{"PRE_BUILD", 0, "--directive: "},
	} {
		if got := v.Errorf(tt.name, tt.index, "x").Error(); got != tt.want+"x" {
			t.Errorf("%s[%d]: %s; want %sx", tt.name, tt.index, got, tt.want)
		}
	}
}

func TestValuesSurviveJSON(t *testing.T) {
	v, err := Eval(t.Context(), Input{Files: []File{conf("f", "PATCH=(a 'ü' '')\nBUILT_MODULE_NAME[7]=x\necho said >&2\nDKMS_DIRECTIVE='a b'\n")}, Env: testEnv})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back Values
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, &back); diff != "" {
		t.Error(diff)
	}
	if v.Messages != "said\n" || len(v.Warnings) != 1 {
		t.Errorf("Messages %q, Warnings %v", v.Messages, v.Warnings)
	}
}

func TestEvalLimits(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"time", "sleep 1000", "ran for more than 300ms"},
		{"calls", "while :; do :; done", "ran more than 10000 commands"},
		{"commands", "for i in {1..60}; do /bin/true; done", "ran more than 50 programs"},
		{"at a time", "for i in {1..40}; do sleep 1000 & done; sleep 1", "runs more than 20 programs at a time"},
		{"output", "x=$(yes)", "wrote more than 100000 bytes"},
		{"messages", "yes >&2", "wrote more than 100000 bytes"},
		{"fork bomb", "f() { f | f; }; f", ""},
		{"job", "sleep 1000 &", `left "sleep" running in the background`},
		{"job inside the shell", "while :; do :; done &", ""},
		{"slow job inside the shell", "while :; do sleep 0.02; done &", ""},
		{"waiting job inside the shell", "{ : <(echo x); wait; } &", "leaves a job running"},
		{"jobs without bound", "f() { f & f & }; f", ""},
		{"pipes in jobs without bound", "f() { f|f& }; f", ""},
	} {
		limits := Limits{Time: 300 * time.Millisecond, Calls: 10_000, Commands: 50, Concurrent: 20, Output: 100_000}
		if tt.name != "time" {
			limits.Time = 20 * time.Second
		}
		start := time.Now()
		_, err := Eval(t.Context(), Input{Files: []File{conf("f", "PACKAGE_NAME=x\n"+tt.text+"\n")}, Env: testEnv, Limits: limits})
		limit, ok := errors.AsType[*LimitError](err)
		at, _ := errors.AsType[*textfile.Error](err)
		if !ok || at == nil || at.File != "f" || !strings.Contains(limit.What, tt.want) || limit.Hint() == "" {
			t.Errorf("%s: %v; want f: ... %s", tt.name, err, tt.want)
		}
		if spent := time.Since(start); spent > 15*time.Second {
			t.Errorf("%s took %v", tt.name, spent)
		}
	}
}

// TestEvalJobsThatEnd has jobs that are done by the end, beside goroutines
// that are none of the evaluation's.
func TestEvalJobsThatEnd(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"true & wait", "echo x | cat >/dev/null", "for i in 1 2 3; do : & done", "while read x; do :; done < <(echo a; echo b)"} {
		_, err := Eval(t.Context(), Input{Files: []File{conf("f", "PACKAGE_NAME=x\n"+text+"\n")}, Env: testEnv})
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestExitTrapRuns has files that clean up behind themselves.
func TestExitTrapRuns(t *testing.T) {
	testkit.Tools(t, "rm")
	for _, tt := range []struct{ text, left string }{
		{"trap 'rm $f' EXIT\n", ""},
		{"trap 'MAKE=x; rm $f' 0 INT\nexit 0\n", ""},
		{"trap 'rm $f' EXIT\ntrap - EXIT\n", "left"},
	} {
		env := testEnv
		env.Dir = t.TempDir()
		text := "PACKAGE_NAME=x\nf=left; : > $f\n" + tt.text
		if _, err := Eval(t.Context(), Input{Files: []File{conf("f", text)}, Env: env}); err != nil && !strings.Contains(tt.text, "exit 0") {
			t.Errorf("%q: %v", tt.text, err)
		}
		if left, err := filepath.Glob(filepath.Join(env.Dir, "*")); err != nil || (len(left) > 0) != (tt.left != "") {
			t.Errorf("%q leaves %q, %v; want %q", tt.text, left, err, tt.left)
		}
	}
}

// TestRefused has what bash knows and the interpreter does otherwise.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"MAKE=${PACKAGE_NAME@Q}", "f:2: ${PACKAGE_NAME@Q}"},
		{"\nMAKE=\"x ${MAKE@A}\"", "f:3: ${MAKE@A}"},
		{"declare -A m=([a]=1 [b]=2)\n[ ${#m[@]} = 2 ] && MAKE=x", "f:3: ${#m[@]} of an associative array"},
		{"f() { local -gA m; m[a]=1; }; f\nif ((${#m[*]} > 1)); then MAKE=x; fi", "f:3: ${#m[@]} of an associative array"},
		{"exec 3</dev/null", "f:2: 3<"},
		{"exec {fd}</dev/null", "f:2: {fd}<"},
		{"read MAKE <&3", "f:2: <&3"},
		{"read MAKE <>x", "f:2: <>x"},
		{"echo x >&3", "f:2: >&3"},
		{"MAKE=$(\n{ echo x; } 5>&1\n)", "f:3: 5>&"},
		{"cat <<EOF 4>x\ntext\nEOF\nMAKE=x", "f:2: 4>"},
		{"trap 'MAKE=y' DEBUG", "f: trap DEBUG"},
	} {
		_, err := Eval(t.Context(), Input{Files: []File{conf("f", "PACKAGE_NAME=x\n"+tt.text+"\n")}, Env: testEnv})
		if want := tt.want + " is bash that this program does not know"; err == nil || err.Error() != want {
			t.Errorf("Eval(%q) = %v; want %s", tt.text, err, want)
		}
	}
}

func TestEvalCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := Eval(ctx, Input{Files: []File{conf("f", "sleep 1000\n")}, Env: testEnv})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Eval = %v; want the caller's deadline", err)
	}
}

func TestShellOpensRegularFilesOnly(t *testing.T) {
	for _, text := range []string{"read x </dev/zero\n", ". /dev/zero\n", "x=$(</dev/zero)\n", "read x </dev/stdin\n"} {
		v, err := Eval(t.Context(), Input{Files: []File{conf("f", text+"MAKE=after\n")}, Env: testEnv})
		if err != nil || v.Get("MAKE") != "after" {
			t.Errorf("%q: %v, %v", text, v, err)
		}
	}
}

func TestUname(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "include/generated"), 0o755); err != nil {
		t.Fatal(err)
	}
	header := "#define UTS_MACHINE\t\t\"x\"\n#define UTS_VERSION \"#1 SMP Debian 6.1-1\"\n"
	if err := os.WriteFile(filepath.Join(dir, "include/generated/compile.h"), []byte(header), 0o644); err != nil {
		t.Fatal(err)
	}
	env := Env{KernelVersion: "6.1.0-1-arm64", Arch: "aarch64", KernelSourceDir: dir}
	for _, tt := range []struct{ args, want string }{
		{"", "Linux"}, {"-r", "6.1.0-1-arm64"}, {"-m", "aarch64"}, {"-s", "Linux"}, {"-v", "#1 SMP Debian 6.1-1"}, {"-n", "localhost"},
		{"-o", "GNU/Linux"}, {"-sr", "Linux 6.1.0-1-arm64"}, {"-m -r", "6.1.0-1-arm64 aarch64"}, {"--kernel-release", "6.1.0-1-arm64"},
		{"-a", "Linux localhost 6.1.0-1-arm64 #1 SMP Debian 6.1-1 aarch64 GNU/Linux"}, {"-p", "unknown"},
	} {
		got, err := uname(strings.Fields(tt.args), env)
		if err != nil || got != tt.want+"\n" {
			t.Errorf("uname %s = %q, %v; want %q", tt.args, got, err, tt.want)
		}
	}
	if got := kernelBuild(t.TempDir()); got != "#1 SMP" {
		t.Errorf("kernelBuild = %q", got)
	}
	for _, bad := range []string{"-x", "r", "--bad", "-"} {
		if _, err := uname([]string{bad}, env); err == nil {
			t.Errorf("uname %s: no error", bad)
		}
	}
}

var peeks = []struct{ text, name, version, err string }{
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=\"1.0\"\n", "a", "1.0", ""},
	{"PACKAGE_NAME=\"a\"\r\nPACKAGE_VERSION='1.0' # comment\r\n", "a", "1.0", ""},
	{"V=2\nPACKAGE_NAME[0]=a\nPACKAGE_VERSION=$V.1\n", "a", "2.1", ""},
	{"# PACKAGE_NAME=old\nMY_PACKAGE_VERSION=9\nPACKAGE_NAME=a\nPACKAGE_VERSION=1\n", "a", "1", ""},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=1\nPACKAGE_VERSION=2\n", "a", "2", ""},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=1\nif grep -q x y; then MAKE=z; fi\n", "a", "1", ""},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=1\nexport MAKE=x\n", "a", "1", ""},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=#MODULE_VERSION#\n", "a", "#MODULE_VERSION#", ""},
	{"PACKAGE_NAME=gr\xfcn\nPACKAGE_VERSION=1\n", "gr\xfcn", "1", ""},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=$(cat VERSION)\n", "", "", "f: PACKAGE_VERSION is not a plain value"},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=$((1+1))\n", "", "", "not a plain value"},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=<(x)\n", "", "", "not a plain value"},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION='$kernelver'\n", "", "", "not a plain value"},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=$kernelver\n", "", "", "not a plain value"},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=1\nif true; then PACKAGE_VERSION=2; fi\n", "", "", "not a plain value"},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=1\n. ./more\n", "", "", "not a plain value"},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=1\nread PACKAGE_NAME < x\n", "", "", "not a plain value"},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=1\nPACKAGE_VERSION+=.2\n", "", "", "not a plain value"},
	{"PACKAGE_NAME=a\nPACKAGE_VERSION=1\nfor PACKAGE_NAME in x y; do :; done\n", "", "", "not a plain value"},
	{"PACKAGE_NAME=a\n", "", "", "f: PACKAGE_VERSION is not a plain value"},
	{"", "", "", "f: empty"}, {"A=\x00", "", "", "f:1: not a text file"}, {"\nif\n", "", "", "f:2: shell syntax"},
}

func TestPeek(t *testing.T) {
	for _, tt := range peeks {
		name, version, err := Peek("f", []byte(tt.text))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Peek(%q) = %q, %q, %v; want %s", tt.text, name, version, err, tt.err)
			}
			if strings.Contains(tt.err, "plain") != errors.Is(err, ErrNotStatic) {
				t.Errorf("Peek(%q) = %v: wrong kind", tt.text, err)
			}
			continue
		}
		if err != nil || name != tt.name || version != tt.version {
			t.Errorf("Peek(%q) = %q, %q, %v; want %q, %q", tt.text, name, version, err, tt.name, tt.version)
		}
	}
}

// FuzzPeek holds Peek to Eval: what is plain, a shell says too.
func FuzzPeek(f *testing.F) {
	for _, tt := range peeks {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, version, err := Peek("f", []byte(text))
		if err != nil || strings.ContainsAny(text, "()`|&<>;{}~!") {
			return // nothing that could run a program or loop for long
		}
		env := Env{Dir: t.TempDir(), Environ: []string{"PATH=" + t.TempDir()}}
		v, err := Eval(t.Context(), Input{Files: []File{conf("f", text)}, Env: env, Limits: Limits{Time: time.Second, Calls: 1000}})
		if err != nil {
			return
		}
		if v.Get("PACKAGE_NAME") != name || v.Get("PACKAGE_VERSION") != version {
			t.Errorf("Peek(%q) = %q, %q; Eval says %q, %q", text, name, version, v.Get("PACKAGE_NAME"), v.Get("PACKAGE_VERSION"))
		}
	})
}
