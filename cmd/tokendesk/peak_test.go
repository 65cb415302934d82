package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// peakVariable names the file in which a program of a test leaves the most memory that it had. What the system tells of a child that
// ended begins with its parent's.
const peakVariable = "TOKENDESK_PEAK"

// notePeak is for the program's end, on Linux.
func notePeak() {
	if name := os.Getenv(peakVariable); name != "" {
		if status, err := os.ReadFile("/proc/self/status"); err == nil {
			_ = os.WriteFile(name, status, 0o600) // peakOf misses it
		}
	}
}

// wantPeak makes cmd leave its peak, which the returned function reads, in KiB.
func wantPeak(t *testing.T, cmd *exec.Cmd) func() int {
	t.Helper()
	name := filepath.Join(t.TempDir(), "status")
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, peakVariable+"="+name)
	return func() int {
		t.Helper()
		status, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
		if found == nil {
			t.Fatal("no VmHWM")
		}
		n, err := strconv.Atoi(string(found[1]))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}
