// SPDX-License-Identifier: MIT

// Package debhelper is debhelper's protocol for commands written in Go: what
// debhelper(7) asks of every dh_* command, measured against debhelper 13.11.
//
// A command declares itself as a [Command] and calls [Init] with the world it
// runs in. Init reads the environment, the options in all their spellings and
// debian/control, and returns a [Session]: the packages to act on and the
// things that commands do to them, such as finding a package's configuration
// file, adding to its maintainer scripts and substitution variables, and
// installing files. [Session.Finish] ends a command that succeeded.
//
//	s, err := debhelper.Init(ctx, command, env)
//	...
//	for _, p := range s.Packages {
//		file := s.PkgFile(p, "gokms")
//		...
//	}
//	return s.Finish()
//
// Under --no-act nothing is written and no command is run, but for programs
// that only tell something (dpkg-architecture, dh_assistant, an executable
// configuration file). Nothing here changes the owner of a file, reads the
// process's own environment, or prints anything but the commands that -v shows.
//
// What differs from debhelper: paths with a name of their own are written to a
// temporary file and renamed; a snippet of a maintainer script replaces the one
// that an earlier run put there; the values that go into it are quoted for the
// shell; variables in configuration files are never expanded twice; an
// executable configuration file is run at every compat level (debhelper: from 9
// on). Messages are gokms's own words.
//
// A Session is for one goroutine.
package debhelper
