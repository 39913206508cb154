//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sqlite

import (
	"errors"
	"os"
	"syscall"
)

// ownerLock is a file that the kernel keeps locked as long as the process lives. So others see at once that it was killed.
type ownerLock struct{ file *os.File }

func lockOwner(path string) (*ownerLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // beside the store
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return &ownerLock{file: f}, nil
}

func (l *ownerLock) release() error { return errors.Join(os.Remove(l.file.Name()), l.file.Close()) }

// ownerDied reports whether the file is there and nobody holds it.
func ownerDied(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // beside the store
	if err != nil {
		return false // its time will tell
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
