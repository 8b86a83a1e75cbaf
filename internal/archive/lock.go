// SPDX-License-Identifier: MIT

package archive

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lock is a lock on a file that is there only as long as somebody holds or
// awaits it. The system lets go of it when its holder is killed; the file may
// stay then, and is no lock.
type lock struct{ f *os.File }

// lockFile waits for the lock at path.
func lockFile(ctx context.Context, path string) (*lock, error) {
	for {
		l, err := tryLock(path)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return l, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// tryLock fails with EWOULDBLOCK if somebody holds the lock.
func tryLock(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := flockNow(f, unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	// Its last holder may have removed it.
	mine, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(path); err == nil && os.SameFile(mine, there) {
			return &lock{f}, nil
		}
	}
	f.Close()
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = unix.EWOULDBLOCK
	}
	return nil, err
}

// release removes the file first: who opened it before finds that out.
func (l *lock) release() {
	os.Remove(l.f.Name())
	l.f.Close()
}

// flock waits for a lock on f.
func flock(ctx context.Context, f *os.File, how int) error {
	for {
		if err := flockNow(f, how); !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func flockNow(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err != unix.EINTR {
			return os.NewSyscallError("flock "+f.Name(), err)
		}
	}
}

// pause waits a little between two tries: flock(2) cannot be called off.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(50 * time.Millisecond):
		return nil
	}
}
