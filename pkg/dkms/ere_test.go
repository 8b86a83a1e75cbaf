// SPDX-License-Identifier: MIT

package dkms

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// ereRows are held against bash, but for the ones that say why not.
var ereRows = []struct{ expr, differs string }{
	{`^(5\.[6-9]\.|5\.[1-9][0-9]\.|[6-9]\.)`, ""}, {`^(4\.9.*)|(4\.14.*)`, ""}, {`REQUIRES CONFIG_VIDEO_DEV`, ""},
	{`^do_not_build$`, ""}, {`6.1`, ""}, {`^6\.1\.`, ""}, {`amd64$`, ""}, {`x86_64|aarch64`, ""}, {`(x86_64)|(i.86)`, ""},
	{`^[2-9]\.[0-9]+`, ""}, {`[[:digit:]]+\.[[:digit:]]+`, ""}, {`[^[:alpha:]]`, "classes are ASCII"}, {`^[[:alnum:]_.-]+$`, "classes are ASCII"},
	{`[]a]`, ""}, {`[^]6]`, ""}, {`[a-]`, ""}, {`[-6]`, ""}, {`[\.]`, ""}, {`[\]`, ""}, {`[a-c-e]`, ""}, {`[z-a]`, ""},
	{`[--/]`, ""}, {`[[.-.]]`, ""}, {`[[=a=]]`, ""}, {`[[.hyphen.]]`, ""}, {`[[:nope:]]`, ""},
	{`[[:word:]]`, ""}, {`[`, ""}, {`[a`, ""}, {`[]`, ""}, {`[^]`, ""}, {`[[:digit:]`, ""},
	{`a{2}`, ""}, {`6{1}`, ""}, {`a{,2}`, ""}, {`(am){1,2}d`, ""}, {`6{1,}`, ""}, {`6{2,1}`, ""}, {`6{`, ""}, {`6{a}`, ""}, {`6{1`, ""}, {`{1}`, ""},
	{`6{300}`, ""}, {`6{2000}`, "package regexp repeats at most 1000 times"},
	{`*6`, ""}, {`^*6`, ""}, {`(*6)`, ""}, {`6|*1`, ""}, {`+`, ""}, {`6**`, ""}, {`6+?`, ""}, {`6*+`, ""}, {`(6?)+`, ""},
	{`()`, ""}, {`6()`, ""}, {`6|`, ""}, {`|nope`, ""}, {`(|nope)x`, ""}, {`a||b`, ""}, {`(`, ""}, {`)`, ""}, {`6)`, ""}, {`((6)`, ""}, {`(6))`, ""},
	{`6^1`, ""}, {`6$1`, ""}, {`$`, ""}, {`^`, ""}, {`^^6`, ""}, {`$$`, ""}, {`64$*`, ""}, {`^+6`, ""}, {`(^6)`, ""}, {`(64$)`, ""},
	{`\.`, ""}, {`\6`, ""}, {`(6)\1`, "back references"}, {`6\`, ""}, {`\w+-\w+`, ""}, {`\bamd`, ""}, {`\<amd64\>`, ""}, {`\Bmd`, ""},
	{`\s`, ""}, {`\S`, ""}, {`\d`, ""}, {`\d+`, ""}, {`\a`, ""}, {`\-`, ""}, {`\(`, ""}, {`\{`, ""}, {`\[`, ""}, {"\\`6", ""}, {`\x41`, ""},
	{`.`, ""}, {`...........................`, ""}, {`ü`, ""}, {`[äü]`, ""}, {`^.$`, ""}, {`[ab]*$`, ""}, {`-rt-`, ""}, {`^3\.(1[0-9]|[0-9])\b`, ""},
	{`(?i)AMD`, ""}, {`(?:6)`, ""}, {`6??`, ""}, {`\Q6`, ""}, {`\pL`, ""}, {`\z`, ""}, {`\A6`, ""}, {` `, ""}, {`a b`, ""}, {`~`, ""}, {`6~`, ""},
}

var ereTexts = []string{
	"6.1.0-56-amd64", "5.10.0-8-rt-amd64", "4.19.0", "x86_64", "aarch64", "", "a", "aa", "-", "]", "\\", ".", "66", "6)", "(", ")",
	"{", "[", "amamd", "ü", "^6", "6$1", "6\n1", "d", "Q6", "pL", "z", "A6", "x41", "?", "/", "do_not_build", "a b", "~", "6~", "AMD",
}

func TestERE(t *testing.T) {
	testkit.Tools(t, "bash")
	for _, row := range ereRows {
		cmd := exec.Command("bash", append([]string{"-c", `re=$1; shift; for s; do [[ $s =~ $re ]]; printf %s $?; done`, "bash", row.expr}, ereTexts...)...)
		cmd.Env = []string{"LC_ALL=C.UTF-8"}
		want, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Repeat("2", len(ereTexts))
		re, err := compileERE(row.expr)
		if err == nil {
			got = ""
			for _, s := range ereTexts {
				got += map[bool]string{true: "0", false: "1"}[re.MatchString(s)]
			}
		}
		if (got == string(want)) != (row.differs == "") {
			t.Errorf("%q: got %s (%v); bash %s; differs: %q", row.expr, got, err, want, row.differs)
		}
	}
}

func FuzzERE(f *testing.F) {
	for _, row := range ereRows {
		f.Add(row.expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		if re, err := compileERE(expr); err == nil {
			re.MatchString("6.1.0-56-amd64")
		}
	})
}
