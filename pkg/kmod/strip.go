// SPDX-License-Identifier: MIT

package kmod

import (
	"context"
	"debug/elf"
	"fmt"
	"strings"
)

// Strip removes the debug information of the uncompressed module at path, in
// place: `strip -g`, as dkms does, of the binutils or LLVM that o selects. A
// signature goes with it, so a module is signed after it. A program that is
// not installed is a [*ToolError]; debug information that is there afterwards
// is an error, too.
func Strip(ctx context.Context, path string, o *Options) error {
	return StripAll(ctx, []string{path}, o)
}

// StripAll is [Strip] for several modules, by one command: o.Run is called
// once, if at all.
func StripAll(ctx context.Context, paths []string, o *Options) error {
	tool := o.stripTool()
	if err := o.runEach(ctx, tool, paths, "-g", item); err != nil {
		return err
	}
	for _, path := range paths {
		name, err := debugSection(path)
		if err != nil {
			return fmt.Errorf("after %s: %w", tool.name, err)
		}
		if name != "" {
			return fmt.Errorf("%s: has a section %s after %s -g", path, name, tool.name)
		}
	}
	return nil
}

// Check looks whether the program that [Strip] runs is there; one that is not
// is a [*ToolError]. The objcopy of [SplitDebug] is in the same package.
func (o *Options) Check() error {
	_, err := o.lookPath(o.stripTool())
	return err
}

// operand is path, which no program takes for an option.
func operand(path string) string {
	if strings.HasPrefix(path, "-") {
		return "./" + path
	}
	return path
}

// debugSection is the name of a section of debug information in the file at
// path, "" if it has none.
func debugSection(path string) (string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	for _, s := range file.Sections {
		if isDebug(s) && s.Flags&elf.SHF_ALLOC == 0 { // else it belongs to the program, as Rust's .debug_gdb_scripts
			return s.Name, nil
		}
	}
	return "", nil
}

// stripTool is the program, and the Debian package that ships it.
func (o *Options) stripTool() tool {
	switch {
	case o == nil:
		return tool{"strip", "binutils"}
	case strings.HasPrefix(o.LLVM, "-"):
		return tool{"llvm-strip" + o.LLVM, "llvm" + o.LLVM}
	case o.LLVM != "":
		return tool{"llvm-strip", "llvm"}
	case o.CrossPrefix != "":
		return tool{o.CrossPrefix + "strip", "binutils-" + strings.ReplaceAll(strings.TrimSuffix(o.CrossPrefix, "-"), "_", "-")}
	}
	return tool{"strip", "binutils"}
}
