// SPDX-License-Identifier: MIT

package testkit

import (
	"fmt"
	"runtime"
	"testing"
)

// recorded is a test whose end is looked at.
type recorded struct {
	testing.TB
	end string
}

func (r *recorded) Helper() {}

func (r *recorded) Fatalf(format string, args ...any) {
	r.end = "FAIL " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorded) Skipf(format string, args ...any) {
	r.end = "SKIP " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestMissing(t *testing.T) {
	for _, tt := range []struct{ require, program, want string }{
		{"", "sh", ""},
		{"1", "sh", ""},
		{"", "no-such-program", "SKIP missing: program no-such-program"},
		{"1", "no-such-program", "FAIL GOKMS_REQUIRE=1 and missing: program no-such-program"},
	} {
		t.Setenv("GOKMS_REQUIRE", tt.require)
		r := &recorded{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Tools(r, "sh", tt.program)
		}()
		<-done
		if r.end != tt.want {
			t.Errorf("GOKMS_REQUIRE=%q: Tools(%s) ends with %q; want %q", tt.require, tt.program, r.end, tt.want)
		}
	}
}
