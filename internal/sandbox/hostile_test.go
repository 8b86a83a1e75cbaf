// SPDX-License-Identifier: MIT

package sandbox

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokms/gokms/internal/testkit"
)

// victim is what of the host a hostile command is after.
type victim struct {
	*box
	name     string // of files that must not appear
	port     int    // where the host listens
	abstract string // a socket that the host listens on
	contacts chan string
	process  *exec.Cmd // of the same user
	mark     string    // in the arguments of processes that must not stay
}

func newVictim(t *testing.T, b *box) *victim {
	t.Helper()
	v := &victim{box: b, name: "gokms-hostile-" + rand.Text(), abstract: "x" + rand.Text(), contacts: make(chan string, 10)}
	v.mark = fmt.Sprintf("%d.%d", 1000+os.Getpid(), time.Now().UnixNano())
	for _, address := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", "@" + v.abstract}} {
		l, err := net.Listen(address[0], address[1])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			v.port = tcp.Port
		}
		go func() {
			if conn, err := l.Accept(); err == nil {
				conn.Close()
				v.contacts <- address[0]
			}
		}()
	}
	v.process = exec.Command("sleep", "600")
	if currentIdentity() == superuser {
		v.process.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	mustDo(t, v.process.Start())
	t.Cleanup(func() {
		_ = v.process.Process.Kill()
		_ = v.process.Wait()
	})
	return v
}

// expand fills in what a script is to attack.
func (v *victim) expand(script string) string {
	return strings.NewReplacer("NAME", v.name, "PORT", fmt.Sprint(v.port), "ABSTRACT", v.abstract, "WORK", v.work, "SOURCE", v.source,
		"TMPDIR", os.TempDir(), "PID", fmt.Sprint(v.process.Process.Pid), "MARK", v.mark, "SECRET", v.secret[:10]).Replace(script)
}

// places are directories of the host that must not change.
func (v *victim) places() []string {
	return []string{
		"/", "/usr", "/usr/bin", "/usr/lib", "/usr/src", "/usr/local/bin", "/usr/share", "/etc", "/etc/alternatives", "/var", "/var/tmp", "/var/lib/dkms",
		"/root", "/home", "/run", "/boot", "/srv", "/opt", "/tmp", "/dev", "/dev/shm", "/lib/modules", os.TempDir(), v.work, v.source,
	}
}

// expectUnchanged looks for what must not have happened.
func (v *victim) expectUnchanged(t *testing.T) {
	t.Helper()
	for _, dir := range v.places() {
		if _, err := os.Lstat(filepath.Join(dir, v.name)); err == nil {
			t.Errorf("%s/%s is on the host now", dir, v.name)
		}
	}
	if text, err := os.ReadFile(filepath.Join(v.source, "dkms.conf")); err != nil || string(text) != "PACKAGE_NAME=foo\n" {
		t.Errorf("the source is %q, %v now", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(v.work, "secret")); err != nil || string(text) != v.secret {
		t.Errorf("the secret is %q, %v now", text, err)
	}
	select {
	case network := <-v.contacts:
		t.Errorf("the host was called: %s", network)
	default:
	}
	if err := v.process.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the host's process: %v", err)
	}
	if state := processState(v.process.Process.Pid); state != "S" {
		t.Errorf("the host's process is in state %s; want S", state)
	}
	if left := withArgument(v.mark); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

func processState(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:min(1, len(rest))]
}

// withArgument lists the processes that have one.
func withArgument(argument string) []string {
	var found []string
	_ = eachProcess(func(dir string) {
		if text, err := os.ReadFile(dir + "/cmdline"); err == nil && bytes.Contains(text, []byte(argument)) {
			found = append(found, dir+": "+strings.ReplaceAll(string(text), "\x00", " "))
		}
	})
	return found
}

// hostile commands print HIT for each thing that they could do. The words in
// capitals are those of victim.expand.
var hostile = []struct{ name, script string }{
	{"writes outside", `for d in / /usr /usr/bin /usr/lib /usr/src /usr/local/bin /usr/share /etc /etc/alternatives /var /var/tmp /var/lib /var/lib/dkms /root /home /run /run/gokms /boot /srv /opt /dev /lib/modules TMPDIR/../.. WORK WORK/.. .. ../..; do
		mkdir -p $d && echo x >$d/NAME && case $d in /tmp*) ;; *) echo HIT $d;; esac; done`},
	{"writes to the host's temporary directory", `mkdir -p TMPDIR && echo x >TMPDIR/NAME; [ -e TMPDIR/NAME ] && [ TMPDIR != /tmp ] && echo HIT`},
	{"writes over the source", `for f in /usr/src/foo-1/dkms.conf /lib/modules/0.0/build/dkms.conf /usr/lib/linux-kbuild-0.0/dkms.conf /tmp/some/place/dkms.conf SOURCE/dkms.conf; do
		echo x >>$f && echo HIT $f; rm -f $f; [ -e /usr/src/foo-1/dkms.conf ] || echo HIT rm; chmod 777 $f && echo HIT chmod; done`},
	{"writes through links", `ln -s WORK/secret a; ln -s /usr/src/foo-1 b; ln -s /usr/bin/env c; echo x >a; cat a | grep SECRET && echo HIT; touch b/NAME && echo HIT; echo x >c && echo HIT; ln /usr/src/foo-1/dkms.conf d && echo HIT`},
	{"writes over programs", `for f in /usr/bin/uname /usr/bin/env /usr/bin/gcc /proc/sys/kernel/osrelease /run/gokms/real/uname /run/gokms/bin/tool /etc/passwd /etc/ld.so.cache; do echo x >$f && echo HIT $f; done`},
	{"calls the host by TCP", `perl -MSocket -e 'for $p (PORT) { for $h ("127.0.0.1", "10.0.2.2") { socket(S, PF_INET, SOCK_STREAM, 0); print "HIT $h\n" if connect(S, sockaddr_in($p, inet_aton($h))) } }'`},
	{"calls the host by an abstract socket", `perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); print "HIT\n" if connect(S, pack("S", AF_UNIX) . "\0ABSTRACT")'`},
	{"calls the world", `perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 0); print "HIT\n" if connect(S, sockaddr_in(53, inet_aton("8.8.8.8")))'; getent hosts deb.debian.org && echo HIT; ls /sys/class/net && echo HIT; grep -vE 'lo:|Inter|face' /proc/net/dev && echo HIT`},
	{"looks into homes", `ls -A /root /home /srv | grep -vE '^(/root|/home|/srv):$|^$' && echo HIT; cd && echo HIT; ls -A ~root ~nobody && echo HIT`},
	{"reads secrets of the host", `for f in /etc/shadow /etc/gshadow /etc/sudoers /etc/ssh /etc/ssl /etc/machine-id /etc/fstab /etc/apt /etc/hostname /etc/resolv.conf /var/lib/dpkg /boot /proc/kcore /proc/1/root/etc/shadow /dev/mem /dev/vda /dev/sda /dev/kmsg; do
		head -c1 $f >/dev/null 2>&1 && echo HIT $f; ls $f/ >/dev/null 2>&1 && echo HIT $f/; done`},
	{"reads the work directory", `cat WORK/secret ../secret ../../secret /proc/1/cwd/secret /proc/1/root/WORK/secret && echo HIT; grep -rs SECRET /tmp /run /var /etc /home /root && echo HIT; ls WORK && echo HIT`},
	{"reads environments", `cat /proc/*/environ | tr '\0' '\n' | grep leaked && echo HIT`},
	{"reads files that were left open", `for f in /proc/self/fd/*; do case ${f##*/} in 0|1|2) ;; *) readlink $f | grep -v '^/proc/' && echo HIT; ls $f/ 2>/dev/null | grep secret && echo HIT;; esac; done`},
	{"leaves a daemon", `setsid -f sleep MARK >/dev/null 2>&1; (setsid sh -c 'trap "" TERM HUP INT; (sleep MARK &) ; sleep MARK' >/dev/null 2>&1 </dev/null &) ; nohup sleep MARK >/dev/null 2>&1 & sleep 0.2`},
	{"leaves a daemon that holds the output", `setsid -f sleep MARK; sleep 0.2`},
	{"kills others", `kill -KILL PID && echo HIT; kill -STOP PID && echo HIT; kill -STOP -1; kill -KILL -1; kill -KILL 1; sleep 0.2`},
	{"traces others", `ls /proc/PID && echo HIT; perl -e 'print "HIT\n" if syscall(101, 16, PID, 0, 0) == 0; print "HIT init\n" if open(F, "+<", "/proc/1/mem") && $> != 65534'`},
	{"gains rights", `su -c 'id -u' root </dev/null && echo HIT; sudo -n id && echo HIT; cp /usr/bin/id . && chmod u+s id && [ $(./id -u) = 0 ] && echo HIT; find / -xdev -perm -4000 2>/dev/null | head -3; perl -e '$> = 0; print "HIT\n" if $> == 0; $< = 0; print "HIT\n" if $< == 0'; chown root . && echo HIT; mknod m c 1 1 && echo HIT`},
	{"writes to the kernel", `find /proc/sys -type f -writable 2>/dev/null | grep . && echo HIT; for f in /proc/sysrq-trigger /proc/sys/kernel/hostname /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/irq/default_smp_affinity; do [ -w $f ] && echo HIT $f; done; [ -e /sys/kernel ] && echo HIT; hostname NAME && echo HIT; dmesg -C && echo HIT; date -s 2000-01-01 && echo HIT; insmod ./x.ko && echo HIT; nice -n -5 true 2>&1 | grep -q . || echo HIT`},
	{"mounts", `mount -t tmpfs x /mnt && echo HIT; mount -o remount,rw / && echo HIT; mount -o remount,rw,bind /usr/bin && echo HIT; umount /usr/bin/uname && echo HIT; umount -l /usr/src/foo-1 && echo HIT; mount --bind /tmp /usr/share && echo HIT`},
	{"mounts in a user namespace of its own", `unshare -Urm sh -c 'for m in / /usr/bin /usr/src/foo-1 /usr/share /etc/passwd; do mount -o remount,rw,bind $m && echo HIT $m; umount $m && echo HIT $m; done; echo x >/usr/src/foo-1/NAME && echo HIT; echo x >/usr/bin/NAME && echo HIT; echo x >/NAME && echo HIT; umount /proc/sys/kernel/osrelease && echo HIT; cat /proc/1/root/WORK/secret && echo HIT'`},
	{"joins namespaces", `for n in /proc/[0-9]*/ns/mnt; do nsenter --mount=$n cat WORK/secret && echo HIT; done`},
}

// run runs a script and expects that it got nothing.
func (v *victim) run(t *testing.T, script string) {
	t.Helper()
	out, err := v.sh(t, v.expand(script)+"\n:")
	if strings.Contains(out, "HIT") || strings.Contains(out, v.secret) {
		t.Errorf("it could: %s", out)
	}
	if _, exit := errors.AsType[*exec.ExitError](err); err != nil && !exit {
		t.Errorf("Run() = %v", err)
	}
	v.expectUnchanged(t)
}

func TestHostile(t *testing.T) {
	testkit.Tools(t, "perl", "unshare", "setsid")
	t.Setenv("GOKMS_TEST_LEAK", "leaked")
	b := newBox(t, nil)
	open := leaveOpen(t, b.work)
	defer open.Close()
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, nil)
			newVictim(t, b).run(t, tt.script)
		})
	}
}

// leaveOpen opens a directory in such a way that children inherit it, as
// somebody's shell may have.
func leaveOpen(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	mustDo(t, err)
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, 70)
	mustDo(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return f
}

// TestHostileScripts proves that the scripts above can succeed: without a
// sandbox, in a directory of their own and as nobody, some do.
func TestHostileScripts(t *testing.T) {
	b := newBox(t, nil)
	v := newVictim(t, b)
	for _, name := range []string{"calls the host by TCP", "calls the host by an abstract socket", "reads secrets of the host", "reads environments"} {
		for _, tt := range hostile {
			if tt.name != name {
				continue
			}
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", v.expand(tt.script))
			cmd.Env, cmd.Dir = []string{"PATH=" + testPath, "GOKMS_TEST_LEAK=leaked"}, "/"
			if out, _ := cmd.CombinedOutput(); !bytes.Contains(out, []byte("HIT")) {
				t.Errorf("%s: no hit without a sandbox: %s", name, out)
			}
		}
	}
}

// TestTerminal starts a command on a terminal that is the caller's.
func TestTerminal(t *testing.T) {
	testkit.Tools(t, "perl")
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	mustDo(t, err)
	defer master.Close()
	mustDo(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	mustDo(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	mustDo(t, err)
	defer slave.Close()
	cmd := shell(t.Context(), `[ -t 0 ] && echo terminal; (: </dev/tty) && echo HIT; perl -e 'for $c (split //, "HIT\n") { print "HIT\n" if defined ioctl(STDIN, 0x5412, $c) }'; :`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, &out, &out
	if err := newBox(t, nil).Run(cmd); err != nil {
		t.Error(err)
	}
	if text := out.String(); !strings.HasPrefix(text, "terminal\n") || strings.Contains(text, "HIT") {
		t.Errorf("printed %q; want terminal and no HIT", text)
	}
}

// TestMemory has commands that use too much, in one process and in many.
func TestMemory(t *testing.T) {
	testkit.Tools(t, "perl")
	for _, tt := range []struct{ name, script string }{
		{"one process", `perl -e '$x = "a" x (600 << 20); sleep 60'`},
		{"many processes", `for i in 1 2 3 4 5 6 7 8; do perl -e '$x = "a" x (60 << 20); sleep 60' & done; wait`},
		{"daemons", `for i in 1 2 3 4 5 6 7 8; do setsid -f perl -e '$x = "a" x (60 << 20); sleep 60'; done; sleep 60`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, func(s *Spec) { s.Memory = 256 << 20 })
			start := time.Now()
			out, err := b.sh(t, tt.script)
			if e, ok := errors.AsType[*LimitError](err); !ok || !strings.Contains(e.What, "256 MiB") {
				t.Errorf("Run() = %v: %s; want a limit of 256 MiB", err, out)
			}
			t.Logf("%.1f s", time.Since(start).Seconds())
		})
	}
	b := newBox(t, func(s *Spec) { s.Memory = 256 << 20 })
	if out, err := b.sh(t, `perl -e '$x = "a" x (50 << 20); select undef, undef, undef, 0.6'`); err != nil {
		t.Errorf("a command that uses less: %v: %s", err, out)
	}
	if out, _ := b.sh(t, `perl -e '$x = "a" x (3 << 30)' 2>&1`); !strings.Contains(out, "Out of memory") {
		t.Errorf("address space without bound: %s", out)
	}
	if out, err := b.sh(t, `head -c 300M /dev/zero >/tmp/f || head -c 100M /dev/zero >/dev/shm/f`); err == nil {
		t.Errorf("files in memory without bound: %s", out)
	}
}

// TestForkBomb starts more processes than are allowed, but not without bound:
// the test must not be one itself.
func TestForkBomb(t *testing.T) {
	v := newVictim(t, newBox(t, nil))
	v.maxTasks = 50
	uid := os.Geteuid()
	if v.user == superuser {
		uid = nobody
	}
	others, err := tasksOf(uid)
	mustDo(t, err)
	out, err := v.sh(t, v.expand(fmt.Sprintf("i=0; while [ $i -lt %d ]; do sleep MARK & i=$((i + 1)); done; echo all", others+100)))
	if err == nil || strings.Contains(out, "all") {
		t.Errorf("%d processes of %d: %v: %s", others+100, others+50, err, out)
	}
	v.expectUnchanged(t)
}
