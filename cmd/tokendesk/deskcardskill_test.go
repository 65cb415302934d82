package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestKillDeskCards kills a desk that puts accounts on a key before uses that it makes of the world outside, and lets another desk finish what is
// left of accounts, and resume what is left of the slot: the person has one key, with one secret for each account, and the store has the same.
func TestKillDeskCards(t *testing.T) {
	t.Parallel()
	each := 23
	if testing.Short() {
		each *= 4
	}
	for n := 12; ; n += each {
		r := newRig(t, 2)
		r.must("init")
		r.must("person", "add", "ada")
		r.must("provision", "profile", "add", "staff", "--oath", "Example:{account}, Portal:{account}")
		keys := serveKey(t, r)
		desk := func(lines ...string) *exec.Cmd {
			cmd := r.program(keys, 2, "provision", "desk", "--profile", "staff")
			cmd.Stdin = strings.NewReader(strings.Join(append(lines, "next", ""), "\n"))
			cmd.Env = append(cmd.Env, "TICK=4ms")
			return cmd
		}
		cmd := desk("ada", "staff-card")
		cmd.Env = append(cmd.Env, fmt.Sprint("STOP_AT=", n))
		if !r.stopped(cmd, n) {
			r.equipped("at its end")
			t.Logf("%d steps at most", n-1)
			return
		}
		lines := []string{"ada", "second", "staff-card", "finish"}
		if slot, _ := r.heldByAda(); !slot {
			if code := r.child(keys, 2, "provision", "resume"); code != 0 {
				t.Fatalf("step %d: resume: exit code %d", n, code)
			}
		}
		switch slot, accounts := r.heldByAda(); {
		case !slot:
			lines = []string{"ada", "staff-card"}
		case accounts == 2:
			lines = nil
		}
		if lines != nil {
			if said, err := desk(lines...).CombinedOutput(); err != nil {
				t.Fatalf("step %d: %q: %v\n%s", n, lines, err, said)
			}
			r.released()
		}
		r.equipped(fmt.Sprint("step ", n))
	}
}

// heldByAda says what the store knows of the rig's key, if ada holds it.
func (r *rig) heldByAda() (slot bool, accounts int) {
	r.t.Helper()
	k, live, err := r.open().Slots(r.t.Context(), rigSerial)
	if errors.Is(err, token.ErrNotFound) || err == nil && (k.Holder == nil || k.State != token.Active) {
		return false, 0
	}
	if err != nil {
		r.t.Fatal(err)
	}
	defer destroyLive(provision.Have{Live: live})
	for _, c := range live {
		if c.Settings.Account != "" {
			accounts++
		}
		slot = slot || c.Slot == 2 && c.State == token.Active
	}
	return slot, accounts
}

// equipped fails unless ada's key has the slot and both accounts, as the store says, and nothing is open.
func (r *rig) equipped(how string) {
	r.t.Helper()
	st := r.open()
	open, err := st.Open(r.t.Context())
	if err != nil || len(open) != 0 {
		r.t.Fatalf("%s: %d entries open, %v", how, len(open), err)
	}
	k, live, err := st.Slots(r.t.Context(), rigSerial)
	if err != nil || k.Holder == nil || k.Holder.Account != "ada" || len(live) != 3 {
		r.t.Fatalf("%s: %+v, %d credentials, %v", how, k, len(live), err)
	}
	card := oathapplet.Of(r.key)
	for _, c := range live {
		s := c.Secrets
		switch {
		case c.Settings.Account != "" && !card.Holds(c.Settings.Account, s.Key.Reveal()):
			r.t.Errorf("%s: the key has no account %q, or one with another secret", how, c.Settings.Account)
		case c.Slot == 2 && !r.key.Holds(2, append(append([]byte{}, s.Key.Reveal()...), s.PrivateID.Reveal()...)):
			r.t.Errorf("%s: the slot holds another secret", how)
		}
	}
	if n := len(card.Accounts()); n != 2 {
		r.t.Errorf("%s: %d accounts on the key", how, n)
	}
	destroyLive(provision.Have{Live: live})
	r.must("audit", "verify")
}
