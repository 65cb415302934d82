package sqlstore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
)

// fullVariable makes a run of this binary the child of TestRealFullDisk.
const fullVariable = "TOKENDESK_TEST_FULL"

// TestRealFullDisk fills a file system of its own, which only its child process sees.
func TestRealFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getenv(fullVariable) != "" {
		fillDisk(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRealFullDisk$", "-test.v", fmt.Sprintf("-test.short=%v", testing.Short()))
	cmd.Env = append(os.Environ(), fullVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("no namespaces here: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// fillDisk takes the walk of TestFullDisk with more and more room, 4 KiB at a time; 32 KiB in a short run.
func fillDisk(t *testing.T) {
	page, failures := 4096, 0
	if testing.Short() {
		page *= 8
	}
	for n := range 160 {
		dir := filepath.Join(t.TempDir(), "disk")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
			t.Skipf("mount: %v", err)
		}
		if fillOnce(t, dir, n*page) {
			if failures == 0 {
				t.Error("it never failed")
			}
			t.Logf("%d failures before there was room", failures)
			return
		}
		failures++
	}
	t.Error("there was never enough room")
}

// fillOnce reports whether the walk fitted into room bytes.
func fillOnce(t *testing.T, dir string, room int) bool {
	p := place{dir, drawKeys(t, t.TempDir())}
	s, err := Create(t.Context(), dir, p.keys, options())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		closeStore(t, s)
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, int(st.Bavail)*int(st.Bsize)-room), 0o600); err != nil {
		t.Fatal(err)
	}
	w := fullWalk{s: s, t: t}
	err = w.run(2)
	if err != nil && !errors.Is(err, token.ErrFull) {
		t.Fatalf("%d bytes: %v", room, err)
	}
	if err != nil {
		w.compare(room)
	}
	if e := os.Remove(ballast); e != nil { // Close writes too
		t.Fatal(e)
	}
	if err == nil {
		return true
	}
	if err := w.run(2); err != nil {
		t.Fatalf("%d bytes, after there was room: %v", room, err)
	}
	w.compare(room)
	verifyAudit(t, s)
	return false
}
