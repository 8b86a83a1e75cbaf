// SPDX-License-Identifier: MIT

package changelog

import (
	"strconv"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/version"
)

var (
	// SOURCE (VERSION) DISTRIBUTION...; key=value, ...
	headingLine = compile(`^(\w[-+.0-9A-Za-z]*) \(([^() \t]+)\)((?:\s+[-+.0-9A-Za-z]+)+);(.*)$`)
	// -- NAME <EMAIL>  DAY, DATE; a single blank before the date is a warning
	trailerLine = compile(`^ -- (.*) <(.*)>( {1,2})((?:(\w+),\s*)?` +
		`(\d{1,2}\s+(\w+)\s+\d{4}\s+\d{1,2}:\d\d:\d\d\s+[-+]\d{4}))\s*$`)
	keyValue     = compile(`^([-0-9A-Za-z]+)=\s*(.*\S)$`)
	urgencyValue = compile(`^[-0-9A-Za-z]+(?:\s.*)?$`)
	extraKey     = compile(`(?i)^X[BCS]+-`)
)

// whiteSpace is what compile makes of \s, as a cutset.
const whiteSpace = " \t\n\v\f\r"

func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(whiteSpace, r) })
}

// parseHeading fills the entry from a line that headingLine matches.
func (p *parser) parseHeading(text string) {
	m := headingLine.FindStringSubmatch(text)
	p.entry.Source = m[1]
	if err := version.Validate(m[2]); err != nil {
		p.warn("%w", err)
	} else {
		p.entry.Version = m[2]
	}
	p.entry.Distributions = fields(m[3])
	options := strings.TrimRight(m[4], whiteSpace+",") // dpkg overlooks commas at the end
	if options == "" {
		return
	}
	seen := map[string]bool{}
	for _, part := range strings.Split(options, ",") {
		part = strings.Trim(part, whiteSpace)
		kv := keyValue.FindStringSubmatch(part)
		if kv == nil {
			p.warn("bad key=value %q in heading", part)
			continue
		}
		p.keyValue(kv[1], kv[2], seen)
	}
}

// keyValue takes one "key=value" of the heading; the first of a key counts.
func (p *parser) keyValue(key, value string, seen map[string]bool) {
	lower := strings.ToLower(key)
	repeated := seen[lower]
	seen[lower] = true
	switch {
	case repeated:
		p.warn("repeated key %q in heading", key)
		return
	case lower == "urgency":
		if !urgencyValue.MatchString(value) {
			p.warn("bad urgency %q", value)
		}
		p.entry.Urgency = strings.ToLower(fields(value)[0])
		return
	case lower == "binary-only":
		if value != "yes" {
			p.warn("bad value %q of binary-only", value)
		}
	case !extraKey.MatchString(key):
		p.warn("unknown key %q in heading", key)
	}
	p.entry.Metadata = append(p.entry.Metadata, KeyValue{key, value})
}

// parseTrailer fills the entry from a line that trailerLine matches.
func (p *parser) parseTrailer(text string) {
	m := trailerLine.FindStringSubmatch(text)
	e := &p.entry
	e.Maintainer, e.Email, e.DateText, e.Date = m[1], m[2], m[4], time.Time{}
	if m[3] != "  " {
		p.warn("one blank instead of two before the date")
	}
	if day := m[5]; day != "" && !shortDays[day] {
		p.warn("bad day of week %q", day)
	}
	date, ok := parseDate(m[6])
	if !ok {
		p.warn("bad date %q", m[6])
		return
	}
	e.Date = date
}

var shortDays = map[string]bool{"Mon": true, "Tue": true, "Wed": true, "Thu": true, "Fri": true, "Sat": true, "Sun": true}

// parseDate reads "2 Jan 2006 15:04:05 -0700" as dpkg does: months in any
// case, days past the end of a month run into the next, day 0 is the first,
// any four digits are a zone.
func parseDate(text string) (time.Time, bool) {
	f := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(whiteSpace+":", r) })
	day, year, hour, minute, second := atoi(f[0]), atoi(f[2]), atoi(f[3]), atoi(f[4]), atoi(f[5])
	month := monthNumber(f[1])
	if month == 0 || day > 31 || year < 1900 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	zone := atoi(f[6][1:3])*3600 + atoi(f[6][3:])*60
	if f[6][0] == '-' {
		zone = -zone
	}
	return time.Date(year, month, max(day, 1), hour, minute, second, 0, time.FixedZone("", zone)), true
}

func monthNumber(name string) time.Month {
	for m := time.January; m <= time.December; m++ {
		if strings.EqualFold(name, m.String()[:3]) {
			return m
		}
	}
	return 0
}

// atoi is for digits that a regexp has matched.
func atoi(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
