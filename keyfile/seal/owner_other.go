//go:build !unix

package seal

import (
	"io/fs"
	"os"
)

// sameOwner has nothing to do.
func sameOwner(*os.File, fs.FileInfo) error { return nil }
