//go:build !unix || solaris || aix

package spentlog

import "os"

// lockFile has no lock to take.
func lockFile(*os.File) error { return nil }
