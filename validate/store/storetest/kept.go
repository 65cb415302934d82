package storetest

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// RunKept runs the suite of what a store keeps in memory; open gives one new store twice, as two processes have it.
func RunKept(t *testing.T, open func(t *testing.T, now func() time.Time) (here, there Full)) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s keptSuite)
	}{
		{"accept", testKeptAccept},
		{"accepted elsewhere", testKeptElsewhere},
		{"changes of staff", testKeptStaff},
		{"end of a rotation", testKeptRotation},
		{"never read", testKeptNever},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.run(t, openKept(t, open))
		})
	}
}

// keptSuite is a store with a person, her token and a client.
type keptSuite struct {
	*staffSuite
	public token.PublicID
	client int64
}

func openKept(t *testing.T, open func(t *testing.T, now func() time.Time) (here, there Full)) keptSuite {
	t.Helper()
	s := &staffSuite{time: at(0)}
	here, there := open(t, s.now)
	s.a, s.b = ledgerSuite{here}, there
	s.here = &desk.Desk{Store: here, Now: s.now, Rand: rand.Reader}
	s.there = &desk.Desk{Store: there, Now: s.now, Rand: rand.Reader}
	s.a.must(t, s.here.AddPerson(t.Context(), token.Person{Account: "anna", Groups: []string{"staff"}}))
	anna, err := s.a.Person(t.Context(), "anna")
	s.a.must(t, err)
	r := reservation(101)
	r.Holder = anna.ID
	s.a.issue(t, r, 1)
	id, _ := s.addClient(t, "vpn", desk.ClientRights{})
	return keptSuite{s, r.PublicID, id}
}

// keep reads credential and client, and wants both kept.
func (s keptSuite) keep(t *testing.T) (validate.Credential, validate.Generation) {
	t.Helper()
	want, err := s.a.Full.Find(t.Context(), s.public)
	s.a.must(t, err)
	_, err = s.a.Full.(validate.Clients).Client(t.Context(), s.client)
	s.a.must(t, err)
	keeper := s.a.Full.(validate.Keeper)
	c, g := keeper.KeptCredential(s.public)
	if g == 0 || c.ID != want.ID || c.Row.Counters != want.Row.Counters || c.Row.Enabled != want.Row.Enabled || len(c.Groups) != len(want.Groups) {
		t.Fatalf("kept %+v of generation %d, want %+v", c, g, want)
	}
	if client, of := keeper.KeptClient(s.client); of != g || client.ID != s.client || len(client.Keys) == 0 {
		t.Fatalf("kept client %d of generation %d, want %d of %d", client.ID, of, s.client, g)
	}
	return c, g
}

// accepts asks one process to accept on what it kept.
func (s keptSuite) accepts(t *testing.T, st Full, c validate.Credential, g validate.Generation, use int) bool {
	t.Helper()
	a := advance(c.ID, Credential{PublicID: s.public}, use, 0, "nonce")
	a.Kept, a.Proven = g, true
	ok, err := st.Accept(t.Context(), a)
	s.a.must(t, err)
	return ok
}

func testKeptAccept(t *testing.T, s keptSuite) {
	c, g := s.keep(t)
	for use := 10; use < 15; use++ {
		if !s.accepts(t, s.a.Full, c, g, use) {
			t.Fatalf("%d is not accepted", use)
		}
		if s.accepts(t, s.a.Full, c, g, use) || s.accepts(t, s.a.Full, c, g, use-1) {
			t.Fatalf("%d is accepted again", use)
		}
		if c, g = s.keep(t); c.Row.Counters.Use != use {
			t.Fatalf("kept counters %+v after %d", c.Row.Counters, use)
		}
	}
	if s.accepts(t, s.a.Full, c, g+1, 20) || s.accepts(t, s.a.Full, c, g-1, 20) {
		t.Error("accepted on another generation")
	}
}

func testKeptElsewhere(t *testing.T, s keptSuite) {
	c, g := s.keep(t)
	if !s.accepts(t, s.b, c, 0, 20) {
		t.Fatal("not accepted")
	}
	if s.accepts(t, s.a.Full, c, g, 20) || s.accepts(t, s.a.Full, c, g, 19) {
		t.Error("accepted again on old counters")
	}
	if _, of := s.a.Full.(validate.Keeper).KeptCredential(s.public); of != 0 {
		t.Error("kept, though it was not as it was kept")
	}
	c, g = s.keep(t)
	if !s.accepts(t, s.a.Full, c, g, 21) {
		t.Error("a validation elsewhere ended the generation")
	}
}

// testKeptStaff: after any change that staff made anywhere, nothing is accepted on what was read before.
func testKeptStaff(t *testing.T, s keptSuite) {
	use := 30
	for _, d := range []*desk.Desk{s.there, s.here} {
		for _, tc := range []struct {
			name   string
			change func() error
		}{
			{"groups", func() error { _, err := d.Group(t.Context(), "anna", []string{"lab"}, []string{"staff"}); return err }},
			{"groups back", func() error { _, err := d.Group(t.Context(), "anna", []string{"staff"}, []string{"lab"}); return err }},
			{"client's key", func() error { _, err := d.RotateClient(t.Context(), "vpn", 0); return err }},
			{"another client", func() error {
				_, err := d.AddClient(t.Context(), fmt.Sprint("client ", use), desk.ClientRights{})
				return err
			}},
			{"block", func() error { return s.lose(t, d) }},
			{"undo", func() error { _, err := d.Undo(t.Context(), "101"); return err }},
		} {
			if tc.name == "undo" { // nothing is enabled before it
				s.a.must(t, tc.change())
				continue
			}
			c, g := s.keep(t)
			s.a.must(t, tc.change())
			use++
			if s.accepts(t, s.a.Full, c, g, use) {
				t.Errorf("%s: accepted on what was kept before", tc.name)
			}
			if _, of := s.a.Full.(validate.Keeper).KeptClient(s.client); of == g {
				t.Errorf("%s: the client is still kept", tc.name)
			}
		}
	}
}

func (s keptSuite) lose(t *testing.T, d *desk.Desk) error {
	t.Helper()
	_, _, _, err := d.Block(t.Context(), "101", desk.Block{Reason: token.ReasonLost})
	return err
}

// testKeptRotation: a former key is not kept beyond its time.
func testKeptRotation(t *testing.T, s keptSuite) {
	s.rotate(t, s.there, "vpn", time.Hour)
	s.keep(t)
	s.pass(time.Hour)
	if c, g := s.a.Full.(validate.Keeper).KeptClient(s.client); g != 0 {
		t.Errorf("kept with %d keys", len(c.Keys))
	}
	s.keep(t)
}

func testKeptNever(t *testing.T, s keptSuite) {
	keeper := s.b.(validate.Keeper)
	if _, g := keeper.KeptCredential(s.public); g != 0 {
		t.Error("a credential that was never read is kept")
	}
	if _, g := keeper.KeptClient(s.client); g != 0 {
		t.Error("a client that was never read is kept")
	}
}
