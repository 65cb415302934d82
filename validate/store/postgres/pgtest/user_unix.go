//go:build unix

package pgtest

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// owner is whom PostgreSQL's processes run as where the tests run as root; nil elsewhere: as ourselves.
func owner() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func canRun() error {
	_, err := owner()
	return err
}

// give makes that user the owner of a directory.
func give(dir string) error {
	o, err := owner()
	if err != nil || o == nil {
		return err
	}
	return os.Chown(dir, int(o.Uid), int(o.Gid))
}

// command runs as that user, in a session of its own: no key of a terminal ends it.
func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	o, _ := owner() // canRun has asked
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: o}
	return cmd
}
