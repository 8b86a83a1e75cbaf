// SPDX-License-Identifier: MIT

// Package kbuild runs one build of one out-of-tree kernel module source for
// one kernel, as dkms(8) would run it: a copy of the source at
// DKMSTREE/NAME/VERSION/build, PATCH, PRE_BUILD, MAKE, a check that every
// module is there, POST_BUILD. It works on an evaluated dkms.conf
// ([dkms.Conf]) and on an opened header tree ([kernel.Tree]); it reads neither
// itself, strips nothing and installs nothing.
//
// A [Build] is a value; any number of them may run at once as long as their
// [Layout]s name different directories.
//
// Where it departs from dkms 3.4.3 on purpose:
//
//   - The environment is written down here, not inherited (see [Build.Setenv]).
//   - Jobs arrive in MAKEFLAGS, so that commands which do not begin with
//     "make" are parallel too.
//   - For kernels built with clang LLVM=1 is in the environment instead of at
//     the end of the command.
//   - CLEAN is not run (dkms stopped doing so in 3.1.8).
//   - PRE_INSTALL, POST_INSTALL, POST_ADD and POST_REMOVE concern the machine
//     that gets the module. They are reported, not run.
//
// What a build leaves is read as a stranger's: modules, symbols and the lines
// of source in errors come from regular files of the build directory, the dkms
// tree and the source alone, whatever links and names a build puts up.
//
// What a build starts and leaves running is killed with its process group, and
// what moved itself to a session of its own by a variable in its environment. A
// process that drops that variable as well escapes; only a sandbox with a
// process namespace (in front of [Build.Run]) catches it.
//
// A program that asks for the running kernel by other means than uname(1) in
// PATH, such as /bin/uname or uname(2), gets that of the machine.
package kbuild
