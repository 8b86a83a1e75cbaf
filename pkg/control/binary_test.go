// SPDX-License-Identifier: MIT

package control

import (
	"strings"
	"testing"
)

const (
	minimal = "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b>\nDescription: d\n"
	amd64   = "Package: x\nVersion: 1\nArchitecture: amd64\nMaintainer: A <a@b>\nDescription: d\n"
)

// binaryTest is a control file: whole, or the lines that follow [minimal].
type binaryTest struct {
	whole, more string
	wantErr     string // "" if it is accepted
	differs     string // why dpkg-deb's answer is another one
}

func (tt binaryTest) text() string {
	if tt.whole != "" {
		return tt.whole
	}
	return minimal + tt.more
}

func without(field string) string {
	var kept []string
	for line := range strings.SplitAfterSeq(minimal, "\n") {
		if !strings.HasPrefix(line, field+":") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func with(field, value string) string { return field + ": " + value + "\n" + without(field) }

// binaryTests is also given to dpkg-deb, see oracle_test.go.
var binaryTests = []binaryTest{
	{whole: minimal},
	{whole: "\n\n" + minimal + "\n\n\n"},
	{whole: strings.ToUpper(without("Description")) + "description: d\n"},
	{whole: strings.ReplaceAll(minimal, "\n", "\r\n")},
	{whole: without("Maintainer")},
	{whole: without("Description")},
	{whole: without("Version"), wantErr: "f: no field Version"},
	{whole: without("Package"), wantErr: "f: no field Package"},
	{whole: without("Architecture"), wantErr: "f: no field Architecture"},
	{whole: "\n", wantErr: "f: no stanza found"},
	{whole: strings.TrimSuffix(minimal, "\n"), wantErr: `f:5: last line "Description: d" does not end in a newline`},
	{whole: minimal + "\n" + minimal, wantErr: "f:7: second stanza; only one is allowed here"},
	{whole: "# c\n" + minimal, wantErr: `f:1: comment "# c"; none are allowed here`},
	{more: " e\n# c\n f\n", wantErr: `f:7: comment "# c"; none are allowed here`},
	{more: "#X: y\n", wantErr: `f:6: comment "#X: y"`, differs: "to dpkg-deb this is a field called #X; deb822(5) says otherwise"},
	{more: " \n", wantErr: "f:6: line of white space"},
	{more: " a\n \n b\n", wantErr: "f:7: line of white space"},
	{whole: strings.ReplaceAll(minimal+"\n", "\n", "\r\n"), wantErr: "f:6: line of white space"},
	{whole: " \n" + minimal, wantErr: "f:1: line of white space"},
	{whole: " x\n" + minimal, wantErr: "f:1: continuation line"},
	{more: " .\n ..\n\ttab\n  more\n"},
	{more: "X-A:\n", wantErr: `f:6: nothing after the empty field "X-A:"`},
	{more: "X-A:\n\n"},
	{more: "X-A: b\nX-a: c\n", wantErr: "f:7: duplicate field X-a, first on line 6"},
	{more: "word\n", wantErr: "is not of the form NAME: VALUE"},
	{more: ": a\n", wantErr: "is not of the form NAME: VALUE"},
	{more: "two words: a\n", wantErr: "is not of the form NAME: VALUE"},
	{more: "-A: b\n", wantErr: "begins with a hyphen"},
	{more: "X: b\n", wantErr: `f:6: field name "X" is too short`},
	{more: "XY: b\n"},
	{more: "X-A : b\n"},
	{more: "Xé: a\n"},
	{more: "X-A: a\x1a\n", wantErr: `f:6: end-of-file character (^Z) in "X-A: a\x1a"`, differs: "dpkg-deb takes ^Z for the end of the file"},
	{more: "X\x1a: a\n", wantErr: "end-of-file character"},
	{more: "X-A: a\x00b\n"},
	{whole: "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + minimal, wantErr: "is not of the form NAME: VALUE"},

	{whole: with("Package", "Xy")},
	{whole: with("Package", "a")},
	{whole: with("Package", "2x.")},
	{whole: with("Package", "x_y"), wantErr: `f:1: field Package: character '_' in package name "x_y"`},
	{whole: with("Package", "+a"), wantErr: "does not begin with a letter or digit"},
	{whole: with("Package", ".."), wantErr: "does not begin with a letter or digit"},
	{whole: with("Package", "a~b"), wantErr: "character '~'"},
	{whole: with("Package", "a b"), wantErr: "character ' '"},
	{whole: with("Package", "a/../b"), wantErr: "character '/'"},
	{whole: with("Package", "a\n b"), wantErr: `character '\n'`},
	{whole: "Package:\n" + without("Package"), wantErr: "empty package name"},
	{whole: "Package:\n x\n" + without("Package"), wantErr: `character '\n'`},
	{whole: with("Version", "1:2.0~a-3+b1")},
	{whole: with("Version", "abc"), wantErr: `f:1: field Version: version "abc": upstream version does not start with a digit`},
	{whole: with("Version", "1-"), wantErr: "empty revision"},
	{whole: with("Version", "1_0"), wantErr: `character "_"`},
	{whole: with("Version", "1 2"), wantErr: `character " "`},
	{whole: with("Version", "1\n 2"), wantErr: `character "\n"`},
	{whole: "Version:\n" + without("Version"), wantErr: "empty upstream version"},
	{whole: with("Architecture", "foo")},
	{whole: with("Architecture", "linux-any")},
	{whole: with("Architecture", "amd64 i386")},
	{whole: "Architecture:\n" + without("Architecture"), wantErr: "f:1: field Architecture: no value"},

	{more: "Multi-Arch: Foreign \n"},
	{whole: "Multi-Arch:\n" + minimal},
	{more: "Multi-Arch: what\n", wantErr: `f:6: field Multi-Arch: "what" is none of no, foreign, allowed, same`},
	{more: "Multi-Arch: foreign x\n", wantErr: "is none of"},
	{more: "Multi-Arch: Same\n", wantErr: "f:6: field Multi-Arch: \"Same\" does not go with architecture all"},
	{whole: amd64 + "Multi-Arch: same\n"},
	{more: "Essential: YES\n"},
	{more: "Essential: y\n", wantErr: `"y" is none of no, yes`},
	{more: "Protected: perhaps\n", wantErr: `"perhaps" is none of no, yes`},
	{more: "Priority: bla bla\n"},
	{whole: "Section:\nPriority:\nSource:\nHomepage:\n" + minimal},
	{more: "Installed-Size: foo\nSource: Foo_(bar)\nOrigin: \\ é\nBugs: nowhere\n"},
	{more: "Status: install ok installed\n", wantErr: "f:6: field Status: not allowed"},
	{more: "Config-Version: 1\n", wantErr: "field Config-Version: not allowed"},
	{more: "Triggers-Pending: a\n", wantErr: "field Triggers-Pending: not allowed"},
	{more: "Triggers-Awaited: a\n", wantErr: "field Triggers-Awaited: not allowed"},
	{more: "Filename: a\nSize: x\nMD5sum: z\n"},
	{whole: "Filename:\n" + minimal, wantErr: "field Filename: no value"},
	{whole: "Size:\n" + minimal, wantErr: "field Size: no value"},
	{whole: "MD5sum:\n" + minimal, wantErr: "field MD5sum: no value"},
	{whole: "MSDOS-Filename:\n" + minimal, wantErr: "field MSDOS-Filename: no value"},
	{more: "Conffiles:\n /x 0123456789abcdef0123456789abcdef\n /y 1 obsolete\n /z newconffile\n"},
	{whole: "Conffiles:\n" + minimal},
	{more: "Conffiles: /a 1\n", wantErr: "does not stand on a line of its own"},
	{more: "Conffiles:\n /x\n", wantErr: "is not of the form PATH HASH"},
	{more: "Conffiles:\n / 1\n", wantErr: "is not of the form PATH HASH"},

	{whole: "Depends:\n" + minimal},
	{more: "Depends: foo:any (>= 1), bar | baz(<<2) , qux ( = 1 )\n"},
	{more: "Depends: foo,\n bar (=\n 1),\n\tbaz\n"},
	{more: "Depends: foo (> 1), bar (<1), baz (1), _x\n", wantErr: `bad relation "_x"`},
	{more: "Depends: foo (> 1), bar (<1), baz (1), Foo_x, f\n"},
	{more: "Depends: foo,\n", wantErr: `f:6: field Depends: bad relation ""`},
	{more: "Depends: ,foo\n", wantErr: `bad relation ""`},
	{more: "Depends: foo,,bar\n", wantErr: `bad relation ""`},
	{more: "Depends: foo|\n", wantErr: `bad relation ""`},
	{more: "Depends: |foo\n", wantErr: `bad relation ""`},
	{more: "Depends: ,\n", wantErr: `bad relation ""`},
	{more: "Depends: foo (== 1)\n", wantErr: `bad relation "foo (== 1)"`},
	{more: "Depends: foo (=> 1)\n", wantErr: `bad relation`},
	{more: "Depends: foo (!= 1)\n", wantErr: `bad relation`},
	{more: "Depends: foo (> = 1)\n", wantErr: `bad relation`},
	{more: "Depends: foo (>>> 1)\n", wantErr: `bad relation`},
	{more: "Depends: foo ()\n", wantErr: `bad relation`},
	{more: "Depends: foo (= )\n", wantErr: `relation`},
	{more: "Depends: foo (>)\n", wantErr: `relation`},
	{more: "Depends: foo (= 1\n", wantErr: `bad relation`},
	{more: "Depends: foo (= 1 2)\n", wantErr: `bad relation`},
	{more: "Depends: foo (= (1))\n", wantErr: `bad relation`},
	{more: "Depends: foo (= 1) bar\n", wantErr: `bad relation`},
	{more: "Depends: foo (=1)(=2)\n", wantErr: `bad relation`},
	{more: "Depends: foo (= a)\n", wantErr: `relation "foo (= a)": version "a": upstream`},
	{more: "Depends: foo (= 1-)\n", wantErr: `empty revision`},
	{more: "Depends: foo (= 1_0)\n", wantErr: `character "_"`},
	{more: "Depends: foo (= 1,2)\n", wantErr: `bad relation`},
	{more: "Depends: foo (=-1)\n", wantErr: `empty upstream`},
	{more: "Depends: foo (>=~1)\n", wantErr: `does not start`},
	{more: "Depends: foo (= 1-1:2)\n", wantErr: `epoch "1-1"`},
	{more: "Depends: foo (= ${x})\n", wantErr: `relation "foo (= ${x})"`},
	{more: "Depends: foo bar\n", wantErr: `bad relation "foo bar"`},
	{more: "Depends: foo [amd64]\n", wantErr: `bad relation`},
	{more: "Depends: foo <!x>\n", wantErr: `bad relation`},
	{more: "Depends: foo:an_y\n", wantErr: `bad relation`},
	{more: "Depends: foo:\n", wantErr: `bad relation`},
	{more: "Depends: foo :any\n", wantErr: `bad relation`},
	{more: "Depends: foo: any\n", wantErr: `bad relation`},
	{more: "Depends: foo:any:any\n", wantErr: `bad relation`},
	{more: "Depends: foo (= 1):any\n", wantErr: `bad relation`},
	{more: "Depends: ${misc:Depends}\n", wantErr: `bad relation`},
	{more: "Depends: foo~\n", wantErr: `bad relation`},
	{more: "Depends: foo/bar\n", wantErr: `bad relation`},
	{more: "Depends: é\n", wantErr: `bad relation`},
	{more: "Recommended: foo |\n", wantErr: `bad relation`},
	{more: "Optional: foo (\n", wantErr: `bad relation`},
	{more: "Pre-Depends: a|b\nRecommends: a|b\nSuggests: a|b\nEnhances: a|b\n"},
	{more: "Conflicts: a | b\n", wantErr: `f:6: field Conflicts: alternatives in "a | b"`},
	{more: "Breaks: a | b\n", wantErr: `alternatives in "a | b"`},
	{more: "Replaces: a | b\n", wantErr: `alternatives in "a | b"`},
	{more: "Provides: a | b\n", wantErr: `alternatives in "a | b"`},
	{more: "Provides: a (= 1), b (>= 1), c:any\nConflicts: x (<< 1), y:native\n"},
	{more: "Built-Using: linux (= 1)\nX-Built: foo | bar (\n"},
	{more: "Built-Using: foo | bar (\n"},
}

func TestParseOne(t *testing.T) {
	for _, tt := range binaryTests {
		got, err := ParseOne(strings.NewReader(tt.text()), "f")
		switch {
		case tt.wantErr == "" && err != nil:
			t.Errorf("ParseOne(%q): %v", tt.text(), err)
		case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
			t.Errorf("ParseOne(%q) = %v; want error with %q", tt.text(), err, tt.wantErr)
		case (err == nil) != (got.Get("Package") != ""):
			t.Errorf("ParseOne(%q) = %v", tt.text(), got)
		}
	}
	if _, err := ParseOne(strings.NewReader(""), "f"); errText(err) != "f: no stanza found" {
		t.Errorf("ParseOne of nothing = %v", err)
	}
}
