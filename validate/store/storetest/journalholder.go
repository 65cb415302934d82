package storetest

import (
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// testJournalGroups: a station that was told of one group gives keys to nobody else, also if it does not keep to its snapshot.
func testJournalGroups(t *testing.T, s *lifeSuite) {
	here, _ := s.journals()
	if _, err := s.here.Group(t.Context(), "bert", []string{"staff"}, nil); err != nil {
		t.Fatal(err)
	}
	f := s.inField(t, "DESK1", 9)
	all := f.snapshot.Persons
	name, public, err := journal.ParseLine(f.line)
	s.a.must(t, err)
	f.snapshot, err = here.Grant(t.Context(), journal.Grant{Name: name, Public: public, Transfer: f.transfer.Public(), Groups: []string{"staff", "guests"}, Most: 9, Until: s.now().Add(time.Hour)})
	s.a.must(t, err)
	forged := f.snapshot
	forged.Persons = all
	f.install(t, forged)
	f.write(t, 1, "anna", token.Committed)
	f.write(t, 2, "bert", token.Committed)
	f.write(t, 3, "", token.Committed)
	same(t, "groups", f.imported(t, here, f.text(t), false), "conflict", "done", "done")
	s.is(t, "102", token.Active, "bert")
	if _, err := s.here.Group(t.Context(), "anna", []string{"guests"}, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "she came into one", f.imported(t, here, f.text(t), false), "done", "already", "already")
}

// testJournalLeft: who left after the station's snapshot was made gets no live key from it; who was known to have left there, may have come back.
func testJournalLeft(t *testing.T, s *lifeSuite) {
	here, _ := s.journals()
	s.a.issue(t, s.wanted(t, 1, "anna"), 1)
	s.a.issue(t, s.wanted(t, 2, "bert"), 2)
	s.block(t, "102", desk.Block{Reason: token.ReasonLeft})
	s.pass(time.Minute)
	f := s.inField(t, "DESK1", 9)
	s.pass(time.Minute)
	s.block(t, "101", desk.Block{Reason: token.ReasonLeft})
	f.write(t, 3, "anna", token.Committed)
	f.write(t, 4, "bert", token.Committed)
	held := f.write(t, 5, "anna", token.Written)
	same(t, "left", f.imported(t, here, f.text(t), true), "blocked", "done", "held")
	k := s.is(t, "103", token.Suspended, "anna")
	if k.Reason != token.ReasonLeft || s.valid(t, 3, 1, 4) {
		t.Errorf("%s, or its OTP was accepted", k.Reason)
	}
	s.is(t, "104", token.Active, "bert")
	st, err := journal.Open(f.dir, f.options())
	s.a.must(t, err)
	s.a.must(t, st.Commit(t.Context(), held, counters(1, 7)))
	s.a.must(t, st.Close())
	same(t, "the station finished", f.imported(t, here, f.text(t), false), "already", "already", "blocked")
	s.is(t, "105", token.Suspended, "anna")
	same(t, "again", f.imported(t, here, f.text(t), false), "already", "already", "already")
}
