// SPDX-License-Identifier: MIT

package main

import "github.com/gokms/gokms/internal/target/flags"

// help is the text of --help. The generated one sorts flags by name and breaks
// their lines badly.
const help = `Usage: gokms-mkbmdeb [options] -k KVER SOURCE...

Compiles each module SOURCE for each kernel KVER and writes one binary package,
NAME-modules-KVER_VERSION_ARCH.deb, for each pair. The package depends only on
the kernel's image: no dkms, compiler or headers are needed where it is
installed.

A SOURCE is
  a directory that holds dkms.conf, or debian/*.dkms and debian/changelog,
  NAME/VERSION, NAME-VERSION or NAME (the newest) below /usr/src,
  a -dkms .deb, or apt:PACKAGE for one of the archive.

Kernels:
  -k, --kernel KVER         build for this kernel release; repeatable
  -k all                    build for every installed kernel with headers
  -k apt:GLOB               build for the kernels of header packages of the
                            archive, or of a metapackage: apt:linux-headers-ARCH
` + flags.Describe + `
Sources:
      --source-tree DIR     find NAME/VERSION below DIR (default: /usr/src)
      --source-dir DIR      take the module's files from DIR
      --overrides DIR       read NAME*.conf in DIR after dkms.conf, as dkms does
                            in /etc/dkms
      --directive NAME=VALUE
                            set a dkms.conf directive last of all; repeatable

Packages:
      --name NAME           call the packages NAME-modules-KVER
      --package-version VERSION
                            (default: the -dkms package's or debian/changelog's,
                            else PACKAGE_VERSION)
      --revision REV        append +REV to the version
      --maintainer 'NAME <ADDRESS>'
                            (default: the source's, else DEBFULLNAME, DEBEMAIL)
      --provides RELATION   provide this as well; repeatable
      --copyright FILE      ship FILE as copyright
      --coexist             do not conflict with the -dkms package; install
                            modules to updates/gokms, and a line for depmod by
                            which they win
      --dest-dir DIR        install modules to DIR below modules/KVER (default:
                            updates/dkms)
      --depmod-config DIR   the depmod.d of the machines that the packages are
                            for, or the root directory of one
      --depmod-override     ship the lines for depmod by which the modules win,
                            where they would not
      --compression TYPE    xz, zstd, gzip or none (default: xz)
      --no-dbgsym           make no packages of debug symbols

The modules:
      --no-verify CHECK     do not verify this of them; repeatable
      --sign-key FILE       sign them with this key: a PEM file or a pkcs11: URI
      --sign-cert FILE      the key's certificate
      --sign-pin-file FILE  holds the key's PIN or passphrase (default: what
                            KBUILD_SIGN_PIN is)
      --require-signed      take whatever is doubtful about signatures for an
                            error

The build:
      --sandbox MODE        build in a sandbox, which sees only the programs of
                            this machine and has no network: on (default), off,
                            or auto, if one can be made
      --timeout TIME        end a build that takes longer, such as 90s, 30m or 2h
                            (default: 2h; 0: never)
      --memory SIZE         end a build that uses more memory, such as 512M or
                            4G, at least 64M; needs the sandbox

Running:
  -o, --output DIR          write packages to DIR (default: .)
      --log-dir DIR         write build logs to DIR (default: that of --output)
      --record FILE         write to FILE what went into the packages, when all
                            are built: gokms rebuild builds them once more
  -j, --jobs N              compile with N jobs (default: parallel= of
                            DEB_BUILD_OPTIONS, else the number of CPUs)
  -n, --no-act              print what would be built; build nothing
      --keep-build          keep the build directories
      --json                print results (with -n: plans) as JSON
  -v, --verbose             tell each command that is run
  -q, --quiet               tell errors only
      --version             print the version
  -h, --help                print this text

Exit status: 0 all were built or excluded; 1 a build failed, the archive did not
answer, or a signal ended it (what was built before stays); 2 bad input, nothing
was built or written; 77 dkms.conf excludes all the kernels.
`
