// SPDX-License-Identifier: MIT

// Command gokms-mkbmdeb compiles kernel module sources and packs each, for
// each kernel asked for, as a lean binary module package.
package main

import (
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/confeval"
)

func main() {
	confeval.MaybeChild()
	cli.Main(run)
}
