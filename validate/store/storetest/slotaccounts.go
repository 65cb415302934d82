package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// account reserves an account in the OATH application.
func account(serial token.Serial, k token.Kind, name string) token.Reservation {
	set := token.Settings{Digits: 6, Hash: "sha1", Account: name}
	if k == token.TOTP {
		set.Period = 30 * time.Second
	}
	r := ofKind(serial, k, set)
	r.Slot, r.Proof = 0, token.ByHost
	return r
}

// named is the live credential of that name; nil: there is none.
func (s slotSuite) named(t *testing.T, serial token.Serial, name string) *token.Credential {
	t.Helper()
	_, list, err := s.Slots(t.Context(), serial)
	s.must(t, err)
	for i := range list {
		if list[i].Settings.Account == name {
			return &list[i]
		}
	}
	return nil
}

// added puts an account, proven by a code of that moving factor.
func (s slotSuite) added(t *testing.T, r token.Reservation, n int, moving int64) *token.Credential {
	t.Helper()
	e := s.reach(t, r, token.Written, n)
	s.must(t, s.Commit(t.Context(), e.ID, &token.Counters{Use: -1, Session: -1, Moving: moving}))
	return s.named(t, r.Serial, r.Settings.Account)
}

// The key may have lost an account that is live here. What took its name on the key could never be settled.
func testAccountNameTaken(t *testing.T, s slotSuite) {
	one := s.added(t, account(3801, token.TOTP, "a"), 1, 10)
	s.added(t, account(3801, token.TOTP, "b"), 2, 10)
	c := token.SlotChange{Work: token.RenameAccount, Serial: 3801, Account: "a", Credential: one, After: token.Settings{Account: "b"}}
	if _, err := s.slots.BeginChange(t.Context(), c); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("begun: %v", err)
	}
	c.After.Account = "c"
	c, err := s.slots.BeginChange(t.Context(), c)
	s.must(t, err)
	s.must(t, s.slots.EndChange(t.Context(), c.ID))
	if s.named(t, 3801, "a") != nil || s.named(t, 3801, "c") == nil {
		t.Error("not renamed")
	}
}

// The same secret under the same name makes the same codes: those that were used stay used.
func testAccountSameSecret(t *testing.T, s slotSuite) {
	for i, k := range []token.Kind{token.TOTP, token.HOTP} {
		r := account(token.Serial(3810+i), k, "a")
		s.added(t, r, 10+i, 50)
		if c := s.added(t, r, 10+i, 7); c.Counters.Moving != 50 {
			t.Errorf("%s: used up to %d", k, c.Counters.Moving)
		}
		if c := s.added(t, r, 20+i, 7); c.Counters.Moving != 7 {
			t.Errorf("%s: another secret is used up to %d", k, c.Counters.Moving)
		}
	}
}
