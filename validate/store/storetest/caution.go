package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// CautionHarness is a Harness whose credentials can be made as those of a backup that was put back.
type CautionHarness interface {
	Harness
	// Distrust sets the caution of a credential to validate.Cautious.
	Distrust(t testing.TB, id token.CredentialID)
}

// RunCaution runs the suite of what a backup that was put back does to Yubico OTPs; open gives a new store each time.
func RunCaution(t *testing.T, open func(t *testing.T) CautionHarness) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s cautionSuite)
	}{
		{"two of a pair", testCautionPair},
		{"one captured OTP", testCautionCaptured},
		{"no pair", testCautionNoPair},
		{"blocked", testCautionBlocked},
		{"verifier", testCautionVerifier},
		{"at once", testCautionRace},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			s := cautionSuite{suite{h, h.Counters(), h.Another()}, h, Sample(1, token.Active), 0}
			s.id = s.Add(t, s.c)
			s.accept(t, s.press(5, 0, 0), true)
			h.Distrust(t, s.id)
			tc.run(t, s)
		})
	}
}

// cautionSuite has one cautious credential that stands at (5, 0).
type cautionSuite struct {
	suite
	h  CautionHarness
	c  Credential
	id token.CredentialID
}

// press presents (use, session), so many seconds into the suite by both clocks.
func (s cautionSuite) press(use, session, second int) validate.Advance {
	a := advance(s.id, s.c, use, session, "n")
	a.Timestamp, a.At = 8*second, at(second)
	return a
}

// refused presents it as a Verifier does that read a cautious row.
func (s cautionSuite) refused(t *testing.T, a validate.Advance) {
	t.Helper()
	a.Event.Result, a.Event.Reason = string(validate.BadOTP), validate.ReasonCautious
	if err := s.a.Spend(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// is checks what the row holds.
func (s cautionSuite) is(t *testing.T, use, session, caution int, enabled bool) {
	t.Helper()
	if r := s.row(t, s.c); r.Counters.Use != use || r.Counters.Session != session || r.Caution != caution || r.Enabled != enabled {
		t.Fatalf("row %+v; want (%d, %d), caution %d, enabled %v", r, use, session, caution, enabled)
	}
}

func testCautionPair(t *testing.T, s cautionSuite) {
	s.is(t, 5, 0, 2, false)
	s.accept(t, s.press(6, 0, 1), false)
	s.refused(t, s.press(6, 0, 1))
	s.is(t, 6, 0, 1, false)
	s.accept(t, s.press(6, 1, 11), false)
	s.refused(t, s.press(6, 1, 11))
	s.is(t, 6, 1, 0, true)
	s.accept(t, s.press(6, 1, 11), false) // neither of the two is ever accepted
	s.accept(t, s.press(6, 0, 1), false)
	s.accept(t, s.press(6, 2, 12), true)
	s.refused(t, s.press(7, 0, 20)) // a decision that came too late spends nothing of an enabled row
	s.is(t, 6, 2, 0, true)
}

// testCautionCaptured: one OTP that was accepted before the backup was put back helps nobody, however often it is sent.
func testCautionCaptured(t *testing.T, s cautionSuite) {
	for n := range 5 {
		s.refused(t, s.press(6, 7, n))
		s.is(t, 6, 7, 1, false)
	}
	s.refused(t, s.press(6, 6, 9)) // nor do older ones
	s.refused(t, s.press(5, 0, 9))
	s.is(t, 6, 7, 1, false)
	s.refused(t, s.press(8, 0, 100)) // the holder's own: the first of two again
	s.is(t, 8, 0, 1, false)
	s.refused(t, s.press(8, 1, 110))
	s.is(t, 8, 1, 0, true)
}

// testCautionNoPair: OTPs that were pressed hours or power-ups apart, as people do, are no pair whenever they are sent.
func testCautionNoPair(t *testing.T, s cautionSuite) {
	for n := range 6 {
		a := s.press(6, n, 3600*n)
		a.At = at(n) // all in six seconds
		s.refused(t, a)
		s.is(t, 6, n, 1, false)
	}
	for n := range 6 {
		s.refused(t, s.press(7+n, 0, 10*n))
		s.is(t, 7+n, 0, 1, false)
	}
	s.refused(t, s.press(12, 1, 50+61))
	s.is(t, 12, 1, 1, false)
	s.refused(t, s.press(12, 2, 50+61+60))
	s.is(t, 12, 2, 0, true)
}

// testCautionBlocked: presses of a blocked token are spent and prove nothing.
func testCautionBlocked(t *testing.T, s cautionSuite) {
	s.h.Block(t, s.id)
	s.refused(t, s.press(6, 0, 1))
	s.refused(t, s.press(6, 1, 2))
	s.is(t, 6, 1, 2, false)
	s.h.Unblock(t, s.id)
	s.is(t, 6, 1, 2, false)
	s.accept(t, s.press(6, 2, 3), false)
	s.refused(t, s.press(6, 2, 3))
	plain := s.press(6, 3, 4) // the decision was made when it was blocked
	plain.Event.Reason = validate.ReasonBlocked
	if err := s.a.Spend(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	s.is(t, 6, 3, 1, false)
	s.refused(t, s.press(6, 4, 5))
	s.is(t, 6, 4, 0, true)
	s.accept(t, s.press(6, 5, 6), true)
}

// testCautionVerifier is the way of an OTP from outside.
func testCautionVerifier(t *testing.T, s cautionSuite) {
	second := 0
	v := validate.New(s.a, func() time.Time { return at(second) })
	for _, tc := range []struct {
		use     uint16
		session uint8
		outcome validate.Outcome
		reason  validate.Reason
	}{
		{5, 0, validate.Replayed, validate.ReasonSame},
		{4, 9, validate.Replayed, validate.ReasonOlder},
		{6, 0, validate.BadOTP, validate.ReasonCautious},
		{6, 0, validate.Replayed, validate.ReasonSame},
		{6, 1, validate.BadOTP, validate.ReasonCautious},
		{6, 1, validate.Replayed, validate.ReasonSame},
		{6, 2, validate.Accepted, validate.ReasonAccepted},
		{6, 2, validate.ReplayedRequest, validate.ReasonRetry},
	} {
		second++
		otp := s.c.Press(t, yubiotp.Token{UseCounter: tc.use, SessionCounter: tc.session, Timestamp: uint32(8 * second)})
		r, err := v.Verify(t.Context(), validate.Request{OTP: otp, Nonce: "nonce of the request"})
		if err == nil {
			err = v.Note(t.Context(), r)
		}
		if err != nil || r.Outcome != tc.outcome || r.Reason != tc.reason {
			t.Errorf("(%d, %d): %s, %s, %v; want %s, %s", tc.use, tc.session, r.Outcome, r.Reason, err, tc.outcome, tc.reason)
		}
	}
}

// testCautionRace: the same two OTPs of a pair, by many callers in both processes, count once each, and none is accepted.
func testCautionRace(t *testing.T, s cautionSuite) {
	var wg sync.WaitGroup
	for n := range 32 {
		for _, way := range []validate.Counters{s.a, s.b} {
			wg.Go(func() {
				a := s.press(6, n%2, 1+n%2)
				if ok, err := way.Accept(t.Context(), a); err != nil || ok {
					t.Errorf("accepted: %v, %v", ok, err)
				}
				a.Event.Reason = validate.ReasonCautious
				if err := way.Spend(t.Context(), a); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	r := s.row(t, s.c)
	if r.Counters.Use != 6 || r.Counters.Session != 1 || r.Caution > 1 || r.Enabled != (r.Caution == 0) {
		t.Errorf("row %+v", r)
	}
}
