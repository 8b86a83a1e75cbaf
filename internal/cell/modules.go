// SPDX-License-Identifier: MIT

package cell

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kmod"
)

// module is a built module on its way into the package.
type module struct {
	kbuild.Module
	path   string     // its file, as far as it is finished
	file   *kmod.File // that was verified: stripped, not signed
	debug  *bmdeb.DebugFile
	signer string
	size   int64
	sum    string
}

// addModules strips the built modules, verifies them together, signs and
// compresses them and puts them into p.
func (c *Cell) addModules(ctx context.Context, p *packing, built []kbuild.Module) error {
	modules := make([]*module, len(built))
	for i, b := range built {
		modules[i] = &module{Module: b, path: b.Path}
	}
	if err := c.strip(ctx, modules); err != nil {
		return err
	}
	if err := c.verify(p.record, modules); err != nil {
		return err
	}
	if err := c.each(ctx, modules, c.finish); err != nil {
		return err
	}
	for _, m := range modules {
		p.add(m, c.compression)
	}
	return nil
}

// each does something with all modules, several at a time.
func (c *Cell) each(ctx context.Context, modules []*module, do func(context.Context, *module) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, c.opts.Jobs))
	for _, m := range modules {
		group.Go(func() error { return do(ctx, m) })
	}
	return group.Wait()
}

// strip strips the modules, after their debug information was copied if a
// package of debug symbols is wanted, and reads them. A module's bytes are the
// same either way.
func (c *Cell) strip(ctx context.Context, modules []*module) error {
	o, err := c.stripOptions()
	if err != nil {
		return err
	}
	if c.opts.Dbgsym {
		if err := c.splitDebug(ctx, modules, o); err != nil {
			return err
		}
	}
	var paths []string
	for _, m := range modules {
		if m.Strip {
			paths = append(paths, m.path)
		}
	}
	if err := kmod.StripAll(ctx, paths, o); err != nil {
		return err
	}
	return c.each(ctx, modules, func(_ context.Context, m *module) (err error) {
		m.file, err = readModule(m, c.kmodOptions())
		return err
	})
}

// splitDebug copies the debug information of those modules that are stripped of
// some, and an identity by which debuggers find it.
func (c *Cell) splitDebug(ctx context.Context, modules []*module, o *kmod.Options) error {
	err := c.each(ctx, modules, func(_ context.Context, m *module) error {
		if !m.Strip {
			return nil
		}
		f, err := readModule(m, c.kmodOptions())
		if err == nil && f.Debug && len(f.BuildID) > 0 {
			m.debug = &bmdeb.DebugFile{BuildID: f.BuildID}
		}
		return err
	})
	if err != nil {
		return err
	}
	split := slices.DeleteFunc(slices.Clone(modules), func(m *module) bool { return m.debug == nil })
	paths := make([]string, len(split))
	for i, m := range split {
		paths[i] = m.path
	}
	if err := kmod.SplitDebugAll(ctx, paths, o); err != nil {
		return err
	}
	for i, m := range split {
		file := paths[i] + kmod.DebugSuffix
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		m.debug.Size, m.debug.Open = info.Size(), opener(file)
	}
	return nil
}

// finish signs and compresses a module, and reads back what became of it.
func (c *Cell) finish(ctx context.Context, m *module) error {
	o := c.kmodOptions()
	if c.signer != nil {
		if err := o.Sign(ctx, m.path, c.signer); err != nil {
			return err
		}
	}
	var err error
	if m.path, err = o.Compress(ctx, m.path, c.compression); err != nil {
		return err
	}
	if c.signer != nil {
		signature, err := o.VerifyFile(m.path, c.certificate, c.signer.Hash)
		if err != nil {
			return err
		}
		m.signer = signature.Issuer
	}
	m.size, m.sum, err = debfile.Sum(m.path)
	return err
}

// add puts a finished module into the package and its record.
func (p *packing) add(m *module, compression kmod.Compression) {
	module := bmdeb.Module{Name: m.DestName, Suffix: suffix(compression), Size: m.size, Open: opener(m.path)}
	p.Modules = append(p.Modules, module)
	if m.debug != nil {
		p.debug = append(p.debug, *m.debug)
	}
	info := m.file.Info()
	p.record.Modules = append(p.record.Modules, ModuleRecord{
		Name: m.DestName, File: p.ModulePath(module), Version: info.Version, SrcVersion: info.SrcVersion,
		Vermagic: info.Vermagic, Signer: m.signer, Compression: string(compression), SHA256: m.sum,
	})
}

// suffix ends the names of module files.
func suffix(c kmod.Compression) string { return ".ko" + c.Ext() }

// kmodOptions choose the strip that goes with the kernel's compiler.
func (c *Cell) kmodOptions() *kmod.Options {
	return &kmod.Options{LLVM: c.Kernel.Compiler.LLVM, CrossPrefix: c.Kernel.CrossPrefix, Run: c.opts.Run, Jobs: c.opts.Jobs}
}

// readModule reads a module under the name that it gets in the package.
func readModule(m *module, o *kmod.Options) (_ *kmod.File, err error) {
	file, err := os.Open(m.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return o.Read(file, info.Size(), m.DestName+".ko")
}

func opener(path string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}
