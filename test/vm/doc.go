// SPDX-License-Identifier: MIT

// Package vm boots Debian's kernels in qemu and loads modules in them, for the
// acceptance tests: what it reports is what the kernel itself said.
//
// A [Store] fetches kernels and the guest's programs (busybox and the real
// kmod) with the machine's own apt, of foreign architectures too. A [Machine]
// is a kernel with a way to start it; [Machine.Boot] starts it once, with the
// files of a [Case] in an initramfs, and runs the case's steps in it.
//
// PID 1 of the guest is the program in init, which talks with the host over a
// serial line of its own: the lines of [Message].
//
// Limits: no disk and no network in the guest; maintainer scripts are not
// run there, depmod is run by the host. Machines are always emulated, never run
// by KVM: what kernels say depends on the processor. Kernels that the archive
// has replaced stay in a Store until someone removes them.
package vm
