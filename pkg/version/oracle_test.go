// SPDX-License-Identifier: MIT

package version

import (
	"errors"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

// dpkgSays runs dpkg and reports whether it agreed; dpkg says no with 1, and
// with 2 to what it cannot read.
func dpkgSays(t *testing.T, args ...string) bool {
	t.Helper()
	err := exec.Command("dpkg", args...).Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil
}

func TestOracleValidate(t *testing.T) {
	testkit.Tools(t, "dpkg")
	for _, tt := range versionTests {
		got, want := Validate(tt.in) == nil, dpkgSays(t, "--validate-version", tt.in)
		if (got == want) != (tt.differs == "") {
			t.Errorf("Validate(%q) accepts: %v; dpkg: %v; row says: %q", tt.in, got, want, tt.differs)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		v := randomText(rnd, "0019a:-.~+_ \té")
		if strings.HasPrefix(v, "-") { // dpkg would take it for an option
			continue
		}
		if got, want := Validate(v) == nil, dpkgSays(t, "--validate-version", v); got != want {
			t.Errorf("Validate(%q) accepts: %v; dpkg: %v", v, got, want)
		}
	}
}

func TestOracleCompare(t *testing.T) {
	testkit.Tools(t, "dpkg")
	for _, tt := range compareTests {
		if got := dpkgCompare(t, tt.a, tt.b); got != tt.want {
			t.Errorf("dpkg compares %q, %q as %d; table has %d", tt.a, tt.b, got, tt.want)
		}
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for n := 0; n < 400; {
		a := randomText(rnd, "00129aAz.~+-:")
		b := mutate(rnd, a)
		if Validate(a) != nil || Validate(b) != nil {
			continue
		}
		n++
		if got, want := sign(Compare(a, b)), dpkgCompare(t, a, b); got != want {
			t.Errorf("Compare(%q, %q) = %d; dpkg %d", a, b, got, want)
		}
	}
}

func dpkgCompare(t *testing.T, a, b string) int {
	t.Helper()
	switch {
	case dpkgSays(t, "--compare-versions", a, "eq", b):
		return 0
	case dpkgSays(t, "--compare-versions", a, "lt", b):
		return -1
	}
	return 1
}

func randomText(rnd *rand.Rand, alphabet string) string {
	letters := []rune(alphabet)
	var b strings.Builder
	for range 1 + rnd.IntN(9) {
		b.WriteRune(letters[rnd.IntN(len(letters))])
	}
	return b.String()
}

// mutate changes one place of v, so that the two differ late.
func mutate(rnd *rand.Rand, v string) string {
	i := rnd.IntN(len(v) + 1)
	return v[:i] + randomText(rnd, "019aZ.~+-")[:1] + v[min(len(v), i+rnd.IntN(2)):]
}
