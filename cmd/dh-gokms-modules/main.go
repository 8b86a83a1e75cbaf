// SPDX-License-Identifier: MIT

// Command dh_gokms_modules compiles the kernel modules of a source package and
// adds a binary module package for each kernel to what the build yields.
package main

import (
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/confeval"
)

func main() {
	confeval.MaybeChild()
	cli.Main(run)
}
