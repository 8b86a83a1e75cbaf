// SPDX-License-Identifier: MIT

package debfile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// dpkgRoot is an empty system that `dpkg --root` can install to.
func dpkgRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"updates", "info", "triggers", "alternatives", "parts"} {
		if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// output runs a program that must succeed.
func output(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := command(argv...).Output()
	if err != nil {
		t.Fatalf("%q: %v", argv, err)
	}
	return string(out)
}

func command(argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC", "DEBIAN_FRONTEND=noninteractive")
	return cmd
}

// TestOracleHostile holds: what dpkg refuses, we refuse (the table says that
// we do), and where dpkg is milder the table says so.
func TestOracleHostile(t *testing.T) {
	testkit.Tools(t, "dpkg", "dpkg-deb")
	for _, test := range hostile {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if strings.HasSuffix(test.name, "_device") && os.Geteuid() != 0 {
				t.Skip("missing: the right to make devices")
			}
			deb := writeTemp(t, test.deb)
			unpacked, err := command("dpkg-deb", "-x", deb, t.TempDir()).CombinedOutput()
			refused := err != nil
			// tar strips the slash, dpkg as root might write there.
			if !refused && !strings.Contains(test.name, "absolute") {
				_, err := command("dpkg", "--root="+dpkgRoot(t), "--force-not-root", "--log=/dev/null", "-i", deb).CombinedOutput()
				refused = err != nil
			}
			if refused == (test.taken != "") {
				t.Errorf("dpkg refuses it: %v; the table says: taken because %q\n%s", refused, test.taken, unpacked)
			}
		})
	}
}

// TestOracleAccepted holds that dpkg takes the odd packages that we take.
func TestOracleAccepted(t *testing.T) {
	testkit.Tools(t, "dpkg", "dpkg-deb")
	for _, test := range accepted {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			deb := writeTemp(t, test.deb)
			output(t, "dpkg-deb", "-x", deb, t.TempDir())
			output(t, "dpkg", "--root="+dpkgRoot(t), "--force-not-root", "--log=/dev/null", "-i", deb)
		})
	}
}

func writeTemp(t *testing.T, deb []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.deb")
	if err := os.WriteFile(name, deb, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestOracleCompressed reads what the real programs compress, whole and
// damaged.
func TestOracleCompressed(t *testing.T) {
	testkit.Tools(t, "dpkg-deb", "xz", "gzip", "bzip2", "zstd")
	data := tarBytes(dirEntry("./"), regEntry("./f"))
	for ext, argv := range map[string][]string{
		".xz": {"xz", "-c"}, ".lzma": {"xz", "-c", "--format=lzma"}, ".gz": {"gzip", "-c"},
		".bz2": {"bzip2", "-c"}, ".zst": {"zstd", "-c"},
	} {
		t.Run(ext, func(t *testing.T) {
			t.Parallel()
			cmd := command(argv...)
			cmd.Stdin = strings.NewReader(data)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			z := string(out)
			for _, test := range []struct {
				name, content string
				bad           bool
			}{
				{"whole", z, false},
				{"truncated", cut(z, len(z)*3/4), true},
				{"truncated by a byte", cut(z, len(z)-1), true},
				{"damaged", flip(z, len(z)/2), true},
				{"damaged end", flip(z, 3), true},
				{"trailing garbage", z + "garbage and more garbage", true},
				{"twice", z + z, ext == ".lzma"}, // dpkg stops behind the first
			} {
				deb := dataMember(ext, test.content)
				dpkgErr := command("dpkg-deb", "-x", writeTemp(t, deb), t.TempDir()).Run()
				err := mustRead(t, deb).Extract(t.TempDir())
				if (err != nil) != test.bad || dpkgErr != nil && err == nil {
					t.Errorf("%s: %v, dpkg-deb: %v", test.name, err, dpkgErr)
				}
				if err != nil && !strings.HasPrefix(err.Error(), "x.deb: member data.tar"+ext+": ") {
					t.Errorf("%s: error %q", test.name, err)
				}
			}
		})
	}
}

// makeTree makes the files of p below dir, as a build would, and DEBIAN.
func makeTree(t *testing.T, dir string, p *Package) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	entries, err := layout(p)
	check(err)
	for _, e := range entries {
		name := filepath.Join(dir, e.file.Path)
		switch {
		case e.file.Path == ".":
		case e.file.Mode.IsDir():
			check(os.Mkdir(name, 0o755))
			check(os.Chmod(name, e.file.Mode.Perm()))
		case e.file.Target != "":
			check(os.Symlink(e.file.Target, name))
		default:
			r, err := e.file.Open()
			check(err)
			content, err := io.ReadAll(r)
			check(err)
			check(os.WriteFile(name, content, 0o644))
			check(os.Chmod(name, e.file.Mode.Perm()))
		}
	}
	check(os.Mkdir(filepath.Join(dir, "DEBIAN"), 0o755))
	for name, content := range p.Scripts {
		check(os.WriteFile(filepath.Join(dir, "DEBIAN", name), []byte(content), partMode(name)))
	}
	for _, e := range entries {
		output(t, "touch", "-h", "-d", e.header.ModTime.Format("2006-01-02T15:04:05Z"), filepath.Join(dir, e.file.Path))
	}
}

// debhelperTree makes a source package whose binary package is p, and lets
// debhelper and dpkg-deb build it. It returns the .deb.
func debhelperTree(t *testing.T, p *Package) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("debian/changelog", "foo-modules (1.0-1) unstable; urgency=low\n\n  * x\n\n -- A B <a@example.org>  "+
		testClock.Format("Mon, 02 Jan 2006 15:04:05 -0700")+"\n")
	write("debian/control", "Source: foo-modules\nMaintainer: A B <a@example.org>\nSection: kernel\nPriority: optional\n"+
		"Build-Depends: debhelper-compat (= 13)\nStandards-Version: 4.6.2\n\nPackage: foo-modules\nArchitecture: all\n"+
		"Description: one line\n and a long\n .\n text\n")
	tree := filepath.Join(dir, "debian", "foo-modules")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	makeTree(t, tree, p)
	for _, argv := range [][]string{{"dh_gencontrol"}, {"dh_md5sums"},
		{"dpkg-deb", "--root-owner-group", "-Z" + string(p.Compression), "-b", tree, filepath.Join(dir, "foo.deb")}} {
		cmd := command(argv...)
		cmd.Dir = dir
		cmd.Env = append(cmd.Env, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", testClock.Unix()), "DEB_RULES_REQUIRES_ROOT=no")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
	}
	return filepath.Join(dir, "foo.deb")
}

// TestOracleWrite compares what we write with what debhelper and dpkg-deb make
// of the same files.
func TestOracleWrite(t *testing.T) {
	testkit.Tools(t, "dpkg-deb", "dh_gencontrol", "dh_md5sums", "ar", "tar", "xz", "gzip")
	for _, c := range []Compression{XZ, Zstd, Gzip, None} {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			ours := filepath.Join(t.TempDir(), "ours.deb")
			if err := WriteFile(ours, testPackage(c), nil); err != nil {
				t.Fatal(err)
			}
			theirs := debhelperTree(t, testPackage(c))
			for _, argv := range [][]string{
				{"dpkg-deb", "-c"}, {"dpkg-deb", "-f"}, {"ar", "t"},
				{"sh", "-c", "ar tv $0 | awk '{print $1, $2, $4, $5, $6, $7, $8}'"}, // but the size
				{"sh", "-c", "dpkg-deb --ctrl-tarfile $0 | tar tvf - | grep -v '/$'"},
				{"sh", "-c", "dpkg-deb -I $0 md5sums postinst triggers conffiles"},
			} {
				got, want := output(t, append(argv, ours)...), output(t, append(argv, theirs)...)
				if diff := cmp.Diff(sortFields(want), sortFields(got)); diff != "" {
					t.Errorf("%q (-dpkg-deb +ours):\n%s", argv, diff)
				}
			}
			a, b := t.TempDir(), t.TempDir()
			output(t, "dpkg-deb", "-x", ours, a)
			output(t, "dpkg-deb", "-x", theirs, b)
			output(t, "diff", "-r", "--no-dereference", a, b)
		})
	}
}

// sortFields takes the order out of the fields of a stanza, and no other text:
// dpkg-gencontrol has an order of its own.
func sortFields(s string) []string {
	lines := strings.Split(strings.ReplaceAll(s, "\n ", "\x00"), "\n")
	if strings.HasPrefix(s, "Package: ") {
		slices.Sort(lines)
	}
	return lines
}

// TestOracleInstall lets dpkg install, verify and purge what we write, and the
// archive tools read it.
func TestOracleInstall(t *testing.T) {
	testkit.Tools(t, "dpkg", "dpkg-query", "dpkg-scanpackages", "apt-ftparchive", "xz", "gzip")
	for _, c := range []Compression{XZ, Zstd, Gzip, None} {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			p := testPackage(c)
			delete(p.Scripts, "postinst") // it would want a system to run in
			dir := t.TempDir()
			deb := filepath.Join(dir, "foo-modules_1.0-1_all.deb")
			if err := WriteFile(deb, p, nil); err != nil {
				t.Fatal(err)
			}
			root := dpkgRoot(t)
			dpkg := []string{"dpkg", "--root=" + root, "--force-not-root", "--log=/dev/null"}
			output(t, append(dpkg, "-i", deb)...)
			if got := output(t, append(dpkg, "-V", "foo-modules")...); got != "" {
				t.Errorf("dpkg -V: %s", got)
			}
			info, err := os.Stat(filepath.Join(root, "usr/share/foo"))
			if err != nil || info.Mode() != fs.ModeDir|0o750 {
				t.Errorf("usr/share/foo: %v, %v", info, err)
			}
			output(t, append(dpkg, "-P", "foo-modules")...)
			if left, _ := os.ReadDir(root); len(left) != 1 {
				t.Errorf("left behind the purge: %v", left)
			}
			for _, argv := range [][]string{{"dpkg-scanpackages", dir}, {"apt-ftparchive", "packages", dir}} {
				if got := output(t, argv...); !strings.Contains(got, "\nInstalled-Size: 27\n") {
					t.Errorf("%q: %s", argv, got)
				}
			}
		})
	}
}

// TestOracleJobs holds that xz(1) gives the same bytes on any number of CPUs,
// with more than one block.
func TestOracleJobs(t *testing.T) {
	testkit.Tools(t, "xz")
	p := testPackage(XZ)
	addFile(text("big", strings.Repeat("all work and no play\n", 26<<20/21)))(p)
	want := mustWrite(t, p, &Options{Jobs: 1})
	for _, jobs := range []int{0, 2, 3, 16} {
		if got := mustWrite(t, p, &Options{Jobs: jobs}); !bytes.Equal(got, want) {
			t.Errorf("Jobs %d: other bytes than 1", jobs)
		}
	}
	t.Setenv("XZ_OPT", "-0")
	t.Setenv("XZ_DEFAULTS", "-T1")
	if got := mustWrite(t, p, nil); !bytes.Equal(got, want) {
		t.Error("the environment reaches xz(1)")
	}
}

// TestOracleFull publishes to a file system that is too small.
func TestOracleFull(t *testing.T) {
	testkit.Tools(t, "xz", "gzip")
	dir := t.TempDir()
	if err := unix.Mount("gokms-test", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("missing: the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	noise := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for _, c := range []Compression{XZ, Zstd, Gzip, None} {
		p := testPackage(c)
		addFile(text("big", string(noise)))(p)
		err := WriteFile(filepath.Join(dir, "x.deb"), p, nil)
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: %v; want ENOSPC", c, err)
		}
		checkNoFiles(t, dir)
		err = WriteFile(filepath.Join(t.TempDir(), "x.deb"), p, &Options{TempDir: dir})
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "no space left on device") {
			t.Errorf("%s in TempDir: %v; want no space left", c, err)
		}
		checkNoFiles(t, dir)
	}
}

// TestOracleCorpus reads every package of the corpus as dpkg-deb does, and
// writes it again.
func TestOracleCorpus(t *testing.T) {
	testkit.Tools(t, "dpkg-deb", "xz")
	for _, deb := range testkit.Corpus(t) {
		t.Run(strings.SplitN(filepath.Base(deb), "_", 2)[0], func(t *testing.T) {
			t.Parallel()
			r, err := Open(deb)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			ours, theirs := t.TempDir(), t.TempDir()
			if err := r.Extract(ours); err != nil {
				t.Fatal(err)
			}
			output(t, "dpkg-deb", "-x", deb, theirs)
			os.Chmod(theirs, 0o700) // the top directory's mode is the caller's
			os.Chmod(ours, 0o700)
			want := manifest(t, theirs)
			if diff := cmp.Diff(want, manifest(t, ours)); diff != "" {
				t.Errorf("tree (-dpkg-deb +ours):\n%s", diff)
			}
			checkControlFiles(t, r, deb)
			checkRewrite(t, r, deb)
		})
	}
}

// checkControlFiles compares the control member with dpkg-deb -e.
func checkControlFiles(t *testing.T, r *Reader, deb string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "DEBIAN")
	output(t, "dpkg-deb", "-e", deb, dir)
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	parts := r.ControlFiles()
	if len(parts) != len(names)-1 {
		t.Errorf("%d control files; want %d", len(parts), len(names)-1)
	}
	for _, name := range names {
		want, err := os.ReadFile(filepath.Join(dir, name.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if name.Name() != "control" && parts[name.Name()] != string(want) {
			t.Errorf("%s: %q; want %q", name.Name(), parts[name.Name()], want)
		}
	}
	for _, f := range r.Control().Fields {
		want := strings.TrimSuffix(output(t, "dpkg-deb", "-f", deb, f.Name), "\n")
		if got := strings.ReplaceAll(f.Value, "\n", "\n "); got != want {
			t.Errorf("%s: %q; want %q", f.Name, got, want)
		}
	}
}

// checkRewrite writes the package again: the same listing, the same md5sums
// and the same Installed-Size as debhelper gave it.
func checkRewrite(t *testing.T, r *Reader, deb string) {
	t.Helper()
	p := &Package{Control: r.Control(), Scripts: r.ControlFiles(), Compression: Zstd, ModTime: time.Unix(1<<31, 0)}
	size := p.Control.Get("Installed-Size")
	p.Control.Del("Installed-Size")
	delete(p.Scripts, "md5sums")
	err := r.Walk(func(e Entry, content io.Reader) error {
		if e.Path == "." {
			p.ModTime = e.ModTime
			return nil
		}
		text, err := io.ReadAll(content)
		if e.Mode.IsRegular() {
			e.Open = opener(string(text))
		}
		p.Files = append(p.Files, e.File)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy.deb")
	if err := WriteFile(copied, p, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(output(t, "dpkg-deb", "-c", deb), output(t, "dpkg-deb", "-c", copied)); diff != "" {
		t.Errorf("written again, dpkg-deb -c (-theirs +ours):\n%s", diff)
	}
	c, err := Open(copied)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if diff := cmp.Diff(r.ControlFiles(), c.ControlFiles()); diff != "" {
		t.Errorf("written again, control files (-theirs +ours):\n%s", diff)
	}
	if got := c.Control().Get("Installed-Size"); got != size {
		t.Errorf("written again, Installed-Size: %s; want %s", got, size)
	}
}

// manifest is a tree as a flat map.
func manifest(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case d.IsDir():
			m[name] = fmt.Sprint(info.Mode())
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			m[name] = fmt.Sprint(info.Mode(), target)
			return err
		default:
			content, err := os.ReadFile(path)
			m[name] = fmt.Sprintf("%v %v %x", info.Mode(), info.ModTime().UTC(), sha256.Sum256(content))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
