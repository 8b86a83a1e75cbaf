// SPDX-License-Identifier: MIT

package depmod

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
)

const oracleKernel = "6.1.0-1-t+x"

// verdict is what the real depmod says.
type verdict struct {
	winners  map[string]string // by module, as in modules.dep
	compared []comparison
	config   []string // what it read, as it logs that
	bad      []string // FILE:LINE of lines that it ignores, the last of a line's
}

type comparison struct {
	old, new string
	kept     bool
}

var (
	reAdd     = regexp.MustCompile(`DEBUG: (search|override|external|exclude) add: (.*?)(?:, search type=\d)?$`)
	reBad     = regexp.MustCompile(`ERROR: (.*:\d+): ignoring bad line`)
	reCompare = regexp.MustCompile(`DEBUG: comparing priorities of (.*) and (.*)$`)
)

// runDepmod asks depmod, in a root directory of its own if root is not "".
func runDepmod(t *testing.T, root string, args ...string) verdict {
	t.Helper()
	cmd := exec.Command("depmod", append([]string{"-n", "-v", "-v", "-v"}, args...)...)
	if root != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		cmd.Path, cmd.Dir = "/sbin/depmod", "/"
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	v := verdict{winners: map[string]string{}}
	for line := range strings.Lines(stdout.String()) {
		if strings.HasPrefix(line, "# Aliases") {
			break
		}
		file, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		v.winners[ModuleName(file)] = file
	}
	for line := range strings.SplitSeq(stderr.String(), "\n") {
		if m := reAdd.FindStringSubmatch(line); m != nil {
			v.config = append(v.config, m[1]+" "+m[2])
		} else if m := reBad.FindStringSubmatch(line); m != nil {
			v.bad = append(v.bad, m[1])
		} else if m := reCompare.FindStringSubmatch(line); m != nil {
			v.compared = append(v.compared, comparison{old: m[1], new: m[2]})
		} else if strings.Contains(line, "DEBUG: Ignored lower priority") {
			v.compared[len(v.compared)-1].kept = true
		}
	}
	return v
}

// theory is what this package says, in the same form.
func theory(c *Config, tree *Tree) (config, bad []string) {
	for _, s := range c.Searches {
		if s.Origin == (Origin{}) && s.Dir == BuiltIn {
			continue // depmod's default does not spell it
		}
		config = append(config, "search "+s.Dir)
	}
	for _, o := range c.Overrides {
		if matchKernel(o.Kernel, tree.Kernel) {
			config = append(config, "override "+o.Dir+"/"+o.Module)
		}
	}
	for _, e := range c.Externals {
		if matchKernel(e.Kernel, tree.Kernel) {
			config = append(config, "external "+e.Dir)
		}
	}
	for _, e := range c.Excludes {
		config = append(config, "exclude "+e.Name)
	}
	for _, w := range c.Warnings {
		if strings.Contains(w.Error(), "depmod ignores lines") || strings.Contains(w.Error(), "depmod ignores an ") {
			bad = append(bad, w.Error())
		}
	}
	return config, bad
}

type tally struct{ modules, ambiguous, contested, overridden, external, excluded int }

// agree compares the real depmod with this package.
func agree(t *testing.T, c *Config, tree *Tree, v verdict, n *tally) {
	t.Helper()
	config, bad := theory(c, tree)
	slices.Sort(config)
	slices.Sort(v.config)
	if !slices.Equal(config, v.config) || len(bad) != len(v.bad) {
		t.Errorf("configuration %q, ignored %q; depmod has %q, %q", config, bad, v.config, v.bad)
	}
	r := newRules(c, tree)
	for _, cmp := range v.compared {
		if got := r.keeps(r.candidate(cmp.old), r.candidate(cmp.new)); got != cmp.kept {
			t.Errorf("keeps(%s, %s) = %v; depmod: %v", cmp.old, cmp.new, got, cmp.kept)
		}
	}
	decisions := c.Decide(tree)
	for name, d := range decisions {
		n.modules++
		if len(d.Winners)+len(d.Losers) > 1 {
			n.contested++
		}
		if d.Ambiguous() {
			n.ambiguous++
		}
		for _, l := range d.Losers {
			if l.To == "" {
				n.excluded++
			}
			if strings.HasPrefix(l.Why, "override") {
				n.overridden++
			}
		}
		real, ok := v.winners[name]
		if strings.HasPrefix(real, "/") {
			n.external++
		}
		if ok != (len(d.Winners) > 0) || ok && !slices.Contains(d.Winners, real) {
			t.Errorf("module %q: winners %q; depmod: %q\n%s", name, d.Winners, real, d.Explain())
		}
	}
	for name, file := range v.winners {
		if decisions[name] == nil {
			t.Errorf("module %q is not in the tree; depmod: %s", name, file)
		}
	}
}

// scene is a made-up tree with a made-up configuration.
type scene struct {
	rnd  *rand.Rand
	base string // in front of /lib/modules
	ext  string // in front of external directories
	made []string
}

func (s *scene) pick(of ...string) string { return of[s.rnd.IntN(len(of))] }

// many calls f up to max times.
func (s *scene) many(max int, f func()) {
	for range s.rnd.IntN(max + 1) {
		f()
	}
}

func (s *scene) dir() string {
	return s.pick("kernel", "kernel/drivers", "kernel/drivers/net", "updates", "updates/dkms", "updates/gokms", "extra",
		"weak-updates", "updates-x", "kernel/lnk", "extra/source", ".hid", "upd")
}

func (s *scene) module() string {
	return s.pick("foo", "foo", "foo-bar", "foo_bar", "foo.bar", "a", "", "x[1-2]", "x")
}

func (s *scene) externalDir() string {
	return s.pick(s.ext+"/e1", s.ext+"/e1/sub", s.ext+"/e2", s.ext+"/no", s.ext+"/e1/",
		s.base+"/lib/modules/"+oracleKernel+"-extra", s.base+"/lib/modules/"+oracleKernel+"/extra")
}

func (s *scene) file(dir string) {
	name := s.module() + s.pick(".ko", ".ko", ".ko", ".ko", ".ko.xz", ".ko.xz", ".ko.zst", ".ko.gz", ".KO", ".ko.bz2")
	path := filepath.Join(dir, name)
	s.made = append(s.made, path)
	switch s.rnd.IntN(12) { // what is there already may stay
	case 0:
		_ = os.Symlink("/dev/null", path)
	case 1:
		_ = os.Symlink(s.pick("nosuch", "foo.ko", "../foo.ko"), path)
	default:
		_ = os.WriteFile(path, testkit.Module(oracleKernel, "alias="+path), 0o644)
	}
}

// tree makes the files, in a random order.
func (s *scene) tree(t *testing.T) {
	top := s.base + "/lib/modules/" + oracleKernel
	dirs := []string{top, top + "-extra", s.ext + "/e1", s.ext + "/e1/sub", s.ext + "/e2", top + "/build", top + "/kernel/drivers/net"}
	for range 7 {
		dirs = append(dirs, filepath.Join(top, s.dir()))
	}
	s.rnd.Shuffle(len(dirs), func(i, j int) { dirs[i], dirs[j] = dirs[j], dirs[i] })
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if s.rnd.IntN(3) == 0 {
		_ = os.Symlink("../"+s.pick("extra", "weak-updates", "updates/dkms", "nosuch"), top+"/kernel/lnk2")
	}
	if s.rnd.IntN(4) == 0 {
		_ = os.Symlink("../kernel/drivers", top+"/updates/lnk")
	}
	for range 4 + s.rnd.IntN(24) {
		s.file(dirs[s.rnd.IntN(len(dirs))])
	}
}

func (s *scene) line() string {
	kernel := s.pick("*", "*", oracleKernel, "6.1", "^6[.]1", `6\\.1`, `6\.1`, "5.*", "[", "(5|6).1", "t$", "t[+]x$", "a{", "*x", `\w`, "")
	sep := s.pick(" ", " ", "\t", " \t ", "\\\n", " \\\n ")
	join := func(words ...string) string { return strings.Join(words, sep) }
	searches := []string{"search"}
	s.many(4, func() {
		searches = append(searches, s.pick(BuiltIn, BuiltIn, ExternalDirs, s.dir(), s.dir(), s.dir(), "updates/", "kernel/foo", "/"))
	})
	switch s.rnd.IntN(18) {
	case 0, 1, 2, 3:
		return join(searches...)
	case 4, 5, 6, 7:
		if top := "/lib/modules/" + oracleKernel + "/"; s.rnd.IntN(3) > 0 {
			if _, file, ok := strings.Cut(s.pick(s.made...), top); ok && spelling(file) != "" {
				return join("override", spelling(file), kernel, filepath.Dir(file))
			}
		}
		return join("override", s.module(), kernel, s.dir(), s.pick("", "", "more"))
	case 8, 9, 10:
		return join("external", kernel, s.externalDir(), s.pick("", s.ext+"/e2"))
	case 11:
		return join("exclude", s.pick("extra", "dkms", "foo.ko", "updates/dkms", "e1", "sub", ".hid", "drivers", "lnk"))
	case 12:
		return s.pick("# search x", " # search x", "# \\", "#", "", " ", "\t", "\\", `\#`)
	case 13:
		return s.pick("override a", "override", "external *", "external", "exclude", "search", "override  a *")
	case 14:
		return s.pick("make_map_files yes", "include x", "Search extra", "searc\\h extra", "nonsense", "search extra\r", "search x\x00y", "search x\xffy")
	}
	return s.pick("search", "search extra "+BuiltIn, "override foo * updates",
		"search extra\nexternal * "+s.base+"/lib/modules/"+oracleKernel+"-extra")
}

func (s *scene) text() string {
	var b strings.Builder
	s.many(5, func() { b.WriteString(s.line() + "\n") })
	out := b.String()
	if s.rnd.IntN(6) == 0 {
		out = strings.TrimSuffix(out, "\n")
	}
	if s.rnd.IntN(20) == 0 {
		out += `\`
	}
	return out
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// config fills directories with files, some of one name.
func (s *scene) config(t *testing.T, dirs ...string) {
	for _, d := range dirs {
		if s.rnd.IntN(3) == 0 {
			continue
		}
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		s.many(3, func() {
			path := d + "/" + s.pick("a.conf", "b.conf", "B.conf", "10.conf", "9.conf", ".conf", ".x.conf", "x.con", "x.conf~", "é.conf")
			switch s.rnd.IntN(10) {
			case 0: // without target it is undefined, see loader.read
				if target := s.pick("/dev/null", "a.conf"); exists(filepath.Join(d, target)) || target == os.DevNull {
					_ = os.Symlink(target, path)
				}
			case 1:
				_ = os.Mkdir(path, 0o755)
			default:
				_ = os.WriteFile(path, []byte(s.text()), 0o644)
			}
		})
	}
}

// cases is how many random scenes are tried: GOKMS_DEPMOD_CASES, else n.
func cases(t *testing.T, n int) int {
	if env := os.Getenv("GOKMS_DEPMOD_CASES"); env != "" {
		var err error
		if n, err = strconv.Atoi(env); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestOracleOptions compares with depmod -b BASE -C PATH.
func TestOracleOptions(t *testing.T) {
	testkit.Tools(t, "depmod")
	var n tally
	for seed := range cases(t, 1000) {
		dir := t.TempDir()
		s := &scene{rnd: rand.New(rand.NewPCG(uint64(seed), 1)), base: dir + "/base", ext: dir + "/ext"}
		s.tree(t)
		paths := []string{dir + "/c1", dir + "/c2", dir + "/plain", dir + "/nosuch"}
		s.config(t, paths[:2]...)
		if s.rnd.IntN(2) == 0 {
			if err := os.WriteFile(paths[2], []byte(s.text()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		args := []string{"-b", s.base}
		for _, p := range paths {
			args = append(args, "-C", p)
		}
		v := runDepmod(t, "", append(args, oracleKernel)...)
		c, err := Load("", paths...)
		if err != nil {
			t.Fatal(err)
		}
		tree := oracleTree(t, c, s.base)
		agree(t, c, tree, v, &n)
		if t.Failed() {
			t.Fatalf("seed %d: %s", seed, describe(c, tree))
		}
		os.RemoveAll(dir)
	}
	t.Logf("%+v", n)
	if n.ambiguous == 0 || n.overridden == 0 || n.external == 0 || n.excluded == 0 || n.contested < n.modules/4 {
		t.Errorf("the scenes try too little: %+v", n)
	}
}

// oracleTree is the tree below base, with the names that depmod -b has: it
// does not move external directories.
func oracleTree(t *testing.T, c *Config, base string) *Tree {
	t.Helper()
	tree, err := c.Walk(base, oracleKernel)
	if err != nil {
		t.Fatal(err)
	}
	tree.Dir = base + tree.Dir
	outside := walker{tree: tree}
	for _, e := range newRules(c, tree).externals {
		_ = outside.start(e.Dir)
	}
	tree.External = outside.found
	return tree
}

func describe(c *Config, tree *Tree) string {
	var b strings.Builder
	for _, s := range c.Sources {
		fmt.Fprintf(&b, "%s:\n%s\n", s.Path, s.Data)
	}
	fmt.Fprintf(&b, "%+v\n%q\n%q", c.Searches, tree.Files, tree.External)
	return b.String()
}

// TestOracleSystem compares with depmod in a root directory of its own, where
// it reads the directories that it knows.
func TestOracleSystem(t *testing.T) {
	testkit.Tools(t, "depmod", "ldd")
	if os.Getuid() != 0 {
		t.Skip("not root: chroot(2) is not allowed")
	}
	root := t.TempDir()
	installDepmod(t, root)
	var n tally
	for seed := range max(cases(t, 1000)/5, 1) {
		s := &scene{rnd: rand.New(rand.NewPCG(uint64(seed), 2)), base: root, ext: root + "/ext"}
		s.tree(t)
		real := *s
		s.base, s.ext = "", "/ext"
		var dirs []string
		for _, d := range Dirs() {
			dirs = append(dirs, root+d)
		}
		s.config(t, dirs...)
		v := runDepmod(t, root, oracleKernel)
		c, err := Load(root)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := c.Walk(root, oracleKernel)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, c, tree, v, &n)
		if t.Failed() {
			t.Fatalf("seed %d: %s", seed, describe(c, tree))
		}
		for _, d := range append(dirs, real.ext, root+"/usr/lib/modules") {
			os.RemoveAll(d)
		}
	}
	t.Logf("%+v", n)
}

// installDepmod copies the program and its libraries into a merged-/usr root.
func installDepmod(t *testing.T, root string) {
	t.Helper()
	for _, dir := range []string{"/usr/lib", "/usr/lib64", "/usr/sbin", "/usr/bin", "/dev"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"/lib": "usr/lib", "/lib64": "/usr/lib64", "/sbin": "usr/sbin", "/bin": "usr/bin"} {
		if err := os.Symlink(target, root+link); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(root+"/dev/null", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("depmod")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	files := append(regexp.MustCompile(`/\S+`).FindAllString(string(out), -1), program)
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		to := f
		if f == program {
			to = "/sbin/depmod"
		}
		to = Resolve(root, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOracleTies makes the same files in different orders, on a file system
// that lists them so: what is said to be open must be.
func TestOracleTies(t *testing.T) {
	testkit.Tools(t, "depmod")
	for _, tt := range []struct {
		name, conf string
		files      []string
	}{
		{"two in updates", "", []string{"updates/a.ko", "updates/dkms/a.ko", "kernel/a.ko"}},
		{"two elsewhere", "", []string{"extra/a.ko", "kernel/a.ko", "weak-updates/a.ko"}},
		{"two spellings", "", []string{"extra/a-b.ko", "extra/a_b.ko"}},
		{"two compressions", "override a * extra\n", []string{"extra/a.ko", "extra/a.ko.xz", "updates/a.ko"}},
		{"in a row", "search updates extra\n", []string{"updates/x/a.ko", "updates/y/a.ko", "extra/a.ko"}},
		{"a folder in one go", "search built-in updates\n", []string{"updates/a.ko", "updates/x/a.ko", "updates/x/b/a.ko"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shm, err := os.MkdirTemp("/dev/shm", "depmod")
			if err != nil {
				t.Skipf("missing: a tmpfs at /dev/shm: %v", err)
			}
			defer os.RemoveAll(shm)
			conf := shm + "/x.conf"
			if err := os.WriteFile(conf, []byte(tt.conf), 0o644); err != nil {
				t.Fatal(err)
			}
			c, err := Load("", conf)
			if err != nil {
				t.Fatal(err)
			}
			real := map[string]bool{}
			var said []string
			for i := range 40 {
				base := fmt.Sprint(shm, "/", i)
				for _, k := range rand.New(rand.NewPCG(uint64(i), 3)).Perm(len(tt.files)) {
					path := base + "/lib/modules/" + oracleKernel + "/" + tt.files[k]
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, testkit.Module(oracleKernel), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				v := runDepmod(t, "", "-b", base, "-C", conf, oracleKernel)
				for _, file := range v.winners {
					real[file] = true
				}
				for _, d := range c.Decide(oracleTree(t, c, base)) {
					said = d.Winners
				}
			}
			if got := slices.Sorted(maps.Keys(real)); !slices.Equal(got, said) {
				t.Errorf("40 orders: depmod took %q; want %q", got, said)
			}
		})
	}
}

// TestOracleNeeded lets depmod read the lines by which a file is to win.
func TestOracleNeeded(t *testing.T) {
	testkit.Tools(t, "depmod")
	written, refused := 0, 0
	for seed := range max(cases(t, 1000)/5, 1) {
		dir := t.TempDir()
		s := &scene{rnd: rand.New(rand.NewPCG(uint64(seed), 6)), base: dir + "/base", ext: dir + "/ext"}
		s.tree(t)
		s.config(t, dir+"/c1")
		c, err := Load("", dir+"/c1")
		if err != nil {
			t.Fatal(err)
		}
		tree := oracleTree(t, c, s.base)
		if len(tree.Files) == 0 {
			continue
		}
		want := s.pick(tree.Files...)
		text, err := c.Needed(tree, dir+"/c1/zz.conf", want)
		if err != nil {
			refused++
			continue
		}
		plant(t, dir, "c1/zz.conf: "+text)
		v := runDepmod(t, "", "-b", s.base, "-C", dir+"/c1", oracleKernel)
		if got := v.winners[ModuleName(want)]; got != want {
			t.Fatalf("seed %d: %q does not make %s win, but %s\n%s", seed, text, want, got, describe(c, tree))
		}
		if text != "" {
			written++
		}
		os.RemoveAll(dir)
	}
	t.Logf("%d files written, %d refused", written, refused)
	if written == 0 {
		t.Error("no case needed a line")
	}
}

// TestOracleKernels gives depmod regular expressions that were put together at
// random.
func TestOracleKernels(t *testing.T) {
	testkit.Tools(t, "depmod")
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/lib/modules/"+oracleKernel, 0o755); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 4))
	parts := []string{"6", ".", "1", "0", "-", "t", "+", "x", "*", "?", "+", "(", ")", "|", "[", "]", "^", "$", "{", "}", ",", "1", "2",
		`\.`, `\w`, `\W`, `\b`, `\B`, `\<`, `\>`, "\\`", `\'`, `\s`, `\S`, `\+`, `\{`, `\`, "[0-9]", "[^0-9]", "[[:digit:]]", "[[:alnum:]_]",
		"[a-", "-]", "[]", "[^]", "[:", ":]", "[.-.]", "[=6=]", "[[=6=]]", "{1}", "{,2}", "{2,}", "{0}", "(6|7)", ".*", "6.1.0", "-1-", "\xff", "é"}
	var text strings.Builder
	var want []bool
	var exprs []string
	for len(exprs) < len(kernelTests)+cases(t, 1000)*5 {
		expr := ""
		for range 1 + rnd.IntN(7) {
			expr += parts[rnd.IntN(len(parts))]
		}
		if n := len(exprs); n < len(kernelTests) {
			expr = kernelTests[n].expr
		}
		if regexp.MustCompile(`\\[1-9]`).MatchString(expr) {
			continue // back references
		}
		exprs = append(exprs, expr)
		want = append(want, matchKernel(expr, oracleKernel))
		fmt.Fprintf(&text, "external %s /n/%d\n", strings.ReplaceAll(expr, `\`, `\\`), len(exprs)-1)
	}
	if err := os.WriteFile(dir+"/c.conf", []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	v := runDepmod(t, "", "-b", dir, "-C", dir+"/c.conf", oracleKernel)
	matched := 0
	for i, expr := range exprs {
		got := slices.Contains(v.config, fmt.Sprint("external /n/", i))
		if got {
			matched++
		}
		if got != want[i] {
			_, err := compileKernel(expr)
			t.Errorf("matchKernel(%q) = %v (%v); depmod: %v", expr, want[i], err, got)
		}
	}
	t.Logf("%d of %d match", matched, len(exprs))
}
