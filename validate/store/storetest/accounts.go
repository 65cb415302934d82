package storetest

import (
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// onAccount is a reservation of an account of the OATH application.
func onAccount(serial token.Serial, k token.Kind, id string) token.Reservation {
	r := reservation(serial)
	r.Slot, r.Kind, r.PublicID, r.Proof = 0, k, token.PublicID{}, token.ByHost
	r.Settings = token.Settings{Digits: 6, Hash: "sha1", Issuer: "Example", Account: id, Touch: true}
	if k == token.TOTP {
		r.Settings.Period = 30e9
	} else {
		r.Settings.FirstMoving = 4_000_000_000
	}
	return r
}

// put takes an account to its end.
func (s slotSuite) put(t *testing.T, r token.Reservation, n int) token.Entry {
	t.Helper()
	e := s.reach(t, r, token.Written, n)
	s.must(t, s.Commit(t.Context(), e.ID, &token.Counters{Use: -1, Session: -1, Moving: 4_000_000_000 + int64(n)}))
	return e
}

// byName is the live credential of an account; nil: there is none.
func (s slotSuite) byName(t *testing.T, serial token.Serial, id string) *token.Credential {
	t.Helper()
	_, list, err := s.Slots(t.Context(), serial)
	s.must(t, err)
	for _, c := range list {
		if c.Settings.Account == id {
			return &c
		}
	}
	return nil
}

// testAccounts: many on one key beside its slots, each by its name; one that is open stops itself and its former one alone.
func testAccounts(t *testing.T, s slotSuite) {
	first := s.put(t, onAccount(7, token.HOTP, "Example:ada"), 1)
	if first.Slot != 0 || first.Credential.Settings.Account != "Example:ada" || !first.Credential.Settings.Touch || first.Proof != token.ByHost || first.Place() != `account "Example:ada"` {
		t.Errorf("reserved %+v", first)
	}
	s.put(t, onAccount(7, token.TOTP, "60/Example:ada"), 2)
	s.issue(t, reservation(7), 3)
	c := s.byName(t, 7, "Example:ada")
	if c == nil || !c.Enabled || c.Counters.Moving != 4_000_000_001 || c.Settings.FirstMoving != 4_000_000_000 || c.Settings.Issuer != "Example" || !c.Secrets.Key.Equal(secretsOf(1).Key) {
		t.Fatalf("%+v", c)
	}
	second := s.reach(t, onAccount(7, token.HOTP, "Example:ada"), token.Writing, 4)
	if second.Former == nil || second.Former.ID != c.ID {
		t.Errorf("former %+v", second.Former)
	}
	if c := s.byName(t, 7, "Example:ada"); c.Enabled {
		t.Error("the former one validates while its account is uncertain")
	}
	if c := s.byName(t, 7, "60/Example:ada"); !c.Enabled {
		t.Error("another account does not validate")
	}
	if !s.press(t, token.SerialPublicID(7), 9, 9) {
		t.Error("the slot does not validate")
	}
	if _, err := s.Reserve(t.Context(), onAccount(7, token.TOTP, "third")); !errors.Is(err, token.ErrUnsettled) {
		t.Errorf("another reservation meanwhile: %v", err)
	}
	if e := s.issue(t, ofSlot(reservation(7), 2), 5); e.Former != nil {
		t.Errorf("the other slot: %+v", e)
	}
	s.must(t, s.Mark(t.Context(), second.ID, token.Written))
	s.must(t, s.Commit(t.Context(), second.ID, &token.Counters{Use: -1, Session: -1, Moving: 4_000_000_000}))
	if c := s.byName(t, 7, "Example:ada"); c.ID != second.Credential.ID || !c.Enabled {
		t.Errorf("%+v", c)
	}
	if _, list, err := s.Slots(t.Context(), 7); err != nil || len(list) != 4 {
		t.Errorf("%d live credentials, %v", len(list), err)
	}
}

func ofSlot(r token.Reservation, slot token.Slot) token.Reservation {
	r.Slot, r.PublicID = slot, token.SerialPublicID(1000+r.Serial)
	return r
}

// testAccountBlocked: a blocked token's accounts are dead, and those of a token that is back are not.
func testAccountBlocked(t *testing.T, s slotSuite) {
	e := s.put(t, onAccount(8, token.TOTP, "Example:ada"), 1)
	if _, err := s.Block(t.Context(), e.Token, desk.Block{Reason: token.ReasonLost}); err != nil {
		t.Fatal(err)
	}
	if c := s.byName(t, 8, "Example:ada"); c.Enabled {
		t.Error("it validates")
	}
	if _, err := s.Reserve(t.Context(), onAccount(8, token.TOTP, "other")); err == nil {
		t.Error("a blocked key takes an account")
	}
	list, err := s.Look(t.Context(), validate.AttemptRequest{Serial: "8", OATH: true, At: at(1)})
	s.must(t, err)
	if len(list.Credentials) != 1 || list.Credentials[0].Row.Enabled {
		t.Errorf("%+v", list.Credentials)
	}
}

// testAccountElsewhere: of a secret that another service checks nothing is kept, and nothing validates.
func testAccountElsewhere(t *testing.T, s slotSuite) {
	s.put(t, onAccount(9, token.TOTP, "GitHub:ada"), 1)
	r := onAccount(9, token.TOTP, "GitHub:ada")
	r.Elsewhere = true
	e := s.reach(t, r, token.Sealed, 1) // the same secret as that of the registered one
	open, err := s.Open(t.Context())
	s.must(t, err)
	if len(open) != 1 || !open[0].Elsewhere || !open[0].Credential.Secrets.Key.Equal(secretsOf(1).Key) {
		t.Fatalf("open: %+v", open)
	}
	s.must(t, s.Mark(t.Context(), e.ID, token.Writing))
	s.must(t, s.Commit(t.Context(), e.ID, &token.Counters{Moving: 5}))
	if c := s.byName(t, 9, "GitHub:ada"); c != nil {
		t.Errorf("live: %+v", c)
	}
	if _, err := s.Record(t.Context(), e.Credential.ID); err == nil {
		t.Error("its secret is kept")
	}
	r.Serial = 10 // as many keys as there are
	e = s.reach(t, r, token.Written, 1)
	s.must(t, s.Commit(t.Context(), e.ID, &token.Counters{Moving: 5}))
}

// testAccountSeed: a seed that is or was here is not taken under another name.
func testAccountSeed(t *testing.T, s slotSuite) {
	s.put(t, onAccount(11, token.TOTP, "Example:ada"), 1)
	s.put(t, onAccount(11, token.TOTP, "Example:ada"), 1) // on the same name it is put again
	for _, serial := range []token.Serial{11, 12} {
		e := s.reach(t, onAccount(serial, token.TOTP, "Example:bob"), token.Reserved, 1)
		if err := s.Seal(t.Context(), e.ID, secretsOf(1)); !errors.Is(err, token.ErrDuplicate) {
			t.Errorf("key %d: %v", serial, err)
		}
		s.must(t, s.Abort(t.Context(), e.ID, token.Reserved, "test", nil))
	}
}

// testAccountChanges: removing, renaming and resetting are on record before the key is asked, and the credentials follow.
func testAccountChanges(t *testing.T, s slotSuite) {
	s.put(t, onAccount(13, token.TOTP, "Example:ada"), 1)
	s.put(t, onAccount(13, token.TOTP, "Example:bob"), 2)
	s.issue(t, reservation(13), 3)
	ada, bob := s.byName(t, 13, "Example:ada"), s.byName(t, 13, "Example:bob")
	begin := func(c token.SlotChange) token.SlotChange {
		t.Helper()
		c.Serial = 13
		out, err := s.slots.BeginChange(t.Context(), c)
		s.must(t, err)
		return out
	}
	if _, err := s.slots.BeginChange(t.Context(), token.SlotChange{Work: token.RemoveAccount, Serial: 13, Account: "Example:ada", Credential: bob}); !errors.Is(err, token.ErrConflict) {
		t.Errorf("of another credential: %v", err)
	}
	c := begin(token.SlotChange{Work: token.RenameAccount, Account: "Example:ada", Credential: ada, After: token.Settings{Account: "Other:ada", Issuer: "Other"}})
	open, err := s.slots.OpenChanges(t.Context())
	s.must(t, err)
	if len(open) != 1 || open[0].Account != "Example:ada" || open[0].After.Account != "Other:ada" || open[0].After.Issuer != "Other" || open[0].Credential.ID != ada.ID {
		t.Errorf("open: %+v", open)
	}
	if _, err := s.Reserve(t.Context(), onAccount(13, token.TOTP, "third")); !errors.Is(err, token.ErrUnsettled) {
		t.Errorf("a reservation meanwhile: %v", err)
	}
	s.must(t, s.slots.EndChange(t.Context(), c.ID))
	if c := s.byName(t, 13, "Other:ada"); c == nil || c.ID != ada.ID || c.Settings.Issuer != "Other" || !c.Enabled {
		t.Errorf("renamed: %+v", c)
	}
	c = begin(token.SlotChange{Work: token.RemoveAccount, Account: "Example:bob", Credential: bob})
	s.must(t, s.slots.DropChange(t.Context(), c.ID, "test"))
	if s.byName(t, 13, "Example:bob") == nil {
		t.Error("a removal that was given up")
	}
	c = begin(token.SlotChange{Work: token.RemoveAccount, Account: "Example:bob", Credential: bob})
	s.must(t, s.slots.EndChange(t.Context(), c.ID))
	if s.byName(t, 13, "Example:bob") != nil {
		t.Error("a removed account is live")
	}
	s.put(t, onAccount(13, token.TOTP, "Example:bob"), 4)
	c = begin(token.SlotChange{Work: token.ResetOATH})
	s.must(t, s.slots.EndChange(t.Context(), c.ID))
	if _, list, err := s.Slots(t.Context(), 13); err != nil || len(list) != 1 || list[0].Slot != 1 {
		t.Errorf("after a reset: %+v, %v", list, err)
	}
}

// testAccountExport: each account is a token of its own in files, so that one does not overwrite the other there.
func testAccountExport(t *testing.T, s slotSuite) {
	labels := map[string]bool{}
	for n, id := range []string{"Example:ada", "Example:bob"} {
		e := s.put(t, onAccount(14, token.TOTP, id), n)
		r, err := s.Record(t.Context(), e.Credential.ID)
		s.must(t, err)
		if r.Serial != 0 || r.Label == "" || r.Issuer != "Example" {
			t.Errorf("%+v", r)
		}
		labels[r.Label] = true
	}
	if len(labels) != 2 {
		t.Errorf("%v", labels)
	}
}
