// SPDX-License-Identifier: MIT

// Package signing signs the modules of finished packages, with a key that is
// somewhere else: [Extract] writes what is to be signed, [Attach] joins the
// signatures with the packages. Nothing is compiled again, and all bytes but
// those of the signatures, and what follows from them, stay ([Compare]).
//
// Between the two lies a directory:
//
//	manifest.json
//	PACKAGE/lib/modules/KVER/updates/dkms/NAME.ko
//
// Each NAME.ko is the module as the kernel will verify it, uncompressed. The
// signer puts one file beside it: NAME.ko.sig or NAME.ko.p7s, a detached PKCS#7
// signature in DER, as `sign-file -d` and `openssl cms -sign -binary -noattr
// -outform DER` make it; or NAME.ko.raw, the bare signature of the digest in
// the manifest, RSA by PKCS#1 v1.5 or ECDSA in DER, which is what devices and
// services for keys return. The manifest has the field names and the layout of
// the files.json of Debian's code signing service, and more.
package signing

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"

	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kmod"
)

// Programs say how xz(1) and gzip(1) are run. The zero value is ready.
type Programs struct {
	Run func(*exec.Cmd) error // nil: (*exec.Cmd).Run
}

func (p Programs) kmod() *kmod.Options { return &kmod.Options{Run: p.Run} }

func (p Programs) reader() *debfile.ReadOptions { return &debfile.ReadOptions{Run: p.Run} }

// Error is about a package, or a file of it.
type Error struct {
	Deb    string // path
	Member string // path in the package; "": all of it
	Err    error
	Cure   string // "": none
}

func (e *Error) Error() string {
	if e.Member == "" {
		return fmt.Sprintf("%s: %v", e.Deb, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Deb, e.Member, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what the user can do: Cure, else what Err says.
func (e *Error) Hint() string {
	var h interface{ Hint() string }
	if e.Cure == "" && errors.As(e.Err, &h) {
		return h.Hint()
	}
	return e.Cure
}

// moduleFile is the path of a module in a package.
var moduleFile = regexp.MustCompile(`^(?:usr/)?lib/modules/([^/]+)/.+\.ko(\.gz|\.xz|\.zst)?$`)

// kernelOf is the release whose modules a path lies among; "": it is no
// module.
func kernelOf(path string) string {
	if m := moduleFile.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	return ""
}

// plainName is the path of a module without what its compression appends.
func plainName(path string) string {
	return strings.TrimSuffix(path, moduleFile.FindStringSubmatch(path)[2])
}
