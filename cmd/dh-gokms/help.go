// SPDX-License-Identifier: MIT

package main

const help = `Usage: dh_gokms [debhelper options] [-l] [-V[VERSION]] [--runtime=dkms|none] [-- FILE]

Installs the sources of kernel modules and their dkms.conf into packages as
usr/src/NAME-VERSION, with what registers them with dkms. A drop-in for dh_dkms.

For each package with a file debian/PKG.dkms, which is a dkms.conf or names the
one of the source, and for each debian/PKG.NAME.dkms:
  - the sources are what debian/PKG.gokms (debian/PKG.NAME.gokms) lists as
    dh_install would, below usr/src/NAME-VERSION; else, unless dh_install has
    put some there, src/ or the whole source;
  - #MODULE_VERSION# in the dkms.conf, and PACKAGE_VERSION where it has none,
    become the upstream version of debian/changelog.

  -V, -VVERSION        take VERSION instead of the upstream version
  -l, --legacy         ship dkms's postinst for releases with an older dkms
      --runtime=none   neither depend on dkms nor add maintainer scripts
  -- FILE              use FILE for the package without a debian/PKG.dkms

Packages with a debian/PKG.gokms-modules get ${gokms:Depends}: see
dh_gokms_modules. The options of all debhelper commands are in debhelper(7).
`
