// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/record"
	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/kbuild"
	"github.com/gokms/gokms/pkg/kmod"
)

// input is a path that an option names.
type input struct{ option, path string }

// recordedOptions are the words of a command line that say once more what c
// does, and the paths among them.
func recordedOptions(c *ucli.Context, abs func(string) string) (words []string, inputs []input) {
	for _, f := range commandFlags() {
		name := f.Names()[0]
		form, ok := record.Option(name)
		if !ok || !c.IsSet(name) {
			continue
		}
		option := "--" + name
		switch form {
		case record.Switch:
			words = append(words, option)
		case record.List:
			for _, value := range c.StringSlice(name) {
				words = append(words, option+"="+value)
			}
		case record.Text:
			words = append(words, option+"="+c.String(name))
		case record.Checked:
			inputs = append(inputs, input{option, abs(name)})
			fallthrough
		case record.Root, record.CheckedDir:
			words = append(words, option+"="+abs(name))
		}
	}
	return words, inputs
}

// argument is one SOURCE.
type argument struct {
	text    string // as typed
	path    string // absolute; of a directory or a .deb
	sources []*source.Source
}

// newArgument takes what text, or the .deb fetched for it, stands for.
func (c *command) newArgument(text, arg string, sources []*source.Source) argument {
	path := c.absolute(arg)
	if _, err := os.Stat(path); err != nil { // NAME/VERSION
		path = filepath.Dir(c.absolute(sources[0].Conf.Path))
	}
	return argument{text, path, sources}
}

func (c *command) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.env.Dir, path)
}

// checkRecord finds out before anything is built whether a record can be
// written, and what it says will hold then.
func (c *command) checkRecord() error {
	if c.record == "" {
		return nil
	}
	if info, err := os.Stat(c.record); err == nil && info.IsDir() {
		return fmt.Errorf("--record %s is a directory", c.record)
	}
	places := slices.Clone(c.inputs)
	for _, a := range c.arguments {
		places = append(places, input{"source", a.path})
	}
	for _, p := range places {
		if below(p.path, c.record) {
			return cli.WithHint(fmt.Errorf("--record %s is in the %s %s, which it would change", c.record, strings.TrimPrefix(p.option, "--"), p.path),
				"write it somewhere else")
		}
	}
	return writable("--record", filepath.Dir(c.record))
}

// below says whether a file will be in dir, whatever links lead there.
func below(dir, file string) bool {
	real := func(path string) string {
		if to, err := filepath.EvalSymlinks(path); err == nil {
			return to
		}
		return path
	}
	rel, err := filepath.Rel(real(dir), filepath.Join(real(filepath.Dir(file)), filepath.Base(file)))
	return err == nil && filepath.IsLocal(rel) && rel != "."
}

// beginRecord takes down what goes into the run, before it is built from; nil
// without --record.
func (c *command) beginRecord(ctx context.Context, kernels []*target.Kernel, cells []*cell.Cell) (*record.Record, error) {
	if c.record == "" {
		return nil, nil
	}
	r := &record.Record{Format: record.Format, Gokms: cli.Version(), Arguments: append([]string{}, c.words...), Environment: map[string]string{}}
	for _, name := range record.Variables {
		if value := c.env.Getenv(name); value != "" {
			r.Environment[name] = value
		}
	}
	for _, in := range c.inputs {
		sum, err := record.Sum(ctx, in.path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.option, err)
		}
		r.Inputs = append(r.Inputs, record.Input{Option: in.option, Path: in.path, SHA256: sum})
	}
	for _, a := range c.arguments {
		s, err := a.record(ctx, cells)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.text, err)
		}
		r.Sources = append(r.Sources, s)
	}
	finder := c.places.Finder(c.run(), kbuild.LookPath, nil)
	for _, k := range kernels {
		identity, err := finder.Identify(ctx, k)
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", k.Release, err)
		}
		r.Kernels = append(r.Kernels, identity)
	}
	r.Tools = c.tools(ctx, kernels)
	return r, nil
}

// record describes a as the source of cells.
func (a argument) record(ctx context.Context, cells []*cell.Cell) (record.Source, error) {
	first := a.sources[0]
	s := record.Source{
		Argument: a.text, Kind: record.Directory, Path: a.path,
		Package: first.Debian.Binary, PackageVersion: first.Debian.Version,
	}
	switch info, err := os.Stat(a.path); {
	case err != nil:
		return s, err
	case strings.HasPrefix(a.text, target.AptPrefix):
		s.Kind = record.Archive
	case !info.IsDir():
		s.Kind = record.Deb
	}
	for _, one := range cells {
		if one.Source == first {
			s.Date = one.Clock().Unix()
		}
	}
	var err error
	s.SHA256, err = record.Sum(ctx, a.path)
	return s, err
}

// tools are the programs besides compilers that modules go through, each once.
func (c *command) tools(ctx context.Context, kernels []*target.Kernel) []record.Tool {
	asker := record.Asker{Run: c.run(), LookPath: kbuild.LookPath}
	var tools []record.Tool
	add := func(command, pkg string) {
		if !slices.ContainsFunc(tools, func(t record.Tool) bool { return t.Command == command }) {
			tools = append(tools, asker.Tool(ctx, command, pkg))
		}
	}
	add("make", "make")
	for _, k := range kernels {
		for _, t := range binutils(k) {
			add(t[0], t[1])
		}
		// Of headers in packages it is one of these.
		if len(k.Packages) == 0 && k.Config.On("CONFIG_DEBUG_INFO_BTF_MODULES") {
			add("pahole", "pahole")
		}
	}
	if c.compression == debfile.XZ || slices.ContainsFunc(kernels, compressesModules) {
		add("xz", "xz-utils")
	}
	return tools
}

// compressesModules says whether modules of the kernel go through xz(1).
func compressesModules(k *target.Kernel) bool {
	c, err := kmod.ConfigCompression(k.Config.Text)
	return err == nil && c == kmod.XZ
}

// binutils are linker and strip of a kernel, with their packages.
func binutils(k *target.Kernel) [][2]string {
	ld, strip := [2]string{k.CrossPrefix + "ld", "binutils"}, [2]string{k.CrossPrefix + "strip", "binutils"}
	if k.CrossPrefix != "" {
		pkg := "binutils-" + strings.ReplaceAll(strings.TrimSuffix(k.CrossPrefix, "-"), "_", "-")
		ld[1], strip[1] = pkg, pkg
	}
	if suffix := strings.TrimPrefix(k.Compiler.LLVM, "1"); k.Compiler.LLVM != "" {
		strip = [2]string{"llvm-strip" + suffix, "llvm" + suffix}
	}
	if k.Compiler.Linker != "" {
		ld = [2]string{k.Compiler.Linker, "lld" + strings.TrimPrefix(k.Compiler.Linker, "ld.lld")}
	}
	return [][2]string{ld, strip}
}

// endRecord writes the record of a run that has built all it was to build.
func (c *command) endRecord(r *record.Record) error {
	if r == nil {
		return nil
	}
	for _, result := range c.results {
		for _, p := range []*cell.PackageRecord{result.Package, result.Dbgsym} {
			if p != nil {
				r.Packages = append(r.Packages, record.Package{
					File: filepath.Base(p.File), Name: p.Name, Version: p.Version, Architecture: p.Architecture, SHA256: p.SHA256,
				})
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(c.record), 0o777); err != nil {
		return err
	}
	if err := record.Write(c.record, r); err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	c.log.Infof("recorded in %s", c.record)
	return nil
}
