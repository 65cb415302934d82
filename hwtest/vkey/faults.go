package vkey

import "errors"

// What a report may meet, beside usbhid.ErrGone.
var (
	// ErrStall: the key stalled the control transfer.
	ErrStall = errors.New("endpoint stalled")
	// ErrNoOTP: the key has no OTP interface under its PID.
	ErrNoOTP = errors.New("no OTP interface")
)

// Faults are things that go wrong on demand. Numbers count from 1 and from SetFaults; 0 is never.
type Faults struct {
	// StallReport stalls the n-th report, Get and Set counted together: the key does not see it.
	StallReport int
	// LoseSet acknowledges the n-th Set and drops it.
	LoseSet int
	// UnplugAfter pulls the key out after the n-th report, Get and Set counted together, which still succeeds.
	UnplugAfter int
	// SlowWrite replaces Options.Pace: flag 80 stays up that long after an accepted write.
	SlowWrite Pace
	// StaleStatus answers the status of before an accepted write that many times.
	StaleStatus int
	// NoTouch ends a challenge's wait for touch, unanswered, after that many reads saw it.
	NoTouch int
}

// faultCount counts towards Faults.
type faultCount struct{ reports, sets int }

// fault is what happens to one report.
type fault struct{ stall, lose, unplug bool }

// SetFaults arms faults and starts their counts; the zero Faults disarms.
func (k *Key) SetFaults(f Faults) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults, k.faultSeen = f, faultCount{}
}

// LockSlot puts a foreign access code on a slot, 1 or 2, that holds a configuration; false if it does not.
func (k *Key) LockSlot(slot int, code [6]byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.at(slot)
	if s == nil || !s.configured() {
		return false
	}
	s.cfg.code = code
	return true
}

func (k *Key) nextFault(set bool) fault {
	k.faultSeen.reports++
	f := fault{
		stall:  k.faultSeen.reports == k.faults.StallReport,
		unplug: k.faultSeen.reports == k.faults.UnplugAfter,
	}
	if set {
		k.faultSeen.sets++
		f.lose = k.faultSeen.sets == k.faults.LoseSet
	}
	return f
}
