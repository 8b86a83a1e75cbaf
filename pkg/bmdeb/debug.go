// SPDX-License-Identifier: MIT

package bmdeb

import (
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
)

// DebugFile is the debug information of one module.
type DebugFile struct {
	BuildID []byte // of the module
	Size    int64  // bytes
	Open    func() (io.ReadCloser, error)
}

// DebugFileName is the name of the .deb with the debug symbols.
func (p *Package) DebugFileName() string {
	return strings.Replace(p.FileName(), p.Binary(), p.debugBinary(), 1)
}

func (p *Package) debugBinary() string { return p.Binary() + "-dbgsym" }

// DebugDeb is the package of debug symbols of p, as debhelper makes them
// (Auto-Built-Package: debug-symbols): files below usr/lib/debug/.build-id,
// and a link to p's documentation. (lintian takes that for the documentation of
// a foreign package, since p is not in debian/control, but refuses any other
// form of it as well.) p is not changed.
func (p *Package) DebugDeb(files []DebugFile) (*debfile.Package, error) {
	deb := &debfile.Package{ModTime: p.ModTime, Compression: p.Compression}
	var ids []string
	for _, f := range files {
		id := hex.EncodeToString(f.BuildID)
		if len(id) < 4 {
			return nil, fmt.Errorf("package %s: build-id %q is too short", p.debugBinary(), id)
		}
		if slices.Contains(ids, id) { // one module under two names
			continue
		}
		ids = append(ids, id)
		deb.Files = append(deb.Files, debfile.File{
			Path: path.Join("usr/lib/debug/.build-id", id[:2], id[2:]+".debug"), Mode: 0o644, Size: f.Size, Open: f.Open,
		})
	}
	deb.Files = append(deb.Files, debfile.File{
		Path: path.Join("usr/share/doc", p.debugBinary()), Mode: fs.ModeSymlink | 0o777, Target: p.Binary(),
	})
	slices.Sort(ids)
	for _, f := range []control.Field{
		{Name: "Package", Value: p.debugBinary()},
		{Name: "Source", Value: p.sourceField()},
		{Name: "Version", Value: p.Version},
		{Name: "Auto-Built-Package", Value: "debug-symbols"},
		{Name: "Architecture", Value: p.Kernel.DebArch},
		{Name: "Maintainer", Value: p.Maintainer},
		{Name: "Depends", Value: control.Exactly(p.Binary(), p.Version).String()},
		{Name: "Section", Value: "debug"},
		{Name: "Priority", Value: "optional"},
		{Name: "Description", Value: "debug symbols for " + p.Binary()},
		{Name: "Build-Ids", Value: strings.Join(ids, " ")},
	} {
		if f.Value != "" {
			deb.Control.Fields = append(deb.Control.Fields, f)
		}
	}
	return deb, nil
}
