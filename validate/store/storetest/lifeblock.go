package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// testUndo: a slip is taken back to what was before, from every state that can be blocked.
func testUndo(t *testing.T, s *lifeSuite) {
	v := totpToken("T1", 1)
	s.issued(t, v, "anna")
	s.box(t, totpToken("T2", 2))
	pending, _ := s.app(t, "bert")
	c := Sample(9, "")
	s.a.must(t, s.here.Import(t.Context(), "f", feed(yubico(9, 501)), func(desk.Imported) {}))
	for query, want := range map[string]token.State{"T1": token.Active, "T2": token.InStock, pending: token.Pending, "501": token.Programmed} {
		for _, r := range token.Reasons() {
			s.block(t, query, desk.Block{Reason: r})
			if k, err := s.there.Find(t.Context(), query); err != nil || k.BlockedFrom != want || k.BlockedBy == "" || k.BlockedAt.IsZero() {
				t.Errorf("%s: %+v, %v", query, k, err)
			}
			s.pass(token.UndoTime)
			k, err := s.here.Undo(t.Context(), query)
			if err != nil || k.State != want || k.Reason != "" || !k.BlockedAt.IsZero() || k.BlockedFrom != "" || k.BlockedBy != "" {
				t.Errorf("%s, %s: %+v, %v", query, r, k, err)
			}
		}
	}
	s.pass(time.Minute)
	if !s.accepts(t, "T1", s.shows(t, v, 0)) {
		t.Error("refused after the undo")
	}
	if ok, err := s.b.Accept(t.Context(), advance(s.credential(t, "501").ID, c, 1, 0, "n")); err != nil || !ok {
		t.Errorf("the first OTP after the undo: %v, %v", ok, err)
	}
	if _, err := s.here.Undo(t.Context(), "T1"); !isTransition(err) {
		t.Errorf("not blocked: %v", err)
	}
}

// testWrittenWhileBlocked: a key that is blocked in the middle of its write is, when it is back, what the write made of it.
func testWrittenWhileBlocked(t *testing.T, s *lifeSuite) {
	p, err := s.b.Person(t.Context(), "anna")
	s.a.must(t, err)
	n := 0
	for name, back := range map[string]func(query string) error{
		"undo": func(query string) error {
			_, err := s.here.Undo(t.Context(), query)
			return err
		},
		"until": func(string) error {
			s.pass(time.Hour)
			_, err := s.here.Sweep(t.Context())
			return err
		},
		"restore": func(query string) error {
			_, _, err := s.here.Restore(t.Context(), query, []string{otp(t, n, 9, 0)})
			return err
		},
	} {
		for _, boxed := range []bool{false, true} { // a new key, and one of the stock
			n++
			s.pass(time.Hour)
			r := reservation(token.Serial(100 + n))
			query := r.Serial.String()
			if boxed {
				s.a.issue(t, r, n)
				if _, proof, err := s.here.Return(t.Context(), query, []string{otp(t, n, 9, 0)}, ""); err != nil || proof != desk.Proven {
					t.Fatal(proof, err)
				}
			}
			r.Holder = p.ID
			e := s.a.reach(t, r, token.Written, n)
			s.block(t, query, desk.Block{Reason: token.ReasonForgotten, Until: s.now().Add(time.Hour)})
			s.a.must(t, s.a.Commit(t.Context(), e.ID, counters(1, 0)))
			s.is(t, query, token.Suspended, "anna")
			s.a.must(t, back(query))
			s.is(t, query, token.Active, "anna")
			if !s.a.press(t, r.PublicID, 10, 0) {
				t.Errorf("%s, boxed %v: its one-time password was refused", name, boxed)
			}
		}
	}
}

func testUndoRefusals(t *testing.T, s *lifeSuite) {
	ctx := token.WithActor(t.Context(), "operator hopper")
	n := byte(0)
	fresh := func() string {
		n++
		v := hotpToken(string(rune('A'+n)), n)
		s.issued(t, v, "anna")
		return v.label
	}
	for name, prepare := range map[string]func(label string){
		"too late": func(string) { s.pass(token.UndoTime + time.Second) },
		"its holder has another": func(string) {
			s.pass(time.Minute)
			s.issued(t, hotpToken("new", 99), "anna")
		},
		"its holder has a key that was written since": func(string) {
			s.pass(time.Minute)
			r := reservation(900)
			p, err := s.b.Person(t.Context(), "anna")
			s.a.must(t, err)
			r.Holder = p.ID
			s.a.issue(t, r, 90)
		},
		"somebody else blocked it too": func(label string) {
			_, _, _, err := s.there.Block(ctx, label, desk.Block{Reason: token.ReasonStolen})
			s.a.must(t, err)
		},
		"somebody else noted something": func(label string) {
			_, _, _, err := s.there.Block(ctx, label, desk.Block{Reason: token.ReasonForgotten, Note: "seen in the canteen"})
			s.a.must(t, err)
		},
		"somebody else blocked it in the same words": func(label string) {
			_, _, _, err := s.there.Block(ctx, label, desk.Block{Reason: token.ReasonLost})
			s.a.must(t, err)
		},
	} {
		label := fresh()
		s.block(t, label, desk.Block{Reason: token.ReasonLost})
		prepare(label)
		if k, err := s.here.Undo(t.Context(), label); !isUndo(err) || !k.State.Blocked() {
			t.Errorf("%s: %s, %v", name, k.State, err)
		}
		s.is(t, label, token.Lost, "anna")
		s.pass(time.Hour)
	}
	label := fresh()
	s.block(t, label, desk.Block{Reason: token.ReasonForgotten})
	if _, err := s.there.Undo(ctx, label); !isUndo(err) {
		t.Errorf("somebody else's: %v", err)
	}
	s.block(t, label, desk.Block{Reason: token.ReasonLost}) // the same operator, harder
	if _, err := s.here.Undo(t.Context(), label); err != nil {
		t.Errorf("both of the same operator: %v", err)
	}
	s.is(t, label, token.Active, "anna")
}

// testUndoRace: while one takes a slip back, somebody else blocks the token for good. Whoever comes first, it is blocked in the end.
func testUndoRace(t *testing.T, s *lifeSuite) {
	ctx := token.WithActor(t.Context(), "operator hopper")
	s.issued(t, totpToken("T1", 1), "anna")
	for range 10 {
		s.block(t, "T1", desk.Block{Reason: token.ReasonForgotten})
		together(t, 2, func(i int) (bool, error) {
			if i == 0 {
				_, _, _, err := s.there.Block(ctx, "T1", desk.Block{Reason: token.ReasonStolen})
				return err == nil, err
			}
			_, err := s.here.Undo(t.Context(), "T1")
			if isUndo(err) || isTransition(err) {
				err = nil
			}
			return err == nil, err
		})
		k := s.is(t, "T1", token.Lost, "anna")
		if c := s.credential(t, "T1"); c.Enabled || k.Reason != token.ReasonStolen {
			t.Errorf("%+v, %+v", k, c)
		}
		back := s.now()
		if _, err := s.there.Undo(ctx, "T1"); err != nil { // the second came after the undo, or is not alone
			v := totpToken("T1", 1)
			s.pass(time.Minute)
			_, proof, err := s.here.Restore(t.Context(), "T1", []string{s.shows(t, v, 0)})
			if err != nil || proof != desk.Proven {
				t.Fatalf("%s, %v, %v", proof, err, back)
			}
		}
	}
}

func testUntil(t *testing.T, s *lifeSuite) {
	v := totpToken("T1", 1)
	s.issued(t, v, "anna")
	s.box(t, totpToken("T2", 2))
	day := s.now().Add(24 * time.Hour)
	for name, b := range map[string]desk.Block{
		"lost": {Reason: token.ReasonLost, Until: day}, "now": {Reason: token.ReasonLeft, Until: s.now()}, "yesterday": {Reason: token.ReasonLeft, Until: s.now().Add(-24 * time.Hour)},
	} {
		if _, _, _, err := s.here.Block(t.Context(), "T1", b); !isText(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.block(t, "T1", desk.Block{Reason: token.ReasonForgotten, Until: day})
	s.block(t, "T2", desk.Block{Reason: token.ReasonForgotten, Until: day})
	s.block(t, "T1", desk.Block{Reason: token.ReasonForgotten, Until: day.Add(-time.Hour)}) // no shorter
	if k := s.is(t, "T1", token.Suspended, "anna"); !k.Until.Equal(day) {
		t.Errorf("until %v", k.Until)
	}
	s.block(t, "T1", desk.Block{Reason: token.ReasonLeft, Until: day.Add(time.Hour)}) // longer
	sweep := func(want int) {
		t.Helper()
		a, err := s.here.Sweep(t.Context())
		s.a.must(t, err)
		b, err := s.there.Sweep(t.Context())
		if err != nil || a.Suspensions != want || b.Suspensions != 0 {
			t.Errorf("%+v, %+v, %v; want %d", a, b, err, want)
		}
	}
	sweep(0)
	s.pass(24*time.Hour - time.Microsecond)
	sweep(0)
	s.pass(time.Microsecond)
	sweep(1)
	s.is(t, "T2", token.InStock, "")
	s.is(t, "T1", token.Suspended, "anna")
	if s.accepts(t, "T1", s.shows(t, v, 0)) {
		t.Error("accepted while suspended")
	}
	s.pass(time.Hour)
	sweep(1)
	if k := s.is(t, "T1", token.Active, "anna"); !k.Until.IsZero() || k.Reason != "" {
		t.Errorf("%+v", k)
	}
	s.pass(time.Hour)
	if !s.accepts(t, "T1", s.shows(t, v, 0)) {
		t.Error("refused after the suspension")
	}
	for _, harder := range []desk.Block{{Reason: token.ReasonLost}, {Reason: token.ReasonLeft}} { // neither ends by itself
		s.block(t, "T2", desk.Block{Reason: token.ReasonForgotten, Until: s.now().Add(time.Hour)})
		s.block(t, "T2", harder)
		s.pass(2 * time.Hour)
		sweep(0)
		if k, err := s.there.Find(t.Context(), "T2"); err != nil || !k.State.Blocked() || !k.Until.IsZero() {
			t.Errorf("%s: %+v, %v", harder.Reason, k, err)
		}
		_, proof, err := s.here.Restore(t.Context(), "T2", []string{s.shows(t, totpToken("", 2), 0)})
		if err != nil || proof != desk.Proven {
			t.Errorf("%s, %v", proof, err)
		}
	}
}

func testEffects(t *testing.T, s *lifeSuite) {
	v := totpToken("T1", 1)
	anna, bert, other := s.issued(t, v, "anna"), s.issued(t, totpToken("T2", 2), "bert"), s.issued(t, totpToken("T4", 4), "anna")
	s.pass(time.Minute)
	c, err := s.here.AddClient(t.Context(), "portal", desk.ClientRights{})
	s.a.must(t, err)
	trust := func(by token.Token) {
		_, err := s.here.Trust(t.Context(), by.Holder.ID, by.ID, c.ID, "Firefox")
		s.a.must(t, err)
	}
	link := func(account string) desk.Link {
		l, err := s.here.Enroll(t.Context(), account, desk.App{}, 0)
		s.a.must(t, err)
		return l
	}
	trust(anna)
	trust(anna)
	trust(bert)
	l := link("anna")
	link("bert")
	_, _, effects, err := s.here.Block(t.Context(), "T1", desk.Block{Reason: token.ReasonLost})
	if err != nil || effects != (desk.Effects{Browsers: 2, Links: 1}) {
		t.Errorf("%+v, %v", effects, err)
	}
	if state, err := s.there.OpenLink(t.Context(), string(l.Value.Reveal())); err != nil || state != desk.LinkCancelled {
		t.Errorf("%s, %v", state, err)
	}
	if _, _, effects, err = s.here.Block(t.Context(), "T1", desk.Block{Reason: token.ReasonLost}); err != nil || effects != (desk.Effects{}) {
		t.Errorf("again: %+v, %v", effects, err)
	}
	for _, by := range []token.Token{anna, bert} { // its code was accepted before the block; somebody else's
		if _, err := s.there.Trust(t.Context(), anna.Holder.ID, by.ID, c.ID, ""); !errors.Is(err, token.ErrConflict) {
			t.Errorf("trusted by %s: %v", by.Label, err)
		}
	}
	trust(other)
	if _, _, effects, err = s.here.Block(t.Context(), "T1", desk.Block{Reason: token.ReasonLost}); err != nil || effects.Browsers != 1 {
		t.Errorf("trusted since: %+v, %v", effects, err)
	}
	_, err = s.here.Undo(t.Context(), "T1")
	s.a.must(t, err)
	list, err := s.there.Browsers(t.Context(), "anna")
	s.a.must(t, err)
	for _, b := range list {
		if b.Revoked.IsZero() {
			t.Error("the undo brought a browser back")
		}
	}
	if state, err := s.there.OpenLink(t.Context(), string(l.Value.Reveal())); err != nil || state != desk.LinkCancelled {
		t.Errorf("the undo brought a link back: %s, %v", state, err)
	}
	list, err = s.there.Browsers(t.Context(), "bert")
	if err != nil || len(list) != 1 || !list[0].Revoked.IsZero() {
		t.Errorf("another person's browser: %+v, %v", list, err)
	}
	s.box(t, totpToken("T3", 3))
	if _, _, effects, err = s.here.Block(t.Context(), "T3", desk.Block{Reason: token.ReasonLost}); err != nil || effects != (desk.Effects{}) {
		t.Errorf("nobody's token: %+v, %v", effects, err)
	}
}

func testHistory(t *testing.T, s *lifeSuite) {
	v := totpToken("T1", 1)
	s.issued(t, v, "anna")
	s.issued(t, totpToken("T2", 2), "anna")
	s.pass(time.Minute)
	s.block(t, "T1", desk.Block{Reason: token.ReasonLost, Note: "in the train"})
	_, err := s.here.Undo(t.Context(), "T1")
	s.a.must(t, err)
	list, err := s.there.History(t.Context(), "T1", 3)
	if err != nil || len(list) != 3 || list[0].Action != "token.undo" || list[1].Action != "token.block" || list[2].Action != "token.issue" || list[1].Actor == "" || !list[1].At.Equal(s.now()) {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := s.there.History(t.Context(), "T9", 3); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
