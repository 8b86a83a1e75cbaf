// SPDX-License-Identifier: MIT

package debhelper

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

func snippet(script, key, version string) Snippet {
	return Snippet{Script: script, File: "probe-snippet", Key: key, Values: map[string]string{"NAME": key, "VERSION": version}}
}

// block is what the snippet of the tests becomes.
func block(tool, key, version string) string {
	return "# Automatically added by " + tool + "\n# For: probe-snippet " + key + "\nPROBE_NAME=" + key + "\nPROBE_VERSION=" + version +
		"\nprobe-it \"$PROBE_NAME\" \"$PROBE_VERSION\"\n# End automatically added section\n"
}

func TestAutoscript(t *testing.T) {
	other := "# Automatically added by dh_other/1\n# For: probe-snippet a\nother\n# End automatically added section\n"
	cut := strings.TrimSuffix(block("dh_t/0", "a", "0"), "# End automatically added section\n")
	for _, tt := range []struct {
		name, script, old string
		add               []string // keys, each with the version 1, 2, ...
		want              string
	}{
		{name: "append", script: "postinst", old: other, add: []string{"a", "b"}, want: other + block("dh_t/1", "a", "1") + block("dh_t/1", "b", "2")},
		{name: "prepend", script: "prerm", old: other, add: []string{"a", "b"}, want: block("dh_t/1", "b", "2") + block("dh_t/1", "a", "1") + other},
		{name: "postrm", script: "postrm", old: other, add: []string{"a"}, want: block("dh_t/1", "a", "1") + other},
		{name: "preinst", script: "preinst", old: other, add: []string{"a"}, want: other + block("dh_t/1", "a", "1")},
		{name: "twice", script: "prerm", add: []string{"a", "b", "a"}, want: block("dh_t/1", "b", "2") + block("dh_t/1", "a", "3")},
		{name: "of an older version", script: "postinst", old: block("dh_t/0", "a", "0") + other, add: []string{"a"}, want: block("dh_t/1", "a", "1") + other},
		{name: "key that begins alike", script: "postinst", old: block("dh_t/0", "ab", "0"), add: []string{"a"}, want: block("dh_t/0", "ab", "0") + block("dh_t/1", "a", "1")},
		{name: "tool that begins alike", script: "postinst", old: block("dh_tt/0", "a", "0"), add: []string{"a"}, want: block("dh_tt/0", "a", "0") + block("dh_t/1", "a", "1")},
		{name: "without an end", script: "postinst", old: cut, add: []string{"a"}, want: cut + block("dh_t/1", "a", "1")},
	} {
		w := newWorld(t, map[string]string{"debian/probe-any." + tt.script + ".debhelper": tt.old, "debian/probe-any.prerm.debhelper": ""})
		if tt.old != "" {
			writeTree(t, w.dir, map[string]string{"debian/probe-any." + tt.script + ".debhelper": tt.old})
		} else {
			removeFile(t, w.dir, "debian/probe-any.prerm.debhelper")
		}
		s := w.init(t, []string{"DH_AUTOSCRIPTDIR=" + snippetDir(t)})
		for i, key := range tt.add {
			if err := s.Autoscript(find(t, s, "any"), snippet(tt.script, key, string(rune('1'+i)))); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if got := w.read(t, "debian/probe-any."+tt.script+".debhelper"); got != tt.want {
			t.Errorf("%s:\n%s\nwant:\n%s", tt.name, got, tt.want)
		}
	}
}

func removeFile(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestAutoscriptErrors(t *testing.T) {
	w := newWorld(t, map[string]string{"scripts/left": "a\n#NAME# #OTHER#\n"})
	s := w.init(t, []string{"DH_AUTOSCRIPTDIR=scripts", "DH_DATAFILES=more:/data"})
	p := s.Packages[0]
	for _, tt := range []struct {
		snippet Snippet
		want    string
	}{
		{Snippet{Script: "config", File: "left"}, `"config" is no maintainer script`},
		{Snippet{Script: "prerm", File: "nope"}, "autoscript nope not found in " + w.dir + "/scripts:" + w.dir + "/more/autoscripts:/data/autoscripts:/usr/share/debhelper/autoscripts"},
		{Snippet{Script: "prerm", File: "left", Values: map[string]string{"NAME": "x"}}, "scripts/left:2: no value for #OTHER#"},
		{Snippet{Script: "prerm", File: "left", Values: map[string]string{"NAME": "x\ny"}}, `autoscript left: control character in NAME, "x\ny"`},
		{Snippet{Script: "prerm", File: "left", Key: "a\nb"}, `autoscript left: control character in key "a\nb"`},
	} {
		err := s.Autoscript(p, tt.snippet)
		if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("Autoscript(%+v): %v; want %q", tt.snippet, err, tt.want)
		}
	}
	if w.read(t, "debian/probe-all.prerm.debhelper") != "" {
		t.Error("a snippet that failed was written")
	}
}

func TestAutoscriptDirOrder(t *testing.T) {
	w := newWorld(t, map[string]string{"first/one": "first\n", "data/autoscripts/one": "data\n", "data/autoscripts/two": "data", "last/autoscripts/two": "last\n", "last/autoscripts/three": "last\n"})
	for name, want := range map[string]string{"one": "first\n", "two": "data\n", "three": "last\n"} {
		s := w.init(t, []string{"DH_AUTOSCRIPTDIR=first", "DH_DATAFILES=data"})
		s.env.DataDirs = []string{"last"}
		if err := s.Autoscript(s.Packages[0], Snippet{Script: "postinst", File: name}); err != nil {
			t.Fatal(err)
		}
		if got := w.read(t, "debian/probe-all.postinst.debhelper"); !strings.Contains(got, "\n# For: "+name+"\n"+want+"# End") {
			t.Errorf("snippet %s: %s; want %q in it", name, got, want)
		}
	}
}

// hostile are texts that must come through a shell as they are.
var hostile = []string{
	"", "a", "2.4.6-1~x+y:z", "a b", "'", `"`, `\`, "$(touch pwned)", "`touch pwned`", "$HOME", "a;b", "a&b", "*", "~", "-n", "#", "a#b", "!x", "a\tb", "é", "'; exit 7; '", "%s", "{a,b}", "=", "a=b",
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{"": "''", "i40e": "i40e", "2.4.6-1": "2.4.6-1", "1:2~x": "'1:2~x'", "it's": `'it'\''s'`} {
		if got := Quote(text); got != want {
			t.Errorf("Quote(%q) = %s; want %s", text, got, want)
		}
	}
}

func TestOracleQuote(t *testing.T) {
	testkit.Tools(t, "sh")
	for _, text := range hostile {
		cmd := exec.Command("sh", "-e", "-c", "cd "+Quote(t.TempDir())+"; X="+Quote(text)+"; printf '%s.' \"$X\" "+Quote(text))
		out, err := cmd.Output()
		if err != nil || string(out) != text+"."+text+"." {
			t.Errorf("sh says %q, %v of %s; want %q twice", out, err, Quote(text), text)
		}
	}
}

func TestOracleHostileSnippet(t *testing.T) {
	testkit.Tools(t, "sh")
	for _, text := range hostile {
		if strings.ContainsFunc(text, isControl) {
			continue
		}
		w := newWorld(t, nil)
		s := w.init(t, []string{"DH_AUTOSCRIPTDIR=" + snippetDir(t)})
		if err := s.Autoscript(s.Packages[0], snippet("postinst", text, text)); err != nil {
			t.Fatal(err)
		}
		script := "probe-it() { printf '%s.%s' \"$1\" \"$2\"; }\n"
		script = strings.ReplaceAll(script, "probe-it", "probe_it") + strings.ReplaceAll(w.read(t, "debian/probe-all.postinst.debhelper"), "probe-it", "probe_it")
		out, err := exec.Command("sh", "-eu", "-c", script).Output()
		if err != nil || string(out) != text+"."+text {
			t.Errorf("sh says %q, %v; want %q twice of\n%s", out, err, text, script)
		}
	}
}

func TestEscapeShell(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"a b", `"a b"`}, {"a$b", `a\$b`}, {"a $b\"", `"a \$b\""`}, {"a'b", "a'b"}, {"x|y", `x\|y`}, {"", ""}, {"a\nb", "\"a\\\nb\""},
	} {
		if got := EscapeShell(tt.in); got != tt.want {
			t.Errorf("EscapeShell(%q) = %s; want %s", tt.in, got, tt.want)
		}
	}
}

func TestDo(t *testing.T) {
	w := newWorld(t, nil)
	w.fails = map[string]string{"bad": ""}
	s := w.init(t, nil, "-v")
	cmd := s.Command("make", "-C", "a b")
	cmd.Dir = w.dir + "/src"
	if err := s.Do(cmd); err != nil {
		t.Error(err)
	}
	bad := s.Command("bad", "x;y")
	bad.Stderr = &w.stdout
	if err := s.Do(bad); err == nil || err.Error() != `bad x\;y: exit status 2` {
		t.Errorf("Do of a command that fails: %v", err)
	}
	if want := "\tcd " + w.dir + "/src && make -C \"a b\"\n\tbad x\\;y\n"; w.stdout.String() != want {
		t.Errorf("shown %q; want %q", w.stdout.String(), want)
	}
}

func TestSubstvars(t *testing.T) {
	add, remove, set, del := (*Session).AddSubstvar, (*Session).RemoveSubstvar, (*Session).SetSubstvar, func(s *Session, p *Package, name, _ string) error { return s.DelSubstvar(p, name) }
	for _, tt := range []struct {
		name, old string
		edit      func(*Session, *Package, string, string) error
		variable  string
		item      string
		want      string
	}{
		{"new file", "", add, "misc:Depends", "b", "misc:Depends=b\n"},
		{"new", "a=1\n", add, "misc:Depends", "b", "a=1\nmisc:Depends=b\n"},
		{"sorted", "misc:Depends=z, a, z\nb=2\n", add, "misc:Depends", "b (>= 1)", "misc:Depends=a, b (>= 1), z\nb=2\n"},
		{"there", "misc:Depends=z, b\n", add, "misc:Depends", "b", "misc:Depends=z, b\n"},
		{"part of another", "misc:Depends=bb\n", add, "misc:Depends", "b", "misc:Depends=b, bb\n"},
		{"whole name", "xmisc:Depends=1\nmisc:DependsX=2\nmisc:Depend=3\n", add, "misc:Depends", "b", "xmisc:Depends=1\nmisc:DependsX=2\nmisc:Depend=3\nmisc:Depends=b\n"},
		{"optional", "misc:Depends?=z\n", add, "misc:Depends", "b", "misc:Depends?=b, z\n"},
		{"empty", "misc:Depends=\n", add, "misc:Depends", "b", "misc:Depends=b\n"},
		{"comment", "# c\n\nmisc:Depends=z\n", add, "misc:Depends", "b", "# c\n\nmisc:Depends=b, z\n"},
		{"remove", "misc:Depends=z, b, a\n", remove, "misc:Depends", "b", "misc:Depends=a, z\n"},
		{"remove last", "x=1\nmisc:Depends=b\n", remove, "misc:Depends", "b", "x=1\n"},
		{"remove none", "misc:Depends=z, a\n", remove, "misc:Depends", "b", "misc:Depends=z, a\n"},
		{"remove from nothing", "", remove, "misc:Depends", "b", ""},
		{"set", "x=1\ngokms:Depends?=a, b\ny=2\n", set, "gokms:Depends", "c, b", "x=1\ngokms:Depends?=c, b\ny=2\n"},
		{"set new", "", set, "gokms:Depends", "", "gokms:Depends=\n"},
		{"delete", "x=1\ngokms:Depends?=a\ny=2\n", del, "gokms:Depends", "", "x=1\ny=2\n"},
		{"delete none", "x=1\n", del, "gokms:Depends", "", "x=1\n"},
	} {
		w := newWorld(t, map[string]string{"debian/probe-any.substvars": tt.old})
		s := w.init(t, nil)
		for range 2 { // all of them change nothing the second time
			if err := tt.edit(s, find(t, s, "any"), tt.variable, tt.item); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if got := w.read(t, "debian/probe-any.substvars"); got != tt.want {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.want)
		}
	}
}

func TestSubstvarErrors(t *testing.T) {
	s := newWorld(t, nil).init(t, nil)
	for _, tt := range []struct{ name, value, want string }{
		{"a:b", "x\ny", `substitution variable a:b: newline in "x\ny"; it is written ${Newline}`},
		{"a\nb", "x", `bad name "a\nb"`},
		{"a=b", "x", "bad name"},
		{"", "x", "bad name"},
	} {
		if err := s.AddSubstvar(s.Packages[0], tt.name, tt.value); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("AddSubstvar(%q, %q): %v; want %q", tt.name, tt.value, err, tt.want)
		}
	}
}
