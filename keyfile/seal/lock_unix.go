//go:build unix && !solaris && !aix

package seal

import (
	"errors"
	"os"
	"syscall"
)

// lockFile waits for the lock on f, which ends when f is closed, or its process.
func lockFile(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
