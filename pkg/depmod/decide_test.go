// SPDX-License-Identifier: MIT

package depmod

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const testKernel = "6.1.0-1-t"

// treeOf is a tree of files below lib/modules, or, with a "/", outside.
func treeOf(files ...string) *Tree {
	t := NewTree(testKernel)
	for _, f := range files {
		if strings.HasPrefix(f, "/") {
			t.External = append(t.External, f)
		} else {
			t.Files = append(t.Files, f)
		}
	}
	return t
}

func TestDecide(t *testing.T) {
	for _, tt := range []struct {
		name, conf, files string
		want              string // winners
		explain           string
	}{
		{"alone", "", "kernel/a.ko", "kernel/a.ko", ""},
		{"default", "", "kernel/a.ko updates/dkms/a.ko", "updates/dkms/a.ko",
			"kernel/a.ko loses to updates/dkms/a.ko (search order: updates before built-in, depmod's default)"},
		{"ubuntu", "search updates ubuntu built-in", "kernel/a.ko ubuntu/a.ko updates/a.ko", "updates/a.ko",
			"kernel/a.ko loses to updates/a.ko (search order: updates before built-in, f:1)\n" +
				"ubuntu/a.ko loses to updates/a.ko (search order: updates before ubuntu, f:1)"},
		{"built-in first", "search built-in updates", "kernel/a.ko updates/a.ko", "kernel/a.ko",
			"updates/a.ko loses to kernel/a.ko (search order: built-in before updates, f:1)"},
		{"search without updates", "search extra", "kernel/a.ko updates/a.ko", "kernel/a.ko updates/a.ko",
			"kernel/a.ko or updates/a.ko: of equal rank, the order in which depmod happens to read directories decides"},
		{"search without built-in", "search extra", "kernel/a.ko extra/a.ko", "extra/a.ko",
			"kernel/a.ko loses to extra/a.ko (search order: extra before all else, f:1)"},
		{"two in updates", "", "updates/a.ko updates/dkms/a.ko kernel/a.ko", "updates/a.ko updates/dkms/a.ko",
			"updates/a.ko or updates/dkms/a.ko: of equal rank, the order in which depmod happens to read directories decides\n" +
				"kernel/a.ko loses to updates/a.ko (search order: updates before built-in, depmod's default)"},
		{"no part of a name", "search up", "updates/a.ko up/a.ko", "up/a.ko",
			"updates/a.ko loses to up/a.ko (search order: up before all else, f:1)"},
		{"override", "override a * kernel", "kernel/a.ko updates/a.ko", "kernel/a.ko",
			"updates/a.ko loses to kernel/a.ko (override a * kernel, f:1)"},
		{"override of one directory", "override a * updates", "kernel/a.ko extra/a.ko updates/dkms/a.ko", "updates/dkms/a.ko",
			"extra/a.ko loses to updates/dkms/a.ko (search order: updates before built-in, depmod's default)\n" +
				"kernel/a.ko loses to updates/dkms/a.ko (search order: updates before built-in, depmod's default)"},
		{"the last override", "override a * kernel\noverride a 6[.]1 extra\noverride a ^5 updates", "kernel/a.ko extra/a.ko updates/a.ko", "extra/a.ko",
			"kernel/a.ko loses to extra/a.ko (override a 6[.]1 extra, f:2)\nupdates/a.ko loses to extra/a.ko (override a 6[.]1 extra, f:2)"},
		{"override of the wrong spelling", "override a_b * kernel", "kernel/a-b.ko updates/a_b.ko", "updates/a_b.ko",
			"kernel/a-b.ko loses to updates/a_b.ko (search order: updates before built-in, depmod's default)"},
		{"exclude", "exclude dkms", "kernel/a.ko updates/dkms/a.ko", "kernel/a.ko", "updates/dkms/a.ko is not looked at (excluded: dkms, f:1)"},
		{"exclude a file", "exclude a.ko", "kernel/a.ko updates/a.ko.xz", "updates/a.ko.xz", "kernel/a.ko is not looked at (excluded: a.ko, f:1)"},
		{"build", "", "build/a.ko x/source/a.ko", "", "build/a.ko is not looked at (excluded: build)\nx/source/a.ko is not looked at (excluded: source)"},
		{"external lost", "external * /e\nsearch built-in external", "kernel/a.ko /e/a.ko", "kernel/a.ko",
			"/e/a.ko loses to kernel/a.ko (search order: built-in before external /e, f:2)"},
		{"external", "external * /e\nexternal * /f\nsearch external built-in", "kernel/a.ko /e/a.ko /f/a.ko", "/e/a.ko",
			"/f/a.ko loses to /e/a.ko (search order: external /e before external /f, f:3)\nkernel/a.ko loses to /e/a.ko (search order: external /e before built-in, f:3)"},
		{"external not searched", "external * /e\nsearch x", "kernel/a.ko /e/a.ko", "kernel/a.ko",
			"/e/a.ko loses to kernel/a.ko (of equal rank, and external directories are read last)"},
		{"external of another kernel", "external ^5 /e", "kernel/a.ko /e/a.ko", "kernel/a.ko", "/e/a.ko is not looked at (in no directory that depmod reads)"},
		{"external beside the tree", "external * /lib/modules/6.1.0-1-t-extra\nsearch extra", "kernel/a.ko /lib/modules/6.1.0-1-t-extra/a.ko", "/lib/modules/6.1.0-1-t-extra/a.ko",
			"kernel/a.ko loses to /lib/modules/6.1.0-1-t-extra/a.ko (search order: extra before all else, f:2)"},
		{"endings", "", "kernel/a.ko.gz kernel/a.ko.bz2 kernel/a.KO kernel/.ko kernel/a.ko.zst", "kernel/a.ko.zst", ""},
		{"names", "", "kernel/a-b.ko updates/a_b.ko.xz extra/a-b.c.ko", "updates/a_b.ko.xz",
			"extra/a-b.c.ko loses to updates/a_b.ko.xz (search order: updates before built-in, depmod's default)\n" +
				"kernel/a-b.ko loses to updates/a_b.ko.xz (search order: updates before built-in, depmod's default)"},
		{"listed twice", "", "kernel/a.ko kernel/a.ko", "kernel/a.ko", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			decisions := New(Source{"f", []byte(tt.conf)}).Decide(treeOf(strings.Fields(tt.files)...))
			if len(decisions) != 1 {
				t.Fatalf("%d modules; want 1", len(decisions))
			}
			for name, d := range decisions {
				if got := strings.Join(d.Winners, " "); got != tt.want || d.Explain() != tt.explain || d.Module != name {
					t.Errorf("%s: winners %q\n%s\nwant %q\n%s", name, got, d.Explain(), tt.want, tt.explain)
				}
				first, _, _ := strings.Cut(tt.want, " ")
				if sole := !strings.Contains(tt.want, " ") && tt.want != ""; d.Ambiguous() == sole && tt.want != "" || d.Wins(first) != sole {
					t.Errorf("Ambiguous() = %v, Wins(%s) = %v", d.Ambiguous(), first, d.Wins(first))
				}
			}
		})
	}
}

func TestDecideOtherEndings(t *testing.T) {
	tree := treeOf("kernel/a.ko.gz")
	if got := New().Decide(tree); len(got) != 0 {
		t.Errorf("Decide = %v; want nothing", got)
	}
	tree.Extensions = []string{".ko", ".ko.gz"}
	if got := New().Decide(tree)["a"]; got == nil || !got.Wins("kernel/a.ko.gz") {
		t.Errorf("Decide = %v; want a", got)
	}
}

// node is a file or directory for play.
type node struct {
	file *candidate
	kids []*node
}

func grow(root *node, c *candidate, parts []string, dirs map[string]*node) {
	for i := range parts[:len(parts)-1] {
		name := strings.Join(parts[:i+1], "/")
		if dirs[name] == nil {
			dirs[name] = &node{}
			root.kids = append(root.kids, dirs[name])
		}
		root = dirs[name]
	}
	root.kids = append(root.kids, &node{file: c})
}

// play reads a tree in a random order.
func play(r *rules, n *node, had *candidate, rnd *rand.Rand) *candidate {
	if n.file != nil {
		if had == nil || !r.keeps(had, n.file) {
			return n.file
		}
		return had
	}
	for _, i := range rnd.Perm(len(n.kids)) {
		had = play(r, n.kids[i], had, rnd)
	}
	return had
}

// TestWinnersArePossible compares what can win with what wins in 2,000 random
// orders.
func TestWinnersArePossible(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	ambiguous := 0
	for range 300 {
		var files []string
		for range 2 + rnd.IntN(5) {
			dir := []string{"updates", "updates/x", "updates/y", "extra", "extra/x", "kernel", "kernel/x/y"}[rnd.IntN(7)]
			files = append(files, dir+"/"+[]string{"a.ko", "a.ko.xz", "a.ko.zst"}[rnd.IntN(3)])
		}
		slices.Sort(files)
		files = slices.Compact(files)
		words := []string{"updates", "updates/x", "extra", BuiltIn}
		rnd.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		conf := "search " + strings.Join(words[:1+rnd.IntN(4)], " ")
		if rnd.IntN(3) == 0 {
			conf += "\noverride a * updates/x"
		}
		c, tree := New(Source{"f", []byte(conf)}), treeOf(files...)
		r := newRules(c, tree)
		root, dirs := &node{}, map[string]*node{}
		for _, f := range files {
			grow(root, r.candidate(f), strings.Split(f, "/"), dirs)
		}
		won := map[string]bool{}
		for range 2000 {
			won[play(r, root, nil, rnd).shown] = true
		}
		var got []string
		for f := range won {
			got = append(got, f)
		}
		slices.Sort(got)
		d := c.Decide(tree)["a"]
		if !slices.Equal(got, d.Winners) {
			t.Fatalf("%s\n%q: played %q; Decide: %q", conf, files, got, d.Winners)
		}
		if d.Ambiguous() {
			ambiguous++
		}
	}
	if ambiguous < 50 {
		t.Errorf("only %d of 300 were ambiguous", ambiguous)
	}
}

// TestDecideManyFiles has more files than orders can be played: any may win.
func TestDecideManyFiles(t *testing.T) {
	for _, n := range []int{9, 70, 500} {
		var files []string
		for i := range n {
			files = append(files, fmt.Sprintf("x/%03d/a.ko", i))
		}
		if d := New().Decide(treeOf(files...))["a"]; len(d.Winners) != n {
			t.Errorf("%d winners; want %d", len(d.Winners), n)
		}
		d := New().Decide(treeOf(append(files, "updates/a.ko")...))["a"]
		if !d.Wins("updates/a.ko") || len(d.Losers) != n {
			t.Errorf("%d files: winners %q", n, d.Winners)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	var files []string
	for i := range 4200 {
		files = append(files, fmt.Sprintf("kernel/drivers/%d/m%d.ko", i/5, i))
		if i%100 == 0 {
			files = append(files, fmt.Sprintf("updates/dkms/m%d.ko", i))
		}
	}
	tree, c := treeOf(files...), New()
	for b.Loop() {
		c.Decide(tree)
	}
}
