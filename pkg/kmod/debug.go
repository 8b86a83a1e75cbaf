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
	objcopy := o.stripTool()
	objcopy.name = strings.Replace(objcopy.name, "strip", "objcopy", 1)
	return o.run(ctx, objcopy, nil, "--only-keep-debug", operand(path), operand(out))
}
