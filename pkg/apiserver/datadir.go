// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// dirLock is an exclusive hold on a data directory. The kernel drops it when the
// process ends, however it ends.
type dirLock struct{ file *os.File }

// takeDataDir creates dir with mode 0700 if needed, refuses one that others can
// read or that is not writable, and locks it.
func takeDataDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("use data directory %q (--data-dir): %w", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("use data directory %q (--data-dir): %w", dir, err)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("use data directory %q (--data-dir): mode %04o lets others in and it holds private keys; run: chmod 0700 %s", dir, perm, dir)
	}
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("use data directory %q (--data-dir): %w", dir, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another fleet server is running on it; stop that one or choose another directory")
		}
		return nil, errors.Join(fmt.Errorf("lock data directory %q (--data-dir): %w", dir, err), file.Close())
	}
	return &dirLock{file: file}, nil
}

// Release gives the directory back. Calling it twice is harmless.
func (l *dirLock) Release() error {
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("release data directory: %w", err)
	}
	return nil
}
