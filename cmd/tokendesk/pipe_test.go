package main

import (
	"os"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// TestNobodyReadsOn: `2>&1 | head -1` must not end a write to a key in the middle: with readers that are gone the run
// comes to its end, and only the listing that could not be printed makes it exit code 1.
func TestNobodyReadsOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	cmd := r.program(serveKey(t, r), 2, "provision", "--slot", "2")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	cmd.Stdout, cmd.Stderr = write, write
	_ = cmd.Run() // its exit code says it
	_ = write.Close()
	if code := cmd.ProcessState.ExitCode(); code != int(exitError) {
		t.Errorf("%v", cmd.ProcessState)
	}
	r.agree(2, 1)
	if r.key.Slot(2).Kind == vkey.Empty {
		t.Error("the slot was not written")
	}
}
