// SPDX-License-Identifier: MIT

package kmod

import (
	"context"
	"strings"
)

// SplitDebug copies what [Strip] would take away from the uncompressed module
// at path to the new file out: `objcopy --only-keep-debug`, of the binutils or
// LLVM that o selects. The module stays as it is, and gets no link to out:
// debuggers find it by the build-id. A program that is not installed is a
// [*ToolError].
func SplitDebug(ctx context.Context, path, out string, o *Options) error {
	return o.run(ctx, o.objcopyTool(), nil, "--only-keep-debug", operand(path), operand(out))
}

// DebugSuffix ends the names of the files that [SplitDebugAll] makes.
const DebugSuffix = ".debug"

// SplitDebugAll is [SplitDebug] for several modules, by one command, to files
// beside them with [DebugSuffix]: o.Run is called once, if at all.
func SplitDebugAll(ctx context.Context, paths []string, o *Options) error {
	return o.runEach(ctx, o.objcopyTool(), paths, "--only-keep-debug", item, item+DebugSuffix)
}

// objcopyTool belongs to the strip that o selects.
func (o *Options) objcopyTool() tool {
	t := o.stripTool()
	t.name = strings.Replace(t.name, "strip", "objcopy", 1)
	return t
}
