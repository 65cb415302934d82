//go:build !windows

package seal

import (
	"errors"
	"os"
)

// lockPath waits until nobody else changes the file at path, and gives the lock. Who had it put another file there.
func lockPath(path string) (*os.File, error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		if err := lockFile(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		locked, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		now, err := os.Stat(path)
		if err == nil && os.SameFile(locked, now) {
			return f, nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}
