package seal

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockPath waits until nobody else changes the file at path, and gives the lock, which ends when it is closed. It is on a file beside it: one
// that is open cannot be replaced.
func lockPath(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &windows.Overlapped{}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
