package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// SlotStore is what is needed to change slots beside writing them.
type SlotStore interface {
	Full
	BeginChange(ctx context.Context, c token.SlotChange) (token.SlotChange, error)
	EndChange(ctx context.Context, id token.ChangeID) error
	DropChange(ctx context.Context, id token.ChangeID, reason string) error
	OpenChanges(ctx context.Context) ([]token.SlotChange, error)
	BeginSetting(ctx context.Context, k token.KeySetting) error
	EndSetting(ctx context.Context, k token.KeySetting, undone string) error
	KeySettings(ctx context.Context, serial token.Serial) ([]token.KeySetting, error)
}

// RunSlots runs the suite of slots of every kind and of what is done to them; open gives an empty store each time.
func RunSlots(t *testing.T, open func(t *testing.T) SlotStore) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s slotSuite)
	}{
		{"hotp", testSlotHOTP},
		{"kinds that validate nothing", testSlotKinds},
		{"update", testSlotUpdate},
		{"update undone", testSlotUpdateUndone},
		{"swap", testSlotSwap},
		{"erase", testSlotErase},
		{"refusals", testSlotRefusals},
		{"token given up", testSlotGivenUp},
		{"settings of keys", testKeySettings},
		{"accounts", testAccounts},
		{"account, blocked", testAccountBlocked},
		{"account, elsewhere", testAccountElsewhere},
		{"account, seed", testAccountSeed},
		{"account, changes", testAccountChanges},
		{"account, export", testAccountExport},
		{"account renamed to one that is gone", testAccountNameTaken},
		{"account with its former secret", testAccountSameSecret},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			tc.run(t, slotSuite{ledgerSuite{s}, s})
		})
	}
}

type slotSuite struct {
	ledgerSuite
	slots SlotStore
}

// ofKind is a reservation of slot 2.
func ofKind(serial token.Serial, k token.Kind, s token.Settings) token.Reservation {
	r := reservation(serial)
	r.Slot, r.Kind, r.Settings, r.PublicID = 2, k, s, token.PublicID{}
	if k == token.ChallengeResponse {
		r.Proof = token.ByHost
	}
	return r
}

// live is the credential in a slot; nil: there is none.
func (s slotSuite) live(t *testing.T, serial token.Serial, slot token.Slot) *token.Credential {
	t.Helper()
	_, list, err := s.Slots(t.Context(), serial)
	s.must(t, err)
	for i := range list {
		if list[i].Slot == slot {
			return &list[i]
		}
	}
	return nil
}

func testSlotHOTP(t *testing.T, s slotSuite) {
	set := token.Settings{Digits: 8, Hash: "sha1", FirstMoving: 4096, ExtFlags: 0x34, TicketFlags: 0x60, ConfigFlags: 0x42}
	r := ofKind(3001, token.HOTP, set)
	r.PublicID, _ = token.NewPublicID([]byte{0xe1, 0x63, 0, 0, 0x30, 1})
	e := s.reach(t, r, token.Written, 1)
	if e.Credential.Counters.Moving != 4095 || e.Credential.Settings.FirstMoving != 4096 {
		t.Errorf("reserved %+v", e.Credential)
	}
	s.must(t, s.Commit(t.Context(), e.ID, &token.Counters{Use: -1, Session: -1, Moving: 4098}))
	c := s.live(t, 3001, 2)
	set.HasAccessCode = true
	if c == nil || c.Kind != token.HOTP || c.State != token.Active || !c.Enabled || c.Counters.Moving != 4098 || c.Settings != set || c.TypedID() != "ubhe00003001" {
		t.Fatalf("live %+v", c)
	}
	rec, err := s.Record(t.Context(), c.ID)
	s.must(t, err)
	if rec.Counter != 4099 || rec.Label != "ubhe00003001" || rec.PublicID.Len() != 0 || rec.Digits != 8 || rec.Slot != 2 {
		t.Errorf("record %+v", rec)
	}
	other := ofKind(3002, token.HOTP, set) // another key with that identifier
	other.PublicID = r.PublicID
	if _, err := s.Reserve(t.Context(), other); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("the same identifier again: %v", err)
	}
}

// A static password and a challenge-response key validate nothing and go into no file.
func testSlotKinds(t *testing.T, s slotSuite) {
	for i, r := range []token.Reservation{
		ofKind(3101, token.Static, token.Settings{ExtFlags: 0x34, TicketFlags: 0x20, ConfigFlags: 0x02}),
		ofKind(3102, token.ChallengeResponse, token.Settings{ExtFlags: 0x24, TicketFlags: 0x40, ConfigFlags: 0x26}),
	} {
		e := s.reach(t, r, token.Written, i+1)
		if e.Proof != r.Proof {
			t.Errorf("%s: proof by %s", r.Kind, e.Proof)
		}
		s.must(t, s.Commit(t.Context(), e.ID, &token.Counters{Use: -1, Session: -1, Moving: -1}))
		c := s.live(t, r.Serial, 2)
		if c == nil || c.State != token.Active || c.ProvenAt.IsZero() {
			t.Fatalf("%s: %+v", r.Kind, c)
		}
		if found, err := s.OATH(t.Context(), c.Token); err != nil || len(found) != 0 {
			t.Errorf("%s: codes are held against %d credentials, %v", r.Kind, len(found), err)
		}
		if list, err := s.Exportable(t.Context(), []token.ID{c.Token}); err != nil || len(list) != 0 {
			t.Errorf("%s: %d go into files, %v", r.Kind, len(list), err)
		}
	}
	if _, err := s.Find(t.Context(), token.PublicID{}); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("found by an empty public ID: %v", err)
	}
	if list, err := s.Exportable(t.Context(), nil); err != nil || len(list) != 0 {
		t.Errorf("%d go into files, %v", len(list), err)
	}
}

// begun starts a change of what the store knows.
func (s slotSuite) begun(t *testing.T, w token.Work, serial token.Serial, slot token.Slot, f func(*token.SlotChange)) token.SlotChange {
	t.Helper()
	c := token.SlotChange{Work: w, Serial: serial, Slot: slot, Credential: s.live(t, serial, slot)}
	if w == token.Swap {
		c.Credential, c.Other = s.live(t, serial, 1), s.live(t, serial, 2)
	}
	if f != nil {
		f(&c)
	}
	c, err := s.slots.BeginChange(t.Context(), c)
	s.must(t, err)
	return c
}

var someFlags = token.Settings{ExtFlags: 0xb4, TicketFlags: 0x21, ConfigFlags: 0x0c}

func testSlotUpdate(t *testing.T, s slotSuite) {
	r := reservation(3201)
	e := s.issue(t, r, 1)
	code := secret.Copy([]byte{6, 5, 4, 3, 2, 1})
	c := s.begun(t, token.Update, 3201, 1, func(c *token.SlotChange) {
		c.After, c.Code = someFlags, code
		c.After.HasAccessCode = true
	})
	open, err := s.slots.OpenChanges(t.Context())
	s.must(t, err)
	if len(open) != 1 || open[0].ID != c.ID || !open[0].Code.Equal(code) || open[0].After != c.After || open[0].Phase != token.Writing ||
		!open[0].Credential.Secrets.AccessCode.Equal(secretsOf(1).AccessCode) || open[0].Credential.ID != e.Credential.ID {
		t.Fatalf("open %+v", open)
	}
	if !s.press(t, r.PublicID, 2, 0) {
		t.Error("an OTP was refused while the flags change")
	}
	s.must(t, s.slots.EndChange(t.Context(), c.ID))
	now := s.live(t, 3201, 1)
	if now.Settings != c.After || !now.Secrets.AccessCode.Equal(code) || !now.Secrets.Key.Equal(secretsOf(1).Key) {
		t.Errorf("after %+v", now.Settings)
	}
	if err := s.slots.EndChange(t.Context(), c.ID); !errors.Is(err, token.ErrConflict) {
		t.Errorf("ended twice: %v", err)
	}
	c = s.begun(t, token.Update, 3201, 1, func(c *token.SlotChange) { c.After = someFlags })
	s.must(t, s.slots.EndChange(t.Context(), c.ID))
	if now = s.live(t, 3201, 1); now.Settings.HasAccessCode || now.Secrets.AccessCode.Len() != 0 {
		t.Error("the access code is still there")
	}
}

func testSlotUpdateUndone(t *testing.T, s slotSuite) {
	s.issue(t, reservation(3301), 1)
	before := s.live(t, 3301, 1)
	for range 2 { // what was on its way leaves nothing behind
		c := s.begun(t, token.Update, 3301, 1, func(c *token.SlotChange) {
			c.After, c.Code = someFlags, secret.Copy([]byte{9, 9, 9, 9, 9, 9})
			c.After.HasAccessCode = true
		})
		s.must(t, s.slots.DropChange(t.Context(), c.ID, "refused"))
		now := s.live(t, 3301, 1)
		if now.Settings != before.Settings || !now.Secrets.AccessCode.Equal(before.Secrets.AccessCode) {
			t.Errorf("after %+v", now.Settings)
		}
		if err := s.slots.DropChange(t.Context(), c.ID, "again"); !errors.Is(err, token.ErrConflict) {
			t.Errorf("given up twice: %v", err)
		}
	}
}

func testSlotSwap(t *testing.T, s slotSuite) {
	one := s.issue(t, reservation(3401), 1)
	c := s.begun(t, token.Swap, 3401, 0, nil)
	s.must(t, s.slots.EndChange(t.Context(), c.ID))
	if got := s.live(t, 3401, 2); got == nil || got.ID != one.Credential.ID || s.live(t, 3401, 1) != nil {
		t.Fatalf("one of two: %+v", got)
	}
	r := ofKind(3401, token.HOTP, token.Settings{Digits: 6, Hash: "sha1"})
	r.Slot = 1
	e := s.reach(t, r, token.Written, 2)
	s.must(t, s.Commit(t.Context(), e.ID, &token.Counters{Use: -1, Session: -1, Moving: 0}))
	c = s.begun(t, token.Swap, 3401, 0, nil)
	s.must(t, s.slots.EndChange(t.Context(), c.ID))
	if a, b := s.live(t, 3401, 1), s.live(t, 3401, 2); a.ID != one.Credential.ID || b.ID != e.Credential.ID {
		t.Errorf("both: %d and %d", a.ID, b.ID)
	}
	if !s.press(t, reservation(3401).PublicID, 2, 0) {
		t.Error("an OTP was refused after the swap")
	}
	c = s.begun(t, token.Swap, 3401, 0, nil)
	s.must(t, s.slots.DropChange(t.Context(), c.ID, "as before"))
	if s.live(t, 3401, 1).ID != one.Credential.ID {
		t.Error("a swap that was given up moved something")
	}
}

func testSlotErase(t *testing.T, s slotSuite) {
	r := reservation(3501)
	e := s.issue(t, r, 1)
	c := s.begun(t, token.Erase, 3501, 1, nil)
	s.must(t, s.slots.EndChange(t.Context(), c.ID))
	if s.live(t, 3501, 1) != nil {
		t.Error("the credential is still live")
	}
	if _, err := s.Find(t.Context(), r.PublicID); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("found: %v", err)
	}
	ok, err := s.Accept(t.Context(), validate.Advance{Credential: e.Credential.ID, Use: 9, At: at(9), Event: validate.Event{PublicID: r.PublicID, Result: "OK"}})
	s.must(t, err)
	if ok {
		t.Error("an OTP of an erased slot was accepted")
	}
	s.issue(t, r, 2) // its public ID is free again
}

func testSlotRefusals(t *testing.T, s slotSuite) {
	begin := func(c token.SlotChange) error {
		_, err := s.slots.BeginChange(t.Context(), c)
		return err
	}
	if err := begin(token.SlotChange{Work: token.Erase, Serial: 3601, Slot: 1}); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("a key that is not known: %v", err)
	}
	s.issue(t, reservation(3601), 1)
	known := s.live(t, 3601, 1)
	if err := begin(token.SlotChange{Work: token.Erase, Serial: 3601, Slot: 1}); !errors.Is(err, token.ErrConflict) {
		t.Errorf("a slot that was written meanwhile: %v", err)
	}
	if err := begin(token.SlotChange{Work: token.Erase, Serial: 3601, Slot: 2, Credential: known}); !errors.Is(err, token.ErrConflict) {
		t.Errorf("a slot that was emptied meanwhile: %v", err)
	}
	c := s.begun(t, token.Erase, 3601, 1, nil)
	if err := begin(token.SlotChange{Work: token.Swap, Serial: 3601, Credential: known}); !errors.Is(err, token.ErrUnsettled) {
		t.Errorf("two at once: %v", err)
	}
	if _, err := s.Reserve(t.Context(), reservation(3601)); !errors.Is(err, token.ErrUnsettled) {
		t.Errorf("a write meanwhile: %v", err)
	}
	s.must(t, s.slots.DropChange(t.Context(), c.ID, "as before"))
	s.reach(t, reservation(3601), token.Writing, 2)
	if err := begin(token.SlotChange{Work: token.Erase, Serial: 3601, Slot: 1, Credential: known}); !errors.Is(err, token.ErrUnsettled) {
		t.Errorf("in the middle of a write: %v", err)
	}
	s.must(t, begin(token.SlotChange{Work: token.Update, Serial: 3602, Slot: 1, Credential: s.foreign(t, 3602)}))
}

// foreign makes the key known, with nothing of ours in slot 1.
func (s slotSuite) foreign(t *testing.T, serial token.Serial) *token.Credential {
	r := reservation(serial)
	r.Slot = 2
	s.issue(t, r, 5)
	return nil
}

func testSlotGivenUp(t *testing.T, s slotSuite) {
	e := s.issue(t, reservation(3701), 1)
	s.begun(t, token.Erase, 3701, 1, nil)
	s.must(t, s.Retire(t.Context(), e.Token, ""))
	if open, err := s.slots.OpenChanges(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("%d open, %v", len(open), err)
	}
}
