package oathapplet

import "github.com/tokendesk/tokendesk/hwtest/vkey"

// Faults are things that go wrong on demand. Numbers count commands, without SELECT and SEND REMAINING, from 1 and from
// SetFaults; 0 is never.
type Faults struct {
	// INS counts that instruction alone; 0 counts all.
	INS byte
	// FailBefore answers the n-th with 6581 and does nothing else; FailAfter does what was asked, and answers the same.
	FailBefore, FailAfter int
	// LeaveBefore unplugs the key instead of the n-th; LeaveAfter does what was asked first. No answer comes.
	LeaveBefore, LeaveAfter int
	// HangBefore and HangAfter give no answer to the n-th until the key is unplugged.
	HangBefore, HangAfter int
}

// SetFaults arms faults and starts their count; the zero Faults disarms.
func (a *Applet) SetFaults(f Faults) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults, a.seen = f, 0
}

// fault is what happens to one command, before and after its effect.
type fault struct{ failBefore, failAfter, leaveBefore, leaveAfter, hangBefore, hangAfter bool }

func (a *Applet) nextFault(ins byte) fault {
	f := a.faults
	if f.INS != 0 && f.INS != ins {
		return fault{}
	}
	a.seen++
	n := a.seen
	return fault{
		failBefore: n == f.FailBefore, failAfter: n == f.FailAfter, leaveBefore: n == f.LeaveBefore, leaveAfter: n == f.LeaveAfter,
		hangBefore: n == f.HangBefore, hangAfter: n == f.HangAfter,
	}
}

// before and after are the status word that ends the command, 0 if nothing does.
func (f fault) before(k *vkey.Key) uint16 {
	return strike(k, f.failBefore, f.leaveBefore, f.hangBefore)
}
func (f fault) after(k *vkey.Key) uint16 { return strike(k, f.failAfter, f.leaveAfter, f.hangAfter) }

func strike(k *vkey.Key, fail, leave, hang bool) uint16 {
	switch {
	case fail:
	case leave:
		k.Leave()
	case hang:
		k.Hang()
	default:
		return 0
	}
	return swMemory
}
