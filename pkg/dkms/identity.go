// SPDX-License-Identifier: MIT

package dkms

import (
	"errors"
	"fmt"
	"strings"
)

// Identity returns PACKAGE_NAME and PACKAGE_VERSION, checked as [Resolve]
// checks them, for callers that want no more.
func (v *Values) Identity() (name, version string, err error) {
	r := &resolver{v: v, conf: &Conf{}}
	r.identity()
	return r.conf.Name, r.conf.Version, errors.Join(r.errs...)
}

// String says which rule excludes what.
func (x *Exclusion) String() string {
	if strings.HasPrefix(x.Rule, "BUILD_EXCLUSIVE_CONFIG") { // of which Found is a sentence
		return fmt.Sprintf("%s=\"%s\": %s", x.Rule, x.Value, x.Found)
	}
	return fmt.Sprintf("%s=\"%s\" excludes %s", x.Rule, x.Value, x.Found)
}
