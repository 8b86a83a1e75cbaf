// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"
)

// help is the text of --help.
func help() string {
	var list strings.Builder
	for _, v := range verbs() {
		fmt.Fprintf(&list, "  %-20s %s\n", v.name, v.summary)
	}
	return `Usage: gokms VERB [options] [arguments]

What is needed around the building of kernel module packages, which is done by
gokms-mkbmdeb.

Verbs:
` + list.String() + `
  help [VERB]          print this text, or that of a verb

Options:
      --version        print the version
  -h, --help           print this text; behind a verb, that of the verb
`
}
