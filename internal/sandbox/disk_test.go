// SPDX-License-Identifier: MIT

package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLacks(t *testing.T) {
	for _, tt := range []struct {
		name                        string
		blocks, free, files, ffiles uint64
		want                        string
	}{
		{"large", 1 << 20, 20000, 1 << 20, 5000, ""},
		{"large and full", 1 << 20, 16000, 1 << 20, 5000, "64 MiB"},
		{"large without files", 1 << 20, 20000, 1 << 20, 4000, "4096 files"},
		{"large with a table that grows", 1 << 20, 20000, 0, 0, ""},
		{"small", 25600, 1300, 25600, 1300, ""},
		{"small and full", 25600, 1200, 25600, 1300, "5 MiB"},
		{"small without files", 25600, 1300, 20000, 900, "1000 files"},
		{"tiny", 10, 1, 0, 0, ""},
	} {
		st := unix.Statfs_t{Frsize: 4096, Blocks: tt.blocks, Bavail: tt.free, Files: tt.files, Ffree: tt.ffiles}
		if got := lacks(&st); got != tt.want {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.want)
		}
	}
}

// expectFull wants that a script is ended since the disk of the build directory
// is full.
func (b *box) expectFull(t *testing.T, script string) {
	t.Helper()
	start := time.Now()
	out, err := b.sh(t, script)
	if e, ok := errors.AsType[*LimitError](err); !ok || !strings.Contains(e.What, "filled the disk") || !strings.HasSuffix(e.What, b.build) {
		t.Errorf("Run() = %v: %s; want a full disk", err, out)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestDiskFills(t *testing.T) {
	b := newBox(t, nil)
	asked := 0
	b.statfs = func(path string, st *unix.Statfs_t) error {
		if asked++; path != b.build {
			t.Errorf("statfs(%q); want the writable mounts alone", path)
		}
		*st = unix.Statfs_t{Frsize: 4096, Blocks: 1 << 20, Bavail: 1 << 20}
		if asked > 5 {
			st.Bavail = 100
		}
		return nil
	}
	b.expectFull(t, "sleep 30")
}

// TestSmallDisk fills a real one, by bytes and by files.
func TestSmallDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this is not root, who alone can mount")
	}
	for _, script := range []string{"head -c 39M /dev/zero >f; sleep 30", "i=0; while [ $i -lt 995 ]; do : >$i; i=$((i + 1)); done; sleep 30"} {
		b := newBox(t, nil)
		if err := unix.Mount("none", b.build, "tmpfs", 0, "size=40m,nr_inodes=1000"); err != nil {
			t.Skipf("mount: %v", err)
		}
		t.Cleanup(func() { mustDo(t, unix.Unmount(b.build, 0)) })
		if out, err := b.sh(t, "head -c 20M /dev/zero >f && sleep 0.1"); err != nil {
			t.Errorf("half of it: %v: %s", err, out)
		}
		b.expectFull(t, script)
	}
}

func TestLargeFile(t *testing.T) {
	out, err := newBox(t, nil).sh(t, "truncate -s 4G a && echo may; truncate -s 5G b || echo may not")
	if err != nil || !strings.HasPrefix(out, "may\n") || !strings.HasSuffix(out, "may not\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestTakeMounts has what a command may leave for a caller who opens it by name.
func TestTakeMounts(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"files", "mkdir -p a/b && echo x >a/b/c && echo y >d && chmod 4755 d", ""},
		{"link", "mkdir a && ln -s /etc/shadow a/b", "a/b is no file of one name"},
		{"pipe", "mkfifo p", "p is no file of one name"},
		{"two names", "echo x >a && ln a b", "a is no file of one name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, nil)
			if out, err := b.sh(t, tt.script); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			err := b.TakeMounts()
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("TakeMounts() = %v; want %s", err, tt.want)
				}
				return
			}
			mustDo(t, err)
			for _, name := range []string{"", "a", "a/b", "a/b/c", "d"} {
				info, err := os.Lstat(filepath.Join(b.build, name))
				mustDo(t, err)
				if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != os.Geteuid() {
					t.Errorf("%q belongs to %d", name, uid)
				}
			}
		})
	}
}
