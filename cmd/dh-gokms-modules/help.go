// SPDX-License-Identifier: MIT

package main

// help ends with the line that dh looks for in the program's file: without a
// debian/PKG.gokms-modules it is not run. debhelper(7) has the form of it.
const help = `Usage: dh_gokms_modules [debhelper options] [-V[VERSION]] [--destdir=DIR]
                        [--sandbox=on|off|auto]

Compiles the kernel modules of a source package and adds a binary package
NAME-modules-KVER for each kernel to what the build yields.

It acts on packages with a file debian/PKG.gokms-modules:

  Kernels: linux-headers-amd64 6.1.0-*-amd64
      header packages of Build-Depends or Build-Depends-Arch, and patterns of
      the kernel releases that they stand for
  Dbgsym: yes
      a package of debug symbols, NAME-modules-KVER-dbgsym, for each as well
  Dkms: debian/x.dkms
      the dkms.conf files; without it all debian/*.dkms

  -V, -VVERSION      as for dh_gokms
      --destdir=DIR  put the packages there
      --sandbox=MODE build in a sandbox: on, off, or auto (the default), which
                     means if one can be made

The module sources are staged as dh_gokms installs them. The packages go beside
the others, or to --destdir, and into debian/files, so that .buildinfo and
.changes list them. PKG is a package for the architecture that may depend on
${gokms:Depends}, the module packages for the newest kernel of each flavour.

The options of all debhelper commands are in debhelper(7).

# PROMISE: DH NOOP WITHOUT gokms-modules cli-options()
`
