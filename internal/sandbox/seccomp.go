// SPDX-License-Identifier: MIT

package sandbox

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// abi is one way in which programs call the kernel, with the numbers that the
// calls have there which commands may not make.
type abi struct {
	audit uint32 // AUDIT_ARCH_*, by which the kernel tells a filter
	// absent are the calls that fail as on a kernel without them (ENOSYS): keys,
	// which outlive a command in the keyring of its user, and what builds do not
	// need and attackers do. clone3 is one of them since a filter cannot see its
	// flags; C libraries go on with clone.
	absent []uint32
	denied []uint32 // fail with EPERM: setns
	// namespaces fail with EPERM where their flags have CLONE_NEWUSER.
	namespaces []uint32
	flags      int    // which argument of clone has these flags
	socket     uint32 // fails with EAFNOSUPPORT for AF_VSOCK, which no network namespace bounds
	// foreign are number spaces of other ABIs behind the same audit: numbers
	// from here on are absent. 0: there are none.
	foreign uint32
}

// x32 is the bit in the numbers of the x32 ABI (asm/unistd.h). Debian's kernels
// do not have it enabled.
const x32 = 0x40000000

// native is the ABI of this program and of the host's.
func native() abi {
	a := abi{
		audit: audits[runtime.GOARCH],
		absent: []uint32{
			unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL, unix.SYS_CLONE3, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN,
			unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_KEXEC_LOAD, unix.SYS_OPEN_BY_HANDLE_AT,
		},
		denied:     []uint32{unix.SYS_SETNS},
		namespaces: []uint32{unix.SYS_UNSHARE, unix.SYS_CLONE},
		socket:     unix.SYS_SOCKET,
	}
	switch runtime.GOARCH {
	case "amd64":
		a.foreign = x32
	case "s390x":
		a.flags = 1 // CLONE_BACKWARDS2
	}
	return a
}

// audits are the native ABIs of Debian's ports.
var audits = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64, "386": unix.AUDIT_ARCH_I386, "arm64": unix.AUDIT_ARCH_AARCH64, "arm": unix.AUDIT_ARCH_ARM,
	"loong64": unix.AUDIT_ARCH_LOONGARCH64, "mips64le": unix.AUDIT_ARCH_MIPSEL64, "mipsle": unix.AUDIT_ARCH_MIPSEL,
	"ppc64": unix.AUDIT_ARCH_PPC64, "ppc64le": unix.AUDIT_ARCH_PPC64LE, "riscv64": unix.AUDIT_ARCH_RISCV64, "s390x": unix.AUDIT_ARCH_S390X,
}

// compat are the 32-bit ABIs of 64-bit kernels that builds may use, by the
// native one: asm/unistd_32.h and asm/unistd.h of these architectures. In the
// order of [native]: keys, clone3, bpf, perf_event_open, userfaultfd,
// io_uring_setup, kexec_load, open_by_handle_at. i386 has a socketcall (102)
// besides, with arguments in memory where a filter does not see them.
var compat = map[string]abi{
	"amd64": {
		audit:  unix.AUDIT_ARCH_I386,
		absent: []uint32{286, 287, 288, 435, 357, 336, 374, 425, 283, 342, 102}, denied: []uint32{346},
		namespaces: []uint32{310, 120}, socket: 359,
	},
	"arm64": {
		audit:  unix.AUDIT_ARCH_ARM,
		absent: []uint32{309, 310, 311, 435, 386, 364, 388, 425, 347, 371}, denied: []uint32{375},
		namespaces: []uint32{337, 120}, socket: 281,
	},
}

// filter is the program that the kernel runs before each call of a command
// (seccomp(2)). Calls by an ABI that it does not know are all absent.
func filter(abis ...abi) []unix.SockFilter {
	var p program
	for _, a := range abis {
		p.load(dataArch)
		p.unless(unix.BPF_JEQ, a.audit, a.rules())
	}
	return append(p, answer(absentCall))
}

// rules judge a call of the ABI.
func (a *abi) rules() program {
	var p program
	p.load(dataNumber)
	if a.foreign != 0 {
		p.unless(unix.BPF_JGE, a.foreign, program{answer(absentCall)})
	}
	for _, n := range a.absent {
		p.unless(unix.BPF_JEQ, n, program{answer(absentCall)})
	}
	for _, n := range a.denied {
		p.unless(unix.BPF_JEQ, n, program{answer(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))})
	}
	for i, n := range a.namespaces {
		argument := 0
		if i > 0 {
			argument = a.flags
		}
		p.unless(unix.BPF_JEQ, n, onArgument(argument, unix.BPF_JSET, unix.CLONE_NEWUSER, unix.EPERM))
	}
	p.unless(unix.BPF_JEQ, a.socket, onArgument(0, unix.BPF_JEQ, unix.AF_VSOCK, unix.EAFNOSUPPORT))
	return append(p, answer(unix.SECCOMP_RET_ALLOW))
}

// onArgument refuses a call by what an argument is, and allows it else.
func onArgument(n int, test uint16, value uint32, errno unix.Errno) program {
	var p program
	p.load(lowWord(n))
	p.unless(test, value, program{answer(unix.SECCOMP_RET_ERRNO | uint32(errno))})
	return append(p, answer(unix.SECCOMP_RET_ALLOW))
}

const absentCall = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)

// Where the members of struct seccomp_data are.
const (
	dataNumber    = 0
	dataArch      = 4
	dataArguments = 16
)

// lowWord is where the lower half of argument n is.
func lowWord(n int) uint32 {
	at := uint32(dataArguments + 8*n)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		at += 4
	}
	return at
}

// program is one of classic BPF.
type program []unix.SockFilter

func (p *program) load(offset uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset})
}

// unless jumps over then, unless the test of what was loaded holds. then is too
// short for a jump to be too far.
func (p *program) unless(test uint16, value uint32, then program) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, Jf: uint8(len(then)), K: value})
	*p = append(*p, then...)
}

// answer ends the program with an answer.
func answer(value uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: value}
}

// filterFile is the filter of this machine, as --seccomp of bubblewrap wants it.
func filterFile() (*os.File, error) {
	if audits[runtime.GOARCH] == 0 {
		return nil, fmt.Errorf("no filter of system calls is known for %s", runtime.GOARCH)
	}
	abis := []abi{native()}
	if a, ok := compat[runtime.GOARCH]; ok {
		abis = append(abis, a)
	}
	var text []byte
	for _, i := range filter(abis...) {
		text = binary.NativeEndian.AppendUint16(text, i.Code)
		text = append(text, i.Jt, i.Jf)
		text = binary.NativeEndian.AppendUint32(text, i.K)
	}
	return memfile("bwrap-seccomp", text)
}
