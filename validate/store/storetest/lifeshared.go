package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// PIVStore is told which keys had their PIV application set up for somebody.
type PIVStore interface {
	HandOverPIV(ctx context.Context, h token.PIVHandover) error
	PIVHandedOver(ctx context.Context, serial token.Serial, since time.Time) (bool, error)
}

func (s *lifeSuite) piv() PIVStore { return s.a.Full.(PIVStore) }

// put puts a proven HOTP account with the secrets of n into a key of somebody.
func (s *lifeSuite) put(t *testing.T, serial token.Serial, name, account string, shared bool, n int) {
	t.Helper()
	r := s.account(t, serial, name, account, shared)
	e := s.a.reach(t, r, token.Written, n)
	s.a.must(t, s.a.Commit(t.Context(), e.ID, &token.Counters{Use: -1, Session: -1, Moving: 3}))
}

func (s *lifeSuite) account(t *testing.T, serial token.Serial, name, holder string, shared bool) token.Reservation {
	r := account(serial, token.HOTP, name)
	if r.Settings.Shared = shared; holder != "" {
		r.Holder = s.person(t, holder)
	}
	return r
}

// hotp is the code of secrets n for a moving factor.
func hotp(t *testing.T, n int, moving int64) string {
	t.Helper()
	c := Sample(n, "")
	g, err := oath.New(secret.Copy(c.Key[:]), oath.SHA1, 6)
	if err != nil {
		t.Fatal(err)
	}
	return g.Code(moving)
}

// liveAccounts are the names of accounts that are not revoked.
func (s *lifeSuite) liveAccounts(t *testing.T, query string) (names []string) {
	t.Helper()
	_, list, err := s.here.Show(t.Context(), query)
	s.a.must(t, err)
	for _, c := range list {
		if c.State != token.Revoked {
			names = append(names, c.Settings.Account)
		}
	}
	return names
}

func (s *lifeSuite) wantAccounts(t *testing.T, when, query string, want ...string) {
	t.Helper()
	if got := s.liveAccounts(t, query); !slices.Equal(got, want) {
		t.Errorf("%s: %q are live, want %q", when, got, want)
	}
}

// testReturnShared: what the former holder may know is revoked when the key is taken back; what only the key and the store know stays.
func testReturnShared(t *testing.T, s *lifeSuite) {
	s.put(t, 101, "drawn", "anna", false, 1)
	s.put(t, 101, "brought", "anna", true, 2)
	s.put(t, 101, "exported", "anna", false, 3)
	s.put(t, 101, "pushed", "anna", false, 8)
	_, list, err := s.here.Show(t.Context(), "101")
	s.a.must(t, err)
	target, err := s.here.AddTarget(t.Context(), push.Server{Name: "pi", Kind: push.PrivacyIDEA, URL: "https://pi.example.org"}, secret.Copy([]byte("x")))
	s.a.must(t, err)
	_, err = s.a.WantPush(t.Context(), target.ID, list[3].ID, push.Place{Serial: "T1", Account: "anna"})
	s.a.must(t, err)
	_, records, err := s.here.Export(t.Context(), desk.Export{Only: []token.CredentialID{list[2].ID}, Format: "test"}, "101")
	s.a.must(t, err)
	for r, err := range records {
		s.a.must(t, err)
		r.Destroy()
	}
	s.pass(time.Minute)
	k, proof, err := s.here.Return(t.Context(), "101", []string{hotp(t, 2, 4)}, "")
	if err != nil || proof != desk.Proven || k.State != token.InStock {
		t.Fatalf("%s, %s, %v", k.State, proof, err)
	}
	s.wantAccounts(t, "taken back", "101", "drawn")
	events, err := s.there.History(t.Context(), "101", 20)
	s.a.must(t, err)
	var got []string
	for _, e := range events {
		if e.Action == "account.revoke" || e.Action == "token.return" {
			got = append(got, e.Action)
		}
	}
	if !slices.Equal(got, []string{"token.return", "account.revoke", "account.revoke", "account.revoke"}) {
		t.Errorf("audited %v", got)
	}
	s.pass(time.Minute)
	if _, proof, err := s.here.Issue(t.Context(), "101", handTo("bert", hotp(t, 1, 4))); err != nil || proof != desk.Proven {
		t.Errorf("to the next one: %s, %v", proof, err)
	}
	s.put(t, 102, "brought", "anna", true, 5)
	s.pass(time.Minute)
	if k, proof, err := s.here.Return(t.Context(), "102", []string{hotp(t, 5, 4)}, ""); err != nil || proof != desk.Proven || k.State != token.Pending || k.Holder != nil {
		t.Errorf("nothing is left: %s, %s, %v", k.State, proof, err)
	}
	s.put(t, 103, "brought in stock", "", true, 6) // a vendor's file: nobody held it
	s.pass(time.Minute)
	if _, proof, err := s.here.Issue(t.Context(), "103", handTo("anna", hotp(t, 6, 4))); err != nil || proof != desk.Proven {
		t.Fatalf("%s, %v", proof, err)
	}
	s.wantAccounts(t, "issued for the first time", "103", "brought in stock")
}

// testReassignShared: the same where a key goes from one person to another without being taken back.
func testReassignShared(t *testing.T, s *lifeSuite) {
	s.put(t, 101, "drawn", "anna", false, 1)
	s.put(t, 101, "brought", "anna", true, 2)
	s.put(t, 101, "more", "anna", true, 3)
	s.wantAccounts(t, "of one person", "101", "drawn", "brought", "more")
	s.put(t, 101, "new", "bert", true, 4)
	s.wantAccounts(t, "to another", "101", "drawn", "new")
	s.is(t, "101", token.Active, "bert")
	h := token.PIVHandover{Serial: 101, Firmware: "5.4.3", Holder: s.person(t, "anna"), Reassign: true}
	s.a.must(t, s.piv().HandOverPIV(t.Context(), h))
	s.wantAccounts(t, "by PIV", "101", "drawn")
	s.is(t, "101", token.Active, "anna")
}

// testForesight: the key makes TOTP codes of any time, so whoever had it may have those of times to come. They are not the next one's.
func testForesight(t *testing.T, s *lifeSuite) {
	byTime := func(serial token.Serial, holder string, n int) {
		t.Helper()
		r := account(serial, token.TOTP, "by time")
		if holder != "" {
			r.Holder = s.person(t, holder)
		}
		e := s.a.reach(t, r, token.Written, n)
		s.a.must(t, s.a.Commit(t.Context(), e.ID, &token.Counters{Use: -1, Session: -1, Moving: 3}))
	}
	byTime(101, "anna", 1)
	s.put(t, 101, "by counter", "anna", false, 2)
	s.pass(time.Minute)
	if k, proof, err := s.here.Return(t.Context(), "101", []string{hotp(t, 2, 4)}, ""); err != nil || proof != desk.Proven || k.State != token.InStock {
		t.Fatalf("%s, %s, %v", k.State, proof, err)
	}
	s.wantAccounts(t, "taken back", "101", "by counter")
	byTime(102, "anna", 3)
	s.put(t, 102, "new", "bert", false, 4)
	s.wantAccounts(t, "to another", "102", "new")
	byTime(103, "", 5) // nobody held it
	s.put(t, 103, "new", "bert", false, 6)
	s.wantAccounts(t, "for the first time", "103", "by time", "new")
}

// testHandOverPIV: a key with nothing but PIV is a token like any other.
func testHandOverPIV(t *testing.T, s *lifeSuite) {
	ctx := t.Context()
	anna, bert := s.person(t, "anna"), s.person(t, "bert")
	h := token.PIVHandover{Serial: 101, Firmware: "5.4.3", Holder: anna}
	for range 2 { // again: an interrupted run
		s.a.must(t, s.piv().HandOverPIV(ctx, h))
	}
	k := s.is(t, "101", token.Active, "anna")
	for _, x := range []struct {
		serial token.Serial
		since  time.Time
		want   bool
	}{{101, time.Time{}, true}, {101, s.now(), true}, {101, s.now().Add(time.Second), false}, {102, time.Time{}, false}} {
		if over, err := s.piv().PIVHandedOver(ctx, x.serial, x.since); err != nil || over != x.want {
			t.Errorf("%d, handed over since %v: %t, %v", x.serial, x.since, over, err)
		}
	}
	if k.Firmware != "5.4.3" || k.IssuedAt.IsZero() {
		t.Errorf("%+v", k)
	}
	h.Holder = bert
	if err := s.piv().HandOverPIV(ctx, h); !errors.Is(err, desk.ErrHeld) {
		t.Errorf("somebody else's: %v", err)
	}
	h.Holder = 0
	s.a.must(t, s.piv().HandOverPIV(ctx, h))
	s.is(t, "101", token.Active, "anna")
	h.Holder, h.Reassign = bert, true
	s.a.must(t, s.piv().HandOverPIV(ctx, h))
	s.is(t, "101", token.Active, "bert")
	s.block(t, "101", desk.Block{Reason: token.ReasonStolen})
	if err := s.piv().HandOverPIV(ctx, h); !isTransition(err) {
		t.Errorf("blocked: %v", err)
	}
	s.is(t, "101", token.Lost, "bert")
	s.a.must(t, s.piv().HandOverPIV(ctx, token.PIVHandover{Serial: 102, Firmware: "5.4.3"}))
	s.is(t, "102", token.Active, "")
	s.a.must(t, s.piv().HandOverPIV(ctx, token.PIVHandover{Serial: 102, Holder: anna}))
	if ask, err := s.here.NeedsProof(ctx, "102"); err != nil || ask {
		t.Errorf("nothing can prove it: %v, %v", ask, err)
	}
	if k, proof, err := s.here.Return(ctx, "102", nil, ""); err != nil || proof != desk.Proven || k.State != token.Pending || k.Holder != nil {
		t.Errorf("taken back: %s, %s, %v", k.State, proof, err)
	}
	if err := s.piv().HandOverPIV(ctx, token.PIVHandover{Serial: 103, Holder: 4711}); err == nil {
		t.Error("nobody is given a key")
	}
	if _, err := s.here.Find(ctx, "103"); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("a refusal left something: %v", err)
	}
	testPIVBesideSlot(t, s, anna)
}

// testPIVBesideSlot: PIV proves nothing about a slot that nobody pressed yet.
func testPIVBesideSlot(t *testing.T, s *lifeSuite, anna token.PersonID) {
	r := reservation(104)
	r.Proof, r.Holder = token.NoProof, anna
	e := s.a.reach(t, r, token.Written, 7)
	s.a.must(t, s.a.Commit(t.Context(), e.ID, nil))
	s.a.must(t, s.piv().HandOverPIV(t.Context(), token.PIVHandover{Serial: 104, Holder: anna}))
	s.is(t, "104", token.Programmed, "anna")
	if _, _, err := s.here.Return(t.Context(), "104", nil, ""); err == nil {
		s.is(t, "104", token.Programmed, "anna") // a live credential is to prove it
	}
}
