package vkey

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// TestStall: the n-th report stalls, the next passes.
func TestStall(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	r.SetFaults(Faults{StallReport: 2})
	r.get()
	if err := r.Set(usbhid.Report{7: 0x8f}); !errors.Is(err, ErrStall) {
		t.Errorf("second report: %v", err)
	}
	r.get()
	if gets, sets := r.Transfers(); gets != 2 || sets != 1 {
		t.Errorf("transfers %d %d", gets, sets)
	}
	r.ResetTransfers()
	if gets, sets := r.Transfers(); gets != 0 || sets != 0 {
		t.Errorf("transfers %d %d after reset", gets, sets)
	}
}

// TestLostSet: whichever of the 8 reports of a write is lost, the key holds nothing or, never, something else.
func TestLostSet(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 8; n++ {
		r := newRig(t, YubiKey543, Options{})
		r.SetFaults(Faults{LoseSet: n})
		if r.accepts(cmdWrite1, otp().bytes(t)) || r.Slot(1).Kind != Empty {
			t.Errorf("write accepted although report %d was lost", n)
		}
		r.must(cmdWrite1, otp().bytes(t))
	}
}

// TestUnplugAfter: the n-th report passes, then the key is gone; the write has happened if its last part was in.
func TestUnplugAfter(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 9; n++ {
		r := newRig(t, YubiKey543, Options{})
		r.SetFaults(Faults{UnplugAfter: n})
		var err error
		for _, rep := range strings.Fields("ff0000bc614e0080 0000010203040582 0600010203040583 060708090a0b0c84 0d0e0f0000000085 0000063420000086 005c520000000087 0001955600000089") {
			if err == nil {
				err = r.Set(usbhid.Report(unhex(t, rep)))
			}
		}
		if errors.Is(err, usbhid.ErrGone) != (n < 8) {
			t.Errorf("unplug after %d: %v", n, err)
		}
		r.SetFaults(Faults{})
		r.Plug()
		if got := r.Slot(1).Kind != Empty; got != (n >= 8) {
			t.Errorf("unplug after %d: slot is %v", n, r.Slot(1).Kind)
		}
	}
}

// TestSlowWrite: flag 80 stays up, by reads or by time, reports sent meanwhile are lost, the old status shows.
func TestSlowWrite(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{Pace: Pace{Reads: 2}})
	r.frame(cmdWrite1, otp().bytes(t))
	r.frame(cmdWrite1, make([]byte, configLen)) // lost
	for i, want := range []usbhid.Report{
		{0, 5, 4, 3, 0, 0, 5, 0x80}, {0, 5, 4, 3, 0, 0, 5, 0x80}, {0, 5, 4, 3, 1, 5, 5, 0},
	} {
		if got := r.get(); got != want {
			t.Errorf("read %d: %x, want %x", i, got, want)
		}
	}
	r.SetFaults(Faults{SlowWrite: Pace{Time: 300 * time.Millisecond}})
	r.frame(cmdWrite1, otp().bytes(t))
	if got := r.get()[7]; got != 0x80 {
		t.Errorf("flag %02x", got)
	}
	r.now = r.now.Add(300 * time.Millisecond)
	if got := r.get(); got[7] != 0 || got[4] != 2 {
		t.Errorf("status %x after 300 ms", got)
	}
}

// TestStaleStatus: the old status stays for some reads after a write.
func TestStaleStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	r.SetFaults(Faults{StaleStatus: 2})
	r.frame(cmdWrite1, otp().bytes(t))
	for i, want := range []byte{0, 0, 1, 1} {
		if got := r.get(); got[4] != want || got[7] != 0 {
			t.Errorf("read %d: %x", i, got)
		}
	}
}

// TestLatch: a part that comes too soon is lost; with the gap it is taken.
func TestLatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{Serial: 1, Latch: 400 * time.Microsecond})
	r.send("0000000000000080 00106b5b00000089")
	if got := r.get()[7]; got != 0 {
		t.Errorf("flag %02x: a part without a gap was taken", got)
	}
	r.now = r.now.Add(time.Second)
	r.send("0000000000000080")
	r.now = r.now.Add(400 * time.Microsecond)
	r.send("00106b5b00000089")
	if got := r.get()[7]; got != flagResponse {
		t.Errorf("flag %02x: a part after the gap was lost", got)
	}
}

// TestLockSlot: a locked slot refuses what does not bring the foreign code.
func TestLockSlot(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	code := [6]byte{1, 2, 3}
	if r.LockSlot(1, code) || r.LockSlot(3, code) {
		t.Error("an empty slot was locked")
	}
	r.must(cmdWrite1, otp().bytes(t))
	if !r.LockSlot(1, code) || r.accepts(cmdWrite1, otp().bytes(t)) {
		t.Error("a locked slot was written")
	}
}

// TestConcurrent uses a key from many goroutines at once, for the race detector; each answer is an outcome or ErrGone.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	k := New(YubiKey543, Options{Serial: 1})
	var all sync.WaitGroup
	for _, use := range []func() error{
		func() error { return second(k.Get()) },
		func() error { return k.Set(usbhid.Report{7: 0x8f}) },
		func() error {
			k.Touch(1)
			k.Typed()
			k.Slot(1)
			k.USB()
			k.Profile()
			return nil
		},
		func() error { k.Unplug(); k.Plug(); k.PowerCycle(); k.SetFaults(Faults{StaleStatus: 1}); return nil },
		func() error {
			c, err := k.Open()
			if err != nil {
				return err
			}
			defer c.Close()
			return second(c.GetFeature(t.Context()))
		},
	} {
		all.Go(func() {
			for range 300 {
				if err := use(); err != nil && !errors.Is(err, usbhid.ErrGone) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// TestHolds: a slot is compared by the length of the secret.
func TestHolds(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	r.must(cmdWrite1, otp().bytes(t))
	for secret, want := range map[string]bool{
		testKey: true, testUID: true, testKey + testUID: true, testKey + "01020304": true, hmacKey: false, "00": false, "": false,
	} {
		if got := r.Holds(1, unhex(t, secret)); got != want {
			t.Errorf("Holds(1, %d bytes) = %v", len(secret)/2, got)
		}
	}
	if r.Holds(2, make([]byte, 16)) || r.Holds(0, unhex(t, testKey)) || r.HoldsAccessCode(1, [6]byte{}) {
		t.Error("an empty slot holds something")
	}
}
