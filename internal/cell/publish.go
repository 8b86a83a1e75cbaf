// SPDX-License-Identifier: MIT

package cell

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/gokms/gokms/pkg/debfile"
)

// publish writes the packages into the output directory: under temporary names
// until all are whole, so that what is there stays if one cannot be written. Then
// the log takes its place, and the packages take theirs.
func (c *Cell) publish(p *packing) error {
	deb, err := p.Deb()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.opts.Output, 0o777); err != nil {
		return err
	}
	var debug *staged
	if len(p.debug) > 0 {
		if debug, err = c.stageDebug(p); err != nil {
			return err
		}
		defer os.Remove(debug.tmp) // if it was not renamed
	}
	main, err := c.stage(deb, p.FileName())
	if err != nil {
		return err
	}
	defer os.Remove(main.tmp)
	if p.record.Log, err = c.publishLog(builtLog); err != nil {
		return c.titled(err)
	}
	if err := c.reveal(p, debug, main); err != nil {
		return errors.Join(err, p.record.unpublish())
	}
	return nil
}

// staged is a package under a temporary name.
type staged struct {
	tmp    string
	record *PackageRecord
}

func (c *Cell) stageDebug(p *packing) (*staged, error) {
	deb, err := p.DebugDeb(p.debug)
	if err != nil {
		return nil, err
	}
	return c.stage(deb, p.DebugFileName())
}

// stage writes a package that will have that name.
func (c *Cell) stage(deb *debfile.Package, name string) (*staged, error) {
	tmp := filepath.Join(c.opts.Output, "."+filepath.Base(c.opts.WorkDir)+"-"+name)
	if err := debfile.WriteFile(tmp, deb, &debfile.Options{Run: c.opts.Run, TempDir: c.opts.WorkDir}); err != nil {
		return nil, err
	}
	size, sum, err := debfile.Sum(tmp)
	if err != nil {
		return nil, errors.Join(err, os.Remove(tmp))
	}
	return &staged{tmp, &PackageRecord{
		File: filepath.Join(c.opts.Output, name), Name: deb.Control.Get("Package"), Version: deb.Control.Get("Version"),
		Architecture: deb.Control.Get("Architecture"), Size: size, SHA256: sum,
	}}, nil
}

// reveal puts the packages in place, that of debug symbols (nil: none) first.
// The record of earlier ones goes before: it must not be found beside another
// package. So do debug symbols that would not be those of these modules.
func (c *Cell) reveal(p *packing, debug, main *staged) error {
	if err := removeIfThere(c.recordFile()); err != nil {
		return err
	}
	if debug == nil {
		if err := removeIfThere(filepath.Join(c.opts.Output, p.DebugFileName())); err != nil {
			return err
		}
	} else {
		if err := os.Rename(debug.tmp, debug.record.File); err != nil {
			return err
		}
		p.record.Dbgsym = debug.record
	}
	if err := os.Rename(main.tmp, main.record.File); err != nil {
		return err
	}
	p.record.Package = main.record
	return nil
}

func removeIfThere(file string) error {
	if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// stem is the package's file name without .deb.
func (c *Cell) stem() string { return strings.TrimSuffix(c.Package.FileName(), ".deb") }

// The endings of a build log's name. The log of a failure does not take the
// place of the one that a published package's record names.
const (
	builtLog  = ".log"
	failedLog = ".failed.log"
)

// failLog publishes the build log as that of a failure. One that was published
// for the package goes.
func (c *Cell) failLog(r *Result) error {
	var errs []error
	if r.Log != "" {
		errs = append(errs, os.Remove(r.Log))
	}
	var err error
	r.Log, err = c.publishLog(failedLog)
	return errors.Join(append(errs, err)...)
}

// publishLog copies the build log, and removes that of an earlier failure. No
// log, as when the source could not even be copied, is no error.
func (c *Cell) publishLog(suffix string) (string, error) {
	text, err := os.ReadFile(c.workLog())
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	stem := filepath.Join(cmp.Or(c.opts.LogDir, c.opts.Output), c.stem())
	if suffix == builtLog {
		if err := removeIfThere(stem + failedLog); err != nil {
			return "", err
		}
	}
	return stem + suffix, c.writeFile(stem+suffix, text)
}

// publishRecord makes the cell count as published.
func (c *Cell) publishRecord(r *Result) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return c.writeFile(c.recordFile(), append(text, '\n'))
}

func (c *Cell) recordFile() string {
	return filepath.Join(cmp.Or(c.opts.RecordDir, c.opts.Output), c.stem()+".json")
}

// writeFile puts text at file whole or not at all. The umask decides its mode.
func (c *Cell) writeFile(file string, text []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	name := filepath.Join(filepath.Dir(file), "."+filepath.Base(c.opts.WorkDir)+"-"+filepath.Base(file))
	tmp, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(name, file)
}
