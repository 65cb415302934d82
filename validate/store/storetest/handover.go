package storetest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// RunHandover runs the suite of what a desk gives to persons: from stock, in a commit, by post, from a station's journal; open is as in
// RunOperators.
func RunHandover(t *testing.T, open func(t *testing.T, now func() time.Time) (here, there Full)) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s *lifeSuite)
	}{
		{"bind stock by a touch", testBind},
		{"bind refusals", testBindRefusals},
		{"one of 32 binds", testBindRace},
		{"commit hands over", testCommitReplaces},
		{"commit refusals", testHandoverRefusals},
		{"replaced another way", testReplacedMeanwhile},
		{"receipts of two processes", testReceiptRace},
		{"ship", testShip},
		{"ship, wrong numbers", testShipTries},
		{"ship, too late", testShipLate},
		{"ship again", testShipAgain},
		{"ship refusals", testShipRefusals},
		{"ship and block", testShipBlocked},
		{"cancel a shipment", testShipCancel},
		{"one of 16 arrivals", testArriveRace},
		{"journal", testJournal},
		{"journal twice at once", testJournalRace},
		{"journal conflicts", testJournalConflicts},
		{"journal beyond its grant", testJournalGrant},
		{"journal, blocked meanwhile", testJournalBlocked},
		{"journal, groups", testJournalGroups},
		{"journal, genuine keys", testJournalGenuine},
		{"journal, proven at the station", testJournalProven},
		{"journal, unproven keys", testJournalUnproven},
		{"journal, another write in place of an unfinished one", testJournalOther},
		{"journal, a clock that is ahead", testJournalAhead},
		{"journal, what no table takes", testJournalUnsound},
		{"journal, left meanwhile", testJournalLeft},
		{"journal, unfinished", testJournalOpen},
		{"journal, another way", testJournalFork},
		{"snapshot", testSnapshot},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &lifeSuite{&staffSuite{time: at(0)}}
			here, there := open(t, s.now)
			s.a, s.b = ledgerSuite{here}, there
			s.here = &desk.Desk{Store: here, Now: s.now, Rand: rand.Reader}
			s.there = &desk.Desk{Store: there, Now: s.now, Rand: rand.Reader}
			for _, account := range []string{"anna", "bert"} {
				s.a.must(t, s.here.AddPerson(t.Context(), token.Person{Account: account, Name: "Name of " + account, Mail: account + "@example.org"}))
			}
			tc.run(t, s)
		})
	}
}

// onShelf writes the key of n, proves it with (1, 0) and puts it into stock with (2, 0).
func (s *lifeSuite) onShelf(t *testing.T, n int) string {
	t.Helper()
	s.a.issue(t, reservation(token.Serial(100+n)), n)
	query := fmt.Sprint(100 + n)
	if k, proof, err := s.here.Return(t.Context(), query, []string{otp(t, n, 2, 0)}, ""); err != nil || proof != desk.Proven || k.State != token.InStock {
		t.Fatalf("%s, %s, %v", k.State, proof, err)
	}
	return query
}

// valid presents (use, session) of the key of n in the other process.
func (s *lifeSuite) valid(t *testing.T, n, use, session int) bool {
	t.Helper()
	return ledgerSuite{s.b}.press(t, token.SerialPublicID(token.Serial(100+n)), use, session)
}

// checkReceipt holds a receipt against the event that it names.
func (s *lifeSuite) checkReceipt(t *testing.T, r token.Receipt) {
	t.Helper()
	list, err := s.there.Receipts(t.Context(), desk.ReceiptFilter{Number: r.Number, Station: r.Station}, 0)
	if err != nil || len(list) != 1 || list[0] != r {
		t.Errorf("%s is %+v, %v; want %+v", r.Ref(), list, err, r)
	}
	events, err := s.there.History(t.Context(), desk.ByID(r.Token), 20)
	if err != nil || len(r.Hash) != 64 || r.Checkpoint < 1 || !slices.ContainsFunc(events, func(h desk.Happened) bool { return strings.Contains(h.Detail, `"`+r.Ref()+`"`) }) {
		t.Errorf("no event tells of %s: %v", r.Ref(), err)
	}
}

func testBind(t *testing.T, s *lifeSuite) {
	s.onShelf(t, 1)
	s.pass(time.Minute)
	if s.valid(t, 1, 2, 1) {
		t.Error("a key in stock validates")
	}
	k, r, proof, err := s.here.Bind(t.Context(), otp(t, 1, 3, 0), handTo("anna"))
	if err != nil || proof != desk.Proven || k.State != token.Active || k.Holder.Account != "anna" || !k.IssuedAt.Equal(s.now()) {
		t.Fatalf("%+v, %s, %v", k, proof, err)
	}
	want := token.Receipt{Number: 1, Kind: token.Issued, Token: k.ID, Serial: 101, Slot: 1, PublicID: token.SerialPublicID(101), Account: "anna", Name: "Name of anna",
		IDCheck: token.ByStaffCard, Operator: r.Operator, At: s.now(), Checkpoint: r.Checkpoint, Hash: r.Hash}
	if r != want || r.Operator == "" || r.Ref() != "R-1" {
		t.Errorf("%+v", r)
	}
	s.checkReceipt(t, r)
	if s.valid(t, 1, 3, 0) {
		t.Error("the OTP that bound it was accepted")
	}
	if !s.valid(t, 1, 3, 1) {
		t.Error("the next one was refused")
	}
	if _, _, proof, err := s.there.Bind(t.Context(), otp(t, 1, 3, 0), handTo("anna")); err != nil || proof != desk.NotNewer {
		t.Errorf("replayed: %s, %v", proof, err)
	}
	if list, err := s.there.Receipts(t.Context(), desk.ReceiptFilter{Person: k.Holder.ID}, 0); err != nil || len(list) != 1 {
		t.Errorf("%d receipts, %v", len(list), err)
	}
	if list, err := s.there.Holds(t.Context(), "anna"); err != nil || len(list) != 1 || list[0].Serial != 101 {
		t.Errorf("%+v, %v", list, err)
	}
}

func testBindRefusals(t *testing.T, s *lifeSuite) {
	s.onShelf(t, 1)
	s.onShelf(t, 2)
	s.block(t, "102", desk.Block{Reason: token.ReasonStolen})
	if _, _, proof, err := s.here.Bind(t.Context(), otp(t, 1, 2, 0), handTo("anna")); err != nil || proof != desk.NotNewer {
		t.Errorf("an old OTP: %s, %v", proof, err)
	}
	if _, _, proof, err := s.here.Bind(t.Context(), otp(t, 2, 5, 0), handTo("anna")); !isTransition(err) || proof != "" {
		t.Errorf("blocked: %s, %v", proof, err)
	}
	if _, _, _, err := s.here.Bind(t.Context(), otp(t, 9, 5, 0), handTo("anna")); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	if _, _, _, err := s.here.Bind(t.Context(), otp(t, 1, 5, 0), handTo("nobody")); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	s.is(t, "101", token.InStock, "")
	if list, err := s.here.Receipts(t.Context(), desk.ReceiptFilter{}, 0); err != nil || len(list) != 0 {
		t.Errorf("%d receipts, %v", len(list), err)
	}
}

func testBindRace(t *testing.T, s *lifeSuite) {
	s.onShelf(t, 1)
	typed := otp(t, 1, 7, 0)
	got := together(t, 32, func(i int) (bool, error) {
		d, account := s.here, "anna"
		if i%2 == 1 {
			d, account = s.there, "bert"
		}
		_, _, proof, err := d.Bind(t.Context(), typed, handTo(account))
		if errors.Is(err, desk.ErrHeld) {
			err = nil
		}
		return proof == desk.Proven, err
	})
	if got != 1 {
		t.Errorf("%d of 32 binds of one touch", got)
	}
}

func (s *lifeSuite) person(t *testing.T, account string) token.PersonID {
	t.Helper()
	p, err := s.here.Store.Person(t.Context(), account)
	s.a.must(t, err)
	return p.ID
}

// wanted is a reservation for a person who was looked at.
func (s *lifeSuite) wanted(t *testing.T, n int, account string) token.Reservation {
	t.Helper()
	r := reservation(token.Serial(100 + n))
	r.Holder, r.Handover.IDCheck = s.person(t, account), token.ByPassport
	return r
}

func testCommitReplaces(t *testing.T, s *lifeSuite) {
	s.a.issue(t, s.wanted(t, 1, "anna"), 1)
	old, err := s.here.Find(t.Context(), "101")
	s.a.must(t, err)
	r := s.wanted(t, 2, "anna")
	r.Handover.Replace, r.Handover.Note = old.ID, "broken shell"
	e := s.a.reach(t, r, token.Written, 2)
	if e.Handover != r.Handover {
		t.Errorf("the entry says %+v", e.Handover)
	}
	if open, err := s.b.Open(t.Context()); err != nil || len(open) != 1 || open[0].Handover != r.Handover {
		t.Errorf("%+v, %v", open, err)
	}
	if !s.valid(t, 1, 1, 5) {
		t.Error("the old key does not validate before the commit")
	}
	s.pass(time.Minute)
	s.a.must(t, s.a.Commit(t.Context(), e.ID, counters(1, 0)))
	s.is(t, "102", token.Active, "anna")
	gone := s.is(t, desk.ByID(old.ID), token.Revoked, "anna")
	if !gone.Owed.Equal(s.now()) {
		t.Errorf("owed since %v", gone.Owed)
	}
	if c, err := s.b.Find(t.Context(), token.SerialPublicID(101)); err == nil && c.Row.Enabled {
		t.Error("the replaced key validates")
	}
	k, err := s.here.Find(t.Context(), "102")
	s.a.must(t, err)
	receipt, err := s.here.ReceiptOf(t.Context(), k.ID)
	if err != nil || receipt.Number != 2 || receipt.Account != "anna" || receipt.PublicID != r.PublicID || receipt.IDCheck != token.ByPassport || receipt.Replaces == "" {
		t.Errorf("%+v, %v", receipt, err)
	}
	s.checkReceipt(t, receipt)
	owed, err := s.there.Owed(t.Context())
	if err != nil || len(owed) != 1 || owed[0].ID != old.ID {
		t.Errorf("%+v, %v", owed, err)
	}
	if _, err := s.there.SettleOwed(t.Context(), desk.ByID(old.ID), "in the box"); err != nil {
		t.Error(err)
	}
	if _, err := s.there.SettleOwed(t.Context(), desk.ByID(old.ID), "again"); !errors.Is(err, token.ErrConflict) {
		t.Errorf("settled twice: %v", err)
	}
	if owed, err := s.there.Owed(t.Context()); err != nil || len(owed) != 0 {
		t.Errorf("%+v, %v", owed, err)
	}
	plain := reservation(103) // neither check nor receipt
	plain.Holder = s.person(t, "bert")
	s.a.issue(t, plain, 3)
	if k, err = s.here.Find(t.Context(), "103"); err == nil {
		_, err = s.here.ReceiptOf(t.Context(), k.ID)
	}
	if !errors.Is(err, token.ErrNotFound) {
		t.Errorf("a receipt of no hand-over: %v", err)
	}
}

func testHandoverRefusals(t *testing.T, s *lifeSuite) {
	s.a.issue(t, s.wanted(t, 1, "bert"), 1)
	his, err := s.here.Find(t.Context(), "101")
	s.a.must(t, err)
	for name, change := range map[string]func(*token.Reservation){
		"another's":     func(r *token.Reservation) { r.Handover.Replace = his.ID },
		"nobody":        func(r *token.Reservation) { r.Holder = 0 },
		"no check":      func(r *token.Reservation) { r.Handover.IDCheck, r.Handover.Replace = "", his.ID },
		"unknown check": func(r *token.Reservation) { r.Handover.IDCheck = "smile" },
		"no such token": func(r *token.Reservation) { r.Handover.Replace = 999 },
	} {
		r := s.wanted(t, 2, "anna")
		change(&r)
		if _, err := s.a.Reserve(t.Context(), r); !errors.Is(err, token.ErrConflict) && !errors.Is(err, token.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	itself := s.wanted(t, 1, "bert")
	itself.Handover.Replace = his.ID
	if _, err := s.a.Reserve(t.Context(), itself); !errors.Is(err, token.ErrConflict) {
		t.Errorf("replaces itself: %v", err)
	}
	s.is(t, "101", token.Active, "bert")
}

// testReplacedMeanwhile: the key is written, so that its commit succeeds whatever became of the one that it replaces.
func testReplacedMeanwhile(t *testing.T, s *lifeSuite) {
	s.a.issue(t, s.wanted(t, 1, "anna"), 1)
	old, err := s.here.Find(t.Context(), "101")
	s.a.must(t, err)
	r := s.wanted(t, 2, "anna")
	r.Handover.Replace = old.ID
	e := s.a.reach(t, r, token.Written, 2)
	if _, err := s.there.Retire(t.Context(), "101", "crushed"); err != nil {
		t.Fatal(err)
	}
	s.a.must(t, s.a.Commit(t.Context(), e.ID, counters(1, 0)))
	s.is(t, "102", token.Active, "anna")
	if owed, err := s.there.Owed(t.Context()); err != nil || len(owed) != 0 {
		t.Errorf("%+v, %v", owed, err)
	}
}

// testReceiptRace: numbers of two processes that hand over at once run without gaps.
func testReceiptRace(t *testing.T, s *lifeSuite) {
	const keys = 12
	for n := range keys {
		s.onShelf(t, n+1)
	}
	var mu sync.Mutex
	var numbers []int64
	got := together(t, keys, func(i int) (bool, error) {
		d, account := s.here, "anna"
		if i%2 == 1 {
			d, account = s.there, "bert"
		}
		_, r, proof, err := d.Bind(t.Context(), otp(t, i+1, 3, 0), handTo(account))
		mu.Lock()
		defer mu.Unlock()
		numbers = append(numbers, r.Number)
		return proof == desk.Proven, err
	})
	slices.Sort(numbers)
	if got != keys || numbers[0] != 1 || numbers[keys-1] != keys || len(slices.Compact(numbers)) != keys {
		t.Errorf("%d keys, numbers %v", got, numbers)
	}
}
