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

// list is an array of words in the completion.
func list(t *testing.T, text, name string) []string {
	t.Helper()
	m := regexp.MustCompile(`(?s)\b` + name + `=\((.*?)\)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no list %s in the completion", name)
	}
	return strings.Fields(m[1])
}

// TestCompletionHasAllOptions compares the lists of options in the completion,
// and looks for what each option that takes a value does with it.
func TestCompletionHasAllOptions(t *testing.T) {
	t.Parallel()
	text := mantest.Completion(t, prog)
	_, cases, _ := strings.Cut(text, "\n_gokms_verb() {")
	cases, _, _ = strings.Cut(cases, "\t*)")
	names := []string{"help"}
	for _, v := range verbs() {
		first, _, _ := strings.Cut(v.name, " ")
		names = append(names, first)
		lists := strings.ReplaceAll(v.name, " ", "_")
		var described, has []mantest.Option
		for _, name := range list(t, text, lists+"_flags") {
			described = append(described, mantest.Option{Names: []string{name}})
		}
		for _, name := range list(t, text, lists+"_valued") {
			described = append(described, mantest.Option{Names: []string{name}, Value: true})
		}
		for _, o := range ownOptions(v) {
			for _, name := range o.Names {
				if o.Value && !regexp.MustCompile(`(?m)(^\t| )`+name+`( |\))`).MatchString(cases) {
					t.Errorf("the completion has no case for the value of %s", name)
				}
				if strings.HasPrefix(name, "--") {
					has = append(has, mantest.Option{Names: []string{name}, Value: o.Value})
				}
			}
		}
		mantest.Compare(t, "the completion of "+v.name, described, has)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if got := list(t, text, "verbs"); !slices.Equal(got, names) {
		t.Errorf("the completion has the verbs %q; want %q", got, names)
	}
}

func TestCompletionHasAllChecks(t *testing.T) {
	t.Parallel()
	if want := "_gokms_offer " + strings.Join(kmod.Checks(), " ") + " ;;"; !strings.Contains(mantest.Completion(t, prog), want) {
		t.Errorf("the completion has not the line %q", want)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	testkit.Tools(t, "bash")
	dir := t.TempDir()
	for _, name := range []string{"headers/", "linux-headers-6.1_1_amd64.deb", "notes.txt"} {
		path := filepath.Join(dir, name)
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.Mkdir(path, 0o755)
		} else {
			err = os.WriteFile(path, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// Lines as bash splits them; the last word is completed.
	for _, tt := range []struct{ line, want string }{
		{"k", "kernels"},
		{"--v", "--version"},
		{"help k", "kernels"},
		{"kernels --o", "--offline"},
		{"kernels --headers ", "headers|linux-headers-6.1_1_amd64.deb"},
		{"kernels --cache-dir = h", "headers"},
		{"kernels -a arm", "arm64|armhf"},
		{"kernels --apt-options x", ""},
		{"kernels x", ""},
		{"check -k apt", "apt:linux-headers-"},
		{"rebuild ", "headers|linux-headers-6.1_1_amd64.deb|notes.txt"},
		{"rebuild -q n", "notes.txt"},
		{"rebuild --source h", "headers"},
		{"rebuild -o ", "headers"},
		{"check ", "headers|linux-headers-6.1_1_amd64.deb"},
		{"check --json l", "linux-headers-6.1_1_amd64.deb"},
		{"check --no-verify l", "license"},
		{"check --symvers n", "notes.txt"},
		{"sign ", "attach|extract"},
		{"help sign e", "extract"},
		{"sign extract --h", "--hash|--headers|--help"},
		{"sign attach --unpublished ", "headers|linux-headers-6.1_1_amd64.deb"},
		{"sign attach --sign-cert n", "notes.txt"},
		{"sign attach --revision ", ""},
		{"sign x ", ""},
		{"st", "status"},
		{"status --root h", "headers"},
		{"status --c", "--check"},
		{"unknown -", ""},
	} {
		if got := complete(t, dir, tt.line); got != tt.want {
			t.Errorf("completing %q: %q; want %q", tt.line, got, tt.want)
		}
	}
}

// complete returns what the completion offers for the last word of line, in
// dir: sorted, and joined by "|".
func complete(t *testing.T, dir, line string) string {
	t.Helper()
	const program = `compopt() { :; }
		. "$1"; shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_gokms
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
