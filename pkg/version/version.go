// SPDX-License-Identifier: MIT

// Package version checks, takes apart and compares Debian package versions:
// [epoch:]upstream[-revision], as Debian Policy 5.6.12 and deb-version(7)
// describe them and as dpkg 1.21 judges them, but for a newline before an
// epoch, which dpkg overlooks.
//
// The functions are pure and safe for concurrent use.
package version

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	debversion "pault.ag/go/debian/version"
)

// Validate reports what makes dpkg refuse v, nil if nothing does. As in dpkg,
// blanks and tabs around the version do not count.
func Validate(v string) error {
	if err := check(v); err != nil {
		return fmt.Errorf("version %q: %w", v, err)
	}
	return nil
}

// ValidRevision reports what keeps r from being appended to a version as "+r",
// nil if nothing does. It may hold no hyphen: that would make what follows it the
// Debian revision, and what was this part of the upstream version, by which
// "1-2+a-1" is later than "1-3".
func ValidRevision(r string) error {
	if r == "" || foreign(r, ".+~") != "" || strings.ContainsRune(".+~", rune(r[0])) {
		return errors.New(`want letters, digits, ".", "+" and "~", a letter or digit first`)
	}
	return nil
}

// Compare returns a negative number if a is earlier than b, a positive one if
// it is later, and 0 if dpkg holds the two for equal ("1.0" and "0:1.0-0").
// Versions that [Validate] refuses are ordered by the same rules.
func Compare(a, b string) int {
	return debversion.Compare(parsed(a), parsed(b))
}

// Upstream returns v without epoch and revision: "1:2.4-3-1" yields "2.4-3".
func Upstream(v string) string { return split(v).upstream }

// Revision returns what follows the last hyphen of v, "" for a native version.
func Revision(v string) string { return split(v).revision }

// Epoch returns the text before the first colon of v, "" where there is none.
func Epoch(v string) string { return split(v).epoch }

// parts is a version cut at its separators; has... tell an empty part from a
// missing one.
type parts struct {
	epoch, upstream, revision string
	hasEpoch, hasRevision     bool
}

func split(v string) parts {
	var p parts
	p.upstream = strings.Trim(v, " \t")
	if i := strings.IndexByte(p.upstream, ':'); i >= 0 {
		p.epoch, p.upstream, p.hasEpoch = p.upstream[:i], p.upstream[i+1:], true
	}
	if i := strings.LastIndexByte(p.upstream, '-'); i >= 0 {
		p.upstream, p.revision, p.hasRevision = p.upstream[:i], p.upstream[i+1:], true
	}
	return p
}

func check(v string) error {
	p := split(v)
	if p.hasEpoch {
		if _, err := epochNumber(p.epoch); err != nil {
			return err
		}
	}
	switch {
	case p.upstream == "":
		return errors.New("empty upstream version")
	case p.hasRevision && p.revision == "":
		return errors.New("empty revision")
	case !isDigit(p.upstream[0]):
		return errors.New("upstream version does not start with a digit")
	}
	if c := foreign(p.upstream, ".-+~:"); c != "" {
		return fmt.Errorf("character %q in upstream version", c)
	}
	if c := foreign(p.revision, ".+~"); c != "" {
		return fmt.Errorf("character %q in revision", c)
	}
	return nil
}

// epochNumber reads an epoch as strtol(3) does for dpkg: a sign is allowed,
// the number must fit an int.
func epochNumber(text string) (uint, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || n > math.MaxInt32:
		return 0, fmt.Errorf("epoch %q is out of range", text)
	case err != nil:
		return 0, fmt.Errorf("epoch %q is not a number", text)
	case n < 0:
		return 0, fmt.Errorf("epoch %q is negative", text)
	}
	return uint(n), nil
}

// foreign returns the first character of s that is neither an ASCII letter or
// digit nor in extra.
func foreign(s, extra string) string {
	for _, r := range s {
		letter := r|0x20 >= 'a' && r|0x20 <= 'z' && r < 0x80
		if !letter && (r < '0' || r > '9') && !strings.ContainsRune(extra, r) {
			return string(r)
		}
	}
	return ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// parsed makes the value that pault.ag compares. Its own Parse accepts "-1",
// "1.0-" and any epoch, so that it is not asked.
func parsed(v string) debversion.Version {
	p := split(v)
	epoch, _ := epochNumber(p.epoch) // of a bad version: 0
	return debversion.Version{Epoch: epoch, Version: p.upstream, Revision: p.revision}
}
