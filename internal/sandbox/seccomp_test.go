// SPDX-License-Identifier: MIT

package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gokms/gokms/internal/testkit"
)

// callsInC makes the calls that are forbidden, and prints what came of each.
const callsInC = `#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRY(name, ...) do { errno = 0; long r = syscall(__VA_ARGS__); if (r == 0 && !strncmp(name, "clone ", 6)) _exit(0); \
	printf("%s: %s\n", name, r < 0 ? strerrorname_np(errno) : "HIT"); } while (0)

#ifdef __x86_64__
static long int80(long n, long a, long b, long c, long d, long e) {
	long r;
	__asm__ volatile ("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory", "r8", "r9", "r10", "r11");
	return (int)r;
}
#define TRY80(name, ...) do { long r = int80(__VA_ARGS__); if (r == 0 && !strncmp(name, "i386 clone ", 11)) _exit(0); \
	printf("%s: %s\n", name, r < 0 ? strerrorname_np(-r) : "HIT"); } while (0)
#endif

int main(void) {
	setvbuf(stdout, 0, _IONBF, 0);
	TRY("add_key", SYS_add_key, "user", "gokms:test", "x", 1, -4);
	TRY("request_key", SYS_request_key, "user", "gokms:test", 0, 0);
	TRY("keyctl", SYS_keyctl, 0, -4, 1);
	TRY("unshare user", SYS_unshare, CLONE_NEWUSER);
	TRY("unshare user and more", SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS);
	TRY("unshare files", SYS_unshare, CLONE_FILES);
	TRY("clone user", SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0);
	TRY("clone3", SYS_clone3, 0, 0);
	TRY("setns", SYS_setns, 0, 0);
	TRY("bpf", SYS_bpf, 0, 0, 0);
	TRY("perf_event_open", SYS_perf_event_open, 0, 0, 0, -1, 0);
	TRY("userfaultfd", SYS_userfaultfd, 1);
	TRY("io_uring_setup", SYS_io_uring_setup, 1, 0);
	TRY("kexec_load", SYS_kexec_load, 0, 0, 0, 0);
	TRY("open_by_handle_at", SYS_open_by_handle_at, -100, 0, 0);
	TRY("vsock", SYS_socket, 40, SOCK_STREAM, 0);
	TRY("vsock with more bits", SYS_socket, (1L << 40) + 40, SOCK_STREAM, 0);
	TRY("unix socket", SYS_socket, AF_UNIX, SOCK_STREAM, 0);
#ifdef __x86_64__
	TRY80("i386 getpid", 20, 0, 0, 0, 0, 0);
	TRY80("i386 add_key", 286, 0, 0, 0, 1, -4);
	TRY80("i386 request_key", 287, 0, 0, 0, 0, 0);
	TRY80("i386 keyctl", 288, 0, -4, 1, 0, 0);
	TRY80("i386 unshare", 310, CLONE_NEWUSER, 0, 0, 0, 0);
	TRY80("i386 clone user", 120, CLONE_NEWUSER | 17, 0, 0, 0, 0);
	TRY80("i386 clone3", 435, 0, 0, 0, 0, 0);
	TRY80("i386 setns", 346, 0, 0, 0, 0, 0);
	TRY80("i386 bpf", 357, 0, 0, 0, 0, 0);
	TRY80("i386 vsock", 359, 40, SOCK_STREAM, 0, 0, 0);
	TRY80("i386 socketcall", 102, 1, 0, 0, 0, 0);
	TRY("x32 getpid", 0x40000000 | 39);
	TRY("x32 keyctl", 0x40000000 | 250, 0, -4, 1);
#endif
	while (wait(0) > 0) {}
	return 0;
}
`

// wantCalls is what callsInC prints in a sandbox.
const wantCalls = `add_key: ENOSYS
request_key: ENOSYS
keyctl: ENOSYS
unshare user: EPERM
unshare user and more: EPERM
unshare files: HIT
clone user: EPERM
clone3: ENOSYS
setns: EPERM
bpf: ENOSYS
perf_event_open: ENOSYS
userfaultfd: ENOSYS
io_uring_setup: ENOSYS
kexec_load: ENOSYS
open_by_handle_at: ENOSYS
vsock: EAFNOSUPPORT
vsock with more bits: EAFNOSUPPORT
unix socket: HIT
`

// wantCompat is what follows on amd64. A kernel without 32-bit programs ends
// the process.
const wantCompat = `i386 getpid: HIT
i386 add_key: ENOSYS
i386 request_key: ENOSYS
i386 keyctl: ENOSYS
i386 unshare: EPERM
i386 clone user: EPERM
i386 clone3: ENOSYS
i386 setns: EPERM
i386 bpf: ENOSYS
i386 vsock: EAFNOSUPPORT
i386 socketcall: ENOSYS
x32 getpid: ENOSYS
x32 keyctl: ENOSYS
`

func TestCalls(t *testing.T) {
	testkit.Tools(t, "gcc")
	b := newBox(t, nil)
	mustDo(t, os.WriteFile(filepath.Join(b.build, "calls.c"), []byte(callsInC), 0o644))
	got, err := b.sh(t, "gcc -w -o calls calls.c && ./calls")
	t.Logf("%v", err)
	native, rest, _ := strings.Cut(got, "i386 getpid")
	if native != wantCalls {
		t.Errorf("calls: %s\nwant: %s", native, wantCalls)
	}
	if rest == "" {
		t.Log("this kernel runs no 32-bit programs")
	} else if rest = "i386 getpid" + rest; rest != wantCompat {
		t.Errorf("32-bit calls: %s\nwant: %s", rest, wantCompat)
	}
}

// TestAllowed has programs that builds run, with threads and processes.
func TestAllowed(t *testing.T) {
	for _, tt := range []struct{ tool, script, want string }{
		{"gcc", `echo 'int main(void) { return 0; }' >a.c && gcc -pthread -pipe -o a a.c && ./a && echo ok`, "ok"},
		{"make", `printf 'all: a b c d\n%%:\n\t@sleep 0.01; : >$@\n' >M && make -s -j4 -f M && ls a d`, "a\nd"},
		{"python3", `python3 -c 'import subprocess, threading, socket
socket.socketpair(); t = threading.Thread(target=lambda: print("thread", flush=True)); t.start(); t.join(); subprocess.run(["echo", "child"])'`, "thread\nchild"},
		{"perl", `perl -e '$| = 1; print "perl\n"; system "echo child"; wait if fork; '`, "perl\nchild"},
		{"bash", `bash -c 'cat <(echo bash) <<<x | { read a; echo $a; }'`, "bash"},
	} {
		t.Run(tt.tool, func(t *testing.T) {
			testkit.Tools(t, tt.tool)
			if out, err := newBox(t, nil).sh(t, tt.script); err != nil || strings.TrimSpace(out) != tt.want {
				t.Errorf("%v: %q; want %q", err, out, tt.want)
			}
		})
	}
}

// TestGoProgram starts the binary of this test, as programs in Go are part of
// what runs in sandboxes.
func TestGoProgram(t *testing.T) {
	b := newBox(t, nil)
	text, err := os.ReadFile("/proc/self/exe")
	mustDo(t, err)
	mustDo(t, os.WriteFile(filepath.Join(b.build, "go.test"), text, 0o755))
	if out, err := b.sh(t, "./go.test -test.run '^$' -test.parallel 4"); err != nil || !strings.Contains(out, "PASS") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestKeys leaves a key in one sandbox and looks for it in the next.
func TestKeys(t *testing.T) {
	testkit.Tools(t, "python3")
	const python = `python3 -c 'import ctypes
c = ctypes.CDLL(None, use_errno=True)
print("ADD", c.syscall(%d, b"user", b"gokms:left", b"secret", 6, -4))
print("SEARCH", c.syscall(%d, 10, -4, b"user", b"gokms:left", 0))'; grep gokms:left /proc/keys`
	b := newBox(t, nil)
	for range 2 {
		out, err := b.sh(t, fmt.Sprintf(python, unix.SYS_ADD_KEY, unix.SYS_KEYCTL))
		if !strings.Contains(out, "ADD -1\nSEARCH -1\n") || strings.Contains(out, "gokms:left") {
			t.Errorf("%v: %s; want neither to succeed", err, out)
		}
	}
}

// TestNumbers holds the tables of the 32-bit ABIs against those that
// golang.org/x/sys has for these architectures.
func TestNumbers(t *testing.T) {
	testkit.Tools(t, "go")
	cmd := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys")
	dir, err := cmd.Output()
	if err != nil {
		t.Skipf("missing: golang.org/x/sys: %v", err)
	}
	names := []string{
		"ADD_KEY", "REQUEST_KEY", "KEYCTL", "CLONE3", "BPF", "PERF_EVENT_OPEN", "USERFAULTFD", "IO_URING_SETUP", "KEXEC_LOAD", "OPEN_BY_HANDLE_AT",
	}
	for arch, file := range map[string]string{"amd64": "386", "arm64": "arm"} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_"+file+".go"))
		mustDo(t, err)
		number := func(name string) uint32 {
			m := regexp.MustCompile(`SYS_` + name + ` +=\s*(\d+)`).FindSubmatch(text)
			if m == nil {
				t.Fatalf("%s: no %s", file, name)
			}
			n, err := strconv.ParseUint(string(m[1]), 10, 32)
			mustDo(t, err)
			return uint32(n)
		}
		a := compat[arch]
		for i, name := range names {
			if got := a.absent[i]; got != number(name) {
				t.Errorf("%s on %s: %d; want %d", name, file, got, number(name))
			}
		}
		got := []uint32{a.denied[0], a.namespaces[0], a.namespaces[1], a.socket}
		if want := []uint32{number("SETNS"), number("UNSHARE"), number("CLONE"), number("SOCKET")}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %d; want %d", file, got, want)
		}
	}
}

// TestFiltered runs a sandbox where a filter is in force already, as in a
// container.
func TestFiltered(t *testing.T) {
	needsSandbox(t)
	if os.Getenv("GOKMS_TEST_FILTERED") != "" {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run", "TestCalls|TestKeys|TestGoProgram|TestWorks")
	cmd.Env = append(os.Environ(), "GOKMS_TEST_FILTERED=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%v: %s", err, out.String())
	}
}

// becomeFiltered starts this program anew with a filter such as containers
// have: without keys, and with what that asks for.
func becomeFiltered() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	a := native()
	abis := []abi{{audit: a.audit, absent: a.absent[:3], socket: a.socket}}
	if c, ok := compat[runtime.GOARCH]; ok {
		abis = append(abis, abi{audit: c.audit, absent: c.absent[:3], socket: c.socket})
	}
	instructions := filter(abis...)
	f := unix.SockFprog{Len: uint16(len(instructions)), Filter: &instructions[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&f)), 0, 0); err != nil {
		return err
	}
	_ = os.Setenv("GOKMS_TEST_FILTERED", "2")
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}
