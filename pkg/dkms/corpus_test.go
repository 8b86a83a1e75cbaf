// SPDX-License-Identifier: MIT

package dkms

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/google/go-cmp/cmp"
)

// corpusConfs returns the dkms.conf of every package of the corpus, by
// package name.
func corpusConfs(t testing.TB) map[string]string {
	t.Helper()
	testkit.Tools(t, "dpkg-deb", "tar")
	confs := map[string]string{}
	for _, deb := range testkit.Corpus(t) {
		name, _, _ := strings.Cut(filepath.Base(deb), "_")
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		fsys := exec.Command("dpkg-deb", "--fsys-tarfile", deb)
		tar := exec.Command("tar", "-x", "-C", dir, "--wildcards", "*/dkms.conf")
		var err error
		if tar.Stdin, err = fsys.StdoutPipe(); err != nil {
			t.Fatal(err)
		}
		if err := fsys.Start(); err != nil {
			t.Fatal(err)
		}
		if out, err := tar.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", deb, err, out)
		}
		if err := fsys.Wait(); err != nil {
			t.Fatalf("%s: %v", deb, err)
		}
		found, err := filepath.Glob(filepath.Join(dir, "usr/src/*/dkms.conf"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: dkms.conf: %q, %v", deb, found, err)
		}
		confs[name] = found[0]
	}
	return confs
}

// corpusEnv is a kernel tree made from the installed one: under another name
// and with options changed by lines of a .config.
func corpusEnv(t testing.TB, release string, changes ...string) Env {
	t.Helper()
	installed := testkit.Kernels(t)[0]
	config, err := os.ReadFile("/lib/modules/" + installed + "/build/.config")
	if err != nil {
		t.Fatal(err)
	}
	text := string(config)
	for _, change := range changes {
		name := regexp.MustCompile(`CONFIG_\w+`).FindString(change)
		text = regexp.MustCompile(`(?m)^(# )?`+name+`[= ].*\n`).ReplaceAllString(text, "") + change + "\n"
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".config"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if release == "" {
		release = installed
	}
	return Env{
		KernelVersion: release, Arch: "x86_64", Module: "m", ModuleVersion: "1",
		KernelSourceDir: dir, KernelConfig: dir + "/.config",
		DKMSTree: "/var/lib/dkms", SourceTree: "/usr/src", InstallTree: "/lib/modules", TmpDir: "/tmp",
		Jobs: 2, OS: "debian", Dir: "/",
		Environ: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"},
	}
}

// The cloud and rt flavours as far as files of the corpus ask for them.
var (
	cloudChanges = []string{
		"# CONFIG_USB is not set", "# CONFIG_I2C is not set", "# CONFIG_DRM is not set", "# CONFIG_HWMON is not set",
		"# CONFIG_VIDEO_DEV is not set", "# CONFIG_BACKLIGHT_CLASS_DEVICE is not set", "# CONFIG_USB_HID is not set",
	}
	rtChanges = []string{"CONFIG_PREEMPT_RT=y"}
)

func TestCorpusAgainstBash(t *testing.T) {
	testkit.Tools(t, "bash")
	confs := corpusConfs(t)
	for _, env := range []Env{
		corpusEnv(t, ""), corpusEnv(t, "6.1.0-56-cloud-amd64", cloudChanges...), corpusEnv(t, "6.1.0-56-rt-amd64", rtChanges...),
		corpusEnv(t, "5.10.0-8-amd64"), corpusEnv(t, "7.2.1-arm64", "# CONFIG_VIDEO_V4L2 is not set"),
	} {
		for name, conf := range confs {
			text, err := os.ReadFile(conf)
			if err != nil {
				t.Fatal(err)
			}
			v, err := Eval(t.Context(), Input{Files: []File{{Path: conf, Text: text}}, Env: env})
			if err != nil {
				t.Errorf("Eval(%s, %s) = %v", name, env.KernelVersion, err)
				continue
			}
			want := printed(oracle(t, env, nil, conf), env.Dir)
			if diff := cmp.Diff(want, printed(v.Elements, env.Dir)); diff != "" {
				t.Errorf("Eval(%s, %s) (-bash +got):\n%s", name, env.KernelVersion, diff)
			}
			if len(v.Warnings) > 0 {
				t.Errorf("Eval(%s) warns: %v", name, v.Warnings)
			}
		}
	}
}

func BenchmarkEval(b *testing.B) {
	confs := corpusConfs(b)
	env := corpusEnv(b, "")
	for _, name := range []string{"v4l2loopback-dkms", "lttng-modules-dkms", "dahdi-dkms", "bbswitch-dkms"} {
		text, err := os.ReadFile(confs[name])
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Eval(b.Context(), Input{Files: []File{{Path: name, Text: text}}, Env: env}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
