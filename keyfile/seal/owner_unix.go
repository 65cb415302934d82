//go:build unix

package seal

import (
	"io/fs"
	"os"
	"syscall"
)

// OwnerOnly reports whether only its owner can reach a file: what a secret must be in. A file of root's that others than root read may be
// 0440, too: systemd hands its credentials over so, since version 254, and the bit of the group is that of an access control list.
func OwnerOnly(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ownerOnly(st.Mode().Perm(), ok && sys.Uid == 0 && os.Geteuid() != 0)
}

func ownerOnly(mode fs.FileMode, handed bool) bool { return mode&0o077 == 0 || handed && mode == 0o440 }

// sameOwner gives f the owner and group of st, so that a server which is not root still reads it.
func sameOwner(f *os.File, st fs.FileInfo) error {
	want, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if is, ok := now.Sys().(*syscall.Stat_t); ok && is.Uid == want.Uid && is.Gid == want.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
