package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// told checks the notices of parts and tokens that ended since the last call, as "account kind slots accounts certificates".
func (s *lifeSuite) told(t *testing.T, seen *int64, when string, want ...string) {
	t.Helper()
	list, err := s.there.Notices(t.Context(), true)
	s.a.must(t, err)
	var got []string
	for _, n := range list {
		if n.ID <= *seen {
			continue
		}
		*seen = n.ID
		if n.Kind != desk.NoticeErased && n.Kind != desk.NoticeTaken {
			continue
		}
		f := n.Facts
		got = append(got, fmt.Sprintf("%s %s %d %q %q", n.To.Account, n.Kind, f.Slots, f.Accounts, f.Certificates))
		if f.By == "" || f.Token == "" {
			t.Errorf("%s: %+v", when, f)
		}
		for _, language := range desk.Languages() {
			subject, body := n.Text(language)
			for _, part := range append(slices.Clone(f.Accounts), f.Certificates...) {
				if !strings.Contains(body, part) {
					t.Errorf("%s: %q is not in %s", when, part, body)
				}
			}
			if subject == "" || strings.Contains(body, "%!") || !strings.Contains(body, f.Token) {
				t.Errorf("%s: %s\n%s", when, subject, body)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: told %q, want %q", when, got, want)
	}
}

// done takes a work on a key to its end.
func (s *lifeSuite) done(t *testing.T, w token.Work, serial token.Serial, slot token.Slot, account string) {
	t.Helper()
	slots := slotSuite{s.a, s.a.Full.(SlotStore)}
	c := slots.begun(t, w, serial, slot, func(c *token.SlotChange) {
		if account != "" {
			c.Account, c.Credential = account, slots.named(t, serial, account)
		}
		if w == token.ResetOATH {
			c.Credential = nil
		}
	})
	s.a.must(t, slots.slots.EndChange(t.Context(), c.ID))
}

// testToldErased: whose key loses what was of use on it is told, once, and nobody else.
func testToldErased(t *testing.T, s *lifeSuite) {
	var seen int64
	told := func(when string, want ...string) { t.Helper(); s.told(t, &seen, when, want...) }
	r := reservation(101)
	r.Holder = s.person(t, "anna")
	s.a.issue(t, r, 1)
	s.a.issue(t, ofSlot(reservation(101), 2), 2)
	for i, name := range []string{"a", "b", "c", "d"} {
		s.put(t, 101, name, "", false, 10+i)
	}
	told("new")
	for range 2 {
		s.done(t, token.Swap, 101, 0, "")
	}
	s.done(t, token.Update, 101, 1, "")
	told("moved and set")
	e := s.a.reach(t, reservation(101), token.Written, 3)
	s.a.must(t, s.a.Abort(t.Context(), e.ID, token.Written, "as before", nil))
	told("given up")
	s.a.issue(t, reservation(101), 4)
	told("overwritten", `anna erased [1] [] []`)
	s.done(t, token.Erase, 101, 1, "")
	told("erased", `anna erased [1] [] []`)
	s.done(t, token.Erase, 101, 1, "")
	told("empty already")
	s.put(t, 101, "a", "", false, 10)
	told("an account with its former secret")
	s.put(t, 101, "a", "", false, 20)
	told("with another", `anna erased [] ["a"] []`)
	s.done(t, token.RemoveAccount, 101, 0, "a")
	told("deleted", `anna erased [] ["a"] []`)
	elsewhere := s.account(t, 101, "b", "", false)
	elsewhere.Elsewhere = true
	e = s.a.reach(t, elsewhere, token.Written, 21)
	s.a.must(t, s.a.Commit(t.Context(), e.ID, &token.Counters{Use: -1, Session: -1, Moving: 3}))
	told("checked elsewhere", `anna erased [] ["b"] []`)
	s.done(t, token.ResetOATH, 101, 0, "")
	told("reset", `anna erased [] ["c" "d"] []`)
	s.done(t, token.ResetOATH, 101, 0, "")
	told("reset again")
	again := ofSlot(reservation(101), 2)
	again.Holder, again.Handover = s.person(t, "anna"), token.Handover{IDCheck: token.ByStaffCard}
	s.a.issue(t, again, 22)
	told("handed over anew, which says so")
	s.block(t, "101", desk.Block{Reason: token.ReasonForgotten})
	s.done(t, token.Erase, 101, 2, "")
	told("blocked before")

	s.a.issue(t, reservation(102), 30)
	s.a.issue(t, reservation(102), 31)
	s.done(t, token.Erase, 102, 1, "")
	told("held by nobody")
}

// testToldTaken: who loses a key is told, but not who gave it back, with a code of it.
func testToldTaken(t *testing.T, s *lifeSuite) {
	var seen int64
	told := func(when string, want ...string) { t.Helper(); s.told(t, &seen, when, want...) }
	s.put(t, 101, "drawn", "anna", false, 1)
	s.put(t, 101, "brought", "anna", true, 2)
	s.put(t, 101, "drawn", "bert", false, 3)
	told("reassigned", `anna taken [] [] []`)
	s.a.must(t, s.piv().HandOverPIV(t.Context(), token.PIVHandover{Serial: 101, Holder: s.person(t, "anna"), Reassign: true}))
	told("reassigned by PIV", `bert taken [] [] []`)
	s.a.must(t, s.piv().HandOverPIV(t.Context(), token.PIVHandover{Serial: 101, Holder: s.person(t, "anna"), Reassign: true}))
	told("hers already")
	s.pass(time.Minute)
	if _, proof, err := s.here.Return(t.Context(), "101", []string{hotp(t, 3, 4)}, ""); err != nil || proof != desk.Proven {
		t.Fatalf("%s, %v", proof, err)
	}
	told("given back")
	s.put(t, 102, "drawn", "anna", false, 5)
	_, err := s.here.Retire(t.Context(), "102", "broken")
	s.a.must(t, err)
	told("given up", `anna taken [] [] []`)
	s.put(t, 103, "drawn", "anna", false, 6)
	s.block(t, "103", desk.Block{Reason: token.ReasonStolen})
	_, err = s.here.Retire(t.Context(), "103", "stolen")
	s.a.must(t, err)
	told("blocked before")
	s.a.must(t, s.piv().HandOverPIV(t.Context(), token.PIVHandover{Serial: 104, Holder: s.person(t, "anna")}))
	if _, _, err := s.here.Return(t.Context(), "104", nil, ""); err != nil {
		t.Fatal(err)
	}
	told("taken back without a proof", `anna taken [] [] []`)
}

// testToldPIV: a reset ends the certificates that are still valid, and tells those whose they were.
func testToldPIV(t *testing.T, s *lifeSuite) {
	var seen int64
	told := func(when string, want ...string) { t.Helper(); s.told(t, &seen, when, want...) }
	certificates := s.a.Full.(Certificates)
	keep := func(slot, letter string, valid time.Duration) {
		c := SomeCertificate(slot, letter, letter)
		c.NotAfter = s.now().Add(valid)
		s.a.must(t, certificates.KeepCertificate(t.Context(), c))
	}
	lose := func(slot string) { s.a.must(t, certificates.LoseCertificates(t.Context(), 7, slot)) }
	keep("9a", "a", time.Hour)
	lose("")
	told("a key that is none of ours")
	s.a.must(t, s.piv().HandOverPIV(t.Context(), token.PIVHandover{Serial: 7, Holder: s.person(t, "anna")}))
	lose("")
	told("none")
	keep("9a", "b", time.Hour)
	keep("9c", "c", time.Hour)
	keep("9d", "d", -time.Hour)
	lose("9c")
	told("seen that it is gone")
	keep("9c", "c", time.Hour)
	lose("")
	told("reset", `anna erased [] [] ["9a" "9c"]`)
	lose("")
	told("again")
	keep("9a", "f", time.Hour)
	s.pass(time.Minute)
	s.a.must(t, s.piv().HandOverPIV(t.Context(), token.PIVHandover{Serial: 7, Holder: s.person(t, "bert"), Reassign: true}))
	told("reassigned", `anna taken [] [] []`)
	keep("9c", "g", time.Hour)
	lose("")
	told("reset by the next holder", `anna erased [] [] ["9a"]`, `bert erased [] [] ["9c"]`)
	keep("9a", "e", time.Hour)
	s.block(t, "7", desk.Block{Reason: token.ReasonStolen})
	lose("")
	told("blocked before")
}

// testToldPIVOfAnother: nobody is told of a certificate that is another's.
func testToldPIVOfAnother(t *testing.T, s *lifeSuite) {
	var seen int64
	told := func(when string, want ...string) { t.Helper(); s.told(t, &seen, when, want...) }
	certificates := s.a.Full.(Certificates)
	keep := func(serial token.Serial, slot, letter string) {
		t.Helper()
		c := SomeCertificate(slot, letter, letter)
		c.Serial, c.NotAfter = serial, s.now().Add(time.Hour)
		s.a.must(t, certificates.KeepCertificate(t.Context(), c))
		s.pass(time.Second)
	}
	give := func(serial token.Serial, to, made string) {
		t.Helper()
		h := token.PIVHandover{Serial: serial, Holder: s.person(t, to), Reassign: true, Made: made}
		s.a.must(t, s.piv().HandOverPIV(t.Context(), h))
		s.pass(time.Second)
	}
	lose := func(serial token.Serial) {
		t.Helper()
		s.a.must(t, certificates.LoseCertificates(t.Context(), serial, ""))
	}
	give(7, "anna", "")
	keep(7, "9c", "a")
	keep(7, "9a", "b") // for bert, as provision does: before the key is his
	give(7, "bert", "9a")
	told("reassigned", `anna taken [] [] []`)
	lose(7)
	told("reset", `bert erased [] [] ["9a"]`, `anna erased [] [] ["9c"]`)

	s.put(t, 101, "drawn", "anna", false, 3)
	keep(101, "9a", "a")
	s.pass(time.Minute)
	if _, proof, err := s.here.Return(t.Context(), "101", []string{hotp(t, 3, 4)}, ""); err != nil || proof != desk.Proven {
		t.Fatalf("%s, %v", proof, err)
	}
	s.pass(time.Second)
	s.put(t, 101, "drawn", "bert", false, 5)
	keep(101, "9c", "b")
	s.put(t, 101, "drawn", "anna", false, 6)
	s.pass(time.Second)
	told("given back by one, taken from another", `bert taken [] [] []`)
	keep(101, "9d", "c")
	lose(101)
	told("reset", `bert erased [] [] ["9c"]`, `anna erased [] [] ["9d"]`)
}

// testRemains: what is left to be done of a key that is taken from its holder.
func testRemains(t *testing.T, s *lifeSuite) {
	remains := func(when, want string, before []token.Credential) {
		t.Helper()
		k, err := s.here.Find(t.Context(), "7")
		s.a.must(t, err)
		r, err := s.here.Remains(t.Context(), k)
		if before != nil {
			r, err = s.here.RemainsOf(t.Context(), k, before)
		}
		s.a.must(t, err)
		got := fmt.Sprintf("%q %q", r.Revoked, r.Wipe)
		for _, c := range r.Certificates {
			got += " " + c.Slot + " " + c.Number + " " + c.Do
		}
		if got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	shows := func() []token.Credential {
		_, list, err := s.here.Show(t.Context(), "7")
		s.a.must(t, err)
		return append([]token.Credential{}, list...)
	}
	s.put(t, 7, "drawn", "anna", false, 1)
	s.put(t, 7, "brought", "anna", true, 2)
	c := SomeCertificate("9a", "a", "b")
	c.NotAfter = s.now().Add(time.Hour)
	s.a.must(t, s.a.Full.(Certificates).KeepCertificate(t.Context(), c))
	const certificate = " 9a 4711ff have it revoked there"
	remains("held", `[] []`+certificate, nil)
	before := shows()
	s.put(t, 7, "new", "bert", false, 3)
	remains("reassigned", `["brought"] []`+certificate, before)
	before = shows()
	s.pass(time.Minute)
	if _, proof, err := s.here.Return(t.Context(), "7", []string{hotp(t, 3, 4)}, ""); err != nil || proof != desk.Proven {
		t.Fatalf("%s, %v", proof, err)
	}
	remains("taken back", `[] ["oath" "piv"]`+certificate, before)
	before = shows()
	_, err := s.here.Retire(t.Context(), "7", "broken")
	s.a.must(t, err)
	remains("given up", `[] []`+certificate, before)
	s.pass(time.Hour)
	remains("over", `[] []`, nil)
}
