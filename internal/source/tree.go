// SPDX-License-Identifier: MIT

package source

// TreeIdentity is what the Debian source package at dir says of the package
// called binary, from debian/changelog, debian/control and debian/copyright.
func TreeIdentity(dir, binary string) (Debian, error) {
	r := &resolver{Options: Options{Dir: dir}, arg: "."}
	d, t, err := r.treeIdentity(dir)
	if err != nil {
		return Debian{}, err
	}
	if s, ok := t.Package(binary); ok {
		d = d.of(s)
	}
	return d, nil
}
