// SPDX-License-Identifier: MIT

// Command dh_gokms prepares packages of kernel module sources for dkms and
// gokms: it installs sources and dkms.conf to usr/src/NAME-VERSION and adds
// maintainer scripts and dependencies. It is a drop-in for dh_dkms.
package main

import (
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/confeval"
)

func main() {
	confeval.MaybeChild()
	cli.Main(run)
}
