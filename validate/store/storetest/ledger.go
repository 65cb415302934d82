package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// Ledger is what package provision writes keys through.
type Ledger interface {
	Reserve(ctx context.Context, r token.Reservation) (token.Entry, error)
	Seal(ctx context.Context, id token.EntryID, s token.Secrets) error
	Mark(ctx context.Context, id token.EntryID, p token.Phase) error
	Commit(ctx context.Context, id token.EntryID, c *token.Counters) error
	Abort(ctx context.Context, id token.EntryID, from token.Phase, reason string, former *token.Counters) error
	Open(ctx context.Context) ([]token.Entry, error)
	Slots(ctx context.Context, s token.Serial) (token.Token, []token.Credential, error)
}

// Full is a store with all its parts.
type Full interface {
	validate.Factors
	desk.Store
	Ledger
}

// RunLedger runs the suite of the write-ahead record; open gives an empty store each time.
func RunLedger(t *testing.T, open func(t *testing.T) Full) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s ledgerSuite)
	}{
		{"walk", testWalk},
		{"no proof", testNoProof},
		{"overwrite", testOverwrite},
		{"abort", testAbort},
		{"refusals", testRefusals},
		{"phases", testPhases},
		{"block while writing", testBlockWhileWriting},
		{"holder", testHolder},
		{"one of 16 reservations", testReserveRace},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.run(t, ledgerSuite{open(t)})
		})
	}
}

type ledgerSuite struct{ Full }

func reservation(serial token.Serial) token.Reservation {
	return token.Reservation{Serial: serial, Firmware: "5.4.3", Slot: 1, Kind: token.YubicoOTP, PublicID: token.SerialPublicID(serial), Proof: token.ByTouch}
}

// secretsOf are 16, 6 and 6 bytes that depend on n.
func secretsOf(n int) token.Secrets {
	c := Sample(n, "")
	return token.Secrets{Key: secret.Copy(c.Key[:]), PrivateID: secret.Copy(c.PrivateID[:]), AccessCode: secret.Copy(c.Key[:6])}
}

func counters(use, session int) *token.Counters {
	return &token.Counters{Use: use, Session: session, Timestamp: 5}
}

func (s ledgerSuite) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reach opens an entry and takes it to the phase, with the secrets of n.
func (s ledgerSuite) reach(t *testing.T, r token.Reservation, p token.Phase, n int) token.Entry {
	t.Helper()
	e, err := s.Reserve(t.Context(), r)
	s.must(t, err)
	if p != token.Reserved {
		s.must(t, s.Seal(t.Context(), e.ID, secretsOf(n)))
	}
	if p == token.Writing || p == token.Written {
		s.must(t, s.Mark(t.Context(), e.ID, token.Writing))
	}
	if p == token.Written {
		s.must(t, s.Mark(t.Context(), e.ID, token.Written))
	}
	return e
}

func (s ledgerSuite) issue(t *testing.T, r token.Reservation, n int) token.Entry {
	t.Helper()
	e := s.reach(t, r, token.Written, n)
	s.must(t, s.Commit(t.Context(), e.ID, counters(1, 0)))
	return e
}

// press presents (use, session) to a public ID as the verifier does.
func (s ledgerSuite) press(t *testing.T, id token.PublicID, use, session int) bool {
	t.Helper()
	c, err := s.Find(t.Context(), id)
	s.must(t, err)
	ok, err := s.Accept(t.Context(), validate.Advance{Credential: c.ID, Use: use, Session: session, At: at(use), Event: validate.Event{PublicID: id, Result: "OK"}})
	s.must(t, err)
	if ok && !c.Row.Enabled {
		t.Error("accepted although the row was not enabled")
	}
	return ok
}

func testWalk(t *testing.T, s ledgerSuite) {
	r := reservation(1001)
	e := s.reach(t, r, token.Reserved, 0)
	if e.Phase != token.Reserved || e.Serial != 1001 || e.Credential.State != token.Pending || e.Former != nil || e.Credential.PublicID != r.PublicID {
		t.Errorf("reserved %+v", e)
	}
	if _, err := s.Find(t.Context(), r.PublicID); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("found without a secret: %v", err)
	}
	s.must(t, s.Seal(t.Context(), e.ID, secretsOf(1)))
	open, err := s.Open(t.Context())
	s.must(t, err)
	if len(open) != 1 || open[0].Phase != token.Sealed || !open[0].Credential.Secrets.Key.Equal(secretsOf(1).Key) ||
		!open[0].Credential.Secrets.PrivateID.Equal(secretsOf(1).PrivateID) || !open[0].Credential.Secrets.AccessCode.Equal(secretsOf(1).AccessCode) || !open[0].Credential.Settings.HasAccessCode {
		t.Fatalf("open: %+v", open)
	}
	for _, p := range []token.Phase{token.Writing, token.Written} {
		s.must(t, s.Mark(t.Context(), e.ID, p))
		if s.press(t, r.PublicID, 1, 0) {
			t.Errorf("accepted while %s", p)
		}
	}
	s.must(t, s.Commit(t.Context(), e.ID, counters(1, 3)))
	if s.press(t, r.PublicID, 1, 3) {
		t.Error("the proof was accepted again")
	}
	if !s.press(t, r.PublicID, 1, 4) {
		t.Error("the OTP after the proof was refused")
	}
	k, list, err := s.Slots(t.Context(), 1001)
	s.must(t, err)
	if k.State != token.Active || k.Holder != nil || k.Firmware != "5.4.3" || len(list) != 1 || list[0].State != token.Active || list[0].ProvenAt.IsZero() || list[0].Secrets.AccessCode.Len() != 6 {
		t.Errorf("slots: %+v %+v", k, list)
	}
	if open, err := s.Open(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("still open: %v, %v", open, err)
	}
	if _, _, err := s.Slots(t.Context(), 4711); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("unknown serial: %v", err)
	}
}

func testNoProof(t *testing.T, s ledgerSuite) {
	r := reservation(1)
	r.Proof = token.NoProof
	e := s.reach(t, r, token.Written, 1)
	s.must(t, s.Commit(t.Context(), e.ID, nil))
	c, err := s.Find(t.Context(), r.PublicID)
	s.must(t, err)
	if c.Row.State != token.Programmed || c.Row.Token != token.Programmed || !c.Row.Enabled {
		t.Errorf("row %+v", c.Row)
	}
	if !s.press(t, r.PublicID, 0, 0) {
		t.Error("the first good OTP was refused")
	}
	if c, err = s.Find(t.Context(), r.PublicID); err != nil || c.Row.State != token.Active || c.Row.Token != token.Active {
		t.Errorf("row %+v, %v", c.Row, err)
	}
}

// testOverwrite writes a slot anew under the same public ID.
func testOverwrite(t *testing.T, s ledgerSuite) {
	r := reservation(7)
	first := s.issue(t, r, 1)
	if !s.press(t, r.PublicID, 9, 9) {
		t.Fatal("refused")
	}
	second := s.reach(t, r, token.Sealed, 2)
	if second.Former == nil || second.Former.ID != first.Credential.ID {
		t.Fatalf("former %+v", second.Former)
	}
	if c, err := s.Find(t.Context(), r.PublicID); err != nil || c.ID != first.Credential.ID || !c.Row.Enabled {
		t.Errorf("before the first byte the former one validates: %+v, %v", c, err)
	}
	if !s.press(t, r.PublicID, 9, 10) {
		t.Error("refused before the first byte was sent")
	}
	s.must(t, s.Mark(t.Context(), second.ID, token.Writing))
	if s.press(t, r.PublicID, 9, 11) {
		t.Error("the former one was accepted while the slot is uncertain")
	}
	open, err := s.Open(t.Context())
	s.must(t, err)
	if len(open) != 1 || open[0].Former == nil || !open[0].Former.Secrets.Key.Equal(secretsOf(1).Key) || !open[0].Credential.Secrets.Key.Equal(secretsOf(2).Key) {
		t.Errorf("open: %+v", open)
	}
	s.must(t, s.Commit(t.Context(), second.ID, counters(1, 0)))
	c, err := s.Find(t.Context(), r.PublicID)
	s.must(t, err)
	if c.ID != second.Credential.ID || c.Row.Counters.Use != 1 {
		t.Errorf("found %d with %+v", c.ID, c.Row.Counters)
	}
	_, block, err := yubiotp.Split(Sample(2, "").Press(t, yubiotp.Token{UseCounter: 2}))
	s.must(t, err)
	if _, verdict := c.Cipher.Open(block); verdict != yubiotp.OK {
		t.Errorf("the kept cipher is of the former key: %v", verdict)
	}
	all, err := s.Credentials(t.Context(), c.Token)
	s.must(t, err)
	if len(all) != 2 || all[0].State != token.Revoked || all[0].Enabled {
		t.Errorf("credentials %+v", all)
	}
}

func testAbort(t *testing.T, s ledgerSuite) {
	r := reservation(7)
	first := s.issue(t, r, 1)
	for n, p := range []token.Phase{token.Reserved, token.Sealed, token.Writing, token.Written} {
		e := s.reach(t, r, p, 2+n)
		s.must(t, s.Abort(t.Context(), e.ID, p, "unplugged", counters(10+n, 5)))
		if s.press(t, r.PublicID, 10+n, 5) {
			t.Errorf("%s: what was seen meanwhile was accepted", p)
		}
		if !s.press(t, r.PublicID, 10+n, 6) {
			t.Errorf("%s: the former one does not validate after the abort", p)
		}
		all, err := s.Credentials(t.Context(), first.Token)
		s.must(t, err)
		if got := all[len(all)-1]; got.State != token.Revoked {
			t.Errorf("%s: the new one is %s", p, got.State)
		}
		if _, err := s.Record(t.Context(), e.Credential.ID); !errors.Is(err, token.ErrIntegrity) {
			t.Errorf("%s: the aborted secret is still there: %v", p, err)
		}
	}
	e := s.reach(t, r, token.Writing, 9)
	s.must(t, s.Abort(t.Context(), e.ID, token.Writing, "old counters", counters(1, 0)))
	if s.press(t, r.PublicID, 13, 6) {
		t.Error("an abort lowered the counters")
	}
	fresh := s.reach(t, reservation(8), token.Writing, 20)
	if err := s.Abort(t.Context(), fresh.ID, token.Writing, "x", counters(1, 0)); !errors.Is(err, token.ErrConflict) {
		t.Errorf("counters of nobody: %v", err)
	}
	s.must(t, s.Abort(t.Context(), fresh.ID, token.Writing, "x", nil))
	s.issue(t, reservation(8), 21) // the same key and public ID again
}

func testRefusals(t *testing.T, s ledgerSuite) {
	r := reservation(7)
	s.issue(t, r, 1)
	open := s.reach(t, r, token.Reserved, 0)
	other, taken, blocked := r, reservation(8), reservation(9)
	other.Slot, other.PublicID = 2, token.SerialPublicID(77)
	taken.PublicID = r.PublicID
	s.issue(t, blocked, 3)
	k, _, err := s.Slots(t.Context(), 9)
	s.must(t, err)
	_, err = s.Block(t.Context(), k.ID, desk.Block{Reason: token.ReasonForgotten})
	s.must(t, err)
	var impossible *token.TransitionError
	for name, tc := range map[string]struct {
		change func() token.Reservation
		ok     func(error) bool
	}{
		"slot is being written":    {func() token.Reservation { return r }, func(err error) bool { return errors.Is(err, token.ErrUnsettled) }},
		"public ID of another key": {func() token.Reservation { return taken }, func(err error) bool { return errors.Is(err, token.ErrDuplicate) }},
		"public ID of other slot":  {func() token.Reservation { o := other; o.PublicID = r.PublicID; return o }, func(err error) bool { return errors.Is(err, token.ErrDuplicate) }},
		"blocked":                  {func() token.Reservation { return blocked }, func(err error) bool { return errors.As(err, &impossible) }},
		"no serial":                {func() token.Reservation { o := r; o.Serial = 0; return o }, func(err error) bool { return err != nil }},
		"no slot":                  {func() token.Reservation { o := other; o.Slot = 0; return o }, func(err error) bool { return err != nil }},
		"slot 3":                   {func() token.Reservation { o := other; o.Slot = 3; return o }, func(err error) bool { return err != nil }},
		"no proof":                 {func() token.Reservation { o := other; o.Proof = ""; return o }, func(err error) bool { return err != nil }},
		"unknown holder":           {func() token.Reservation { o := other; o.Holder = 99; return o }, func(err error) bool { return errors.Is(err, token.ErrNotFound) }},
	} {
		if e, err := s.Reserve(t.Context(), tc.change()); !tc.ok(err) || e.ID != 0 {
			t.Errorf("%s: entry %d, %v", name, e.ID, err)
		}
	}
	s.must(t, s.Seal(t.Context(), open.ID, secretsOf(2)))
	s.reach(t, other, token.Sealed, 4) // the other slot is free
	list, err := s.Open(t.Context())
	if err != nil || len(list) != 2 {
		t.Errorf("%d open, %v", len(list), err)
	}
}

func testPhases(t *testing.T, s ledgerSuite) {
	ctx := t.Context()
	for n, from := range []token.Phase{token.Reserved, token.Sealed, token.Writing, token.Written} {
		for m, tc := range []struct {
			name string
			act  func(id token.EntryID) error
			ok   map[token.Phase]bool
		}{
			{"seal", func(id token.EntryID) error { return s.Seal(ctx, id, secretsOf(9)) }, map[token.Phase]bool{token.Reserved: true}},
			{"mark writing", func(id token.EntryID) error { return s.Mark(ctx, id, token.Writing) }, map[token.Phase]bool{token.Sealed: true, token.Writing: true, token.Written: true}},
			{"mark written", func(id token.EntryID) error { return s.Mark(ctx, id, token.Written) }, map[token.Phase]bool{token.Sealed: true, token.Writing: true, token.Written: true}},
			{"mark sealed", func(id token.EntryID) error { return s.Mark(ctx, id, token.Sealed) }, nil},
			{"mark committed", func(id token.EntryID) error { return s.Mark(ctx, id, token.Committed) }, nil},
			{"commit", func(id token.EntryID) error { return s.Commit(ctx, id, counters(1, 0)) }, map[token.Phase]bool{token.Writing: true, token.Written: true}},
			{"commit without proof", func(id token.EntryID) error { return s.Commit(ctx, id, nil) }, nil}, // the entry asks for a touch
			{"abort", func(id token.EntryID) error { return s.Abort(ctx, id, from, "", nil) }, map[token.Phase]bool{token.Reserved: true, token.Sealed: true, token.Writing: true, token.Written: true}},
		} {
			e := s.reach(t, reservation(token.Serial(100*n+m+1)), from, n)
			err := tc.act(e.ID)
			if (err == nil) != tc.ok[from] || err != nil && !errors.Is(err, token.ErrConflict) {
				t.Errorf("%s from %s: %v", tc.name, from, err)
			}
		}
	}
	moved := s.reach(t, reservation(4000), token.Writing, 1)
	for _, from := range []token.Phase{token.Reserved, token.Sealed, token.Written, token.Committed, token.Aborted} {
		if err := s.Abort(ctx, moved.ID, from, "", nil); !errors.Is(err, token.ErrConflict) {
			t.Errorf("abort from %s of an entry that is being written: %v", from, err)
		}
	}
	e := s.issue(t, reservation(5000), 1)
	for name, err := range map[string]error{
		"mark": s.Mark(ctx, e.ID, token.Written), "commit": s.Commit(ctx, e.ID, counters(2, 0)), "abort": s.Abort(ctx, e.ID, token.Committed, "", nil), "seal": s.Seal(ctx, e.ID, secretsOf(1)),
	} {
		if !errors.Is(err, token.ErrConflict) {
			t.Errorf("%s after the commit: %v", name, err)
		}
	}
	if err := s.Mark(ctx, 99999, token.Writing); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("no such entry: %v", err)
	}
	back := s.reach(t, reservation(5001), token.Written, 1)
	s.must(t, s.Mark(ctx, back.ID, token.Writing))
	open, err := s.Open(ctx)
	s.must(t, err)
	if got := open[len(open)-1]; got.ID != back.ID || got.Phase != token.Written {
		t.Errorf("a phase went back: %+v", got)
	}
}

func testBlockWhileWriting(t *testing.T, s ledgerSuite) {
	r := reservation(7)
	e := s.reach(t, r, token.Writing, 1)
	_, err := s.Block(t.Context(), e.Token, desk.Block{Reason: token.ReasonLost})
	s.must(t, err)
	s.must(t, s.Commit(t.Context(), e.ID, counters(1, 0)))
	c, err := s.Find(t.Context(), r.PublicID)
	s.must(t, err)
	if c.Row.Enabled || c.Row.Token != token.Lost || c.Row.State != token.Active {
		t.Errorf("the commit undid the block: %+v", c.Row)
	}
	if s.press(t, r.PublicID, 2, 0) {
		t.Error("accepted although blocked")
	}
}

func testHolder(t *testing.T, s ledgerSuite) {
	_, err := s.AddPersons(t.Context(), []token.Person{{Account: "anna"}})
	s.must(t, err)
	p, err := s.Person(t.Context(), "anna")
	s.must(t, err)
	r := reservation(7)
	r.Holder = p.ID
	e := s.reach(t, r, token.Written, 1)
	if k, _, err := s.Slots(t.Context(), 7); err != nil || k.Holder != nil {
		t.Errorf("bound before the commit: %+v, %v", k.Holder, err)
	}
	if e.Holder == nil || e.Holder.Account != "anna" {
		t.Errorf("entry's holder %+v", e.Holder)
	}
	s.must(t, s.Commit(t.Context(), e.ID, counters(1, 0)))
	if k, _, err := s.Slots(t.Context(), 7); err != nil || k.Holder == nil || k.Holder.Account != "anna" {
		t.Errorf("not bound: %+v, %v", k.Holder, err)
	}
}

func testReserveRace(t *testing.T, s ledgerSuite) {
	got := together(t, 16, func(int) (bool, error) {
		_, err := s.Reserve(t.Context(), reservation(7))
		if errors.Is(err, token.ErrUnsettled) {
			return false, nil
		}
		return err == nil, err
	})
	if got != 1 {
		t.Errorf("%d reservations of one slot", got)
	}
}
