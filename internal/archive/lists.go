// SPDX-License-Identifier: MIT

package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gokms/gokms/pkg/control"
	"golang.org/x/sys/unix"
)

// maxAge is how old lists may become. Kernels come weekly.
const maxAge = 24 * time.Hour

// lists are apt's lists of packages for one architecture: the machine's, or
// ones in the cache.
type lists struct {
	a    *Archive
	arch string

	mu      sync.Mutex           // held by what changes the rest
	dir     string               // of our own; "": the machine's
	updated bool                 // by this process
	err     error                // of the update, if it did not succeed
	known   map[string][]Package // candidates that were asked for, none or one
}

// listsOf finds the lists of an architecture and brings them up to date.
func (a *Archive) listsOf(ctx context.Context, arch string) (*lists, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := a.lists[arch]; l != nil {
		return l, nil
	}
	l := &lists{a: a, arch: arch}
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	a.lists[arch] = l
	return l, nil
}

// open decides whose lists are taken: the machine's if they are of the day,
// because they are there.
func (l *lists) open(ctx context.Context) error {
	if l.arch == l.a.build {
		files, err := l.files(ctx)
		if err != nil {
			return err
		}
		if len(files) > 0 && l.a.o.Now().Sub(lastChange(files)) < maxAge {
			return nil
		}
	}
	l.dir = l.ownDir()
	stamp, err := os.Stat(l.stamp())
	if err == nil && l.a.o.Now().Sub(stamp.ModTime()) < maxAge {
		return nil
	}
	return l.update(ctx)
}

// lastChange is when apt last updated the machine's lists. Their own times are
// the archive's, but apt makes files beside them.
func lastChange(files []string) time.Time {
	var last time.Time
	dir := filepath.Dir(files[0])
	for _, path := range []string{dir, filepath.Join(dir, "partial")} {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

// ownDir is where lists of our own are. Other options may mean other sources.
func (l *lists) ownDir() string {
	name := l.arch
	if len(l.a.o.Apt) > 0 {
		sum := sha256.Sum256([]byte(strings.Join(l.a.o.Apt, "\x00")))
		name += fmt.Sprintf("-%x", sum[:8])
	}
	return filepath.Join(l.a.o.CacheDir, "apt", name)
}

// stamp is a file as old as the lists.
func (l *lists) stamp() string { return filepath.Join(l.dir, "updated") }

// options are apt's for these lists.
func (l *lists) options() []string {
	if l.dir == "" {
		return nil
	}
	return []string{
		"-c", filepath.Join(l.dir, "apt.conf"),
		"-o", "Dir::State=" + l.dir + "/",
		"-o", "Dir::State::lists=" + filepath.Join(l.dir, "lists") + "/",
		"-o", "Dir::Cache=" + filepath.Join(l.dir, "cache") + "/",
	}
}

// ownConf is apt's configuration for lists of our own, as far as options on
// the command line cannot say it: they do not clear what is configured. The
// scripts around an update are for the machine's lists: Docker's clear its
// cache.
func ownConf(arch string) string {
	return fmt.Sprintf(`#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets;
APT::Architecture "%[1]s";
APT::Architectures { "%[1]s"; };
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Packages {
	MetaKey "$(COMPONENT)/binary-$(ARCHITECTURE)/Packages";
	flatMetaKey "Packages";
	ShortDescription "Packages";
	Description "$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Packages";
	flatDescription "$(RELEASE) Packages";
	Optional "0";
};
`, arch)
}

// files are the lists that are there.
func (l *lists) files(ctx context.Context) ([]string, error) {
	out, err := l.a.command(ctx, "", slices.Concat([]string{"apt-get"}, l.options(),
		[]string{"indextargets", "--format", "$(FILENAME)", "Created-By: Packages"})...)
	if err != nil {
		return nil, noApt(err)
	}
	return strings.Fields(out), nil
}

// noApt says what a machine without apt cannot do.
func noApt(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("no apt here to fetch packages with: %w", err)
	}
	return err
}

// update makes or renews lists of our own, once. It succeeds if there are any
// then, however old: the error is kept for what is not found in them.
func (l *lists) update(ctx context.Context) error {
	before := l.a.o.Now()
	l.dir, l.known = l.ownDir(), nil
	if err := l.a.makeDirs(filepath.Join(l.dir, "lists", "partial"), filepath.Join(l.dir, "cache", "archives", "partial")); err != nil {
		return err
	}
	lock, err := l.lock(ctx, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	l.updated = true
	if stamp, err := os.Stat(l.stamp()); err == nil && stamp.ModTime().After(before) {
		return nil // while we waited
	}
	if err := l.a.writeFile(filepath.Join(l.dir, "apt.conf"), []byte(ownConf(l.arch))); err != nil {
		return err
	}
	_, l.err = l.a.command(ctx, "", slices.Concat([]string{"apt-get"}, l.options(), []string{"update"})...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ok := errors.AsType[*CacheError](l.err); ok {
		return l.err
	}
	files, err := l.files(ctx)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return &NoListsError{Arch: l.arch, Err: l.err}
	}
	if l.err != nil {
		l.a.o.Warn(fmt.Errorf("update of the list of packages: %w", l.err))
		return nil
	}
	return l.a.writeFile(l.stamp(), nil)
}

// refresh updates the lists unless this process did so, and tells whether they
// may be others now.
func (l *lists) refresh(ctx context.Context) (changed bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.updated {
		return false, nil
	}
	return true, l.update(ctx)
}

// updateErr is why the lists may be incomplete.
func (l *lists) updateErr() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// lock keeps others from changing lists of our own, or with LOCK_EX from
// reading them.
func (l *lists) lock(ctx context.Context, how int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(l.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, l.a.cacheError(err)
	}
	if err := flock(ctx, f, how); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// command runs an apt command on these lists.
func (l *lists) command(ctx context.Context, dir, program string, words ...string) (string, error) {
	l.mu.Lock()
	own, options := l.dir != "", l.options()
	l.mu.Unlock()
	if own {
		lock, err := l.lock(ctx, unix.LOCK_SH)
		if err != nil {
			return "", err
		}
		defer lock.Close()
	}
	return l.a.command(ctx, dir, slices.Concat([]string{program}, options, words)...)
}

// names lists the packages whose name begins with prefix.
func (l *lists) names(ctx context.Context, prefix string) ([]string, error) {
	out, err := l.command(ctx, "", "apt-cache", "pkgnames", prefix)
	if err != nil {
		return nil, err
	}
	names := strings.Fields(out)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// candidates finds the version of each package that apt would install, as far
// as there is one. apt-cache takes 0.4 s whatever it is asked, so that it is
// asked for no name twice.
func (l *lists) candidates(ctx context.Context, names []string) (map[string]Package, error) {
	l.mu.Lock()
	asked := slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, ok := l.known[name]; return ok })
	l.mu.Unlock()
	all, err := l.show(ctx, "--no-all-versions", asked)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string][]Package{}
	}
	for _, name := range asked {
		l.known[name] = nil
	}
	for _, p := range all {
		if l.known[p.Name] == nil {
			l.known[p.Name] = []Package{p}
		}
	}
	found := map[string]Package{}
	for _, name := range names {
		for _, p := range l.known[name] {
			found[name] = p
		}
	}
	return found, nil
}

// versions finds all versions of a package.
func (l *lists) versions(ctx context.Context, name string) ([]Package, error) {
	return l.show(ctx, "--all-versions", []string{name})
}

// maxNames bounds a command line.
const maxNames = 500

func (l *lists) show(ctx context.Context, which string, names []string) ([]Package, error) {
	var all []Package
	for some := range slices.Chunk(names, maxNames) {
		some = slices.DeleteFunc(slices.Clone(some), func(name string) bool { return control.ValidPackageName(name) != nil })
		if len(some) == 0 {
			continue
		}
		out, err := l.command(ctx, "", "apt-cache", append([]string{"show", which}, some...)...)
		if err != nil && !isNothing(err) {
			return nil, err
		}
		found, err := parsePackages(out)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return slices.DeleteFunc(all, func(p Package) bool { return p.Architecture != l.arch && p.Architecture != "all" }), nil
}

// isNothing says whether apt-cache only found nothing.
func isNothing(err error) bool {
	e, ok := errors.AsType[*AptError](err)
	return ok && strings.Contains(e.Output, "No packages found")
}
