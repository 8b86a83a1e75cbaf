// SPDX-License-Identifier: MIT

package changelog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/version"
)

// dateLayout is the form of dates that Policy 4.4 asks for.
const dateLayout = "Mon, 02 Jan 2006 15:04:05 -0700"

// Format writes entries as a changelog file, in the given order. What [Parse]
// reads back is what was given, line numbers apart; an entry of which that
// would not be true is an error. DateText may be empty, else it must say Date.
func Format(entries ...Entry) ([]byte, error) {
	var b bytes.Buffer
	for i, e := range entries {
		if i > 0 {
			b.WriteByte('\n')
		}
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("format changelog entry %q: %w", e.Version, err)
		}
		e.write(&b)
	}
	if err := verify(b.Bytes(), entries); err != nil {
		return nil, fmt.Errorf("format changelog: %w", err)
	}
	return b.Bytes(), nil
}

// check finds the common mistakes, to call them by their name; verify finds
// the rest.
func (e Entry) check() error {
	switch {
	case e.Source == "":
		return fmt.Errorf("no source package")
	case len(e.Distributions) == 0:
		return fmt.Errorf("no distribution")
	case len(e.Changes) == 0:
		return fmt.Errorf("no changes")
	case e.Date.IsZero():
		return fmt.Errorf("no date")
	}
	for _, line := range e.Changes {
		if !blankLine.MatchString(line) && !changeLine.MatchString(line) {
			return fmt.Errorf("change %q does not begin with two blanks", line)
		}
	}
	return version.Validate(e.Version)
}

func (e Entry) write(b *bytes.Buffer) {
	var options []string
	if e.Urgency != "" {
		options = append(options, "urgency="+e.Urgency)
	}
	for _, kv := range e.Metadata {
		options = append(options, kv.Key+"="+kv.Value)
	}
	heading := fmt.Sprintf("%s (%s) %s; %s", e.Source, e.Version, strings.Join(e.Distributions, " "), strings.Join(options, ", "))
	fmt.Fprintf(b, "%s\n\n", strings.TrimRight(heading, " "))
	for _, line := range e.Changes {
		fmt.Fprintf(b, "%s\n", line)
	}
	fmt.Fprintf(b, "\n -- %s <%s>  %s\n", e.Maintainer, e.Email, e.dateText())
}

func (e Entry) dateText() string {
	if e.DateText != "" {
		return e.DateText
	}
	return e.Date.Format(dateLayout)
}

// verify parses text again and compares, so that no value can forge a line.
func verify(text []byte, want []Entry) error {
	got, err := Parse(bytes.NewReader(text), "")
	if err != nil {
		return err
	}
	if len(got.Entries) != len(want) {
		return fmt.Errorf("%d entries would be read back as %d", len(want), len(got.Entries))
	}
	for i, e := range got.Entries {
		if what := e.differs(want[i]); what != "" {
			return fmt.Errorf("entry %q cannot be written: its %s would be read back differently", want[i].Version, what)
		}
	}
	return nil
}

// differs names the first field in which e, as parsed, is not want.
func (e Entry) differs(want Entry) string {
	switch {
	case e.Source != want.Source:
		return "source"
	case e.Version != want.Version:
		return "version"
	case !slices.Equal(e.Distributions, want.Distributions):
		return "distributions"
	case e.Urgency != want.Urgency:
		return "urgency"
	case !slices.Equal(e.Metadata, want.Metadata):
		return "metadata"
	case !slices.Equal(e.Changes, want.Changes):
		return "changes"
	case e.Maintainer != want.Maintainer:
		return "maintainer"
	case e.Email != want.Email:
		return "e-mail address"
	case !e.Date.Equal(want.Date), e.DateText != want.dateText():
		return "date"
	}
	return ""
}
