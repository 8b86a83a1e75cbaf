// SPDX-License-Identifier: MIT

package test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gokms/gokms/internal/testkit"
	"github.com/gokms/gokms/pkg/control"
)

// TestCopyright holds debian/copyright to the licences of the modules that the
// source package has in vendor/: each module has a stanza, with the holders
// and the kinds of licence that its licence files name, and no stanza is left
// of one that is gone.
func TestCopyright(t *testing.T) {
	stanzas := vendorStanzas(t)
	modules := licences(t)
	for module, files := range modules {
		var text string
		for pattern, stanza := range stanzas {
			if strings.HasPrefix(pattern, "vendor/"+module+"/") {
				text += stanza + "\n"
			}
		}
		if text == "" {
			t.Errorf("debian/copyright has no stanza for vendor/%s/*", module)
			continue
		}
		if len(files) == 0 {
			t.Errorf("module %s has no licence file", module)
		}
		for _, file := range files {
			checkLicence(t, file, text)
		}
	}
	for pattern := range stanzas {
		used := func(module string) bool { return strings.HasPrefix(pattern, "vendor/"+module+"/") }
		if pattern != "vendor/modules.txt" && !slices.ContainsFunc(slices.Collect(maps.Keys(modules)), used) {
			t.Errorf("debian/copyright has a stanza for %s, and no module of this name is used", pattern)
		}
	}
}

// vendorStanzas are what debian/copyright says, by the patterns of Files that
// begin with vendor/.
func vendorStanzas(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(testkit.Root(), "debian", "copyright"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parsed, err := control.Parse(f, "debian/copyright")
	if err != nil {
		t.Fatal(err)
	}
	stanzas := map[string]string{}
	for _, s := range parsed {
		for _, pattern := range strings.Fields(s.Get("Files")) {
			if strings.HasPrefix(pattern, "vendor/") {
				stanzas[pattern] = s.Get("Copyright") + "\n" + s.Get("License") + "\n" + s.Get("Comment")
			}
		}
	}
	return stanzas
}

// licences are the modules that the commands and their tests are built with,
// each with its licence files: those that `go mod vendor` takes along, in the
// folders of packages and above them.
func licences(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-test",
		"-f", `{{if .Module}}{{.Module.Path}} {{.ImportPath}} {{.Dir}}{{end}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line) // of a test's variant: PACKAGE [TEST]
		name, pkg, dir := words[0], words[1], words[len(words)-1]
		if name+"/" == module {
			continue
		}
		if _, seen := modules[name]; !seen {
			modules[name] = nil
		}
		for ; ; pkg, dir = filepath.Dir(pkg), filepath.Dir(dir) {
			modules[name] = append(modules[name], licenceFiles(t, dir)...)
			if pkg == name {
				break
			}
		}
	}
	if len(modules) == 0 {
		t.Fatal("go list names no modules")
	}
	for name := range modules {
		slices.Sort(modules[name])
		modules[name] = slices.Compact(modules[name])
	}
	return modules
}

// licenceFiles are the files of dir that hold a licence.
func licenceFiles(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if e.Type().IsRegular() && licenceRE.MatchString(e.Name()) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

var (
	licenceRE = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice)`)
	noticeRE  = regexp.MustCompile(`(?m)^\W*Copyright .*[0-9]{4}.*$`)
	notHolder = regexp.MustCompile(`(?i)^\W*copyright|\(c\)|©|[0-9]{4}(-[0-9]{4})?|all rights reserved`)
)

// kinds are words of licences with what debian/copyright calls those.
var kinds = []struct{ words, name string }{
	{"Permission is hereby granted, free of charge", "Expat"},
	{"Neither the name of", "BSD-3-clause"},
	{"Redistribution and use in source", "BSD-"},
	{"Apache License", "Apache-2.0"},
	{"Mozilla Public License", "MPL-"},
	{"GENERAL PUBLIC LICENSE", "GPL-"},
}

// checkLicence looks for the holders and kinds of a licence file in text.
func checkLicence(t *testing.T, file, text string) {
	t.Helper()
	licence, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, notice := range noticeRE.FindAllString(string(licence), -1) {
		holder := strings.Trim(notHolder.ReplaceAllString(notice, ""), " ,.\t")
		if !strings.Contains(text, holder) {
			t.Errorf("%s: %q: debian/copyright does not name %s for it", file, notice, holder)
		}
	}
	known := false
	for _, kind := range kinds {
		if !strings.Contains(string(licence), kind.words) {
			continue
		}
		known = true
		if !strings.Contains(text, kind.name) {
			t.Errorf("%s: debian/copyright has no licence %s for it", file, kind.name)
		}
	}
	if !known {
		t.Errorf("%s: a licence that this test does not know", file)
	}
}
