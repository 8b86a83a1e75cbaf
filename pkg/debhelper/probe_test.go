// SPDX-License-Identifier: MIT

package debhelper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be the command dh_probe, which testdata has
// written against debhelper's own library too.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "dh_probe" {
		os.Exit(runProbe())
	}
	os.Exit(m.Run())
}

func runProbe() int {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	s, err := probe(Env{Args: os.Args[1:], Environ: os.Environ(), Dir: dir, Stdout: os.Stdout, Stderr: os.Stderr})
	for _, w := range s.Warnings {
		fmt.Fprintf(os.Stderr, "dh_probe: warning: %v\n", w)
	}
	switch {
	case errors.Is(err, ErrHelp):
		return 1
	case err != nil:
		fmt.Fprintf(os.Stderr, "dh_probe: error: %v\n", err)
		return ExitError
	}
	return 0
}

// probe is testdata/dh_probe in Go.
func probe(env Env) (*Session, error) {
	var (
		legacy       []string
		runtime, opt *string
	)
	s, err := Init(context.Background(), Command{Name: "dh_probe", Version: "1.0", Flags: []Flag{
		Strings(&legacy, "l", "legacy").withoutValue(),
		{Names: []string{"runtime"}, Takes: Value, Set: func(v string) error { runtime = &v; return nil }},
		{Names: []string{"opt"}, Takes: OptionalValue, Set: func(v string) error { opt = &v; return nil }},
	}}, env)
	if err != nil || len(s.Packages) == 0 {
		return s, err
	}
	p := &prober{s}
	p.show("packages", s.Packages...)
	p.showText("main", s.MainPackage)
	p.showText("flags", flags(s.Verbose, s.NoAct, s.NoScripts, s.OnlyScripts, s.All, s.D)...)
	p.showMaybe("own", new(fmt.Sprint(len(legacy))), runtime, opt)
	p.showMaybe("V", s.V)
	p.showText("name", orUndef(s.Name)...)
	p.showText("rest", append(s.U, s.Rest...)...)
	args := s.Args
	if len(args) == 0 {
		args = s.Rest // as debhelper's have it
	}
	p.showText("args", args...)
	var excluded []string
	for _, name := range []string{"CVS/a", "b.svn/c", "x.o", "readme"} {
		if s.Excluded(name) {
			excluded = append(excluded, name)
		}
	}
	p.showText("excluded", excluded...)
	p.showText("parallel", fmt.Sprint(s.Build.Parallel()))
	p.showText("root", flags(s.RequiresRoot("probe/thing"))...)
	for _, pkg := range s.Packages {
		if err := p.act(pkg); err != nil {
			return s, err
		}
	}
	return s, s.Finish()
}

type prober struct{ *Session }

func (p *prober) act(pkg *Package) error {
	file, err := p.PkgFile(pkg, "probe")
	if err != nil {
		return err
	}
	arch, err := p.BinaryArch(pkg)
	if err != nil {
		return err
	}
	p.showText(pkg.Name, append([]string{file, arch}, flags(pkg.IsUdeb())...)...)
	if err := p.InstallDir(p.PackageTmpDir(pkg) + "/usr/probe"); err != nil {
		return err
	}
	if file != "" {
		if err := p.list(pkg, file); err != nil {
			return err
		}
	}
	err = errors.Join(
		p.AddSubstvar(pkg, "misc:Depends", "probe (>= 1.0)"),
		p.AddSubstvar(pkg, "misc:Depends", "alpha"),
		p.RemoveSubstvar(pkg, "misc:Recommends", "gone"),
		p.DelSubstvar(pkg, "misc:Old"),
	)
	for _, script := range []string{"postinst", "prerm"} {
		if p.NoScripts || err != nil {
			break
		}
		err = p.Autoscript(pkg, Snippet{Script: script, File: "probe-snippet", Values: map[string]string{"NAME": pkg.Name, "VERSION": "1.0"}})
	}
	return err
}

func (p *prober) list(pkg *Package, file string) error {
	if err := p.InstallFile(file, p.PackageTmpDir(pkg)+"/usr/probe/file"); err != nil {
		return err
	}
	entries, err := p.ReadList(file)
	if err != nil {
		return err
	}
	for _, e := range entries {
		p.showText("line", e.Words...)
		var found []string
		for _, word := range e.Words {
			found = append(found, p.Glob(word, ".", "debian/tmp")...)
		}
		p.showText("found", found...)
	}
	return p.LogInstalled(pkg, file)
}

func (p *prober) show(what string, pkgs ...*Package) {
	var names []string
	for _, pkg := range pkgs {
		names = append(names, pkg.Name)
	}
	p.showText(what, names...)
}

func (p *prober) showText(what string, values ...string) {
	fmt.Fprintf(p.env.Stdout, "%s:", what)
	for _, v := range values {
		fmt.Fprint(p.env.Stdout, strings.ReplaceAll(" <"+v+">", " <\x00>", " undef"))
	}
	fmt.Fprintln(p.env.Stdout)
}

func (p *prober) showMaybe(what string, values ...*string) {
	var texts []string
	for _, v := range values {
		if v == nil {
			texts = append(texts, "\x00")
		} else {
			texts = append(texts, *v)
		}
	}
	p.showText(what, texts...)
}

func orUndef(text string) []string {
	if text == "" {
		return []string{"\x00"}
	}
	return []string{text}
}

func flags(values ...bool) []string {
	var texts []string
	for _, v := range values {
		texts = append(texts, map[bool]string{true: "1", false: "0"}[v])
	}
	return texts
}

// withoutValue counts the uses of a flag.
func (f Flag) withoutValue() Flag {
	f.Takes = NoValue
	return f
}
