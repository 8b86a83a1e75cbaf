// SPDX-License-Identifier: MIT

package bmdeb

import (
	"fmt"
	"strings"
)

// scripts returns the maintainer scripts of p by name. They act only on
// "configure" and "remove": depmod has nothing to do while a package is
// half-way (Policy 6.5), and an upgrade ends in configure.
func scripts(p *Package) map[string]string {
	return map[string]string{
		"postinst": script(p, "configure", postinstInitramfs(p)),
		"postrm":   script(p, "remove", postrmInitramfs(p)),
	}
}

// script is one maintainer script: depmod, then the initramfs commands.
//
// modules.order comes with the kernel image and goes with it: without it there
// is no kernel to run depmod for, and depmod would litter an empty directory.
// Under DPKG_ROOT nothing but depmod works from outside.
func script(p *Package, action, initramfs string) string {
	return fmt.Sprintf(`#!/bin/sh
set -e

if [ "$1" = %s ]; then
	kver=%s
	if [ -e "$DPKG_ROOT/lib/modules/$kver/modules.order" ]; then
		depmod -b "$DPKG_ROOT/" "$kver"
		if [ -z "$DPKG_ROOT" ]; then
%s
		fi
	fi
fi

exit 0
`, action, quote(p.Kernel.Release), indent(initramfs, "\t\t\t"))
}

// refresh is the shell function that rebuilds the initramfs of one kernel,
// and listing the one that names the files in it.
const refresh = `initrd=/boot/initrd.img-$kver
refresh_initramfs() {
	if command -v update-initramfs >/dev/null; then
		update-initramfs -u -k "$kver"
	elif command -v dracut >/dev/null; then
		dracut -q --force "$initrd" "$kver"
	fi
}
list_initramfs() {
	if command -v lsinitramfs >/dev/null; then
		lsinitramfs "$initrd"
	elif command -v lsinitrd >/dev/null; then
		lsinitrd "$initrd"
	fi
}
`

// postinstInitramfs rebuilds an initramfs that holds a module of one of our
// names and is older than our unpacked file (its ctime: the mtime is the
// package's). A kernel configured in the same run has built its initramfs
// after our files were unpacked, and nothing is done twice.
func postinstInitramfs(p *Package) string {
	condition := fmt.Sprintf("list_initramfs | grep -q -E %s", quote(namePattern(p)))
	if p.RemakeInitrd {
		condition = "true"
	}
	return refresh + fmt.Sprintf(`if [ -e "$initrd" ] && [ -n "$(find %s -maxdepth 0 -cnewer "$initrd")" ] &&
	%s; then
	refresh_initramfs
fi`, quotedPaths(p), condition)
}

// postrmInitramfs rebuilds an initramfs that still holds one of our files,
// unless the kernel is about to go as well.
func postrmInitramfs(p *Package) string {
	var wanted []string
	for _, alternative := range p.Kernel.ImagePackages {
		wanted = append(wanted, quote(alternative))
	}
	return refresh + fmt.Sprintf(`if [ -e "$initrd" ] &&
	dpkg-query -W -f '${db:Status-Want}\n' %s 2>/dev/null | grep -q -E '^(install|hold)$' &&
	list_initramfs | grep -q -E %s; then
	refresh_initramfs
fi`, strings.Join(wanted, " "), quote(pathPattern(p)))
}

// namePattern is an extended regular expression for a file of any of p's
// modules, wherever it lies; the kernel takes - and _ for the same.
func namePattern(p *Package) string {
	var names []string
	for _, m := range p.Modules {
		names = append(names, moduleRegexp(m.Name))
	}
	return `/(` + strings.Join(names, "|") + `)\.ko(\.(gz|xz|zst))?$`
}

// pathPattern is an extended regular expression for p's own files.
func pathPattern(p *Package) string {
	return regexpEscape("/"+p.DestDir) + namePattern(p)
}

func moduleRegexp(name string) string {
	return strings.NewReplacer("-", "[-_]", "_", "[-_]").Replace(regexpEscape(name))
}

// regexpEscape escapes what is special in a POSIX extended regular expression.
func regexpEscape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`.[]{}()*+?|^$\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func quotedPaths(p *Package) string {
	var paths []string
	for _, m := range p.Modules {
		paths = append(paths, quote("/"+p.ModulePath(m)))
	}
	return strings.Join(paths, " ")
}

// quote makes s one word of a POSIX shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+by)
}
