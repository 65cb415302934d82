//go:build unix && !solaris && !aix

package spentlog

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock on f, which ends when f is closed, or its process: ErrInUse.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}
