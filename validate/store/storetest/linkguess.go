package storetest

import (
	"sync"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func testLinkPIN(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	s := staff.enroll(t, "ada", desk.App{})
	s.show(t, s.pin, desk.LinkShown)
	for _, pin := range []string{"", "0", "O0-I1", "äöü"} { // no PINs: no tries
		s.show(t, pin, desk.LinkWrongPIN)
	}
	for left := desk.PINTries - 1; left > 0; left-- {
		s.show(t, s.wrongPIN(), desk.LinkWrongPIN)
		s.show(t, s.pin, desk.LinkShown) // a right one gives none back
		if l, err := s.here.Links(t.Context(), "ada"); err != nil || l[0].TriesLeft != left {
			t.Fatalf("%d tries are left, want %d (%v)", l[0].TriesLeft, left, err)
		}
	}
	if st, p, err := s.here.FinishLink(t.Context(), s.value, s.wrongPIN(), "123456", "x"); err != nil || st != desk.LinkLocked || p != "" {
		t.Errorf("%q, %q, %v", st, p, err)
	}
	s.show(t, s.pin, desk.LinkLocked)
	s.state(t, desk.LinkLocked)
	if list, of := s.tokens(t); list[0].State != token.Revoked {
		t.Errorf("%+v", list)
	} else if _, err := s.a.Record(t.Context(), of[0].ID); err == nil {
		t.Error("the secret of a locked link is kept")
	}
}

// testLinkPINRace: each of many tries at once is counted; nobody gets a sixth.
func testLinkPINRace(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	s := staff.enroll(t, "ada", desk.App{})
	var mu sync.Mutex
	got := map[desk.LinkState]int{}
	s.both(64, func(d *desk.Desk) {
		st, _, err := d.ShowLink(t.Context(), s.value, s.wrongPIN())
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got[st]++
	})
	if got[desk.LinkWrongPIN] != desk.PINTries-1 || got[desk.LinkLocked] != 128-desk.PINTries+1 {
		t.Errorf("%v", got)
	}
}

// testLinkShowRace: all who open it at once see the same secret.
func testLinkShowRace(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	s := staff.enroll(t, "ada", desk.App{})
	var mu sync.Mutex
	keys := map[string]int{}
	s.both(32, func(d *desk.Desk) {
		st, rec, err := d.ShowLink(t.Context(), s.value, s.pin)
		if err != nil || st != desk.LinkShown {
			t.Errorf("%q, %v", st, err)
		}
		mu.Lock()
		defer mu.Unlock()
		keys[string(rec.Key.Reveal())]++
	})
	if list, _ := s.tokens(t); len(keys) != 1 || len(list) != 1 {
		t.Errorf("%d secrets, %d tokens", len(keys), len(list))
	}
}

// testLinkFinishRace: one of many proofs at once counts.
func testLinkFinishRace(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	s := staff.enroll(t, "ada", desk.App{})
	code := s.codeOf(t, s.show(t, s.pin, desk.LinkShown), 0)
	var mu sync.Mutex
	got := map[desk.Proof]int{}
	s.both(32, func(d *desk.Desk) {
		st, p, err := d.FinishLink(t.Context(), s.value, s.pin, code, "my phone")
		if err != nil || st != desk.LinkDone {
			t.Errorf("%q, %q, %v", st, p, err)
		}
		mu.Lock()
		defer mu.Unlock()
		got[p]++
	})
	if got[desk.Proven] != 1 || got[""] != 63 {
		t.Errorf("%v", got)
	}
}

// testLinkCodes: after ten wrong codes there is another secret, and again ten.
func testLinkCodes(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	s := staff.enroll(t, "ada", desk.App{})
	var former keyfile.Record
	for range 2 {
		rec := s.show(t, s.pin, desk.LinkShown)
		if former.Key.Equal(rec.Key) {
			t.Error("the same secret")
		}
		for range desk.MaxLinkCodes - 1 {
			s.finish(t, s.wrong(t, rec), "x", desk.LinkShown, desk.WrongCode)
		}
		s.finish(t, s.wrong(t, rec), "x", desk.LinkOpen, desk.WrongCode)
		s.finish(t, s.codeOf(t, rec, 0), "x", desk.LinkOpen, "")
		s.state(t, desk.LinkOpen)
		former = rec
	}
	list, _ := s.tokens(t)
	for _, k := range list {
		if k.State != token.Revoked {
			t.Errorf("%+v", k)
		}
	}
}
