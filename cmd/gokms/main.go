// SPDX-License-Identifier: MIT

// Command gokms is everything around the building of module packages, a verb
// each.
package main

import (
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/confeval"
)

func main() {
	confeval.MaybeChild()
	cli.Main(run)
}
