package main

import (
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// slotWrite is how long the slowest slot write takes. Source: reference yubikey-otp.md §1.6 (spec 600 ms).
const slotWrite = 600 * time.Millisecond

// TestInsertToProof: from the start of the program to the proof, at the pace of a slow key, at most 2 s pass. A machine that does other
// things adds to that and takes nothing from it, so it is tried until once it is as quick.
func TestInsertToProof(t *testing.T) {
	t.Parallel()
	const most, tries = 2 * time.Second, 20
	for try := 1; ; try++ {
		r := newRig(t, 2)
		r.must("init")
		r.key.SetFaults(vkey.Faults{SlowWrite: vkey.Pace{Time: slotWrite}})
		start := time.Now()
		r.must("provision", "--slot", "2")
		took := time.Since(start)
		t.Logf("%v from start to proof, %v of them the key's own", took.Round(time.Millisecond), slotWrite)
		switch {
		case took < slotWrite:
			t.Fatal("it is proven before it is written")
		case took <= most:
			return
		case try == tries:
			t.Fatalf("more than %v in each of %d tries", most, tries)
		}
	}
}

// BenchmarkProvision writes and proves a slot on a key that takes no time; transfers are control transfers.
func BenchmarkProvision(b *testing.B) {
	r := newRig(b, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	r.key.ResetTransfers()
	for b.Loop() {
		r.must("provision", "--slot", "2")
	}
	gets, sets := r.key.Transfers()
	b.ReportMetric(float64(gets+sets)/float64(b.N), "transfers/op")
}
