package oathaccount_test

import (
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	applet "github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestUntouched: what stands where an account was to go asks for a touch, the new account does not, and nobody stands by. That tells
// enough.
func TestUntouched(t *testing.T) {
	t.Parallel()
	ours, theirs := totp("ada"), given(totp("ada"), "a secret of somebody")
	ours.Account.Touch, theirs.Account.Touch = true, true
	for name, tc := range map[string]struct {
		before func(*bench)
		want   func(*oathaccount.Spec)
		after  func(*bench)
		stays  bool
	}{
		"our former one": {before: func(b *bench) {
			if _, err := b.put(ours); err != nil {
				b.t.Fatal(err)
			}
		}},
		"another's that may be lost": {before: func(b *bench) { b.foreign(theirs) }, want: func(s *oathaccount.Spec) { s.Overwrite, s.Reason = true, "handed in" }},
		"another's that came since":  {after: func(b *bench) { b.foreign(theirs) }, stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, spec := newBench(t, vkey.YubiKey543), totp("ada")
			if tc.before != nil {
				tc.before(b)
			}
			if tc.want != nil {
				tc.want(&spec)
			}
			b.suffer(fault{dieCall: 3}, func() error { _, err := b.put(spec); return err }) // marked, not put
			if tc.after != nil {
				tc.after(b)
			}
			b.key.OnTouchWait(func() bool { return false })
			err := b.resume()
			if !tc.stays && err != nil || tc.stays && !errors.Is(err, oathaccount.ErrNotOurs) {
				t.Errorf("resume: %v", err)
			}
			if tc.stays {
				b.agree("given up", "Example:ada")
			} else {
				b.agree("written")
			}
		})
	}
}

// TestRemoveMeanwhile: after a removal that was interrupted another program put an account of that name. It is not the one that was to go.
func TestRemoveMeanwhile(t *testing.T) {
	t.Parallel()
	b, theirs := newBench(t, vkey.YubiKey543), given(totp("ada"), "a secret of somebody")
	if _, err := b.put(totp("ada")); err != nil {
		t.Fatal(err)
	}
	b.suffer(fault{card: applet.Faults{INS: 0x02, LeaveAfter: 1}}, func() error {
		return b.change(token.SlotChange{Work: token.RemoveAccount, Serial: serial, Account: "Example:ada"})
	})
	b.foreign(theirs)
	if err := b.resume(); err != nil {
		t.Fatal(err)
	}
	b.agree("resumed", "Example:ada")
	if !b.oath.Holds("Example:ada", theirs.Seed.Reveal()) {
		t.Error("it is gone")
	}
}
