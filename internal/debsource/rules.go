// SPDX-License-Identifier: MIT

package debsource

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/textfile"
)

// skippedTargets are rules that dh does not run any more when dh_dkms is
// replaced.
var skippedTargets = regexp.MustCompile(`^(override_|execute_before_|execute_after_)dh_dkms(-arch|-indep)?$`)

// CheckRules refuses what is left of dh_dkms: targets in debian/rules that dh
// would pass over without a word, and its sequence, which would do all things
// twice.
func (t *Tree) CheckRules() error {
	relations, err := t.Session.Control.BuildDepends()
	if err != nil {
		return err
	}
	if slices.Contains(relations.Names(), "dh-sequence-dkms") {
		return &hinted{textfile.Errorf("debian/control", t.Session.Control.Source.Fields[0].Line,
			"Build-Depends has dh-sequence-dkms, which does what dh_gokms does"),
			"remove it"}
	}
	text, err := os.ReadFile(t.path("debian/rules"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "#") {
			continue
		}
		targets, _, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		for _, target := range strings.Fields(targets) {
			if skippedTargets.MatchString(target) {
				errs = append(errs, &hinted{
					textfile.Errorf("debian/rules", i+1, "target %s is never run: dh calls dh_gokms, not dh_dkms", target),
					"rename it to " + strings.Replace(target, "dh_dkms", "dh_gokms", 1) + ", and dh_dkms inside to dh_gokms",
				})
			}
		}
	}
	return errors.Join(errs...)
}
