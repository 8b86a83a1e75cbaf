// SPDX-License-Identifier: MIT

package dkms

import (
	"errors"
	"fmt"
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
	return fmt.Sprintf("%s=\"%s\" excludes %s", x.Rule, x.Value, x.Found)
}
