// SPDX-License-Identifier: MIT

package kmod

import (
	"context"
	"os/exec"
	"strings"
)

// Strip removes the debug information of the uncompressed module at path, in
// place: `strip -g`, as dkms does, of the binutils or LLVM that o selects. A
// signature goes with it, so a module is signed after it. A program that is
// not installed is a [*ToolError].
func Strip(ctx context.Context, path string, o *Options) error {
	tool, pkg := o.stripTool()
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return o.run(exec.CommandContext(ctx, tool, "-g", path), pkg)
}

// stripTool is the program, and the Debian package that ships it.
func (o *Options) stripTool() (tool, pkg string) {
	switch {
	case o == nil:
		return "strip", "binutils"
	case strings.HasPrefix(o.LLVM, "-"):
		return "llvm-strip" + o.LLVM, "llvm" + o.LLVM
	case o.LLVM != "":
		return "llvm-strip", "llvm"
	case o.CrossPrefix != "":
		return o.CrossPrefix + "strip", "binutils-" + strings.ReplaceAll(strings.TrimSuffix(o.CrossPrefix, "-"), "_", "-")
	}
	return "strip", "binutils"
}
