// SPDX-License-Identifier: MIT

package archive

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokms/gokms/pkg/debfile"
)

// download fetches a package into dir, which is empty, and returns the path of
// the .deb. It is the one that the signed lists name: apt compares it with
// them, and so do we.
func (a *Archive) download(ctx context.Context, from *lists, p Package, dir string) (string, error) {
	stop := a.watch(p, dir)
	_, err := from.command(ctx, dir, "apt-get", "download", p.Name+"="+p.Version)
	stop()
	if isHashMismatch(err) {
		return "", &HashError{Package: p.Name, Version: p.Version, Want: p.SHA256, Err: err}
	}
	if err != nil {
		return "", fmt.Errorf("download %s %s: %w", p.Name, p.Version, err)
	}
	debs, err := filepath.Glob(filepath.Join(quoteGlob(dir), p.Name+"_*.deb"))
	if err != nil {
		return "", err
	}
	if len(debs) != 1 {
		return "", fmt.Errorf("download %s %s: apt-get left %d files", p.Name, p.Version, len(debs))
	}
	if err := checkRoom(debs[0], p.Size); err != nil {
		return "", a.cacheError(err)
	}
	_, sum, err := debfile.Sum(debs[0])
	if err != nil {
		return "", err
	}
	if sum != p.SHA256 {
		return "", &HashError{Package: p.Name, Version: p.Version, Want: p.SHA256, Got: sum}
	}
	return debs[0], nil
}

// checkRoom wants a file that came out too small to have had room: apt says
// nothing where it cannot copy a package of a file: source.
func checkRoom(path string, size int64) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() >= size {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if int64(fs.Bavail)*int64(fs.Bsize) < size-info.Size() {
		return &os.PathError{Op: "write", Path: path, Err: unix.ENOSPC}
	}
	return nil
}

var globRE = regexp.MustCompile(`[][*?\\]`)

// quoteGlob makes a path a pattern of itself.
func quoteGlob(path string) string { return globRE.ReplaceAllString(path, `\$0`) }

// watch tells the progress of a download by the size of what grows in dir,
// until the returned function is called.
func (a *Archive) watch(p Package, dir string) (stop func()) {
	m := a.meter(p.Name, Download, p.Size)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
				m.set(sizeOfFiles(dir))
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		m.p.Done = sizeOfFiles(dir)
		a.progress(m.p)
	}
}

func sizeOfFiles(dir string) (size int64) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
	}
	return size
}
