package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision/token"
)

// slotKills are what is killed in the middle: first prepares the key, again is what is killed.
func slotKills() map[string]struct {
	first [][]string
	again []string
	slot  int // that is touched by the resume
	each  int // how many steps apart it is killed
} {
	program := func(slot, kind string, more ...string) []string {
		return append([]string{"slot", "program", "--slot", slot, "--type", kind}, more...)
	}
	otp := program("2", "yubico-otp")
	bare := [][]string{program("2", "yubico-otp", "--access-code", "none"), program("1", "challenge-response", "--access-code", "none")}
	return map[string]struct {
		first [][]string
		again []string
		slot  int
		each  int
	}{
		"hotp over an otp":   {[][]string{otp}, program("2", "hotp", "--digits", "8"), 2, 1},
		"hmac":               {nil, program("2", "challenge-response"), 2, 4},
		"static":             {nil, program("2", "static", "--length", "12"), 2, 4},
		"swap":               {bare, []string{"slot", "swap", "--yes"}, 1, 1},
		"erase":              {[][]string{otp}, []string{"slot", "erase", "--slot", "2", "--yes"}, 2, 1},
		"access code":        {[][]string{otp}, []string{"slot", "access-code", "change", "--slot", "2"}, 2, 1},
		"access code, flags": {[][]string{otp}, []string{"slot", "settings", "--slot", "2", "--pacing", "20"}, 2, 4},
	}
}

// TestKillSlots kills slot commands, as processes of their own, before every use that they make of the world outside, and lets a new
// process settle what is left.
func TestKillSlots(t *testing.T) {
	t.Parallel()
	for name, k := range slotKills() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				k.each *= 5
			}
			for n := 1; ; n += k.each {
				r := newRig(t, 2)
				r.must("init")
				for _, words := range k.first {
					r.must(words...)
				}
				keys := serveKey(t, r)
				if !r.killed(keys, 2, n, k.again...) {
					r.slotsAgree("at its end")
					t.Logf("%d steps", n-1)
					return
				}
				if code := r.child(keys, k.slot, "provision", "resume"); code != 0 {
					t.Fatalf("step %d: resume: exit code %d", n, code)
				}
				r.slotsAgree(fmt.Sprint("step ", n))
			}
		})
	}
}

// slotsAgree fails unless nothing is open, and both slots hold just what the store says: secret, access code and flags.
func (r *rig) slotsAgree(how string) {
	r.t.Helper()
	st := r.open()
	open, err := st.Open(r.t.Context())
	if err != nil || len(open) != 0 {
		r.t.Fatalf("%s: %d entries open, %v", how, len(open), err)
	}
	changes, err := st.OpenChanges(r.t.Context())
	if err != nil || len(changes) != 0 {
		r.t.Fatalf("%s: %d changes open, %v", how, len(changes), err)
	}
	_, live, err := st.Slots(r.t.Context(), rigSerial)
	if err != nil && !errors.Is(err, token.ErrNotFound) {
		r.t.Fatal(err)
	}
	var known [3]bool
	for _, c := range live {
		slot := int(c.Slot)
		known[slot] = true
		key := c.Secrets.Key.Reveal()
		if c.Kind == token.Static { // of scan codes
			key = append(append([]byte{}, key...), make([]byte, 38-len(key))...)
		}
		s := r.key.Slot(slot)
		if !r.key.Holds(slot, key) {
			r.t.Errorf("%s: slot %d holds another secret than the store", how, slot)
		}
		if code := c.Secrets.AccessCode; s.Protected != (code.Len() > 0) || s.Protected && !r.key.HoldsAccessCode(slot, [6]byte(code.Reveal())) {
			r.t.Errorf("%s: slot %d has another access code than the store", how, slot)
		}
		if s.Ext != c.Settings.ExtFlags || s.Tkt != c.Settings.TicketFlags || s.Cfg != c.Settings.ConfigFlags {
			r.t.Errorf("%s: slot %d has other flags than the store", how, slot)
		}
	}
	for slot := 1; slot <= 2; slot++ {
		if holds := r.key.Slot(slot).Kind != vkey.Empty; holds != known[slot] {
			r.t.Errorf("%s: slot %d is in use: %v, and the store says %v", how, slot, holds, known[slot])
		}
	}
}

// TestUnplugUpdate pulls the key out where the outcome of an update is not seen: the commands say so, and resume settles it.
func TestUnplugUpdate(t *testing.T) {
	t.Parallel()
	for n := 5; ; n++ {
		r := newRig(t, 2)
		r.must("init")
		r.must("slot", "program", "--slot", "2", "--type", "yubico-otp")
		r.key.SetFaults(vkey.Faults{UnplugAfter: n})
		code := r.run("slot", "access-code", "change", "--slot", "2")
		r.key.SetFaults(vkey.Faults{})
		r.key.PowerCycle()
		if code == exitDone {
			t.Fatalf("after %d reports all was done", n)
		}
		changes, err := r.open().OpenChanges(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) == 0 {
			r.slotsAgree(fmt.Sprint("before it was sent, report ", n))
			continue
		}
		r.said("the update is not settled", "tokendesk provision resume --serial 7654321")
		r.must("provision", "resume", "--dry-run")
		r.said("writes the new ones again")
		if code := r.run("slot", "erase", "--slot", "2", "--yes"); code != exitRefused {
			t.Errorf("an erasure meanwhile: exit code %d", code)
		}
		r.must("doctor")
		r.said("1 interrupted write not settled")
		r.must("provision", "resume", "-o", "csv")
		r.said("programmed,,kept in the store,update")
		r.slotsAgree("resumed")
		r.must("slot", "erase", "--slot", "2", "--yes")
		r.slotsAgree("erased with the code of the update")
		return
	}
}

// said fails unless all of this was said since the last time.
func (r *rig) said(texts ...string) {
	r.t.Helper()
	all := r.out.String() + r.err.String()
	r.out.Reset()
	r.err.Reset()
	for _, text := range texts {
		if !strings.Contains(all, text) {
			r.t.Errorf("not said: %s\n%s", text, all)
		}
	}
}
