//go:build linux

package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRun: a file is handed over, the USB parts are there, output is no terminal, and the exit status comes back.
func TestRun(t *testing.T) {
	t.Parallel()
	img := Need(t)
	tool := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\necho handed over\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.sh")
	if err := os.WriteFile(bad, []byte("false\necho not reached\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"bin/tool": tool, "scenario/bad": bad}
	res, err := img.Run(t.Context(), Script{Files: files, Text: `
uname -r
"$GUEST_DIR/bin/tool"
test -t 1 && echo terminal
ls -d /sys/bus/usb/drivers/usbhid /sys/devices/platform/vhci_hcd.0 /dev/pts/ptmx
touch /etc/guest-was-here && echo writable
wait_for 60 test -e /dev/null && echo waited
run_scenario bad 300 2>&1 | sed 's/took .*//'
fail on purpose`})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("wall %s", res.Wall)
	want := img.Version + `
handed over
/dev/pts/ptmx
/sys/bus/usb/drivers/usbhid
/sys/devices/platform/vhci_hcd.0
writable
waited
@@scenario bad
FAIL: line 1: false

@@status bad 1
FAIL: on purpose
`
	if res.Status != 1 || res.Output != want {
		t.Errorf("got status %d and %q, want 1 and %q", res.Status, res.Output, want)
	}
	if _, err := os.Stat("/etc/guest-was-here"); err == nil {
		t.Error("the guest wrote to the host")
	}
}

// TestRunTimeout: a guest that does not end is killed, and the cause is the deadline.
func TestRunTimeout(t *testing.T) {
	t.Parallel()
	img := Need(t)
	_, err := img.Run(t.Context(), Script{Text: "sleep 600", Timeout: time.Second})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

// TestPrepareMissing: a missing program is named with the package that brings it.
func TestPrepareMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Prepare(t.Context())
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "qemu-system-x86)") {
		t.Errorf("got %v, want ErrMissing naming qemu-system-x86", err)
	}
}

// TestDropOldJobs: what a killed process left goes, what may be in use stays.
func TestDropOldJobs(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	now := time.Now()
	for name, age := range map[string]time.Duration{"old": oldJob + time.Minute, "used": oldJob - time.Minute} {
		dir := filepath.Join(cache, "jobs", name)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chtimes(dir, now, now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	dropOldJobs(cache, now)
	left, _ := filepath.Glob(filepath.Join(cache, "jobs", "*"))
	if len(left) != 1 || filepath.Base(left[0]) != "used" {
		t.Errorf("left %v, want the one in use", left)
	}
}

// TestLock: the second taker waits until its context ends, and gets the lock once it is free.
func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), lockPoll)
	defer cancel()
	if _, err := lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second lock: got %v, want the deadline", err)
	}
	unlock()
	unlock, err = lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestScenario(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, output, out string
		status            int
		ok                bool
	}{
		{"whole", "@@scenario a\nx\n@@status a 2\n@@scenario b\n\n@@status b 0\n", "x", 2, true},
		{"cut short", "@@scenario a\nx\n", "x\n", 0, false},
		{"not begun", "@@scenario b\nx\n@@status b 0\n", "", 0, false},
	} {
		out, status, ok := scenario(c.output, "a")
		if out != c.out || status != c.status || ok != c.ok {
			t.Errorf("%s: got %q %d %t, want %q %d %t", c.name, out, status, ok, c.out, c.status, c.ok)
		}
	}
}

func TestBetween(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, console, output string
		status                int
		ok                    bool
	}{
		{"whole", "\x1b[2J@@begin n\r\na\r\nb\r\n@@end n 7\r\n", "a\nb", 7, true},
		{"empty", "@@begin n\n\n@@end n 0\n", "", 0, true},
		{"no end", "@@begin n\npart", "part", 0, false},
		{"no begin", "kernel panic", "", 0, false},
		{"another's end", "@@begin n\n\n@@end m 0\n", "\n@@end m 0\n", 0, false},
		{"no number", "@@begin n\n\n@@end n x\n", "", 0, false},
	} {
		got, ok := between(c.console, "n")
		if got.Output != c.output || got.Status != c.status || ok != c.ok {
			t.Errorf("%s: got %q %d %t, want %q %d %t", c.name, got.Output, got.Status, ok, c.output, c.status, c.ok)
		}
	}
}
