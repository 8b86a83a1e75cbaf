// SPDX-License-Identifier: MIT

package dkms

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite testdata/odd.txtar with what bash says")

const oddFile = "testdata/odd.txtar"

// oddRow is one conf of testdata/odd.txtar.
type oddRow struct {
	name, conf, want, differs string
}

func oddRows(t testing.TB) (rows []*oddRow, fs []txtar.File) {
	t.Helper()
	a, err := txtar.ParseFile(oddFile)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*oddRow{}
	for _, f := range a.Files {
		name, kind := f.Name, ""
		for _, k := range []string{".want", ".differs"} {
			if base, ok := strings.CutSuffix(name, k); ok {
				name, kind = base, k
			}
		}
		switch {
		case strings.HasPrefix(name, "fs/"):
			fs = append(fs, f)
		case kind == ".want":
			byName[name].want = string(f.Data)
		case kind == ".differs":
			byName[name].differs = string(f.Data)
		default:
			if byName[name] != nil {
				t.Fatalf("%s: %s is there twice", oddFile, name)
			}
			r := &oddRow{name: name, conf: oddText(name, string(f.Data))}
			byName[name] = r
			rows = append(rows, r)
		}
	}
	return rows, fs
}

// oddText takes off the last newline where the row is about its absence.
func oddText(name, text string) string {
	if name == "cr-at-end-of-file" {
		return strings.TrimSuffix(text, "\n")
	}
	return text
}

// oddEnv lays out the files that the rows may use.
func oddEnv(t testing.TB, fs []txtar.File) Env {
	t.Helper()
	dir := t.TempDir()
	for _, f := range fs {
		path := filepath.Join(dir, strings.TrimPrefix(f.Name, "fs/"))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Env{
		KernelVersion: "6.1.0-56-amd64", Arch: "x86_64", Module: "odd", ModuleVersion: "0.1",
		KernelSourceDir: dir + "/kernel", KernelConfig: dir + "/kernel/.config",
		DKMSTree: "/var/lib/dkms", SourceTree: "/usr/src", InstallTree: "/lib/modules", TmpDir: "/tmp",
		Jobs: 2, OS: "debian", Dir: dir,
		Environ: []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"},
	}
}

// printed is how the wants of the table look.
func printed(elems map[string][]Element, dir string) string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(elems)) {
		for _, e := range elems[name] {
			fmt.Fprintf(&out, "%s[%d]=%q\n", name, e.Index, strings.ReplaceAll(e.Value, dir, "$DIR"))
		}
	}
	return out.String()
}

// evalOdd is what this package makes of a row. A file that ends its shell has
// no values, for us by an error.
func evalOdd(t testing.TB, env Env, row *oddRow) string {
	t.Helper()
	path := writeOddConf(t, env, row)
	v, err := Eval(t.Context(), Input{Files: []File{{Path: path, Text: []byte(row.conf)}}, Env: env})
	if err != nil {
		if strings.Contains(err.Error(), "exits before anything") {
			return ""
		}
		t.Errorf("Eval(%s) = %v", row.name, err)
		return "error: " + err.Error() + "\n"
	}
	return printed(v.Elements, env.Dir)
}

func writeOddConf(t testing.TB, env Env, row *oddRow) string {
	t.Helper()
	path := filepath.Join(env.Dir, "dkms.conf")
	if err := os.WriteFile(path, []byte(row.conf), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOdd(t *testing.T) {
	testkit.Tools(t, "sed", "cut", "grep", "sort", "tr", "cat", "sh", "dirname", "basename")
	rows, fs := oddRows(t)
	if len(rows) < 100 {
		t.Fatalf("%d rows; want at least 100", len(rows))
	}
	env := oddEnv(t, fs)
	for _, row := range rows {
		if got := evalOdd(t, env, row); got != row.want {
			t.Errorf("Eval(%s):\n%s\n= %s\nwant %s", row.name, row.conf, got, row.want)
		}
	}
}

// TestOddAgainstBash holds the wants of the table to what bash does. A row
// that says it differs must.
func TestOddAgainstBash(t *testing.T) {
	testkit.Tools(t, "bash")
	rows, fs := oddRows(t)
	env := oddEnv(t, fs)
	for _, row := range rows {
		path := writeOddConf(t, env, row)
		bash := printed(oracle(t, env, nil, path), env.Dir)
		if *update {
			if row.want = bash; row.differs != "" {
				row.want = evalOdd(t, env, row)
			}
			continue
		}
		if same := bash == row.want; same != (row.differs == "") {
			t.Errorf("%s:\n%s\nbash: %s\nwant: %s\ndiffers: %s", row.name, row.conf, bash, row.want, row.differs)
		}
	}
	if *update {
		writeOdd(t, rows)
	}
}

func writeOdd(t *testing.T, rows []*oddRow) {
	t.Helper()
	a, err := txtar.ParseFile(oddFile)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range a.Files {
		for _, row := range rows {
			if f.Name == row.name+".want" {
				a.Files[i].Data = []byte(row.want)
			}
		}
	}
	if err := os.WriteFile(oddFile, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// oracleScript has bash evaluate files as reference dkms does: source, write
// out without quotes, source again.
const oracleScript = `
shopt -s extglob
uname() { case $1 in -r) echo "$kernelver";; -m) echo "$arch";; -s|'') echo Linux;; esac; }
VER() {
	local in=$1 out= run
	while [[ $in ]]; do
		if [[ $in =~ ^[0-9]+ ]]; then
			run=$BASH_REMATCH; in=${in#"$run"}
			while ((${#run} < 3)); do run=0$run; done
			out+=$run
		else
			out+=${in:0:1}; in=${in:1}
		fi
	done
	echo "$out"
}
unset "${listed[@]}"
for conf_to_read in "$@"; do
	(
		exec >"$between"
		. "$conf_to_read" >/dev/null
		cr_at_end=$'\r'
		for one in "${listed[@]}"; do
			for at in $(eval "echo \${!$one[@]}"); do
				eval "echo $one[$at]=\\\"\${$one[$at]%\$cr_at_end}\\\""
			done
		done
		for one in $(set | grep '^DKMS_DIRECTIVE' | cut -d= -f2-3); do
			echo "${one%%=*}=\"${one#*=}\""
		done
	)
	. "$between"
done
for given in "${directives_given[@]}"; do export "${given%%=*}=${given#*=}"; done
exec >&7
for one in "${listed[@]}"; do
	declare -n var=$one
	for at in "${!var[@]}"; do printf '%s\0%s\0%s\0' "$one" "$at" "${var[at]}"; done
	unset -n var
done
`

// oracle returns what bash makes of confs.
func oracle(t testing.TB, env Env, given []string, confs ...string) map[string][]Element {
	t.Helper()
	var head strings.Builder
	for name, value := range map[string]string{
		"kernel_source_dir": env.KernelSourceDir, "kernel_config": env.KernelConfig, "dkms_tree": env.DKMSTree,
		"source_tree": env.SourceTree, "install_tree": env.InstallTree, "tmp_location": env.TmpDir,
		"running_distribution": env.OS, "parallel_jobs": itoa(env.Jobs), "current_kernel": env.KernelVersion,
		"current_os": "Linux", "force": "", "verbose": "", "between": filepath.Join(t.TempDir(), "between"),
	} {
		fmt.Fprintf(&head, "%s='%s'\n", name, value)
	}
	fmt.Fprintf(&head, "listed=(%s)\ndirectives_given=(", strings.Join(directives, " "))
	for _, d := range given {
		fmt.Fprintf(&head, "'%s' ", d)
	}
	head.WriteString(")\n")
	cmd := exec.Command("bash", append([]string{"-c", "exec 7>&1\n" + head.String() + oracleScript, "/usr/sbin/dkms"}, confs...)...)
	cmd.Dir = env.Dir
	cmd.Env = append(slices.Clone(env.Environ), "kernelver="+env.KernelVersion, "arch="+env.Arch,
		"module="+env.Module, "module_version="+env.ModuleVersion)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Logf("bash %s: %v: %s", confs, err, errs.String())
	}
	elems := map[string][]Element{}
	fields := strings.Split(out.String(), "\x00")
	for i := 0; i+2 < len(fields); i += 3 {
		var e Element
		fmt.Sscan(fields[i+1], &e.Index)
		e.Value = fields[i+2]
		elems[fields[i]] = append(elems[fields[i]], e)
	}
	return elems
}
