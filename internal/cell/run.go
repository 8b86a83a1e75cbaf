// SPDX-License-Identifier: MIT

package cell

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kmod"
)

// Run builds the cell and publishes its package: the log, then the package,
// then the record. The cells in c.Depends must have been run before. The
// result is never nil.
func (c *Cell) Run(ctx context.Context) *Result {
	now := c.opts.Now
	if now == nil {
		now = time.Now
	}
	start := now()
	r := &Result{Name: c.Source.Name, Version: c.Source.Version, Kernel: c.Kernel.Release, Status: Built}
	c.result = r
	r.warn(c.Warnings...)
	if x := c.Conf.Excluded; x != nil {
		r.Status, r.Rule = Excluded, x.String()
		return r
	}
	if err := c.run(ctx, r); err != nil {
		r.fail(err)
	}
	r.Seconds = now().Sub(start).Seconds()
	if r.Status == Built {
		c.complete(r)
	}
	return r
}

// complete publishes the record. A package without one is only half-done, and
// is removed.
func (c *Cell) complete(r *Result) {
	if err := c.publishRecord(r); err != nil {
		r.fail(fmt.Errorf("%s: %w", c.Title(), errors.Join(err, os.Remove(r.Package.File))))
		r.Package = nil
	}
}

func (c *Cell) run(ctx context.Context, r *Result) error {
	for _, dep := range c.Depends {
		if dep.result.Status == Failed {
			return fmt.Errorf("%s: BUILD_DEPENDS: %s was not built", c.Title(), dep.Title())
		}
	}
	built, err := c.build(ctx, r)
	if err != nil {
		return err
	}
	p := c.Package
	for _, m := range built.Modules {
		if err := c.addModule(ctx, &p, r, m); err != nil {
			return fmt.Errorf("%s: %w", c.Title(), err)
		}
	}
	for _, dep := range c.Depends {
		if dep.result.Status == Built {
			p.Siblings = append(p.Siblings, bmdeb.Sibling{Name: dep.Package.Name, Version: dep.Package.Version})
		}
	}
	return c.publish(&p, r)
}

// build runs kbuild and publishes its log, whatever came of it but an
// interruption.
func (c *Cell) build(ctx context.Context, r *Result) (*kbuild.Result, error) {
	work := filepath.Dir(c.Layout.DKMSTree.Host)
	if err := os.MkdirAll(work, 0o755); err != nil {
		return nil, err
	}
	log := filepath.Join(work, "make.log")
	b := &kbuild.Build{
		Conf: c.Conf, Tree: c.Kernel, Layout: c.Layout, SourceHost: c.Source.Dir, Jobs: c.opts.Jobs,
		ExtraSymvers: c.extraSymvers(), Epoch: c.clock,
		Out: filepath.Join(work, "modules"), LogPath: log, Run: c.opts.Run, Now: c.opts.Now,
		DKMSConf: c.Source.Conf.Text,
	}
	built, err := b.Do(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	published, logErr := c.publishLog(log)
	r.Log = published
	if e, ok := errors.AsType[*kbuild.Error](err); ok {
		e.LogPath = published
		e.Excerpt = c.shown(e.Excerpt)
	}
	if err := errors.Join(c.titled(err), c.titled(logErr)); err != nil {
		return nil, err
	}
	for _, s := range built.Steps {
		r.Steps = append(r.Steps, StepRecord{s.Name, s.Command, s.ExitCode, s.Elapsed.Seconds()})
	}
	r.warn(built.Warnings...)
	c.Warnings = append(c.Warnings, built.Warnings...)
	c.symver = built.Symvers
	return built, nil
}

// titled puts the cell's name in front of an error that has none.
func (c *Cell) titled(err error) error {
	if _, ok := errors.AsType[*kbuild.Error](err); ok || err == nil {
		return err
	}
	return fmt.Errorf("%s: %w", c.Title(), err)
}

// shown names the source's files as the user does: what was unpacked or copied
// is gone when he reads this.
func (c *Cell) shown(text string) string {
	return strings.ReplaceAll(text, c.Source.Dir+"/", c.Source.Shown+"/")
}

// extraSymvers are the Module.symvers of all that c depends on.
func (c *Cell) extraSymvers() []kbuild.Symvers {
	seen := map[*Cell]bool{}
	var files []kbuild.Symvers
	var add func(*Cell)
	add = func(c *Cell) {
		for _, dep := range c.Depends {
			if seen[dep] {
				continue
			}
			seen[dep] = true
			if dep.symver != "" {
				files = append(files, kbuild.Symvers{Name: dep.Source.Name, Version: dep.Source.Version, Host: dep.symver})
			}
			add(dep)
		}
	}
	add(c)
	return files
}

// addModule checks, strips and adds one built module.
func (c *Cell) addModule(ctx context.Context, p *bmdeb.Package, r *Result, m kbuild.Module) error {
	f, err := readModule(m)
	if err != nil {
		return err
	}
	info := f.Info()
	if err := f.CheckRelease(c.Kernel.Release); err != nil {
		return err
	}
	if m.Strip {
		if err := kmod.Strip(ctx, m.Path, &kmod.Options{LLVM: c.Kernel.Compiler.LLVM, Run: c.opts.Run}); err != nil {
			return err
		}
	}
	size, sum, err := digest(m.Path)
	if err != nil {
		return err
	}
	module := bmdeb.Module{
		Name: m.DestName, Suffix: ".ko", Size: size,
		Open: func() (io.ReadCloser, error) { return os.Open(m.Path) },
	}
	p.Modules = append(p.Modules, module)
	r.Modules = append(r.Modules, ModuleRecord{
		Name: m.DestName, File: p.ModulePath(module), Version: info.Version, SrcVersion: info.SrcVersion,
		Vermagic: info.Vermagic, SHA256: sum,
	})
	return nil
}

// readModule reads a built module under the name that dkms.conf gives it.
func readModule(m kbuild.Module) (*kmod.File, error) {
	file, err := os.Open(m.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return new(kmod.Options).Read(file, info.Size(), filepath.Join(m.BuiltDir, m.BuiltName+".ko"))
}

// publish writes the package into the output directory. The record of an
// earlier one goes before it appears: it must not be found beside another
// package.
func (c *Cell) publish(p *bmdeb.Package, r *Result) error {
	deb, err := p.Deb()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.opts.Output, 0o777); err != nil {
		return err
	}
	file := filepath.Join(c.opts.Output, p.FileName())
	tmp := filepath.Join(c.opts.Output, "."+filepath.Base(c.opts.WorkDir)+"-"+p.FileName())
	if err := debfile.WriteFile(tmp, deb, &debfile.Options{Run: c.opts.Run, TempDir: c.opts.WorkDir}); err != nil {
		return err
	}
	err = os.Remove(c.recordFile())
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = os.Rename(tmp, file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	size, sum, err := digest(file)
	r.Package = &PackageRecord{
		File: file, Name: p.Binary(), Version: p.Version, Architecture: p.Kernel.DebArch, Size: size, SHA256: sum,
	}
	return err
}

// stem is the package's file name without .deb.
func (c *Cell) stem() string { return strings.TrimSuffix(c.Package.FileName(), ".deb") }

// publishLog copies the build log; none, as when the source could not even be
// copied, is no error.
func (c *Cell) publishLog(log string) (string, error) {
	text, err := os.ReadFile(log)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	to := filepath.Join(cmp.Or(c.opts.LogDir, c.opts.Output), c.stem()+".log")
	return to, writeFile(to, text)
}

// publishRecord makes the cell count as published.
func (c *Cell) publishRecord(r *Result) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(c.recordFile(), append(text, '\n'))
}

func (c *Cell) recordFile() string {
	return filepath.Join(cmp.Or(c.opts.RecordDir, c.opts.Output), c.stem()+".json")
}

// writeFile puts text at file whole or not at all.
func writeFile(file string, text []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+path.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

// digest returns size and SHA-256 of a file.
func digest(file string) (int64, string, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// person is a maintainer's name and address.
type person struct{ name, email string }

// address takes a Maintainer field apart, as far as it can be.
func address(maintainer string) person {
	if a, err := mail.ParseAddress(maintainer); err == nil {
		return person{a.Name, a.Address}
	}
	name, rest, _ := strings.Cut(maintainer, "<")
	email, _, _ := strings.Cut(rest, ">")
	return person{strings.TrimSpace(name), strings.TrimSpace(email)}
}
