package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// target is a server that tokens are pushed to.
func (s *lifeSuite) target(t *testing.T) desk.Target {
	t.Helper()
	target, err := s.here.AddTarget(t.Context(), push.Server{Name: "pi", Kind: push.PrivacyIDEA, URL: "https://pi.example.org"}, secret.Copy([]byte("x")))
	s.a.must(t, err)
	return target
}

// testTargetForgotten: an account that was pushed stays known where it was pushed to, also after the target is removed here.
func testTargetForgotten(t *testing.T, s *lifeSuite) {
	s.put(t, 101, "drawn", "anna", false, 1)
	s.put(t, 101, "pushed", "anna", false, 2)
	_, list, err := s.here.Show(t.Context(), "101")
	s.a.must(t, err)
	_, err = s.a.WantPush(t.Context(), s.target(t).ID, list[1].ID, push.Place{Serial: "T1", Account: "anna"})
	s.a.must(t, err)
	s.a.must(t, s.here.RemoveTarget(t.Context(), "pi", true))
	s.pass(time.Minute)
	if _, proof, err := s.here.Return(t.Context(), "101", []string{hotp(t, 1, 4)}, ""); err != nil || proof != desk.Proven {
		t.Fatalf("%s, %v", proof, err)
	}
	s.wantAccounts(t, "taken back", "101", "drawn")
}

// testReassignOpen: writes of one key that are open at the same time are for one person. Otherwise the last to be settled would say whose
// it is, and an account that was brought for the former holder would become live for the next one.
func testReassignOpen(t *testing.T, s *lifeSuite) {
	ctx := t.Context()
	s.put(t, 101, "drawn", "anna", false, 1)
	open := s.a.reach(t, s.account(t, 101, "brought", "", true), token.Written, 2)
	s.pass(time.Minute)
	h := token.PIVHandover{Serial: 101, Holder: s.person(t, "bert"), Reassign: true}
	if err := s.piv().HandOverPIV(ctx, h); !errors.Is(err, token.ErrUnsettled) {
		t.Errorf("by PIV: %v", err)
	}
	r := reservation(101)
	r.Holder = h.Holder
	if _, err := s.a.Reserve(ctx, r); !errors.Is(err, token.ErrUnsettled) {
		t.Errorf("by a slot: %v", err)
	}
	for _, holder := range []token.PersonID{0, s.person(t, "anna")} { // the same one's
		r := reservation(101)
		r.Slot, r.Holder = 2, holder
		e, err := s.a.Reserve(ctx, r)
		s.a.must(t, err)
		s.a.must(t, s.a.Abort(ctx, e.ID, token.Reserved, "", nil))
	}
	s.a.must(t, s.piv().HandOverPIV(ctx, token.PIVHandover{Serial: 101, Holder: s.person(t, "anna")}))
	s.a.must(t, s.a.Commit(ctx, open.ID, &token.Counters{Use: -1, Session: -1, Moving: 3}))
	s.wantAccounts(t, "settled", "101", "drawn", "brought")
	s.a.must(t, s.piv().HandOverPIV(ctx, h))
	s.wantAccounts(t, "given away", "101", "drawn")

	first := s.account(t, 102, "first", "anna", false) // a new key, for two persons
	_, err := s.a.Reserve(ctx, first)
	s.a.must(t, err)
	other := reservation(102)
	other.Holder = h.Holder
	if _, err := s.a.Reserve(ctx, other); !errors.Is(err, token.ErrUnsettled) {
		t.Errorf("a new key for two: %v", err)
	}
}

// testReassignLeaves: what goes to somebody else without being taken back is as dead for its former holder as what is.
func testReassignLeaves(t *testing.T, s *lifeSuite) {
	ctx, target := t.Context(), s.target(t)
	client, err := s.here.AddClient(ctx, "portal", desk.ClientRights{})
	s.a.must(t, err)
	for serial, give := range map[token.Serial]func(to token.PersonID){
		101: func(to token.PersonID) {
			s.a.must(t, s.piv().HandOverPIV(ctx, token.PIVHandover{Serial: 101, Holder: to, Reassign: true}))
		},
		102: func(token.PersonID) { s.put(t, 102, "new", "bert", false, 9) },
	} {
		r := reservation(serial)
		r.Holder = s.person(t, "anna")
		c := s.a.issue(t, r, int(serial)).Credential
		_, err := s.a.WantPush(ctx, target.ID, c.ID, push.Place{Serial: serial.String(), Account: "anna"})
		s.a.must(t, err)
		_, err = s.here.Trust(ctx, r.Holder, c.Token, client.ID, "Firefox")
		s.a.must(t, err)
		give(s.person(t, "bert"))
		s.is(t, serial.String(), token.Active, "bert")
		list, err := s.b.Pushes(ctx, desk.PushFilter{Tokens: []token.ID{c.Token}})
		if err != nil || len(list) != 1 || list[0].Wanted != desk.WantDisabled {
			t.Errorf("%s, under its former holder's account: %+v, %v", serial, list, err)
		}
		browsers, err := s.there.Browsers(ctx, "anna")
		s.a.must(t, err)
		for _, b := range browsers {
			if b.Revoked.IsZero() {
				t.Errorf("%s: a browser of its former holder is trusted", serial)
			}
		}
	}
}
