package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	client "github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestKillAccounts kills commands about accounts, as processes of their own, before uses that they make of the world outside, and lets a new
// process settle what is left. That every single step may be the last is held by package oathaccount.
func TestKillAccounts(t *testing.T) {
	t.Parallel()
	add := func(more ...string) []string { return append([]string{"oath", "add", "Example:ada"}, more...) }
	for name, k := range map[string]struct {
		first [][]string
		again []string
		from  int // nothing is sent to the key before
		each  int
	}{
		"add":              {nil, add("--type", "hotp"), 12, 2},
		"add over ours":    {[][]string{add()}, add("--touch"), 12, 5},
		"delete":           {[][]string{add()}, []string{"oath", "delete", "Example:ada", "--yes"}, 8, 3},
		"rename":           {[][]string{add()}, []string{"oath", "rename", "Example:ada", "Example:bob"}, 8, 4},
		"reset":            {[][]string{add(), {"oath", "password", "--random"}}, []string{"oath", "reset", "--yes"}, 4, 3},
		"password":         {[][]string{add()}, []string{"oath", "password", "--random"}, 4, 2},
		"another password": {[][]string{add(), {"oath", "password", "--random"}}, []string{"oath", "password", "--random"}, 6, 3},
		"password removed": {[][]string{add(), {"oath", "password", "--random"}}, []string{"oath", "password", "--remove"}, 6, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				k.each *= 4
			}
			for n := k.from; ; n += k.each {
				r := newRig(t, 2)
				r.key.OnTouchWait(func() bool { return true })
				r.must("init")
				for _, words := range k.first {
					r.must(words...)
				}
				keys := serveKey(t, r)
				if !r.killed(keys, 2, n, k.again...) {
					r.accountsAgree("at its end")
					t.Logf("%d steps", n-1)
					return
				}
				for _, words := range [][]string{{"provision", "resume"}, {"oath", "list"}} { // the list tells which password the key has
					if code := r.child(keys, 2, words...); code != 0 {
						t.Fatalf("step %d: %q: exit code %d", n, words, code)
					}
				}
				r.accountsAgree(fmt.Sprint("step ", n))
			}
		})
	}
}

// accountsAgree fails unless nothing is open, and the key has just the accounts and the password that the store says.
func (r *rig) accountsAgree(how string) {
	r.t.Helper()
	st, ctx := r.open(), r.t.Context()
	open, err := st.Open(ctx)
	changes, changesErr := st.OpenChanges(ctx)
	if err := errors.Join(err, changesErr); err != nil || len(open)+len(changes) != 0 {
		r.t.Fatalf("%s: %d entries and %d changes open, %v", how, len(open), len(changes), err)
	}
	_, live, err := st.Slots(ctx, rigSerial)
	if err != nil && !errors.Is(err, token.ErrNotFound) {
		r.t.Fatal(err)
	}
	card := oathapplet.Of(r.key)
	on := card.Accounts()
	if len(on) != len(live) {
		r.t.Errorf("%s: the key has %v, the store %d accounts", how, on, len(live))
	}
	for _, c := range live {
		if id := c.Settings.Account; !card.Holds(id, c.Secrets.Key.Reveal()) {
			r.t.Errorf("%s: the key has no account %q, or one with another secret", how, id)
		}
		if c.Kind == token.HOTP && (int64(on[0].NextFactor) <= c.Counters.Moving || int64(on[0].NextFactor) > c.Counters.Moving+3) {
			r.t.Errorf("%s: the key is at %d, the store at %d", how, on[0].NextFactor, c.Counters.Moving)
		}
	}
	kept, err := st.Escrows(ctx, rigSerial, token.OATHPassword)
	if err != nil {
		r.t.Fatal(err)
	}
	switch {
	case !card.Locked() && len(kept) != 0:
		r.t.Errorf("%s: the key has no password, the store %d", how, len(kept))
	case card.Locked() && len(kept) != 1:
		r.t.Errorf("%s: the key has a password, the store %d", how, len(kept))
	case card.Locked():
		key := client.DeriveKey(kept[0].Secret, card.Salt())
		if !kept[0].Held || !card.HoldsCode(key.Reveal()) {
			r.t.Errorf("%s: the key has another password than the store", how)
		}
	}
}
