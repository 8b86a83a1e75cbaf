// SPDX-License-Identifier: MIT

package proc

import (
	"crypto/rand"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
)

func TestKillMarked(t *testing.T) {
	testkit.Tools(t, "sh", "sleep", "setsid")
	mark := "GOKMS_PROC_TEST=" + rand.Text()
	start := func(entry string) *exec.Cmd {
		cmd := exec.Command("sh", "-c", "setsid sleep 100 & exec sleep 100")
		cmd.Env = []string{"PATH=/usr/bin:/bin", entry}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	other := start(mark + "x")
	defer KillMarked(mark + "x")
	cmd := start(mark)
	for range 200 { // until the child is there, too
		if len(Marked(mark)) == 2 && len(Marked(mark+"x")) == 2 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if pids := Marked(mark); len(pids) != 2 || !slices.Contains(pids, cmd.Process.Pid) {
		t.Errorf("Marked() = %v; want two, among them %d", pids, cmd.Process.Pid)
	}
	KillMarked(mark)
	_ = cmd.Wait()
	if pids := Marked(mark); len(pids) != 0 {
		t.Errorf("after KillMarked(): %v", pids)
	}
	if pids := Marked(mark + "x"); len(pids) != 2 || !slices.Contains(pids, other.Process.Pid) {
		t.Errorf("of the others %v are left; want two", pids)
	}
}
