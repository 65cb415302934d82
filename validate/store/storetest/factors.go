package storetest

import (
	"crypto/rand"
	mathrand "math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// RunFactors runs the suite of what a Checker decides with; open is as in RunOperators.
func RunFactors(t *testing.T, open func(t *testing.T, now func() time.Time) (here, there Full)) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s *factorSuite)
	}{
		{"TOTP", testCheckTOTP},
		{"HOTP", testCheckHOTP},
		{"HOTP with a prefix", testPrefix},
		{"first use", testFirstUse},
		{"steps only rise", testStepsRise},
		{"no step twice, whatever staff does", testDrunkenWalk},
		{"blocked", testCheckBlocked},
		{"in stock", testCheckStock},
		{"subjects", testSubjects},
		{"throttle", testThrottle},
		{"one throttle for all tokens", testSharedThrottle},
		{"lock and temporary code", testLockedOut},
		{"groups", testCheckGroups},
		{"Yubico OTPs", testCheckYubico},
		{"dry run", testDryRun},
		{"one of 64 equal codes", testEqualCodes},
		{"one of 64 equal recovery codes", testEqualSpoken},
		{"1000 guesses at once", testGuesses},
		{"budget of a client", testClientBudget},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &factorSuite{lifeSuite{&staffSuite{time: at(0)}}}
			here, there := open(t, s.now)
			s.a, s.b = ledgerSuite{here}, there
			s.here = &desk.Desk{Store: here, Now: s.now, Rand: rand.Reader}
			s.there = &desk.Desk{Store: there, Now: s.now, Rand: rand.Reader}
			s.accounts(t, "anna", "bert")
			tc.run(t, s)
		})
	}
}

// factorSuite has the persons anna and bert.
type factorSuite struct{ lifeSuite }

// ask checks a factor in the first process or the second.
func (s *factorSuite) ask(t testing.TB, n int, f validate.Factor) validate.Checked {
	var store Full = s.a
	if n%2 == 1 {
		store = s.b
	}
	c := validate.NewChecker(store, validate.New(store, s.now), s.now)
	got, err := c.Check(t.Context(), f)
	if err == nil {
		err = c.Note(t.Context(), got)
	}
	if err != nil {
		t.Error(err)
	}
	if (got.Outcome == validate.Accepted) != (got.Reason == validate.ReasonAccepted) || got.Outcome != validate.Accepted && got.Outcome != validate.BadOTP {
		t.Errorf("%s, %q", got.Outcome, got.Reason)
	}
	return got
}

// wants checks a text and the reason of the answer.
func (s *factorSuite) wants(t *testing.T, account, text string, want validate.Reason) validate.Checked {
	t.Helper()
	got := s.ask(t, 1, validate.Factor{Account: account, Text: text})
	if got.Reason != want {
		t.Errorf("%s: %q, want %q", account, got.Reason, want)
	}
	return got
}

func (s *factorSuite) wantsSerial(t *testing.T, serial, text string, want validate.Reason) validate.Checked {
	t.Helper()
	got := s.ask(t, 1, validate.Factor{Serial: serial, Text: text})
	if got.Reason != want {
		t.Errorf("serial %s: %q, want %q", serial, got.Reason, want)
	}
	return got
}

func testCheckTOTP(t *testing.T, s *factorSuite) {
	v := totpToken("T1", 1)
	k := s.issued(t, v, "anna")
	s.wants(t, "anna", s.shows(t, v, 0), validate.ReasonSame) // it proved the issue
	s.pass(time.Minute)
	code := s.shows(t, v, 0)
	got := s.wants(t, "anna", " "+code[:3]+" "+code[3:]+"\n", validate.ReasonAccepted)
	if got.Kind != "totp" || got.Token != k.ID || got.Credential == 0 || got.Person != k.Holder.ID {
		t.Errorf("%+v", got)
	}
	n := s.credential(t, "T1").Counters
	if n.Moving != s.now().Unix()/30 || !n.At.Equal(s.now()) {
		t.Errorf("stored %+v", n)
	}
	for _, ask := range []func(*testing.T, string, string, validate.Reason) validate.Checked{s.wants, s.wantsSerial} {
		s.pass(10 * time.Second) // a step or two
		ask(t, map[bool]string{true: "anna", false: "T1"}[n.Use == -1], code, validate.ReasonSame)
		n.Use = 0
	}
	s.wants(t, "anna", s.shows(t, v, 30*time.Second), validate.ReasonAccepted)
	if c := s.credential(t, "T1").Counters.Clock; c.Drift != 1 && c.Drift != 0 {
		t.Errorf("clock %+v", c)
	}
	s.wants(t, "anna", s.shows(t, v, 0), validate.ReasonSame) // a step before the last one
	s.wants(t, "bert", s.shows(t, v, time.Minute), validate.ReasonWrong)
}

func testCheckHOTP(t *testing.T, s *factorSuite) {
	v := hotpToken("H1", 1)
	s.issued(t, v, "anna") // by 0
	for _, tc := range []struct {
		of   int64
		want validate.Reason
	}{
		{0, validate.ReasonSame}, {1, validate.ReasonAccepted}, {1, validate.ReasonSame}, {0, validate.ReasonWrong}, {12, validate.ReasonAccepted},
		{5, validate.ReasonWrong}, {24, validate.ReasonWrong}, {23, validate.ReasonAccepted},
	} {
		s.pass(time.Minute) // longer than any delay here
		got := s.wants(t, "anna", v.code(t, tc.of), tc.want)
		if stored := s.credential(t, "H1").Counters.Moving; tc.want == validate.ReasonAccepted && (stored != tc.of || got.Kind != "hotp") {
			t.Errorf("code %d: stored %d, %+v", tc.of, stored, got)
		}
	}
}

// testPrefix: what a YubiKey types before a HOTP code is its public ID or its label, and gives no code another time.
func testPrefix(t *testing.T, s *factorSuite) {
	const label = "ubhe00123456"
	v := hotpToken(label, 1)
	s.issued(t, v, "anna")
	s.wants(t, "anna", label+v.code(t, 1), validate.ReasonAccepted)
	s.wants(t, "anna", v.code(t, 1), validate.ReasonSame)
	s.wantsSerial(t, label, v.code(t, 2), validate.ReasonAccepted)
	s.wants(t, "anna", label+v.code(t, 2), validate.ReasonSame)
	s.wants(t, "anna", "ubhe00123457"+v.code(t, 3), validate.ReasonWrong)
	s.wants(t, "anna", label+v.code(t, 3), validate.ReasonThrottled)
}

// testFirstUse: a token whose clock was eight steps slow on the shelf is known from its first code on.
func testFirstUse(t *testing.T, s *factorSuite) {
	v := totpToken("T1", 1)
	s.box(t, v)
	s.pass(time.Hour)
	slow := -4 * time.Minute
	if _, proof, err := s.here.Issue(t.Context(), "T1", handTo("anna", s.shows(t, v, slow))); err != nil || proof != desk.Proven {
		t.Fatalf("%s, %v", proof, err)
	}
	for range 3 {
		s.pass(day)
		s.wants(t, "anna", s.shows(t, v, 0), validate.ReasonWrong)
		s.pass(time.Minute)
		s.wants(t, "anna", s.shows(t, v, slow), validate.ReasonAccepted)
	}
	s.pass(200 * day)
	slow -= 3 * time.Minute // by itself
	s.wants(t, "anna", s.shows(t, v, slow), validate.ReasonAccepted)
	s.pass(day)
	s.wants(t, "anna", s.shows(t, v, slow), validate.ReasonAccepted)
	if c := s.credential(t, "T1").Counters.Clock; c.Drift < -15 || c.Drift > -13 {
		t.Errorf("clock %+v", c)
	}
}

const day = 24 * time.Hour

// testStepsRise tries codes around now while time goes both ways: each accepted step is above all before.
func testStepsRise(t *testing.T, s *factorSuite) {
	v, random := totpToken("T1", 1), mathrand.New(mathrand.NewPCG(1, 1)) // not every walk meets a code that is accepted before ten failures
	s.issued(t, v, "anna")
	last, accepted := s.credential(t, "T1").Counters.Moving, 0
	for n := range 150 {
		s.pass(time.Duration(random.IntN(240)-40) * time.Second)
		code := s.shows(t, v, time.Duration(random.IntN(9)-4)*30*time.Second)
		for range 2 {
			ok := s.ask(t, n, validate.Factor{Account: "anna", Text: code}).Outcome == validate.Accepted
			stored := s.credential(t, "T1").Counters.Moving
			if ok != (stored > last) || stored < last {
				t.Fatalf("accepted %v: %d after %d", ok, stored, last)
			}
			if last = stored; ok {
				accepted++
			}
		}
	}
	if accepted == 0 {
		t.Error("none was accepted")
	}
}

// testDrunkenWalk presses keys at random while staff blocks, restores, measures, takes back and issues tokens and clocks go both ways: what was
// accepted or taken as a proof only rises, and is never accepted again.
func testDrunkenWalk(t *testing.T, s *factorSuite) {
	list := []vendor{hotpToken("H1", 1), totpToken("T1", 2), totpToken("T2", 3)}
	s.box(t, list...)
	last, pressed, accepted, proven := map[string]int64{"H1": -1, "T1": -1, "T2": -1}, int64(0), 0, 0
	for n := 0; n < 500 || n < 5000 && (accepted < 3 || proven < 3); n++ { // in some walks little is accepted
		s.pass(time.Duration(mathrand.IntN(200)-60) * time.Second)
		switch mathrand.IntN(20) {
		case 0:
			s.pass(time.Hour - time.Duration(mathrand.IntN(2))*2*time.Hour)
		case 1, 2:
			s.pass(validate.LockTime)
		}
		v := list[mathrand.IntN(len(list))]
		moving := pressed + int64(mathrand.IntN(8)-1)
		if v.kind == token.TOTP {
			moving = s.now().Unix()/30 + int64(mathrand.IntN(4)-2)
		}
		if moving < 0 {
			continue
		}
		code, next, took, proof, err := v.code(t, moving), v.code(t, moving+1), false, desk.Proof(""), error(nil)
		ctx := t.Context()
		switch mathrand.IntN(14) {
		case 0:
			_, _, _, err = s.here.Block(ctx, v.label, desk.Block{Reason: token.ReasonLost})
		case 1:
			_, err = s.there.Undo(ctx, v.label)
		case 2:
			_, proof, err = s.there.Restore(ctx, v.label, []string{code})
		case 3:
			_, _, proof, err = s.here.Resync(ctx, v.label, code, next)
			code = next
		case 4:
			_, proof, err = s.there.Return(ctx, v.label, []string{code}, "")
		case 5:
			_, proof, err = s.here.Issue(ctx, v.label, handTo("anna", code))
		case 6:
			_, err = s.here.ResetClock(ctx, v.label)
		default:
			if took = s.ask(t, n, validate.Factor{Serial: v.label, Text: code}).Outcome == validate.Accepted; took {
				accepted++
			}
		}
		_ = err // most are refused by the state
		if proof == desk.Proven {
			took = true
			proven++
		}
		stored := s.credential(t, v.label).Counters.Moving
		if stored < last[v.label] || took && (stored == last[v.label] || v.code(t, stored) != code) { // an old code may be equal to a newer one
			t.Fatalf("%s: %d after %d, by the code %s of %d: %v", v.label, stored, last[v.label], code, moving, took)
		}
		if last[v.label] = stored; v.kind == token.HOTP {
			pressed = stored + 1
		}
	}
	if accepted < 3 || proven < 3 {
		t.Errorf("%d accepted, %d proven", accepted, proven)
	}
}

// testCheckBlocked: what is typed while a token is lost is dead afterwards.
func testCheckBlocked(t *testing.T, s *factorSuite) {
	lost, other := hotpToken("H1", 1), hotpToken("H2", 2)
	s.issued(t, other, "anna")
	k := s.issued(t, lost, "anna")
	s.pass(time.Minute)
	s.block(t, "H1", desk.Block{Reason: token.ReasonLost})
	before := s.credential(t, "H1").Counters
	if got := s.wants(t, "anna", lost.code(t, 3), validate.ReasonBlocked); got.Token != k.ID || got.Kind != "hotp" {
		t.Errorf("%+v", got)
	}
	if n := s.credential(t, "H1").Counters; n.Moving != 3 || !n.At.Equal(before.At) {
		t.Errorf("stored %+v, before %+v", n, before)
	}
	s.pass(time.Minute)
	s.wants(t, "anna", lost.code(t, 2), validate.ReasonWrong)
	s.pass(time.Minute)
	s.wants(t, "anna", other.code(t, 1), validate.ReasonAccepted)
	if _, err := s.here.Undo(t.Context(), "H1"); err != nil {
		t.Fatal(err)
	}
	s.wants(t, "anna", lost.code(t, 3), validate.ReasonSame)
	s.wants(t, "anna", lost.code(t, 4), validate.ReasonAccepted)
}

func testCheckStock(t *testing.T, s *factorSuite) {
	v := hotpToken("H1", 1)
	s.box(t, v)
	s.wantsSerial(t, "H1", v.code(t, 2), validate.ReasonInStock)
	if n := s.credential(t, "H1").Counters.Moving; n != 2 {
		t.Errorf("stored %d", n)
	}
	s.wants(t, "anna", v.code(t, 3), validate.ReasonWrong)
}

func testSubjects(t *testing.T, s *factorSuite) {
	v := hotpToken("4711", 1)
	k := s.issued(t, v, "anna")
	if got := s.wantsSerial(t, "4711", v.code(t, 1), validate.ReasonAccepted); got.Person != k.Holder.ID {
		t.Errorf("%+v", got)
	}
	for _, name := range []string{"Anna", "anna ", "4711", "'; --"} {
		s.wants(t, name, v.code(t, 2), validate.ReasonNobody)
	}
	for _, name := range []string{"04711", "471", "4711 ", "anna", "-4711"} {
		s.wantsSerial(t, name, v.code(t, 2), validate.ReasonNobody)
	}
	c := Sample(1, "")
	s.a.must(t, s.here.Import(t.Context(), "f", feed(keyfile.Record{Kind: token.YubicoOTP, Serial: 4711, PublicID: c.PublicID, Key: secretsOf(1).Key, PrivateID: secretsOf(1).PrivateID}),
		func(desk.Imported) {}))
	s.wantsSerial(t, "4711", v.code(t, 2), validate.ReasonNobody) // two fit
	if _, err := s.here.Retire(t.Context(), "token "+strconv.FormatInt(int64(k.ID), 10), "broken"); err != nil {
		t.Log(err) // how a query names a token by its number is not this suite's
		return
	}
	s.wants(t, "anna", v.code(t, 2), validate.ReasonWrong)
}

// testCheckGroups: of a person whom the client may not ask about nothing is tried, and nothing counts against the person.
func testCheckGroups(t *testing.T, s *factorSuite) {
	v := hotpToken("H1", 1)
	s.issued(t, v, "anna")
	s.a.must(t, s.a.SetGroups(t.Context(), "anna", []string{"staff"}, nil))
	for n, tc := range []struct {
		groups []string
		want   validate.Reason
	}{
		{[]string{"students"}, validate.ReasonNotAllowed}, {[]string{"students", "staff"}, validate.ReasonAccepted}, {nil, validate.ReasonAccepted},
	} {
		for _, f := range []validate.Factor{{Account: "anna"}, {Serial: "H1"}} {
			f.Text, f.Client.Groups = v.code(t, int64(2*n+2+len(f.Serial)/2)), tc.groups
			if got := s.ask(t, n, f); got.Reason != tc.want {
				t.Errorf("%v: %q, want %q", tc.groups, got.Reason, tc.want)
			}
		}
	}
}

// testCheckYubico: an OTP of another holder is refused and stays good; none counts as a failure.
func testCheckYubico(t *testing.T, s *factorSuite) {
	bert, err := s.a.Person(t.Context(), "bert")
	s.a.must(t, err)
	r := reservation(105)
	r.Holder = bert.ID
	s.a.issue(t, r, 5)
	v := hotpToken("H1", 1)
	s.issued(t, v, "anna")
	otp := otp(t, 5, 2, 0)
	s.wants(t, "anna", otp, validate.ReasonOtherHolder)
	s.wantsSerial(t, "H1", otp, validate.ReasonOtherHolder)
	s.wants(t, "nobody", otp, validate.ReasonNobody)
	s.wants(t, "anna", otp[:12]+"cccccccccccccccccccccccccccccccc", validate.ReasonCRC)
	s.wants(t, "anna", v.code(t, 1), validate.ReasonAccepted) // no failure, no delay
	if got := s.wants(t, "bert", otp, validate.ReasonAccepted); got.Kind != "yubico-otp" || got.Person != bert.ID || !got.Result.Opened {
		t.Errorf("%+v", got)
	}
	s.wants(t, "bert", otp, validate.ReasonSame)
	c := Sample(5, "")
	c.PublicID = r.PublicID
	s.wantsSerial(t, "105", c.Press(t, yubiotp.Token{UseCounter: 2, SessionCounter: 1}), validate.ReasonAccepted)
	s.block(t, "105", desk.Block{Reason: token.ReasonLost})
	s.wants(t, "bert", c.Press(t, yubiotp.Token{UseCounter: 2, SessionCounter: 2}), validate.ReasonBlocked)
}

// testDryRun: nothing is charged, spent or written.
func testDryRun(t *testing.T, s *factorSuite) {
	v := hotpToken("H1", 1)
	s.issued(t, v, "anna")
	temp, _, err := s.here.TempCode(t.Context(), "anna", desk.TempCode{Uses: 1})
	s.a.must(t, err)
	f := validate.ReadOnlyFactors(s.b)
	c := validate.NewChecker(f, validate.New(f, s.now), s.now)
	for _, tc := range []struct {
		text string
		want validate.Reason
	}{{"000000", validate.ReasonWrong}, {v.code(t, 1), validate.ReasonAccepted}, {shown(temp), validate.ReasonAccepted}} {
		for range 2 {
			if got, err := c.Check(t.Context(), validate.Factor{Account: "anna", Text: tc.text}); err != nil || got.Reason != tc.want {
				t.Errorf("%q, want %q (%v)", got.Reason, tc.want, err)
			}
		}
	}
	s.wants(t, "anna", v.code(t, 1), validate.ReasonAccepted)
	s.wants(t, "anna", shown(temp), validate.ReasonAccepted)
	if got, err := c.Check(t.Context(), validate.Factor{Account: "anna", Text: v.code(t, 1)}); err != nil || got.Reason != validate.ReasonSame {
		t.Errorf("%q, %v", got.Reason, err)
	}
}
