// SPDX-License-Identifier: MIT

// Package depmod tells which file of a module depmod(8) puts into modules.dep,
// and by which line of depmod.d(5). It reads configuration and names only, no
// module.
//
// It follows depmod of kmod 30 (Debian 12), measured, where that differs from
// its manual pages; later versions decide in the same way. What surprises:
//
//   - Kernel versions of override and external lines are POSIX extended regular
//     expressions that match anywhere in the release.
//   - The last override line that fits wins. It names one directory, not what
//     lies below it, and the module as its file is spelled: "-" is not "_".
//   - External directories are read after the tree. Of each external line only
//     the first directory counts.
//   - An excluded word is the name of a directory, or of a file, at any depth.
//   - Of two files below the same searched directory (updates/a.ko and
//     updates/dkms/a.ko) the one that is read last wins, of two that no searched
//     directory holds the one that is read first. The order of reading is that
//     of readdir(3): no rule. [Decision.Ambiguous] tells.
//   - A "\" that does not end a line is dropped; a comment continues, too.
//   - depmod -b moves the tree, but neither the configuration nor external
//     directories.
//
// A [Config] and a [Tree] may be used concurrently as long as nobody changes
// them.
package depmod
