// SPDX-License-Identifier: MIT

package debfile

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// WriteFile writes p to the file path, which appears, or is replaced, at once
// and whole: it is written under another name in the same directory, synced
// and renamed. On an error nothing is left behind and an older file stays.
func WriteFile(path string, p *Package, o *Options) error {
	return publish(path, func(w io.Writer) error { return Write(w, p, o) })
}

// publish makes the file path of what fill writes.
func publish(path string, fill func(io.Writer) error) (err error) {
	// Not os.CreateTemp: its mode 0600 would have to be changed into what
	// the user's umask asks for.
	tmp := filepath.Join(filepath.Dir(path), ".gokms-"+strings.ToLower(rand.Text()))
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTemp(f, tmp))
		}
	}()
	bw := bufio.NewWriterSize(f, 256<<10)
	if err := fill(bw); err != nil {
		return err
	}
	if err := bw.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// removeTemp closes and removes what could not be finished.
func removeTemp(f *os.File, name string) error {
	f.Close() // its error, if any, follows from the one at hand
	if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes the rename durable.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
