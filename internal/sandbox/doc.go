// SPDX-License-Identifier: MIT

// Package sandbox runs commands in a system of their own, made by
// bubblewrap(1): without network, with the host's programs read-only, and with
// nothing else of the host but what a [Spec] names.
//
// # What commands see
//
// All of it is read-only, /proc too, but for the writable mounts of the Spec,
// /tmp and /dev/shm:
//
//   - /usr but for /usr/src and /usr/lib/modules; /bin, /sbin and /lib* as the
//     host has them, as links or as directories;
//   - of /etc: alternatives, ld.so.cache, ld.so.conf, ld.so.conf.d,
//     debian_version, lsb-release and os-release of the host, and our own
//     passwd, group, hosts and nsswitch.conf (these four if there is a
//     StateDir);
//   - /proc of their own processes alone, and a /dev with null, zero, full,
//     random, urandom, tty, shm and pts;
//   - /tmp, empty and in memory unless the Spec mounts something there;
//   - /home, /root, /run, /srv, /opt, /var, /usr/src and /lib/modules with
//     what the Spec names and nothing else. There is no /sys.
//
// The programs are mounted one entry of /usr and /usr/lib at a time, and the
// rest lies in an empty root. So places such as /usr/src, /usr/lib/NAME and
// /lib/modules need not exist on the host; a new place below a directory of the
// host's, such as /usr/bin/NAME, cannot be made.
//
// # Who commands are
//
// They run as nobody (65534), whoever calls, without capabilities, and gain
// none by set-user-ID programs. Where the caller is root, bubblewrap makes the
// namespaces as root, without a user namespace, and setpriv(1) becomes nobody
// before the command starts: what lies below directories of root's alone can be
// mounted, while files that only root may read stay closed. Writable mounts are
// given to nobody. Where the caller is an ordinary user, nobody is that user in
// a user namespace.
//
// # What they may call
//
// A filter of system calls (seccomp(2)) takes away what a build never needs and
// an attack may: keys (a user's keyring would outlive the command), new user
// namespaces and those of others, bpf, perf_event_open, userfaultfd, io_uring,
// kexec, open_by_handle_at, and sockets to the machine's hypervisor (vsock, which
// no network namespace bounds). It holds for the 32-bit programs of amd64 and
// arm64 as well; programs of any other ABI than these cannot run. On i386 and
// s390x, where socket may be called by way of socketcall, the filter does not see
// vsock. It adds to a filter that a container has.
//
// # How they end
//
// A command ends with all that it has started, when its first process ends,
// when cmd.Process is killed, and when the caller dies. To that end bubblewrap
// is the first process of one more PID namespace. Where only bubblewrap itself
// may make user namespaces (AppArmor can be set up so) that one is missing. Then
// processes may end some milliseconds after the command; and if the caller is
// killed in the 20 ms or so in which a sandbox is set up, the command runs to
// its end: bubblewrap asks for its parent's death signal no earlier.
//
// # Limits
//
// No core files; at most [maxTasks] threads more than the user has already, and
// [Spec.Memory]. No file grows beyond 4 GiB. When less than 64 MiB or 4096 files
// are free on a disk that a writable mount lies on (on a small one: a twentieth
// of it), the command is ended by a [*LimitError]; it is looked for every 20 ms. So a
// command may use a disk up to there, but does not take the last of it from
// others.
package sandbox
