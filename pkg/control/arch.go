// SPDX-License-Identifier: MIT

package control

import (
	"slices"
	"strings"
	"sync"

	"pault.ag/go/debian/dependency"
)

// MatchArch reports whether the Debian architecture arch is, or is covered by,
// pattern: "amd64", "any", "linux-any", "any-amd64", as dpkg-architecture
// --is says.
func MatchArch(arch, pattern string) bool {
	if pattern == arch || pattern == "any" {
		return true
	}
	is, known := archTuple(arch)
	want, ok := patternTuple(pattern)
	for i := range want {
		ok = ok && (want[i] == is[i] || want[i] == "any")
	}
	return known && ok
}

// MatchArchList reports whether a list such as "amd64 linux-any" or "!i386
// !any-arm" lets arch in: the first pattern that covers arch decides, and a
// list of exclusions alone lets everything else in.
func MatchArchList(arch string, list []string) bool {
	in := false
	for _, pattern := range list {
		pattern = asciiLower(pattern)
		if not, ok := strings.CutPrefix(pattern, "!"); ok {
			if MatchArch(arch, not) {
				return false
			}
			in = true
		} else if MatchArch(arch, pattern) {
			return true
		}
	}
	return in
}

// tuple is what stands behind an architecture's name: ABI, libc, kernel, CPU.
type tuple [4]string

// cpus are dpkg's names of processors.
var cpus = strings.Fields(`alpha amd64 arc arm arm64 armeb avr32 hppa i386 ia64 loong64 m32r m68k
	mips mips64 mips64el mips64r6 mips64r6el mipsel mipsr6 mipsr6el nios2 or1k powerpc powerpcel
	ppc64 ppc64el riscv64 s390 s390x sh3 sh3eb sh4 sh4eb sparc sparc64 tilegx`)

// tuples maps names of architectures to what stands behind them. The table is
// pault.ag's copy of dpkg's; its matching is not used: linux-any means base
// and glibc alone to it, so that armhf is not matched.
var tuples = sync.OnceValue(func() map[string]tuple {
	byName := map[string]tuple{}
	add := func(long, name string) {
		if _, ok := byName[name]; !ok { // the first line for a name counts
			if parts := strings.SplitN(long, "-", 4); len(parts) == 4 {
				byName[name] = tuple(parts)
			}
		}
	}
	for line := range strings.SplitSeq(dependency.TUPLETABLE, "\n") {
		f := strings.Fields(line)
		if len(f) != 2 {
			continue
		}
		if !strings.Contains(f[0], "<cpu>") {
			add(f[0], f[1])
			continue
		}
		for _, cpu := range cpus {
			add(strings.Replace(f[0], "<cpu>", cpu, 1), strings.Replace(f[1], "<cpu>", cpu, 1))
		}
	}
	return byName
})

func archTuple(arch string) (tuple, bool) {
	if cpu, ok := strings.CutPrefix(arch, "linux-"); ok { // dpkg allows for it
		arch, _, _ = strings.Cut(cpu, "-")
	}
	t, ok := tuples()[arch]
	return t, ok
}

// patternTuple fills a wildcard up with "any" from the left.
func patternTuple(pattern string) (tuple, bool) {
	parts := strings.SplitN(pattern, "-", 4)
	if !slices.Contains(parts, "any") {
		return archTuple(pattern)
	}
	t := tuple{"any", "any", "any", "any"}
	if len(parts) > 1 {
		copy(t[4-len(parts):], parts)
	}
	return t, true
}
