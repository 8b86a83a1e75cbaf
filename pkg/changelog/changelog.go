// SPDX-License-Identifier: MIT

// Package changelog reads and writes debian/changelog files, deb-changelog(5)
// and Debian Policy 4.4.
//
// [Parse] accepts what dpkg-parsechangelog (dpkg 1.21) accepts and refuses
// what it exits non-zero on. Where dpkg warns and goes on, the result carries
// a warning with the line, so that an entry may lack its version or its date:
// [Changelog.Version] and [Changelog.Date] say so to those who need them.
// A Changelog is not changed by any function of this package.
package changelog

import (
	"time"

	"github.com/gokms/gokms/pkg/textfile"
)

// Changelog is a parsed file: at least one entry, the newest first.
type Changelog struct {
	File     string // as the user named it, for messages
	Entries  []Entry
	Warnings []error // what dpkg warns about; each a [*textfile.Error]
}

// Entry is what the file says about one version. A field that was missing or
// unreadable is empty.
type Entry struct {
	Source        string
	Version       string // valid, or ""
	Distributions []string
	Urgency       string     // lower case, without the comment that may follow
	Metadata      []KeyValue // of the heading, other than urgency
	Changes       []string   // lines as written, blank ones between them included; no "\r" at the end
	Maintainer    string     // name alone
	Email         string
	Date          time.Time // zero where DateText cannot be read
	DateText      string    // as written
	Line          int       // of the heading, from 1; 0: made by a program
}

// KeyValue is one "key=value" of a heading, spelled as in the file.
type KeyValue struct{ Key, Value string }

// Source returns the source package's name from the newest entry.
func (c *Changelog) Source() (string, error) {
	e, err := c.newest()
	if err == nil && e.Source == "" {
		err = textfile.Errorf(c.File, e.Line, "newest entry names no source package")
	}
	return e.Source, err
}

// Version returns the newest entry's full version, which is valid.
func (c *Changelog) Version() (string, error) {
	e, err := c.newest()
	if err == nil && e.Version == "" {
		err = textfile.Errorf(c.File, e.Line, "newest entry has no valid version")
	}
	return e.Version, err
}

// Date returns the newest entry's date, what SOURCE_DATE_EPOCH is set to.
func (c *Changelog) Date() (time.Time, error) {
	e, err := c.newest()
	switch {
	case err == nil && e.DateText == "":
		err = textfile.Errorf(c.File, e.Line, "newest entry has no date")
	case err == nil && e.Date.IsZero():
		err = textfile.Errorf(c.File, e.Line, "newest entry has the unreadable date %q", e.DateText)
	}
	return e.Date, err
}

func (c *Changelog) newest() (Entry, error) {
	if len(c.Entries) == 0 {
		return Entry{}, textfile.Errorf(c.File, 0, "changelog without an entry")
	}
	return c.Entries[0], nil
}
