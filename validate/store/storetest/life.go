package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// RunLife runs the suite of what happens to a token between its first proof and its end; open is as in RunOperators.
func RunLife(t *testing.T, open func(t *testing.T, now func() time.Time) (here, there Full)) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s *lifeSuite)
	}{
		{"issue", testIssue},
		{"issue out of step", testIssueOutOfStep},
		{"issue another token's code", testIssueOther},
		{"issue refusals", testIssueRefusals},
		{"issue replaces", testIssueReplaces},
		{"issue at two desks", testIssueRace},
		{"confirm", testConfirm},
		{"set names", testSetNames},
		{"resync", testResync},
		{"restore by code", testRestoreCode},
		{"restore into stock", testRestoreStock},
		{"restore by old codes", testOldPair},
		{"undo", testUndo},
		{"undo refusals", testUndoRefusals},
		{"written while blocked", testWrittenWhileBlocked},
		{"undo against block", testUndoRace},
		{"return", testReturn},
		{"return and targets", testReturnTargets},
		{"return what is empty", testReturnEmpty},
		{"return against accept", testReturnRace},
		{"return what is known elsewhere", testReturnShared},
		{"give away what is known elsewhere", testReassignShared},
		{"codes of times to come", testForesight},
		{"give away what a removed target knows", testTargetForgotten},
		{"give away while a write is open", testReassignOpen},
		{"give away what is elsewhere", testReassignLeaves},
		{"PIV alone", testHandOverPIV},
		{"told what was erased", testToldErased},
		{"told what was taken", testToldTaken},
		{"told of certificates", testToldPIV},
		{"not told of another's certificates", testToldPIVOfAnother},
		{"what remains", testRemains},
		{"retire", testRetire},
		{"retire while writing", testRetireWriting},
		{"until", testUntil},
		{"effects of a block", testEffects},
		{"one of 64 proofs", testProofRace},
		{"throttle of proofs", testProofThrottle},
		{"128 wrong proofs at once", testProofThrottleRace},
		{"sweep secrets", testSweepSecrets},
		{"add a seed", testAddSeed},
		{"history", testHistory},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &lifeSuite{&staffSuite{time: at(0)}}
			here, there := open(t, s.now)
			s.a, s.b = ledgerSuite{here}, there
			s.here = &desk.Desk{Store: here, Now: s.now, Rand: rand.Reader}
			s.there = &desk.Desk{Store: there, Now: s.now, Rand: rand.Reader}
			for _, account := range []string{"anna", "bert"} {
				s.a.must(t, s.here.AddPerson(t.Context(), token.Person{Account: account, Mail: account + "@example.org"}))
			}
			tc.run(t, s)
		})
	}
}

// lifeSuite has the persons anna and bert.
type lifeSuite struct{ *staffSuite }

// vendor is a token of a vendor's file.
type vendor struct {
	kind   token.Kind
	label  string
	seed   byte
	period time.Duration
}

func (v vendor) key() secret.Bytes { return secret.Copy(bytes.Repeat([]byte{v.seed}, 20)) }

// code is what it shows for a moving factor.
func (v vendor) code(t *testing.T, moving int64) string {
	t.Helper()
	g, err := oath.New(v.key(), oath.SHA1, 6)
	if err != nil {
		t.Fatal(err)
	}
	return g.Code(moving)
}

// shows is what a TOTP token shows whose clock is that far ahead.
func (s *lifeSuite) shows(t *testing.T, v vendor, ahead time.Duration) string {
	t.Helper()
	return v.code(t, oath.Step(s.now().Add(ahead), v.period))
}

func totpToken(label string, seed byte) vendor {
	return vendor{token.TOTP, label, seed, 30 * time.Second}
}
func hotpToken(label string, seed byte) vendor { return vendor{token.HOTP, label, seed, 0} }

// box imports tokens from a vendor's file.
func (s *lifeSuite) box(t *testing.T, tokens ...vendor) {
	t.Helper()
	var list []any
	for _, v := range tokens {
		list = append(list, keyfile.Record{Kind: v.kind, Label: v.label, Key: v.key(), Period: v.period})
	}
	s.a.must(t, s.here.Import(t.Context(), "box", feed(list...), func(i desk.Imported) {
		if i.Outcome != desk.New {
			t.Errorf("import: %+v", i)
		}
	}))
}

func handTo(account string, codes ...string) desk.Issue {
	return desk.Issue{To: account, IDCheck: desk.ByStaffCard, Codes: codes}
}

// issued boxes a token and issues it by its code.
func (s *lifeSuite) issued(t *testing.T, v vendor, account string) token.Token {
	t.Helper()
	s.box(t, v)
	code := v.code(t, 0)
	if v.kind == token.TOTP {
		code = s.shows(t, v, 0)
	}
	k, proof, err := s.here.Issue(t.Context(), v.label, handTo(account, code))
	if err != nil || proof != desk.Proven || k.State != token.Active {
		t.Fatalf("issue %s: %+v, %s, %v", v.label, k, proof, err)
	}
	return k
}

// accepts presents a code in the other process, as a relying server does.
func (s *lifeSuite) accepts(t *testing.T, label, code string) bool {
	t.Helper()
	ok, err := s.present(t.Context(), label, code)
	s.a.must(t, err)
	return ok
}

func (s *lifeSuite) present(ctx context.Context, label, code string) (bool, error) {
	f := s.b.(validate.Factors) // a full store has all parts
	c, err := validate.NewChecker(f, validate.New(s.b, s.now), s.now).Check(ctx, validate.Factor{Serial: label, Text: code})
	return c.Outcome == validate.Accepted, err
}

// is looks at a token in the other process.
func (s *lifeSuite) is(t *testing.T, query string, state token.State, holder string) token.Token {
	t.Helper()
	k, err := s.there.Find(t.Context(), query)
	got := ""
	if k.Holder != nil {
		got = k.Holder.Account
	}
	if err != nil || k.State != state || got != holder {
		t.Errorf("%s is %s of %q, %v; want %s of %q", query, k.State, got, err, state, holder)
	}
	return k
}

func (s *lifeSuite) block(t *testing.T, query string, b desk.Block) {
	t.Helper()
	_, _, _, err := s.here.Block(t.Context(), query, b)
	s.a.must(t, err)
}

// clock is what is known of the clock of a token's only credential.
func (s *lifeSuite) credential(t *testing.T, query string) token.Credential {
	t.Helper()
	_, list, err := s.there.Show(t.Context(), query)
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %d credentials, %v", query, len(list), err)
	}
	return list[0]
}

func isLocked(err error) bool {
	var e *desk.LockedError
	return errors.As(err, &e)
}

func isUndo(err error) bool {
	var e *desk.UndoError
	return errors.As(err, &e)
}

func isText(err error) bool {
	var e *desk.TextError
	return errors.As(err, &e)
}
