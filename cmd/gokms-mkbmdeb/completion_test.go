// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/mantest"
	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/kmod"
)

// TestCompletionHasAllOptions compares the two lists of options in the
// completion, and looks for what each option that takes a value does with it.
func TestCompletionHasAllOptions(t *testing.T) {
	t.Parallel()
	text := mantest.Completion(t, prog)
	list := func(name string) []string {
		m := regexp.MustCompile(`(?s)\b` + name + `=\((.*?)\)`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no list %s in the completion", name)
		}
		return strings.Fields(m[1])
	}
	_, cases, _ := strings.Cut(text, "case $previous in")
	cases, _, _ = strings.Cut(cases, "\t*)")
	var described, has []mantest.Option
	for _, name := range list("flags") {
		described = append(described, mantest.Option{Names: []string{name}})
	}
	for _, name := range list("valued") {
		described = append(described, mantest.Option{Names: []string{name}, Value: true})
	}
	for _, o := range ownOptions() {
		for _, name := range o.Names {
			if o.Value && !regexp.MustCompile(`(?m)(^\t| )`+name+`( |\))`).MatchString(cases) {
				t.Errorf("the completion has no case for the value of %s", name)
			}
			if strings.HasPrefix(name, "--") {
				has = append(has, mantest.Option{Names: []string{name}, Value: o.Value})
			}
		}
	}
	mantest.Compare(t, "the completion", described, has)
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	testkit.Tools(t, "bash")
	dir := t.TempDir()
	for _, name := range []string{
		"modules/6.1.0-1-amd64/build/include/", "modules/6.1.0-2-amd64/build/include/", "modules/6.0-no-headers/kernel/",
		"src/i40e-2.4.6/dkms.conf", "src/nat-rtsp-0.7/dkms.conf", "src/linux-headers-6.1/Makefile",
		"src/$(touch made)-1/dkms.conf", "drivers/", "i40e-dkms_2.4.6-1_all.deb", "notes.txt",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Lines as bash splits them; the last word is completed.
	for _, tt := range []struct{ line, want string }{
		{"--modules-root modules -k ", "6.1.0-1-amd64|6.1.0-2-amd64|all"},
		{"--modules-root = modules --kernel = 6.1.0-2", "6.1.0-2-amd64"},
		{"--modules-root = modules --kernel =", "6.1.0-1-amd64|6.1.0-2-amd64|all"},
		{"-k all --modules-root ", "drivers|modules|src"},
		{"--output = dr", "drivers"},
		{"--copyright no", "notes.txt"},
		{"--compression z", "zstd"},
		{"--name i", ""},
		{"--no-verify ", strings.Join(slices.Sorted(slices.Values(kmod.Checks())), "|")},
		{"--no", "--no-act|--no-dbgsym|--no-verify"},
		{"--ov", "--overrides"},
		{"-v --source-tree src ", "$(touch made)/1|drivers|i40e-dkms_2.4.6-1_all.deb|i40e/2.4.6|modules|nat-rtsp/0.7|src"},
		{"--source-tree src i40e", "i40e-dkms_2.4.6-1_all.deb|i40e/2.4.6"},
	} {
		if got := complete(t, dir, tt.line); got != tt.want {
			t.Errorf("completing %q: %q; want %q", tt.line, got, tt.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "made")); err == nil {
		t.Error("completion ran what a file name holds")
	}
}

// complete returns what the completion offers for the last word of line, in
// dir: sorted, and joined by "|".
func complete(t *testing.T, dir, line string) string {
	t.Helper()
	const program = `compopt() { :; }
		. "$1"; shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_gokms_mkbmdeb
		[[ ${#COMPREPLY[@]} -eq 0 ]] || printf '%s\n' "${COMPREPLY[@]}"`
	file := filepath.Join(testkit.Root(), "completion", prog+".bash")
	words := append([]string{"-c", program, "bash", file, prog}, strings.Split(line, " ")...)
	cmd := exec.Command("bash", words...)
	cmd.Dir = dir
	cmd.Env = append(slices.Clone(os.Environ()), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("completing %q: %v\n%s", line, err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines) // as readline does
	return strings.Join(lines, "|")
}
