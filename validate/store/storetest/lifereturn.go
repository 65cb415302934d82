package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func testReturn(t *testing.T, s *lifeSuite) {
	v := totpToken("T1", 1)
	s.issued(t, v, "anna")
	s.pass(time.Minute)
	if k, proof, err := s.here.Return(t.Context(), "T1", []string{"000000"}, ""); err != nil || proof != desk.WrongCode || k.State != token.Active {
		t.Errorf("without proof: %s, %v", proof, err)
	}
	s.pass(time.Minute)
	code := s.shows(t, v, 0)
	k, proof, err := s.here.Return(t.Context(), "T1", []string{code}, "left")
	if err != nil || proof != desk.Proven || k.State != token.InStock || k.Holder != nil || !k.IssuedAt.IsZero() || k.Name != "" {
		t.Fatalf("%+v, %s, %v", k, proof, err)
	}
	s.pass(time.Minute)
	if s.accepts(t, "T1", s.shows(t, v, 0)) {
		t.Error("accepted in stock")
	}
	s.pass(time.Minute)
	if _, proof, err := s.here.Issue(t.Context(), "T1", handTo("bert", s.shows(t, v, 0))); err != nil || proof != desk.Proven {
		t.Errorf("to the next one: %s, %v", proof, err)
	}
	s.is(t, "T1", token.Active, "bert")
	s.pass(time.Minute)
	s.block(t, "T1", desk.Block{Reason: token.ReasonLeft})
	if _, proof, err := s.here.Return(t.Context(), "T1", []string{s.shows(t, v, 0)}, ""); err != nil || proof != desk.Proven {
		t.Errorf("blocked: %s, %v", proof, err)
	}
	if k := s.is(t, "T1", token.InStock, ""); k.Reason != "" || k.BlockedFrom != "" {
		t.Errorf("%+v", k)
	}
	if _, _, err := s.here.Return(t.Context(), "T1", []string{code}, ""); !isTransition(err) {
		t.Errorf("in stock already: %v", err)
	}
	label, shows := s.app(t, "anna")
	if _, proof, err := s.here.Confirm(t.Context(), label, []string{shows(0)}, "phone"); err != nil || proof != desk.Proven {
		t.Fatalf("%s, %v", proof, err)
	}
	s.pass(time.Minute)
	if k, proof, err := s.here.Return(t.Context(), label, []string{shows(0)}, ""); err != nil || proof != desk.Proven || k.State != token.Revoked {
		t.Errorf("an app: %s, %s, %v", k.State, proof, err)
	}
	c := s.credential(t, label)
	if c.State != token.Revoked || c.Enabled {
		t.Errorf("%+v", c)
	}
	by := fmt.Sprintf(`"credential":%d`, c.ID) // by which it was known, as for any other token
	if list, err := s.there.History(t.Context(), label, 1); err != nil || list[0].Action != "token.return" || !strings.Contains(list[0].Detail, by) {
		t.Errorf("%+v, %v; want %s", list, err, by)
	}
}

// testReturnEmpty: a lost key that came back, all of whose credentials were given up, is written again.
func testReturnEmpty(t *testing.T, s *lifeSuite) {
	r := reservation(101)
	s.a.issue(t, r, 1)
	e := s.a.reach(t, reservation(101), token.Sealed, 2)
	if _, _, err := s.here.Return(t.Context(), "101", []string{otp(t, 1, 9, 0)}, ""); !errors.Is(err, token.ErrUnsettled) {
		t.Errorf("during a write: %v", err)
	}
	s.a.must(t, s.a.Abort(t.Context(), e.ID, token.Sealed, "", nil))
	s.block(t, "101", desk.Block{Reason: token.ReasonLost})
	if ask, err := s.here.NeedsProof(t.Context(), "101"); err != nil || !ask {
		t.Errorf("a live credential: %v, %v", ask, err)
	}
	if k, proof, err := s.here.Return(t.Context(), "101", nil, ""); err != nil || proof != desk.NoCode || k.State != token.Lost {
		t.Errorf("without proof: %s, %s, %v", k.State, proof, err)
	}
	w := s.a.reach(t, reservation(102), token.Sealed, 3) // a key that was lost before it was written
	s.block(t, "102", desk.Block{Reason: token.ReasonLost})
	s.a.must(t, s.a.Abort(t.Context(), w.ID, token.Sealed, "", nil))
	if ask, err := s.here.NeedsProof(t.Context(), "102"); err != nil || ask {
		t.Errorf("nothing is live: %v, %v", ask, err)
	}
	k, proof, err := s.here.Return(t.Context(), "102", nil, "found")
	if err != nil || proof != desk.Proven || k.State != token.Pending || k.Holder != nil || k.Reason != "" {
		t.Errorf("%+v, %s, %v", k, proof, err)
	}
	s.a.issue(t, reservation(102), 4)
	s.is(t, "102", token.Active, "")
}

// testReturnRace: a code is accepted before the token is taken back, or not at all.
func testReturnRace(t *testing.T, s *lifeSuite) {
	v := hotpToken("H1", 1)
	s.issued(t, v, "anna")
	for n := range int64(10) {
		from := 1 + 3*n
		var back bool
		together(t, 2, func(i int) (bool, error) {
			if i == 0 {
				return s.present(t.Context(), "H1", v.code(t, from))
			}
			_, proof, err := s.here.Return(t.Context(), "H1", []string{v.code(t, from+1)}, "")
			back = proof == desk.Proven
			if isLocked(err) {
				err = nil
			}
			return back, err
		})
		s.pass(time.Hour)
		if !back {
			t.Error("not taken back")
		}
		if k := s.is(t, "H1", token.InStock, ""); s.credential(t, "H1").Enabled || k.Holder != nil {
			t.Error("a token in stock is enabled")
		}
		if s.accepts(t, "H1", v.code(t, from+2)) {
			t.Error("accepted after the return")
		}
		s.pass(time.Hour)
		if _, proof, err := s.here.Issue(t.Context(), "H1", handTo("anna", v.code(t, from+2))); err != nil || proof == "" {
			t.Fatal(err)
		} else if proof != desk.Proven { // the code was seen while it was in stock
			s.pass(time.Minute)
			if _, proof, err = s.here.Issue(t.Context(), "H1", handTo("anna", v.code(t, from+3))); err != nil || proof != desk.Proven {
				t.Fatalf("%s, %v", proof, err)
			}
		}
		s.pass(time.Hour)
	}
}

func testRetire(t *testing.T, s *lifeSuite) {
	v := totpToken("T1", 1)
	s.issued(t, v, "anna")
	s.box(t, totpToken("T2", 2), totpToken("T3", 3))
	pending, _ := s.app(t, "bert")
	s.block(t, "T3", desk.Block{Reason: token.ReasonDamaged})
	s.pass(time.Minute)
	for _, query := range []string{"T1", "T2", "T3", pending} {
		if _, err := s.here.Retire(t.Context(), query, ""); !isText(err) {
			t.Errorf("%s without a note: %v", query, err)
		}
		k, err := s.here.Retire(t.Context(), query, "shredded")
		if err != nil || k.State != token.Revoked || k.Reason != "" {
			t.Errorf("%s: %+v, %v", query, k, err)
		}
		if c := s.credential(t, query); c.State != token.Revoked || c.Enabled {
			t.Errorf("%s: %+v", query, c)
		}
		if _, err := s.here.Retire(t.Context(), query, "again"); !isTransition(err) {
			t.Errorf("%s again: %v", query, err)
		}
		if _, _, _, err := s.here.Block(t.Context(), query, desk.Block{Reason: token.ReasonLost}); !isTransition(err) {
			t.Errorf("%s block: %v", query, err)
		}
		if _, _, _, err := s.here.Resync(t.Context(), query, "123456", "234567"); !isTransition(err) {
			t.Errorf("%s resync: %v", query, err)
		}
		if _, err := s.here.ResetClock(t.Context(), query); !isTransition(err) {
			t.Errorf("%s reset: %v", query, err)
		}
	}
	if s.accepts(t, "T1", s.shows(t, v, 0)) {
		t.Error("accepted after the end")
	}
}

// testRetireWriting: the open write of a key that is destroyed ends with it, and a station that goes on is told.
func testRetireWriting(t *testing.T, s *lifeSuite) {
	r := reservation(101)
	s.a.issue(t, r, 1)
	e := s.a.reach(t, reservation(101), token.Writing, 2)
	_, err := s.here.Retire(t.Context(), "101", "burnt")
	s.a.must(t, err)
	if err := s.a.Mark(t.Context(), e.ID, token.Written); !errors.Is(err, token.ErrConflict) {
		t.Errorf("mark: %v", err)
	}
	if err := s.a.Commit(t.Context(), e.ID, counters(1, 0)); !errors.Is(err, token.ErrConflict) {
		t.Errorf("commit: %v", err)
	}
	if open, err := s.a.Open(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("%+v, %v", open, err)
	}
	if _, err := s.b.Find(t.Context(), r.PublicID); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("find: %v", err)
	}
}

// testSweepSecrets: secrets go, and an old file does not bring them back.
func testSweepSecrets(t *testing.T, s *lifeSuite) {
	v, never := totpToken("T1", 1), totpToken("T2", 2)
	s.issued(t, v, "anna")
	s.box(t, never)
	s.a.issue(t, reservation(101), 4)
	s.a.issue(t, reservation(101), 5) // the former secrets of the slot: key, private ID and access code
	for _, query := range []string{"T1", "T2"} {
		_, err := s.here.Retire(t.Context(), query, "shredded")
		s.a.must(t, err)
	}
	for _, tc := range []struct {
		pass time.Duration
		want int
	}{{24*time.Hour - time.Microsecond, 0}, {time.Microsecond, 1}, {29*24*time.Hour - time.Microsecond, 0}, {time.Microsecond, 4}, {time.Hour, 0}} {
		s.pass(tc.pass)
		if got, err := s.here.Sweep(t.Context()); err != nil || got.Secrets != tc.want {
			t.Errorf("after %v: %+v, %v; want %d", tc.pass, got, err, tc.want)
		}
	}
	for _, id := range []string{"T1", "T2"} {
		if _, err := s.b.Record(t.Context(), s.credential(t, id).ID); err == nil {
			t.Errorf("%s: the secret is there", id)
		}
	}
	for _, label := range []string{"", "T1", "T9"} {
		r := keyfile.Record{Kind: token.TOTP, Label: label, Key: v.key()}
		s.a.must(t, s.here.Import(t.Context(), "old", feed(r), func(i desk.Imported) {
			if i.Outcome != desk.Different {
				t.Errorf("an old file as %q: %+v", label, i)
			}
		}))
	}
}

func testAddSeed(t *testing.T, s *lifeSuite) {
	seed := func(n int, b byte) desk.Seed {
		return desk.Seed{Key: secret.Copy(bytes.Repeat([]byte{b}, n)), Label: "S1"}
	}
	k, c, err := s.here.AddSeed(t.Context(), desk.App{Kind: token.HOTP, Holder: "anna"}, desk.Seed{Key: secret.Copy(bytes.Repeat([]byte{7}, 20)), Counter: 5})
	if err != nil || k.State != token.InStock || k.Model != token.Hardware || k.Holder == nil || len(k.Label) != 12 || c.Counters.Moving != 4 || c.Settings.Digits != 6 {
		t.Fatalf("%+v, %+v, %v", k, c, err)
	}
	if _, proof, err := s.here.Issue(t.Context(), k.Label, handTo("anna", hotpToken("", 7).code(t, 5))); err != nil || proof != desk.Proven {
		t.Errorf("%s, %v", proof, err)
	}
	if _, _, err := s.here.AddSeed(t.Context(), desk.App{Kind: token.TOTP}, seed(16, 1)); err != nil {
		t.Errorf("16 bytes: %v", err)
	}
	for name, tc := range map[string]struct {
		app  desk.App
		seed desk.Seed
		is   func(error) bool
	}{
		"short":               {desk.App{Kind: token.TOTP}, seed(15, 2), isText},
		"long":                {desk.App{Kind: token.TOTP}, seed(129, 2), isText},
		"kind":                {desk.App{Kind: token.Static}, seed(20, 2), isText},
		"counter of no token": {desk.App{Kind: token.HOTP}, desk.Seed{Key: seed(20, 2).Key, Counter: math.MaxInt64 - 10}, isText},
		"counter of TOTP":     {desk.App{Kind: token.TOTP}, desk.Seed{Key: seed(20, 2).Key, Counter: 1}, isText},
		"label":               {desk.App{Kind: token.TOTP}, desk.Seed{Key: seed(20, 2).Key, Label: "a\nb"}, isText},
		"holder":              {desk.App{Kind: token.TOTP, Holder: "nobody"}, seed(20, 2), func(err error) bool { return errors.Is(err, token.ErrNotFound) }},
		"label is taken":      {desk.App{Kind: token.TOTP}, seed(20, 2), func(err error) bool { return errors.Is(err, token.ErrDuplicate) }},
		"seed is taken":       {desk.App{Kind: token.TOTP}, desk.Seed{Key: seed(16, 1).Key}, func(err error) bool { return errors.Is(err, token.ErrDuplicate) }},
		"the same again":      {desk.App{Kind: token.TOTP}, seed(16, 1), func(err error) bool { return errors.Is(err, token.ErrDuplicate) }},
	} {
		if _, _, err := s.here.AddSeed(t.Context(), tc.app, tc.seed); !tc.is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// testReturnTargets: a token that was taken back is never valid again under its former holder's account elsewhere.
func testReturnTargets(t *testing.T, s *lifeSuite) {
	v := totpToken("T1", 1)
	s.issued(t, v, "anna")
	target, err := s.here.AddTarget(t.Context(), push.Server{Name: "pi", Kind: push.PrivacyIDEA, URL: "https://pi.example.org"}, secret.Copy([]byte("x")))
	s.a.must(t, err)
	_, err = s.a.WantPush(t.Context(), target.ID, s.credential(t, "T1").ID, push.Place{Serial: "T1", Account: "anna"})
	s.a.must(t, err)
	wanted := func(when string, want desk.Wanted) {
		t.Helper()
		list, err := s.b.Pushes(t.Context(), desk.PushFilter{})
		if err != nil || len(list) != 1 || list[0].Wanted != want {
			t.Errorf("%s: %+v, %v; want %s", when, list, err, want)
		}
	}
	proof := func(verb func(code string) (token.Token, desk.Proof, error)) {
		t.Helper()
		s.pass(time.Minute)
		if _, proof, err := verb(s.shows(t, v, 0)); err != nil || proof != desk.Proven {
			t.Fatalf("%s, %v", proof, err)
		}
	}
	back := func(code string) (token.Token, desk.Proof, error) {
		return s.here.Return(t.Context(), "T1", []string{code}, "")
	}
	proof(back)
	wanted("returned", desk.WantDisabled)
	s.block(t, "T1", desk.Block{Reason: token.ReasonLost})
	proof(func(code string) (token.Token, desk.Proof, error) {
		return s.here.Restore(t.Context(), "T1", []string{code})
	})
	wanted("restored into stock", desk.WantDisabled)
	proof(func(code string) (token.Token, desk.Proof, error) {
		return s.here.Issue(t.Context(), "T1", handTo("bert", code))
	})
	wanted("issued to another", desk.WantDisabled)
	var not *desk.NotPushableError
	if _, err := s.a.WantPush(t.Context(), target.ID, s.credential(t, "T1").ID, push.Place{Serial: "T1", Account: "bert"}); !errors.As(err, &not) {
		t.Errorf("pushed for another: %v", err)
	}
	proof(back)
	proof(func(code string) (token.Token, desk.Proof, error) {
		return s.here.Issue(t.Context(), "T1", handTo("anna", code))
	})
	wanted("issued to the same", desk.WantEnrolled)
}
