// SPDX-License-Identifier: MIT

// Package dkms reads dkms.conf (in a Debian source package: debian/PKG.dkms),
// the shell fragment that says how the modules of a source are built.
//
// It follows what dkms 3.4.3 does, not only what its manual says. A file is
// evaluated for one kernel in two passes ([Eval]): it is sourced by a shell,
// and then every value of a known directive is written out without quotes and
// read back inside double quotes, so that it is expanded a second time.
// Existing files depend on that. [Resolve] then applies the rules of the
// directives and checks the values.
//
// The shell is mvdan.cc/sh, inside this process. A dkms.conf is a program: it
// may loop, fork, and use memory without bound, of which [Eval] bounds only
// time, the number of commands and their output. A caller that does not trust
// the file isolates the process that calls Eval, as internal/confeval does.
//
// Where bash and this evaluation differ is listed, with the reason, in
// testdata/odd.txtar. Worth knowing: a syntax error is an error (dkms goes on
// with what came before it); a value whose quotes break apart in the second
// pass runs no command; "declare -i", printf %q and extended patterns in
// ${x##...} are not known; a directive that is an associative array is none;
// BASH_SOURCE in a file that the file sources is still the first; a program
// that is started asks the system itself what kernel runs, only a plain uname
// is answered here. What is known to come out otherwise than in bash ends the
// evaluation where it is reached: ${x@Q}, ${x@A}, ${#x[@]} of an associative
// array, descriptors above 2, traps of DEBUG and RETURN. That does not hold for
// what the file hides from a look at its syntax, in eval, in a file that it
// sources or in the second pass. What an EXIT trap prints is not taken for
// directives.
package dkms
