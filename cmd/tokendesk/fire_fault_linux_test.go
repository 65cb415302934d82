package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tokendesk/tokendesk/validate/store/chaos"
)

// diskFault is something that is wrong with the disk of a server for a time.
type diskFault struct {
	name   string
	inject []string // by strace, into all threads of the server
	says   string   // in the log, for those who run it
	killed bool     // the server is killed while it lasts
}

// TestServersWithFaultyDisk: while writes or flushes fail nothing is accepted, and the log says why; when the cause is gone the server is
// well again by itself. A flush that fails leaves open whether its OTPs are spent: they count once, before or after.
func TestServersWithFaultyDisk(t *testing.T) {
	t.Parallel()
	needJudges(t, "strace")
	const flush, write = "fsync,fdatasync", "pwrite64,ftruncate"
	for _, tc := range []diskFault{
		{name: "flush fails", inject: []string{flush + ":error=EIO"}, says: "disk I/O error"},
		{name: "flush fails, killed", inject: []string{flush + ":error=EIO"}, says: "disk I/O error", killed: true},
		{name: "read-only", inject: []string{write + ":error=EROFS", flush + ":error=EROFS"}, says: "disk I/O error"},
		{name: "write fails", inject: []string{write + ":error=EIO"}, says: "disk I/O error"},
		{name: "full", inject: []string{write + ":error=ENOSPC"}, says: "no space left"},
		{name: "every third flush fails", inject: []string{flush + ":error=EIO:when=1+3"}, says: "disk I/O error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFire(t, newRig(t, 2), 1)
			if err := f.put(0); err != nil {
				t.Fatal(err)
			}
			f.well("before")
			heal, injected := f.inject(tc.inject)
			accepted, failed := f.someAsk()
			if failed == 0 || accepted > 0 && !strings.Contains(tc.inject[0], "when=") {
				t.Errorf("meanwhile %d accepted, %d answers that something failed", accepted, failed)
			}
			if tc.killed {
				f.end(0, os.Kill)
			}
			heal()
			if injected.Load() == 0 {
				t.Error("no fault was injected")
			}
			if tc.killed {
				if err := f.put(0); err != nil {
					t.Fatal(err)
				}
			}
			f.well("afterwards")
			f.judge()
			if log := f.said.text.String(); !strings.Contains(log, tc.says) {
				t.Errorf("the log does not say %q:\n%.2000s", tc.says, log)
			}
			t.Logf("%d faults; OTPs %v; codes %v; %d answers that something failed", injected.Load(), f.otps.history.Count()[chaos.Ask], f.codes.history.Count()[chaos.Ask], f.failed.Load())
		})
	}
}

// inject makes system calls of the server fail, as strace names them, until heal is called.
func (f *fire) inject(what []string) (heal func(), injected *atomic.Int64) {
	f.t.Helper()
	pid := f.slots[0].Load().cmd.Process.Pid
	args := []string{"-f", "-p", fmt.Sprint(pid), "-e", "trace=" + strings.Join(names(what), ",")}
	for _, w := range what {
		args = append(args, "-e", "inject="+w)
	}
	cmd := exec.Command("strace", args...)
	said, err := cmd.StderrPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	attached, ended := make(chan struct{}), make(chan struct{})
	injected = &atomic.Int64{}
	go func() {
		defer close(ended)
		var once bool
		for in := bufio.NewScanner(said); in.Scan(); {
			if !once && strings.Contains(in.Text(), "attached") {
				once = true
				close(attached)
			}
			if strings.Contains(in.Text(), "INJECTED") {
				injected.Add(1)
			}
		}
	}()
	select {
	case <-attached:
	case <-ended:
		f.t.Fatal("strace may not trace its brother")
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt) // it has ended if the server was killed
		<-ended
		_ = cmd.Wait()
	}, injected
}

// names are those of the system calls.
func names(what []string) (list []string) {
	for _, w := range what {
		calls, _, _ := strings.Cut(w, ":")
		list = append(list, calls)
	}
	return list
}

// smallVariable makes a run of this binary the child of TestServersOnFullDisk.
const smallVariable = "TOKENDESK_TEST_SMALL"

// TestServersOnFullDisk fills a file system of its own, which only a child and its servers see, under load: what does not fit is not accepted, and
// with room again all goes on.
func TestServersOnFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getenv(smallVariable) != "" {
		fillUnderServers(t)
		return
	}
	needJudges(t, "oathtool", "pskctool")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServersOnFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), smallVariable+"=1")
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
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "OTPs map") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func fillUnderServers(t *testing.T) {
	r := newRig(t, 2)
	if err := os.MkdirAll(r.dataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", r.dataDir, "tmpfs", 0, "size=8m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(r.dataDir, syscall.MNT_DETACH) })
	f := newFire(t, r, 2)
	for i := range f.slots {
		if err := f.put(i); err != nil {
			t.Fatal(err)
		}
	}
	f.well("before")
	ballast := filepath.Join(r.dataDir, "ballast")
	for round, room := range []int{0, 1, 5, 40} { // pages that are left free
		if err := fill(r.dataDir, ballast, room); err != nil {
			t.Fatal(err)
		}
		failed := 0
		for n := 0; n < 100 && failed == 0; n++ {
			_, failed = f.someAsk()
		}
		if failed == 0 {
			t.Errorf("round %d: nothing failed", round)
		}
		if round%2 == 1 {
			f.end(0, os.Kill)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if round%2 == 1 {
			if err := f.put(0); err != nil {
				t.Fatal(err)
			}
		}
		f.well("afterwards")
	}
	f.judge()
	if log := f.said.text.String(); !strings.Contains(log, "no space left") {
		t.Errorf("the log does not say that the disk is full:\n%.2000s", log)
	}
	t.Logf("OTPs %v; codes %v; %d answers that something failed", f.otps.history.Count()[chaos.Ask], f.codes.history.Count()[chaos.Ask], f.failed.Load())
}

// fill writes a file that leaves so many pages free.
func fill(dir, ballast string, room int) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return err
	}
	err := os.WriteFile(ballast, make([]byte, max(0, int(st.Bavail)-room)*int(st.Bsize)), 0o600)
	if errors.Is(err, syscall.ENOSPC) { // somebody else wrote meanwhile
		return nil
	}
	return err
}
