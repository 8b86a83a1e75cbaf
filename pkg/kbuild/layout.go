// SPDX-License-Identifier: MIT

package kbuild

// Path is one place, as the host and as the build sees it. The two are equal
// without a sandbox.
type Path struct {
	Host, Build string
}

// Layout holds every directory of one build. The names are dkms's own.
type Layout struct {
	DKMSTree   Path // /var/lib/dkms as the build would like to see it
	SourceTree Path // /usr/src
	TmpDir     Path
	Headers    Path // the kernel's build directory, /lib/modules/KVER/build
	Name       string
	Version    string
}
