// SPDX-License-Identifier: MIT

package depmod

import (
	"strings"
	"testing"
	"time"
)

// kernelTests are about the release 6.1.0-1-t+x. TestOracleKernels asks
// depmod about each row.
var kernelTests = []struct {
	expr string
	want bool
}{
	{"*", true}, {"**", false}, {"6.1.0-1-t[+]x", true}, {"6.1.0-1-t+x", false}, {"6.1", true}, {"1.0", true}, {"^1.0", false},
	{"x$", true}, {"t$", false}, {"^6.*x$", true}, {`6\.1`, true}, {`6\.2`, false}, {"5|6", true}, {"^(5|7)", false}, {"(", false}, {"()", true},
	{"a)", false}, {"6.1.0)", false}, {"0)|6", true}, {"|", true}, {"a|", true}, {"|*", false}, {"(*6)", false}, {"^*", false}, {"$*", false},
	{`\`, false}, {"6{1}", true}, {"6{2}", false}, {"6{,2}", true}, {"6{,}", true}, {"6{", false}, {"6{1", false}, {"6{1,0}", false}, {"6{a}", false},
	{"6{}", false}, {"{", false}, {"6}", false}, {"6{1}{1}", true}, {"9{0}", true}, {"6{9}", false}, {"9{0,99}", true}, {"9{0,32768}", false},
	{"[0-9]", true}, {"[^0-9]", true}, {"[]", false}, {"[]6]", true}, {"[^]6]", true}, {"[a-]", true}, {"[9-0]", false}, {"[+--]", true}, {"[5-7-9]", false},
	{"[[:digit:]]", true}, {"[[:DIGIT:]]", false}, {"[[:digit:", false}, {"[[.6.]]", true}, {"[[.five.]]", false}, {"[[=6=]]", true}, {"[[.4.]-[.7.]]", true},
	{"[[:digit:]-]", true}, {"[[:digit:]-z]", false}, {"[.]", true}, {`[\.]`, true}, {`\w\W`, true}, {`\bt\b`, true}, {`\<t\>`, true}, {`\<1\.`, true}, {`t\B`, false},
	{"\\`6", true}, {`x\'`, true}, {`\`, false}, {`\s`, false}, {`\S`, true}, {`\<*`, false}, {"(6.)+(1.0)*", true}, {"((a*)*)*", true}, {"(6|6.1)[.]0", true},
}

func TestMatchKernel(t *testing.T) {
	for _, tt := range kernelTests {
		if got := matchKernel(tt.expr, "6.1.0-1-t+x"); got != tt.want {
			_, err := compileKernel(tt.expr)
			t.Errorf("matchKernel(%q) = %v (%v); want %v", tt.expr, got, err, tt.want)
		}
	}
}

func TestMatchKernelRefuses(t *testing.T) {
	for expr, want := range map[string]string{
		`(6)\1`:                  "back references",
		strings.Repeat("(", 999): "too deeply",
	} {
		if _, err := compileKernel(expr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("compileKernel(%.20q) = %v; want %s", expr, err, want)
		}
	}
}

func TestMatchKernelEnds(t *testing.T) {
	start := time.Now()
	for _, expr := range []string{
		strings.Repeat("(", 150) + "6" + strings.Repeat("*)+", 150) + "y",
		"((((.{1,32767}){1,32767}){1,32767}){1,32767}){1,32767}y",
		strings.Repeat("(.?){32767}", 50) + "y",
	} {
		if matchKernel(expr, strings.Repeat("6", 300)) {
			t.Errorf("%.20q matches", expr)
		}
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}
